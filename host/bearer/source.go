// SPDX-License-Identifier: Apache-2.0

package bearer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"
)

// Source is where the issuer's keys come from: a file or an address.
type Source struct {
	File    string
	URL     string
	CAFile  string        // PEM: whom to trust for URL; empty: whom this machine trusts
	Refresh time.Duration // of URL
}

const (
	maxSet       = 1 << 20 // bytes of a set of keys
	fileCheck    = 2 * time.Second
	fetchTimeout = 10 * time.Second
	// An issuer that can't be reached is asked again after retryFirst, and then after twice as long each time, up to retryMost.
	retryFirst = time.Second
	retryMost  = time.Minute
	// unknownKeyPause is how soon it is asked again because a token names a key that isn't known. Anybody can write such a token.
	unknownKeyPause = 10 * time.Second
)

// Checker checks tokens by the keys that there are.
type Checker struct {
	rules  Rules
	source Source
	client *http.Client
	log    *slog.Logger

	keys   atomic.Pointer[[]key]
	text   []byte        // that keys were made of
	wanted chan struct{} // a token has an unknown key
	pause  time.Duration // unknownKeyPause, but in tests
}

// New reads the file of keys. An issuer is asked by Watch: it may be away when a broker starts.
func New(rules Rules, source Source, log *slog.Logger) (*Checker, error) {
	c := &Checker{rules: rules, source: source, log: log, wanted: make(chan struct{}, 1), pause: unknownKeyPause}
	c.keys.Store(new([]key))
	if source.File != "" {
		_, err := c.readFile()
		return c, err
	}
	return c, c.prepare()
}

// prepare checks the address of the issuer.
func (c *Checker) prepare() error {
	u, err := url.Parse(c.source.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%.200q is no address like https://issuer.example.com/keys", c.source.URL)
	case u.User != nil:
		return errors.New("the address of the issuer's keys has a user or password in it, which would be in the log")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("%.200q isn't https: whoever is on the way could put his own keys in", c.source.URL)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.source.CAFile != "" {
		text, err := os.ReadFile(c.source.CAFile)
		if err != nil {
			return err
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("%s holds no certificate in PEM", c.source.CAFile)
		}
	}
	c.client = &http.Client{
		Timeout: fetchTimeout, Transport: &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

func isLoopback(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// Check returns what a token says that is right. It may be called by many at once.
func (c *Checker) Check(token string) (Claims, error) {
	keys := *c.keys.Load()
	if len(keys) == 0 {
		return Claims{}, errors.New("the issuer's keys aren't known yet")
	}
	claims, err := c.rules.check(token, keys, time.Now())
	if errors.Is(err, errUnknownKey) {
		select {
		case c.wanted <- struct{}{}:
		default:
		}
	}
	return claims, err
}

// Watch takes keys anew until quit.
func (c *Checker) Watch(quit <-chan struct{}) {
	if c.source.File != "" {
		c.watchFile(quit)
		return
	}
	retry := retryFirst
	for {
		again := c.source.Refresh
		if err := c.fetch(quit); err != nil {
			again, retry = retry, min(2*retry, retryMost)
			c.tell(err, again)
		} else {
			retry = retryFirst
		}
		began := time.Now()
		select {
		case <-quit:
			return
		case <-time.After(again):
		case <-c.wanted:
			select {
			case <-quit:
				return
			case <-time.After(time.Until(began.Add(min(c.pause, again)))):
			}
		}
	}
}

func (c *Checker) watchFile(quit <-chan struct{}) {
	last := ""
	for {
		select {
		case <-quit:
			return
		case <-time.After(fileCheck):
		}
		switch changed, err := c.readFile(); {
		case err != nil && err.Error() != last:
			last = err.Error()
			c.log.Warn("new keys for OAUTHBEARER aren't taken: those before them stay", "err", err)
		case changed:
			last = ""
			c.log.Info("took the keys for OAUTHBEARER", "keys", len(*c.keys.Load()), "file", c.source.File)
		}
	}
}

// tell says that the issuer's keys couldn't be had, and what that means.
func (c *Checker) tell(err error, again time.Duration) {
	if len(*c.keys.Load()) == 0 {
		c.log.Warn("the issuer's keys can't be had: nobody can log in by OAUTHBEARER until they can", "url", c.source.URL, "err", err, "again_in", again)
		return
	}
	c.log.Warn("the issuer's keys can't be had: those from before stay", "url", c.source.URL, "err", err, "again_in", again)
}

func (c *Checker) readFile() (changed bool, err error) {
	f, err := os.Open(c.source.File)
	if err != nil {
		return false, err
	}
	defer f.Close()
	changed, err = c.take(f)
	if err != nil {
		err = fmt.Errorf("%s: %w", c.source.File, err)
	}
	return changed, err
}

// fetch asks the issuer.
func (c *Checker) fetch(quit <-chan struct{}) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		select {
		case <-quit:
			stop()
		case <-ctx.Done():
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.source.URL, nil)
	if err != nil {
		return err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered with status %d", resp.StatusCode)
	}
	changed, err := c.take(resp.Body)
	if changed {
		c.log.Info("took the keys for OAUTHBEARER", "keys", len(*c.keys.Load()), "url", c.source.URL)
	}
	return err
}

// take makes the keys of a set count, if it isn't the one that counts already.
func (c *Checker) take(from io.Reader) (changed bool, err error) {
	text, err := io.ReadAll(io.LimitReader(from, maxSet+1))
	switch {
	case err != nil:
		return false, err
	case len(text) > maxSet:
		return false, fmt.Errorf("the set of keys has more than %d bytes", maxSet)
	case bytes.Equal(text, c.text):
		return false, nil
	}
	keys, err := parseKeys(text)
	if err != nil {
		return false, err
	}
	c.text = text
	c.keys.Store(&keys)
	return true, nil
}

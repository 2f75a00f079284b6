// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// TLS is what a port has beside its address. Its files are read again every certificateCheck: what has changed counts for
// connections that come from then on, and those that exist go on. A file that is wrong changes nothing and is told.
type TLS struct {
	CertFile, KeyFile string // PEM; the certificate, with those between it and its authority after it
	CAFile            string // PEM: the authorities that the other end's certificate must come from
	Clients           ClientAuth
	OnlyTLS13         bool
	Principals        PrincipalRules
}

// ClientAuth says whether clients show certificates.
type ClientAuth int

// What is asked of clients.
const (
	NoClientCerts        ClientAuth = iota
	ClientCertsRequested            // and verified, if they have one
	ClientCertsRequired
)

// certificateCheck is how often files are read again.
const certificateCheck = 2 * time.Second

// expiresSoon is how long before its end a certificate is told to be about to expire, once in tellExpiry.
const (
	expiresSoon = 14 * 24 * time.Hour
	tellExpiry  = 24 * time.Hour
)

// certificates are a port's, as its files said last.
type certificates struct {
	TLS
	port string // for lines: what they are of
	log  *slog.Logger
	line teller

	config  atomic.Pointer[tls.Config]
	seen    [3][sha256.Size]byte // of the files that config was made of
	told    time.Time            // that it expires soon
	expires atomic.Int64         // in seconds since 1970: when the first of the certificate and those after it does
}

// open reads the files for the first time; nil if there is no TLS.
func (t *TLS) open(port string, log *slog.Logger) (*certificates, error) {
	if t == nil {
		return nil, nil
	}
	c := &certificates{TLS: *t, port: port, log: log, line: teller{log: log}}
	if _, err := c.read(); err != nil {
		return nil, fmt.Errorf("TLS of %s: %w", port, err)
	}
	c.expiry(time.Now())
	return c, nil
}

// Check reads the files and says what is wrong with them.
func (t *TLS) Check() error {
	c := certificates{TLS: *t}
	_, err := c.read()
	return err
}

// again looks whether the files have changed.
func (c *certificates) again() {
	changed, err := c.read()
	if err != nil {
		c.line.tell(slog.LevelWarn, "a new certificate isn't taken: the one before it stays", err.Error(), slog.String("port", c.port))
		return
	}
	if changed {
		c.told = time.Time{}
		c.line.tell(slog.LevelInfo, "took a new certificate", "", slog.String("port", c.port), slog.Time("until", c.until()))
	}
	c.expiry(time.Now())
}

// expiry warns of a certificate that is about to expire.
func (c *certificates) expiry(now time.Time) {
	if left := c.until().Sub(now); left < expiresSoon && now.Sub(c.told) >= tellExpiry {
		c.told = now
		c.log.Warn("a certificate expires soon, or has expired: clients will refuse it; replace its files, no restart is needed", "port", c.port, "until", c.until())
	}
}

// read makes the configuration anew, if a file has changed.
func (c *certificates) read() (changed bool, err error) {
	var files [3][]byte
	var seen [3][sha256.Size]byte
	for i, name := range []string{c.CertFile, c.KeyFile, c.CAFile} {
		if name == "" {
			continue
		}
		if files[i], err = os.ReadFile(name); err != nil {
			return false, err
		}
		seen[i] = sha256.Sum256(files[i])
	}
	if c.config.Load() != nil && seen == c.seen {
		return false, nil
	}
	pair, err := tls.X509KeyPair(files[0], files[1])
	if err != nil {
		return false, fmt.Errorf("%s and %s are no certificate and its key, both in PEM: %w", c.CertFile, c.KeyFile, err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		// Small records at first would cost as much as large ones, and clients wait for whole answers.
		DynamicRecordSizingDisabled: true,
		// A ticket would outlive the authorities that its client was verified by, and connections are long.
		SessionTicketsDisabled: true,
		ClientAuth:             [...]tls.ClientAuthType{tls.NoClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert}[c.Clients],
	}
	if c.OnlyTLS13 {
		config.MinVersion = tls.VersionTLS13
	}
	if c.CAFile != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(files[2]) {
			return false, fmt.Errorf("%s holds no certificate in PEM", c.CAFile)
		}
		config.ClientCAs, config.RootCAs = pool, pool
	}
	first := pair.Leaf.NotAfter
	for _, der := range pair.Certificate[1:] {
		if between, err := x509.ParseCertificate(der); err == nil && between.NotAfter.Before(first) {
			first = between.NotAfter
		}
	}
	c.seen = seen
	c.expires.Store(first.Unix())
	c.config.Store(config)
	return true, nil
}

// until is when clients begin to refuse the certificate.
func (c *certificates) until() time.Time { return time.Unix(c.expires.Load(), 0) }

// watched is what files say, and may say otherwise later.
type watched interface{ again() }

// watchFiles reads files again and again.
func watchFiles(quit <-chan struct{}, all []watched) {
	for {
		select {
		case <-quit:
			return
		case <-time.After(certificateCheck):
		}
		for _, w := range all {
			w.again()
		}
	}
}

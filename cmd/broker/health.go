// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// healthTime is how long a broker may take to say how it is.
const healthTime = 5 * time.Second

// health asks the broker with this configuration, which runs on this machine, how it is: one of the pages healthz (as a default), readyz and
// livez of its metrics port. It is for health checks of images that have no other program.
func health(ctx context.Context, args []string, stdout io.Writer) error {
	page := "healthz"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		page, args = args[0], args[1:]
	}
	if page != "healthz" && page != "readyz" && page != "livez" {
		return wrongUse{fmt.Errorf("%q is no page of health: healthz, readyz or livez", page)}
	}
	s, err := loadSettings(args, os.Environ(), io.Discard)
	if err != nil {
		return wrongUse{err}
	}
	cfg, err := s.hostConfig()
	if err != nil {
		return wrongUse{err}
	}
	if cfg.Metrics == "" {
		return wrongUse{errors.New("the setting metrics is empty, so nobody can ask this broker how it is")}
	}
	addr, err := ownAddress(cfg.Metrics)
	if err != nil {
		return wrongUse{err}
	}
	scheme, client := "http", &http.Client{Timeout: healthTime}
	if s.MetricsTLS.Cert != "" {
		// It asks itself: the name in the certificate is that by which others find it.
		scheme, client.Transport = "https", &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+addr+"/"+page, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the broker doesn't answer: %w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("the broker doesn't answer to the end: %w", err)
	}
	if line := strings.TrimSpace(string(said)); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", resp.StatusCode, line)
	}
	_, err = stdout.Write(said)
	return err
}

// ownAddress is where a program on the same machine reaches what listens on addr.
func ownAddress(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	// By number: an image has no file that says who localhost is.
	switch ip := net.ParseIP(host); {
	case host == "" || ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

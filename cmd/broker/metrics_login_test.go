// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"chronik/host"
)

// Settings of the metrics port's logins: what is meant, what can't be, and what can be read on the way.
func TestMetricsLogins(t *testing.T) {
	tokens := writeFile(t, "tokens", "User:prometheus 0123456789abcdef\n")
	for _, c := range []struct {
		settings, refused, warned string
		login                     host.AdminLogin
	}{
		{"", "", "", host.LoginForNothing},
		{"metrics_login = 'pages'\nmetrics_token_file = '" + tokens + "'", "", "", host.LoginForPages},
		{"metrics_login = 'yes'", "broker.toml:1: metrics_login is \"yes\"; use none, changes, pages or all", "", 0},
		{"metrics_token_file = '" + tokens + "'", "nobody is asked for a token", "", 0},
		{"metrics_login = 'all'\nmetrics_token_file = 'gone'", "can't read the tokens", "", 0},
		{"metrics_login = 'all'\nmetrics = '0.0.0.0:9644'", "", "broker.toml:2: metrics is 0.0.0.0:9644, without TLS", host.LoginForAll},
		{"metrics = '0.0.0.0:9644'", "", "", host.LoginForNothing},
		{"pprof = '0.0.0.0:9645'", "", "whoever does can slow the broker down; set metrics_login", host.LoginForNothing},
		{"listen = '10.0.0.1:9092'\nsasl = 'SCRAM-SHA-512,PLAIN'\nauthorize = false", "", "broker.toml:1: listen is 10.0.0.1:9092, without TLS", host.LoginForNothing},
		{"listen = '10.0.0.1:9092'\nsasl = 'SCRAM-SHA-512'\nauthorize = false", "", "", host.LoginForNothing},
		{"authorize = false\n[[listeners]]\nname='x'\nlisten='10.0.0.1:1'\nsasl='PLAIN'", "", "listeners.listen is 10.0.0.1:1, without TLS", host.LoginForNothing},
	} {
		s, err := loadSettings([]string{"-config", writeFile(t, "broker.toml", c.settings)}, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := s.hostConfig()
		if err == nil != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%q: %v, want %q", c.settings, err, c.refused)
		}
		var said bytes.Buffer
		if s.warn(&said, 0); err == nil && (cfg.MetricsLogin != c.login || !strings.Contains(said.String(), c.warned) || c.warned == "" && said.Len() > 0) {
			t.Errorf("%q: login %d, warned %q", c.settings, cfg.MetricsLogin, said.String())
		}
	}
}

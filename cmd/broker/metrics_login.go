// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"chronik/host"
)

// adminLogins are the values of metrics_login.
var adminLogins = []string{host.LoginForNothing: "none", host.LoginForChanges: "changes", host.LoginForPages: "pages", host.LoginForAll: "all"}

// addAdmin puts into the configuration who may use the metrics port and the profiler.
func (s *settings) addAdmin(cfg *host.Config) error {
	login := slices.Index(adminLogins, s.MetricsLogin)
	switch {
	case login < 0:
		return fmt.Errorf("%s is %q; use none, changes, pages or all", s.where("metrics_login"), s.MetricsLogin)
	case s.MetricsTokenFile != "" && login == int(host.LoginForNothing):
		return fmt.Errorf("%s is set, but nobody is asked for a token: set metrics_login to changes, pages or all", s.where("metrics_token_file"))
	case s.MetricsTokenFile != "":
		if err := host.CheckTokens(s.MetricsTokenFile); err != nil {
			return fmt.Errorf("%s: %w", s.where("metrics_token_file"), err)
		}
	}
	cfg.MetricsLogin, cfg.MetricsTokenFile, cfg.Pprof = host.AdminLogin(login), s.MetricsTokenFile, s.Pprof
	return nil
}

// warnInClear tells of ports where passwords can be read on the way, and of a profiler for everybody.
func (s *settings) warnInClear(w io.Writer) {
	clear := func(where, addr, sasl, cert string) {
		if cert == "" && !onLoopback(addr) && slices.ContainsFunc(strings.Split(sasl, ","), func(m string) bool { return sendsSecrets[strings.TrimSpace(m)] }) {
			fmt.Fprintf(w, "broker: %s is %s, without TLS, and %s is among its mechanisms: whoever is on the way can read what its clients log in with; set tls_cert_file and tls_key_file there\n", where, addr, sasl)
		}
	}
	clear(s.where("listen"), s.Listen, s.Sasl, s.TLS.Cert)
	for i := range s.Listeners {
		l := &s.Listeners[i]
		clear(l.where("listen"), l.Listen, l.Sasl, l.TLS.Cert)
	}
	for _, port := range [][2]string{{"metrics", s.Metrics}, {"pprof", s.Pprof}} {
		switch key, addr := port[0], port[1]; {
		case addr == "" || onLoopback(addr):
		case s.MetricsLogin == adminLogins[host.LoginForNothing] && key == "pprof":
			fmt.Fprintf(w, "broker: %s is %s, which other machines may reach: whoever does can slow the broker down; set metrics_login\n", s.where(key), addr)
		case s.MetricsLogin != adminLogins[host.LoginForNothing] && s.MetricsTLS.Cert == "":
			fmt.Fprintf(w, "broker: %s is %s, without TLS: whoever is on the way can read what its clients log in with; set metrics_tls_cert_file and metrics_tls_key_file\n", s.where(key), addr)
		}
	}
}

// sendsSecrets are the mechanisms by which clients send what they log in with.
var sendsSecrets = map[string]bool{"PLAIN": true, "OAUTHBEARER": true}

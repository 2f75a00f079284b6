// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"

	"chronik/host"
)

// tlsSettings are those of one port.
type tlsSettings struct{ Cert, Key, CA, Auth, MinVersion, Rules string }

// tlsDocs say what they mean, in the order in which fields lists them.
var tlsDocs = []string{
	"a file (PEM) with the certificate of listen and those between it and its authority; with it listen has TLS. This and the other files are reread when they change",
	"a file (PEM) with the key of tls_cert_file",
	"a file (PEM) with the authorities of clients' certificates",
	"whether clients show certificates: none, requested or required; whoever shows one is that principal",
	"the least version of TLS, 1.2 or 1.3",
	"how a certificate's subject becomes a principal, as Kafka's ssl.principal.mapping.rules",
}

// tlsField is a setting by its name.
type tlsField struct {
	key  string
	to   *string
	file bool
}

func (t *tlsSettings) fields() []tlsField {
	return []tlsField{
		{"tls_cert_file", &t.Cert, true},
		{"tls_key_file", &t.Key, true},
		{"tls_client_ca_file", &t.CA, true},
		{"tls_client_auth", &t.Auth, false},
		{"tls_min_version", &t.MinVersion, false},
		{"tls_principal_rules", &t.Rules, false},
	}
}

// absolute makes the files of a configuration file relative to its folder.
func absolute(folder string, fields []tlsField) {
	for _, f := range fields {
		if f.file && *f.to != "" && !filepath.IsAbs(*f.to) {
			*f.to = filepath.Join(folder, *f.to)
		}
	}
}

// host checks the settings; nil for a port without TLS. where names a setting by the place where it was given.
func (t *tlsSettings) host(where func(key string) string) (*host.TLS, error) {
	out := &host.TLS{CertFile: t.Cert, KeyFile: t.Key, CAFile: t.CA}
	if t.Cert == "" {
		for _, f := range t.fields() {
			if *f.to != "" && *f.to != tlsDefaults[f.key] {
				return nil, fmt.Errorf("%s is set, but there is no tls_cert_file, so that this port has no TLS: name its certificate there, or leave this out", where(f.key))
			}
		}
		return nil, nil
	}
	if t.Key == "" {
		return nil, fmt.Errorf("%s is set, but there is no tls_key_file: name the certificate's key there", where("tls_cert_file"))
	}
	auth := slices.Index(clientAuths, t.Auth)
	if auth < 0 && t.Auth != "" {
		return nil, fmt.Errorf("%s is %q; use none, requested or required", where("tls_client_auth"), t.Auth)
	}
	out.Clients = host.ClientAuth(max(auth, 0))
	switch {
	case out.Clients != host.NoClientCerts && t.CA == "":
		return nil, fmt.Errorf("%s is %s, but there is no tls_client_ca_file: name the authorities of clients' certificates there", where("tls_client_auth"), t.Auth)
	case out.Clients == host.NoClientCerts && t.CA != "":
		return nil, fmt.Errorf("%s is set, but no client is asked for a certificate: set tls_client_auth to requested or required", where("tls_client_ca_file"))
	case t.MinVersion != "" && t.MinVersion != "1.2" && t.MinVersion != "1.3":
		return nil, fmt.Errorf("%s is %q; use 1.2 or 1.3", where("tls_min_version"), t.MinVersion)
	}
	out.OnlyTLS13 = t.MinVersion == "1.3"
	var err error
	if out.Principals, err = host.ParsePrincipalRules(t.Rules); err != nil {
		return nil, fmt.Errorf("%s: %w", where("tls_principal_rules"), err)
	}
	if err := out.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", where("tls_cert_file"), err)
	}
	return out, nil
}

// clientAuths are the values of tls_client_auth.
var clientAuths = []string{host.NoClientCerts: "none", host.ClientCertsRequested: "requested", host.ClientCertsRequired: "required"}

// tlsDefaults are what the settings of listen are if nobody says otherwise.
var tlsDefaults = map[string]string{"tls_client_auth": "none", "tls_min_version": "1.2", "tls_principal_rules": "DEFAULT"}

// plainTLS are the settings of a port whose clients are known by their certificates, or aren't asked.
type plainTLS struct{ Cert, Key, CA string }

// files are its settings, after the name of the port.
func (t *plainTLS) files(port, ca string) []tlsField {
	return []tlsField{{port + "_tls_cert_file", &t.Cert, true}, {port + "_tls_key_file", &t.Key, true}, {port + "_" + ca, &t.CA, true}}
}

func (s *settings) peerTLSFiles() []tlsField { return s.PeerTLS.files("peer", "tls_ca_file") }
func (s *settings) metricsTLSFiles() []tlsField {
	return s.MetricsTLS.files("metrics", "tls_client_ca_file")
}

// otherTLSFlags: TLS of the ports that aren't for Kafka clients.
func (s *settings) otherTLSFlags(fs *flag.FlagSet) {
	for i, doc := range []string{
		"a file (PEM) with this broker's certificate for the other brokers, for the name in its peer address; with it brokers speak TLS among each other, and prove the cluster's secret as well",
		"a file (PEM) with the key of peer_tls_cert_file",
		"a file (PEM) with the authorities of the brokers' certificates",
	} {
		f := s.peerTLSFiles()[i]
		fs.StringVar(f.to, flagOf(f.key), "", doc)
	}
	fs.StringVar(&s.PeerTLSMode, "peer-tls", "required", "required; for a cluster on its way there: accept takes TLS and dials without, dial dials with it and takes both")
	for i, doc := range []string{
		"a file (PEM) with the certificate of the metrics port; with it the port speaks HTTPS",
		"a file (PEM) with the key of metrics_tls_cert_file",
		"a file (PEM) with the authorities of clients' certificates for the metrics port; with it clients must show one",
	} {
		f := s.metricsTLSFiles()[i]
		fs.StringVar(f.to, flagOf(f.key), "", doc)
	}
}

// peerTLSModes are the values of peer_tls.
var peerTLSModes = []string{host.PeerTLSRequired: "required", host.PeerTLSDial: "dial", host.PeerTLSAccept: "accept"}

// addOtherTLS checks these settings and puts them into the host's configuration.
func (s *settings) addOtherTLS(cfg *host.Config) (err error) {
	if cfg.PeerTLS, err = s.PeerTLS.host(s.peerTLSFiles(), true, s.where); err != nil {
		return err
	}
	mode := slices.Index(peerTLSModes, s.PeerTLSMode)
	if mode < 0 {
		return fmt.Errorf("%s is %q; use required, dial or accept", s.where("peer_tls"), s.PeerTLSMode)
	}
	if cfg.PeerTLS == nil && s.given["peer_tls"] != "" {
		return fmt.Errorf("%s is set, but there is no peer_tls_cert_file, so that brokers have no TLS: name this broker's certificate there, or leave this out", s.where("peer_tls"))
	}
	cfg.PeerTLSMode = host.PeerTLS(mode)
	cfg.MetricsTLS, err = s.MetricsTLS.host(s.metricsTLSFiles(), false, s.where)
	return err
}

// host checks the settings; nil if there are none.
func (t *plainTLS) host(files []tlsField, mutual bool, where func(string) string) (*host.TLS, error) {
	var given, missing []string
	for i, f := range files {
		switch {
		case *f.to != "":
			given = append(given, f.key)
		case i < 2 || mutual:
			missing = append(missing, f.key)
		}
	}
	switch {
	case len(given) == 0:
		return nil, nil
	case len(missing) > 0:
		return nil, fmt.Errorf("%s is set, but not %s, without which it is of no use", where(given[0]), missing[0])
	}
	out := &host.TLS{CertFile: t.Cert, KeyFile: t.Key, CAFile: t.CA}
	if t.CA != "" {
		out.Clients = host.ClientCertsRequired
	}
	if err := out.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", where(files[0].key), err)
	}
	return out, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"chronik/tests/rig"
)

// guarded is how brokers are that have TLS on all their ports: the listeners of broker 1 beside the plain one, by which the polite work,
// and the certificates.
type guarded struct {
	TLS, Login, Plain string // addresses: certificates are required; logins by SCRAM; logins by PLAIN over TLS
	Dir               string // of the certificates
}

// guard makes certificates and adds settings, if an attack wants guarded brokers.
func guard(o options, a attack, nth int, settings map[string]string) (*guarded, map[int]map[string]string, error) {
	if !a.secured {
		return nil, nil, nil
	}
	dir, err := filepath.Abs(filepath.Join(o.dir, fmt.Sprintf("certificates-%d", nth)))
	if err != nil {
		return nil, nil, err
	}
	ours, err := rig.NewAuthority(dir, "ours")
	if err != nil {
		return nil, nil, err
	}
	foreign, err := rig.NewAuthority(dir, "foreign")
	if err != nil {
		return nil, nil, err
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	cert, key, err := ours.Issue("broker", tomorrow)
	_, _, err2 := ours.Issue("client", tomorrow)
	_, _, err3 := ours.Issue("expired", time.Now().Add(-time.Minute))
	_, _, err4 := foreign.Issue("stranger", tomorrow)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return nil, nil, err
	}
	quoted := func(s string) string { return fmt.Sprintf("%q", s) }
	for _, port := range []string{"peer", "metrics"} {
		settings[port+"_tls_cert_file"], settings[port+"_tls_key_file"] = quoted(cert), quoted(key)
	}
	settings["peer_tls_ca_file"], settings["metrics_tls_client_ca_file"] = quoted(ours.File), quoted(ours.File)
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(clusterSecret+"\n"), 0o600); err != nil {
		return nil, nil, err
	}
	settings["authorize"], settings["super_users"] = "true", `"User:ANONYMOUS"`
	settings["first_user"], settings["first_user_password_file"] = `"alice"`, quoted(password)
	g, own := &guarded{Dir: dir}, make(map[int]map[string]string)
	for id := max(1, a.brokers); id > 0; id-- {
		addrs, err := freeAddresses(3)
		if err != nil {
			return nil, nil, err
		}
		g.TLS, g.Login, g.Plain = addrs[0], addrs[1], addrs[2]
		files := fmt.Sprintf("tls_cert_file = %q, tls_key_file = %q", cert, key)
		own[id] = map[string]string{"listeners": fmt.Sprintf(`[{ name = "tls", listen = %q, %s, tls_client_auth = "required", tls_client_ca_file = %q }, `+
			`{ name = "login", listen = %q, sasl = "SCRAM-SHA-512" }, { name = "plain", listen = %q, %s, sasl = "PLAIN" }]`, g.TLS, files, ours.File, g.Login, g.Plain, files)}
	}
	return g, own, nil
}

func freeAddresses(n int) (addrs []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// as is TLS as who has a certificate, or with an empty name as who has none.
func (g *guarded) as(name string) (*tls.Config, error) {
	pem, err := os.ReadFile(filepath.Join(g.Dir, "ours.crt"))
	if err != nil {
		return nil, err
	}
	c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
	c.RootCAs.AppendCertsFromPEM(pem)
	if name == "" {
		return c, nil
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(g.Dir, name+".crt"), filepath.Join(g.Dir, name+".key"))
	// It is shown whatever authorities the server names.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	return c, err
}

// web is by what the port for metrics is asked.
func (g *guarded) web() (client *http.Client, scheme string, err error) {
	if g == nil {
		return http.DefaultClient, "http://", nil
	}
	c, err := g.as("client")
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}, "https://", err
}

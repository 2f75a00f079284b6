// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"chronik/node"
)

// The metrics port speaks HTTPS, and may ask for certificates.
func TestMetricsOverTLS(t *testing.T) {
	ca, foreign := newAuthority(t, "ca"), newAuthority(t, "foreign")
	for _, clients := range []ClientAuth{NoClientCerts, ClientCertsRequired} {
		cfg := Config{
			Dir: t.TempDir(), Listen: "127.0.0.1:0", Metrics: "127.0.0.1:0", MetricsTLS: ca.server(clients), Log: quiet(),
			Limits: Limits{StopTime: time.Second},
		}
		cfg.Node = node.Config{ClusterID: "c", BrokerID: 1, Members: []node.Member{{ID: 1, Host: "localhost", Port: 9092}}}
		cfg.Node.Log.SegmentBytes = 1 << 20
		h, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		run(t, h)
		for _, c := range []struct {
			who    string
			config *tls.Config
			served bool
		}{
			{"without a certificate", ca.client(""), clients == NoClientCerts},
			{"with one", ca.client("prometheus"), true},
			{"with one of another authority", ca.trusting(foreign.client("prometheus")), clients == NoClientCerts},
			{"who trusts another authority", foreign.client(""), false},
		} {
			transport := &http.Transport{TLSClientConfig: c.config}
			resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("https://" + h.httpAddr.String() + "/metrics")
			if (err == nil) != c.served {
				t.Errorf("%v, a client %s: %v", clients, c.who, err)
			}
			if err == nil {
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				left := regexp.MustCompile(`(?m)^chronik_certificate_expires_seconds\{port="metrics"\} ([0-9.]+)$`).FindSubmatch(text)
				if len(left) == 0 || !within(string(left[1]), time.Hour-time.Minute, time.Hour) {
					t.Errorf("a certificate of an hour expires in %q", left)
				}
				if !strings.Contains(string(text), "chronik_") {
					t.Errorf("a client %s gets %.100q", c.who, text)
				}
			}
			transport.CloseIdleConnections()
		}
		status, text := get(t, h, "/metrics")
		if status != http.StatusBadRequest || !strings.Contains(text, "HTTPS") {
			t.Errorf("plain HTTP: %d %q", status, text)
		}
	}
}

func within(seconds string, least, most time.Duration) bool {
	n, err := strconv.ParseFloat(seconds, 64)
	return err == nil && n >= least.Seconds() && n <= most.Seconds()
}

// The first certificate of a chain that expires counts.
func TestExpiryOfAChain(t *testing.T) {
	ca := newAuthority(t, "ca")
	between, _ := ca.pair("between", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(10 * time.Minute) })
	cert, key := ca.pair("server", nil)
	leaf, _ := os.ReadFile(cert)
	after, _ := os.ReadFile(between)
	if err := os.WriteFile(cert, append(leaf, after...), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := (&TLS{CertFile: cert, KeyFile: key}).open("x", quiet())
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(c.until()); left < 9*time.Minute || left > 10*time.Minute {
		t.Errorf("it expires in %v", left)
	}
}

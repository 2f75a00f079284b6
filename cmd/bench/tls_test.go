// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificates is an authority of a test, and a folder with its files.
type certificates struct {
	t    *testing.T
	dir  string
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	made int64
}

func newCertificates(t *testing.T) *certificates {
	c := &certificates{t: t, dir: t.TempDir()}
	c.ca, c.key = c.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	c.write("ca.crt", "CERTIFICATE", c.ca.Raw)
	return c
}

func (c *certificates) sign(cert *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	c.made++
	cert.SerialNumber, cert.NotBefore, cert.NotAfter = big.NewInt(c.made), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	by, with := c.ca, c.key
	if by == nil {
		by, with = cert, key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, by, key.Public(), with)
	if err != nil {
		c.t.Fatal(err)
	}
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return cert, key
}

func (c *certificates) write(name, kind string, der []byte) {
	if err := os.WriteFile(c.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *certificates) file(name string) string { return filepath.Join(c.dir, name) }

// pair writes a certificate for this machine, and its key.
func (c *certificates) pair(name string) {
	cert, key := c.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(name+".crt", "CERTIFICATE", cert.Raw)
	c.write(name+".key", "PRIVATE KEY", der)
}

// A real broker with TLS and real clients: franz-go, which is this program, while the broker's certificate is replaced; and kcat,
// which is librdkafka, where it is installed.
func TestOverTLS(t *testing.T) {
	c := newCertificates(t)
	for _, name := range []string{"server", "client"} {
		c.pair(name)
	}
	addr, _ := startBroker(t, "-tls-cert-file", c.file("server.crt"), "-tls-key-file", c.file("server.key"),
		"-tls-client-auth", "required", "-tls-client-ca-file", c.file("ca.crt"), "-authorize=false")
	files := fmt.Sprintf(" -tls-ca %s -tls-cert %s -tls-key %s", c.file("ca.crt"), c.file("client.crt"), c.file("client.key"))
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
				c.pair("server")
			}
		}
	}()
	for _, args := range []string{"produce -duration 5s -clients own -concurrency 4 -validate", "consume -duration 1s"} {
		if r := bench(t, 0, args+" -brokers "+addr+files); len(r) != 1 || len(r[0].Failures) > 0 {
			t.Errorf("%s: %+v", args, r)
		}
	}
	close(stop)
	t.Run("kcat", func(t *testing.T) { testKcat(t, addr, c) })
}

func testKcat(t *testing.T, addr string, c *certificates) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("kcat isn't installed")
	}
	args := []string{"-b", addr, "-t", "k"}
	for key, value := range map[string]string{
		"security.protocol": "SSL", "ssl.ca.location": c.file("ca.crt"),
		"ssl.certificate.location": c.file("client.crt"), "ssl.key.location": c.file("client.key"),
	} {
		args = append(args, "-X", key+"="+value)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	write := exec.CommandContext(ctx, kcat, append(args, "-P")...)
	write.Stdin = strings.NewReader("one\ntwo\n")
	if out, err := write.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	read, err := exec.CommandContext(ctx, kcat, append(args, "-C", "-e", "-q", "-o", "beginning")...).Output()
	if err != nil || !bytes.Equal(read, []byte("one\ntwo\n")) {
		t.Errorf("%q %v", read, err)
	}
}

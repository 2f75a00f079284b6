// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is a CA of a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
	dir  string
}

var serials int64

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotAfter: time.Now().Add(time.Hour),
	}, nil)
	return a
}

// sign makes a certificate and its key.
func (a *authority) sign(c *x509.Certificate, by *authority) (*x509.Certificate, crypto.Signer) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serials++
	c.SerialNumber, c.NotBefore = big.NewInt(serials), time.Now().Add(-time.Hour)
	parent, signer := c, crypto.Signer(key)
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made, key
}

// write replaces a file.
func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// file is the authority's own certificate.
func (a *authority) file() string { return a.write("ca.pem", "CERTIFICATE", a.cert.Raw) }

// pair writes a certificate for 127.0.0.1 and its key; change may make it another one.
func (a *authority) pair(name string, change func(*x509.Certificate)) (cert, key string) {
	a.t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{"Test"}}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	if change != nil {
		change(c)
	}
	made, private := a.sign(c, a)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".crt", "CERTIFICATE", made.Raw), a.write(name+".key", "PRIVATE KEY", der)
}

// server is the TLS of a port, whose clients' certificates the authority makes, too.
func (a *authority) server(clients ClientAuth) *TLS {
	cert, key := a.pair("server", nil)
	return &TLS{CertFile: cert, KeyFile: key, CAFile: a.file(), Clients: clients}
}

// client is the TLS of a client that trusts the authority; name is of its own certificate, "" for none.
func (a *authority) client(name string) *tls.Config {
	a.t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	config.RootCAs.AddCert(a.cert)
	if name != "" {
		pair, err := tls.LoadX509KeyPair(a.pair(name, nil))
		if err != nil {
			a.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// said is what a broker writes, and what it answers.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// String implements fmt.Stringer.
func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// selfSigned writes a certificate for this machine and its key, which it returns.
func selfSigned(t *testing.T, dir string) (der []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: cert}, "tls.key": {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return der
}

// No secret that a broker is given or is shown is in what it says: its lines of every level, the pages of its admin port, and errors.
func TestNoSecretIsTold(t *testing.T) {
	const (
		password, other, wrong = "adm1n-pa55word", "al1ce-pa55word", "wr0ng-pa55word"
		token, badToken        = "t0ken-of-prometheus-0123456789", "t0ken-of-nobody-0123456789"
		peers                  = "peer-secret-0123456789abcdef"
	)
	dir, port := t.TempDir(), freePorts(t, 1)
	key := selfSigned(t, dir)
	writeSecrets(t, dir, port, map[string]string{"admin.pw": password, "alice.pw": other, "wrong.pw": wrong, "tokens": "User:admin " + token, "peer.secret": peers})
	file := func(name string) string { return filepath.Join(dir, name) }
	var out said
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	code := make(chan int)
	go func() { code <- run(ctx, []string{"-config", file("broker.toml")}, &out, &out) }()
	as := func(user, pw, mechanism string, words ...string) int {
		text, code := runAs(ctx, fmt.Sprintf("127.0.0.1:%d", port), user, file(pw), mechanism, words...)
		fmt.Fprintln(&out, text)
		return code
	}
	for as("admin", "admin.pw", "SCRAM-SHA-512", "user", "list") != 0 && ctx.Err() == nil {
		time.Sleep(50 * time.Millisecond)
	}
	as("admin", "admin.pw", "PLAIN", "user", "add", "-password-file", file("alice.pw"), "alice")
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		as("alice", "alice.pw", mechanism, "status")
		as("alice", "wrong.pw", mechanism, "status")
	}
	askRudely(t, &out, port, other)
	visit := func(method string, port int, path, header string) { visit(t, &out, method, port, path, header) }
	for _, header := range []string{"Bearer " + token, "Bearer " + badToken, basic("admin", password), basic("admin", wrong), "Basic " + password, other} {
		visit("GET", port+1000, "/metrics", header)
	}
	for _, path := range []string{"/healthz", "/groups"} {
		visit("GET", port+1000, path, "Bearer "+token)
	}
	visit("POST", port+1000, "/check", "Bearer "+token)
	visit("GET", port+2000, "/debug/pprof/goroutine?debug=2", "Bearer "+token)
	visit("GET", port+2000, "/debug/pprof/cmdline", "Bearer "+token)
	stop()
	if c := <-code; c != exitClean {
		t.Errorf("exit code %d", c)
	}
	text := out.String()
	for _, secret := range []string{password, other, wrong, token, badToken, peers, string(key)} {
		for _, shape := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), fmt.Sprintf("%x", secret)} {
			if i := strings.Index(text, shape); i >= 0 {
				t.Errorf("a secret is in %q", text[max(0, i-200):i+len(shape)])
			}
		}
	}
	for _, want := range []string{"msg=audit principal=User:admin", "a login failed", "chronik_ready 1", "right: ", "goroutine "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q isn't told, so this test sees too little", want)
		}
	}
}

// writeSecrets writes files with secrets, and the configuration of a broker that takes them.
func writeSecrets(t *testing.T, dir string, port int, files map[string]string) {
	t.Helper()
	files["broker.toml"] = fmt.Sprintf(`
		listen = "127.0.0.1:%d"
		log_level = "debug"
		sasl = "SCRAM-SHA-512, SCRAM-SHA-256, PLAIN"
		first_user = "admin"
		first_user_password_file = "admin.pw"
		peer_secret_file = "peer.secret"
		metrics = "127.0.0.1:%d"
		pprof = "127.0.0.1:%d"
		metrics_login = "all"
		metrics_token_file = "tokens"
		metrics_tls_cert_file = "tls.crt"
		metrics_tls_key_file = "tls.key"
		check_on_request = true`, port, port+1000, port+2000)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// visit asks for a page of the admin port, and notes all that comes back.
func visit(t *testing.T, out io.Writer, method string, port int, path, header string) {
	t.Helper()
	req, _ := http.NewRequest(method, fmt.Sprintf("https://127.0.0.1:%d%s", port, path), nil)
	req.Header.Set("Authorization", header)
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(out, path, resp.Status, resp.Header)
	io.Copy(out, resp.Body)
	resp.Body.Close()
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// askRudely sends a password where none belongs, and notes what comes back.
func askRudely(t *testing.T, out io.Writer, port int, password string) {
	t.Helper()
	for _, request := range []string{
		password,
		"\x00\x11\x00\x01\x00\x00\x00\x01\x00\x00\x00" + string(rune(len(password))) + password, // as the name of a mechanism
		"\x00\x24\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00" + string(rune(len(password))) + password,
		"\x00\x03\x00\x00\x00\x00\x00\x01\x00" + string(rune(len(password))) + password,
	} {
		c, err := net.Dial("tcp", net127(port))
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(c, "\x00\x00\x00%s%s", string(rune(len(request))), request)
		answer, _ := io.ReadAll(io.LimitReader(c, 1000))
		fmt.Fprintf(out, "%q\n", answer)
		c.Close()
	}
}

// Secrets come from files or the environment: no flag takes one, since others on the machine can read those.
func TestNoFlagTakesASecret(t *testing.T) {
	fs, _ := newFlags()
	fs.VisitAll(func(f *flag.Flag) {
		for _, word := range []string{"password", "secret", "token", "key"} {
			if strings.Contains(f.Name, word) && !strings.HasSuffix(f.Name, "-file") {
				t.Errorf("-%s may take a secret", f.Name)
			}
		}
	})
}

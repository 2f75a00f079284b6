// SPDX-License-Identifier: Apache-2.0

package bearer

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// Keys of a file are taken anew when it changes, and a wrong file changes nothing.
func TestKeysOfAFile(t *testing.T) {
	old, next := signers()["ES256"], signers()["EdDSA"]
	file := filepath.Join(t.TempDir(), "keys")
	write := func(text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New(rules, Source{File: file}, quiet()); err == nil {
		t.Error("no file")
	}
	write(set(old.jwk()))
	c, err := New(rules, Source{File: file}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	takes := func(s *signer) bool { _, err := c.Check(s.token(nil)); return err == nil }
	for _, step := range []struct {
		text      []byte
		changed   bool
		old, next bool
	}{
		{set(old.jwk()), false, true, false}, {set(old.jwk(), next.jwk()), true, true, true}, {[]byte("half"), false, true, true}, {set(next.jwk()), true, false, true},
	} {
		write(step.text)
		if changed, _ := c.readFile(); changed != step.changed || takes(old) != step.old || takes(next) != step.next {
			t.Errorf("after %.40s: changed %v, old %v, next %v", step.text, changed, takes(old), takes(next))
		}
	}
}

// away is an issuer that shows keys, and sends elsewhere who asks for them while there are none.
func away(t *testing.T, asked *atomic.Int64, keys *atomic.Value) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if text := keys.Load().([]byte); len(text) > 0 {
			w.Write(text)
			return
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	t.Cleanup(server.Close)
	return server
}

// An issuer that is away at first is asked again, and again when a token has a key that isn't known, but not for each.
func TestKeysOfAnIssuer(t *testing.T) {
	old, next := signers()["ES256"], signers()["EdDSA"]
	var asked atomic.Int64
	var keys atomic.Value
	keys.Store([]byte(nil))
	server := away(t, &asked, &keys)
	var lines bytes.Buffer
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return lines.Write(p) }), nil))
	c, err := New(rules, Source{URL: server.URL, Refresh: time.Hour}, log)
	if err != nil {
		t.Fatal(err)
	}
	c.pause = 300 * time.Millisecond
	quit, done := make(chan struct{}), make(chan struct{})
	go func() { c.Watch(quit); close(done) }()
	takes := func(s *signer) bool { _, err := c.Check(s.token(nil)); return err == nil }
	eventually(t, "the first question", func() bool { return asked.Load() > 0 })
	if _, err := c.Check(old.token(nil)); err == nil || !strings.Contains(err.Error(), "aren't known yet") {
		t.Errorf("without keys: %v", err)
	}
	keys.Store(set(old.jwk()))
	eventually(t, "the first keys", func() bool { return takes(old) })
	keys.Store(set(old.jwk(), next.jwk()))
	before := asked.Load()
	eventually(t, "the next keys", func() bool { return takes(next) })
	if n := asked.Load() - before; n > 2 {
		t.Errorf("%d questions because of one key", n)
	}
	unknown := *next
	unknown.id = "never"
	before = asked.Load()
	for began := time.Now(); time.Since(began) < time.Second; {
		takes(&unknown)
	}
	if n := asked.Load() - before; n > 5 {
		t.Errorf("tokens with made-up keys cause %d questions in a second", n)
	}
	keys.Store([]byte("garbage"))
	takes(&unknown)
	time.Sleep(2 * c.pause)
	if !takes(old) {
		t.Error("garbage took the keys away")
	}
	close(quit)
	<-done
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"nobody can log in by OAUTHBEARER until they can", "status 302", "took the keys for OAUTHBEARER", "those from before stay"} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("%q isn't in the log:\n%s", want, lines.String())
		}
	}
}

type writer func([]byte) (int, error)

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) { return w(p) }

// Addresses that others could answer for are refused.
func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"https://issuer.example.com/keys": "", "http://localhost:8080/keys": "", "http://127.0.0.1/": "",
		"http://issuer.example.com/keys": "isn't https", "issuer.example.com": "is no address", "file:///keys": "is no address", "https://user:pw@issuer/": "has a user",
	} {
		_, err := New(rules, Source{URL: address}, quiet())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}

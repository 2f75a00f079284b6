// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronik/node"
)

const (
	watcherToken = "0123456789abcdef" // of a principal that a rule lets look
	chiefToken   = "fedcba9876543210" // of a super user
	nobodyToken  = "nobody0123456789" // of one that may do nothing
)

// openLocked opens a broker whose admin port asks for logins: of admin, a super user with a password, and of tokens.
func openLocked(t *testing.T, asks AdminLogin, change func(*Config)) *Host {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens")
	writeTokens(t, file, "User:watcher "+watcherToken+"\n# a comment\n\nUser:chief\t"+chiefToken+"\nUser:nobody "+nobodyToken+"\n")
	cfg := Config{
		Dir: t.TempDir(), Listen: "127.0.0.1:0", Metrics: "127.0.0.1:0", Pprof: "127.0.0.1:0", Log: quiet(),
		MetricsLogin: asks, MetricsTokenFile: file, Limits: Limits{StopTime: time.Second},
	}
	cfg.Node = node.Config{
		ClusterID: "c", BrokerID: 1, Members: []node.Member{{ID: 1, Host: "localhost", Port: 9092}},
		Authorize: true, SuperUsers: []string{"User:admin", "User:chief", "User:ANONYMOUS", "User:CN=operator,O=Test"},
		FirstUser: node.NewFirstUser("admin", "top:secret", [17]byte{1}),
	}
	cfg.Node.Log.SegmentBytes = 1 << 20
	if change != nil {
		change(&cfg)
	}
	h, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, h)
	return h
}

func writeTokens(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// letWatch is CreateAcls v1: User:watcher may describe the cluster.
var letWatch = frame(bytes.Join([][]byte{
	{0, 30, 0, 1, 0, 0, 0, 9, 0xff, 0xff},           // key, version, correlation id, no client id
	{0, 0, 0, 1, 4, 0, 13}, []byte("kafka-cluster"), // one rule, about the cluster
	{3, 0, 12}, []byte("User:watcher"), {0, 1, '*'}, // by its name, for whom, from where
	{8, 3}, // Describe is allowed
}, nil))

// visitor is a client of the admin port.
type visitor struct {
	t    *testing.T
	h    *Host
	http http.Client
}

// ask sends a request, with a user and a password, a token, or some other header after ":".
func (v *visitor) ask(method, path, as string) (status int, text string, took time.Duration) {
	v.t.Helper()
	addr := v.h.httpAddr
	if strings.HasPrefix(path, "/debug/") {
		addr = v.h.pprofAddr
	}
	scheme := "http"
	if v.h.httpTLS != nil {
		scheme = "https"
	}
	req, _ := http.NewRequest(method, scheme+"://"+addr.String()+path, nil)
	user, password, basic := strings.Cut(as, "/")
	switch header, other := strings.CutPrefix(as, ":"); {
	case other:
		req.Header.Set("Authorization", header)
	case basic:
		req.SetBasicAuth(user, password)
	case as != "":
		req.Header.Set("Authorization", "bearer "+as)
	}
	start := time.Now()
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if asked := len(resp.Header["Www-Authenticate"]) > 0; asked != (resp.StatusCode == http.StatusUnauthorized) {
		v.t.Errorf("%s %s: status %d and %q", method, path, resp.StatusCode, resp.Header)
	}
	return resp.StatusCode, string(body), time.Since(start)
}

// ready waits until the users and rules of the test are there.
func (v *visitor) ready() {
	v.t.Helper()
	exchange(v.t, v.h, letWatch)
	waitFor(v.t, "the users and rules", func() bool {
		admin, _, _ := v.ask("GET", "/groups", "admin/top:secret")
		watcher, _, _ := v.ask("GET", "/groups", watcherToken)
		return admin == 200 && watcher == 200
	})
}

// Each page takes the login that the setting asks for, and the right to look or to change.
func TestAdminLogins(t *testing.T) {
	pages := []struct {
		method, path string
		from         AdminLogin
		change       bool
	}{
		{"GET", "/healthz", LoginForAll, false},
		{"GET", "/readyz", LoginForAll, false},
		{"GET", "/livez", LoginForAll, false},
		{"GET", "/metrics", LoginForPages, false},
		{"GET", "/groups", LoginForPages, false},
		{"POST", "/steps", LoginForChanges, true},
		{"POST", "/check", LoginForChanges, true},
		{"GET", "/debug/pprof/", LoginForChanges, true},
		{"GET", "/debug/pprof/cmdline", LoginForChanges, true},
		{"GET", "/debug/pprof/heap", LoginForChanges, true},
	}
	for asks := LoginForNothing; asks <= LoginForAll; asks++ {
		t.Run(fmt.Sprint(asks), func(t *testing.T) {
			t.Parallel()
			v := &visitor{t: t, h: openLocked(t, asks, func(c *Config) { c.CheckOnRequest = true })}
			waitFor(t, "the broker", func() bool { s, _, _ := v.ask("GET", "/healthz", chiefToken); return s == 200 })
			v.ready()
			for _, p := range pages {
				for as, want := range map[string]int{
					"": 401, "admin/top:secret": 200, chiefToken: 200, nobodyToken: 403, watcherToken: map[bool]int{false: 200, true: 403}[p.change],
				} {
					if asks < p.from {
						want = 200
					}
					if status, text, _ := v.ask(p.method, p.path, as); status != want || status != 200 && strings.Count(text, "\n") > 1 {
						t.Errorf("%s %s as %q is %d, want %d: %.100s", p.method, p.path, as, status, want, text)
					}
				}
			}
		})
	}
}

// Logins that fail are answered alike, and late; those that don't aren't.
func TestFailedAdminLogins(t *testing.T) {
	t.Parallel()
	v := &visitor{t: t, h: openLocked(t, LoginForPages, nil)}
	v.ready()
	_, asked, at := v.ask("GET", "/metrics", "")
	if at >= loginDelay {
		t.Errorf("to be asked for a login took %v", at)
	}
	for _, as := range []string{
		"admin/wrong", "admin/", "/", "nobody/top:secret", "watcher/" + watcherToken, watcherToken + "x", ":Bearer", ":Basic !", ":Digest username=admin", ":" + chiefToken,
	} {
		status, text, took := v.ask("GET", "/metrics", as)
		if status != 401 || text != asked || took < loginDelay {
			t.Errorf("%q is answered %d %q after %v", as, status, text, took)
		}
	}
	if _, _, took := v.ask("GET", "/metrics", "admin/top:secret"); took >= loginDelay {
		t.Errorf("a login took %v", took)
	}
}

// While the loop is stuck, who was let in before is let in, and nobody else.
func TestAdminLoginWhileTheLoopIsStuck(t *testing.T) {
	t.Parallel()
	v := &visitor{t: t, h: openLocked(t, LoginForPages, nil)}
	v.ready()
	stuck, free := make(chan struct{}), make(chan struct{})
	go v.h.metrics.ask(time.Minute, func(*node.Node) { close(stuck); <-free })
	<-stuck
	defer close(free)
	for as, want := range map[string]int{
		"admin/top:secret": 200, watcherToken: 200, chiefToken: 200, nobodyToken: 503, "admin/wrong": 503, "nobody/x": 503, watcherToken + "x": 503,
	} {
		status, text, _ := v.ask("GET", "/metrics", as)
		if status != want || status == 200 && !strings.Contains(text, "chronik_loop_answers 0") {
			t.Errorf("%q is answered %d, want %d: %.100q", as, status, want, text)
		}
	}
}

// Tokens are read again; a file that is wrong changes nothing.
func TestTokensChange(t *testing.T) {
	t.Parallel()
	v := &visitor{t: t, h: openLocked(t, LoginForPages, nil)}
	v.ready()
	file := v.h.cfg.MetricsTokenFile
	for _, c := range []struct {
		text     string
		old, new int
	}{
		{"User:chief short\n", 200, 401},
		{"User:chief aaaaaaaaaaaaaaaa\n", 401, 200},
		{"", 401, 200},
	} {
		writeTokens(t, file, c.text)
		v.h.doorman.tokens.again()
		old, _, _ := v.ask("GET", "/metrics", chiefToken)
		if now, _, _ := v.ask("GET", "/metrics", "aaaaaaaaaaaaaaaa"); old != c.old || now != c.new {
			t.Errorf("%q: the old token is answered %d, the new one %d", c.text, old, now)
		}
	}
	for text, want := range map[string]string{
		"User:a\n": "line 1 isn't a principal and a token", "\nchief " + chiefToken: "line 2", "# nothing\n": "no token is in it",
	} {
		writeTokens(t, file, text)
		if err := CheckTokens(file); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), chiefToken) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A certificate is a login where the port asks for one; the profiler has the same TLS.
func TestAdminLoginByCertificate(t *testing.T) {
	ca := newAuthority(t, "ca")
	h := openLocked(t, LoginForPages, func(c *Config) { c.MetricsTLS = ca.server(ClientCertsRequired) })
	for name, want := range map[string]int{"operator": 200, "other": 403} {
		v := &visitor{t: t, h: h, http: http.Client{Transport: &http.Transport{TLSClientConfig: ca.client(name)}}}
		waitFor(t, "the broker", func() bool { s, _, _ := v.ask("GET", "/healthz", ""); return s == 200 })
		for _, path := range []string{"/metrics", "/debug/pprof/cmdline"} {
			if status, text, _ := v.ask("GET", path, ""); status != want {
				t.Errorf("%s for %s is %d, want %d: %.100q", path, name, status, want, text)
			}
		}
		if status, _, _ := v.ask("GET", "/metrics", watcherToken+"x"); status != 401 {
			t.Errorf("a wrong token is answered %d in spite of the certificate", status)
		}
		v.http.CloseIdleConnections()
	}
	stranger := http.Client{Transport: &http.Transport{TLSClientConfig: ca.client("")}}
	if resp, err := stranger.Get("https://" + h.pprofAddr.String() + "/debug/pprof/cmdline"); err == nil {
		t.Errorf("the profiler answers somebody without a certificate: %d", resp.StatusCode)
	}
}

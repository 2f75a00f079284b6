// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"chronik/node"
)

// The admin port knows its clients as Kafka ports do: by the users of the catalog (HTTP basic), by tokens of a file (bearer) or by
// their certificates. Who they are may do what the rules say: to look takes Describe on the cluster, to have something done, or
// profiled, Alter.
//
// What strangers can do is bounded by the connections of the port: each has one request under way. Passwords are hashed on a thread
// in the background, hashesAtOnce at a time, and a login that fails is answered late.

// AdminLogin says for which pages of the admin port a client must log in.
type AdminLogin int

// Each is for those before it, too.
const (
	LoginForNothing AdminLogin = iota
	LoginForChanges            // POST, and the profiler
	LoginForPages              // all but /livez, /healthz and /readyz
	LoginForAll
)

const (
	hashesAtOnce = 2
	// loginDelay is how late a failed login is answered, as in package node.
	loginDelay = 500 * time.Millisecond
	// maxKnown bounds what is kept for when the loop doesn't answer.
	maxKnown = 256
)

// doorman asks clients of the admin port who they are.
type doorman struct {
	asks         AdminLogin
	ask          func(func(*node.Node)) bool // false: the loop doesn't answer
	everything   func(principal string) bool // may he do everything, whatever the catalog says?
	certificates *certificates               // of the port; nil: none
	tokens       *tokens                     // nil: none
	issued       node.TokenChecker           // nil: none
	hashing      gate
	failed       teller
	denied       teller
	changed      teller

	mu        sync.Mutex
	passwords map[string]node.Password // of users that have logged in
	allowed   map[visit]bool           // what was decided for clients that have logged in
}

// visit is who wants what from where.
type visit struct {
	principal, host string
	change          bool
}

// caller is who a request says it comes from.
type caller struct {
	principal string
	user      string // of HTTP basic
	password  string
	how       string // for people
	proved    bool   // it takes no password
	why       string // it isn't, for people
}

func newDoorman(cfg *Config, m *metrics, tokens *tokens) *doorman {
	log := cfg.Log
	return &doorman{
		asks: cfg.MetricsLogin, tokens: tokens, issued: cfg.Node.Tokens, hashing: make(gate, hashesAtOnce), failed: teller{log: log}, denied: teller{log: log}, changed: teller{log: log},
		ask: func(f func(*node.Node)) bool { return m.ask(answerTime, f) },
		everything: func(principal string) bool {
			return !cfg.Node.Authorize || slices.Contains(cfg.Node.SuperUsers, principal)
		},
		passwords: make(map[string]node.Password), allowed: make(map[visit]bool),
	}
}

// door is a page that takes a login if the settings ask for one there: from may on.
func (d *doorman) door(from AdminLogin, change bool, page http.Handler) http.Handler {
	if d.asks < from {
		return page
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.admits(w, r, change) {
			page.ServeHTTP(w, r)
		}
	})
}

// admits answers a request itself unless it returns true.
func (d *doorman) admits(w http.ResponseWriter, r *http.Request, change bool) bool {
	v, may, known := d.login(w, r, change)
	if !known {
		return false
	}
	if !may {
		d.denied.tell(slog.LevelInfo, "a client lacks a right", fmt.Sprintf("%.200q from %s may not %s the cluster (%s %.60s of the admin port)",
			v.principal, v.host, verb(change), r.Method, r.URL.Path), v.attrs(r, "403")...)
		http.Error(w, v.principal+" may not "+verb(change)+" the cluster", http.StatusForbidden)
	} else if change {
		d.changed.tell(slog.LevelInfo, "audit", "", v.attrs(r, "200")...)
	}
	return may
}

// login returns who has sent a request, and whether he may look at the cluster or change it. It answers who hasn't proven it.
func (d *doorman) login(w http.ResponseWriter, r *http.Request, change bool) (v visit, may, right bool) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	c, says := d.callerOf(r)
	if !says {
		askLogin(w)
		return v, false, false
	}
	v = visit{c.principal, host, change}
	var password node.Password
	answers := d.ask(func(n *node.Node) { password, may = n.PasswordOf(c.user), n.MayAdminister(c.principal, host, change) })
	known := answers
	if !answers {
		password, may, known = d.recall(c, v)
	}
	right = c.proved || known && c.how == "basic" && d.matches(password, c.password)
	switch {
	case !known, !right && !answers:
		http.Error(w, "the loop does not answer, so it isn't known who may do what: it recovers, is stuck, or has ended", http.StatusServiceUnavailable)
		return v, false, false
	case !right:
		d.failed.tell(slog.LevelWarn, "a login failed", fmt.Sprintf("from %s, admin port, %s: %s", host, c.how, c.wrong()), v.attrs(r, "401")...)
		late(r)
		askLogin(w)
		return v, false, false
	}
	if answers {
		d.note(c, v, password, may)
	}
	return v, may, true
}

// attrs are for a line about a request that is refused.
func (v visit) attrs(r *http.Request, outcome string) []slog.Attr {
	return auditAttrs(node.Audit{
		Principal: fmt.Sprintf("%.200s", v.principal), Client: fmt.Sprintf("%.100s", r.UserAgent()), Address: v.host, Listener: "metrics",
		API: fmt.Sprintf("%s %.60s", r.Method, r.URL.Path), Resource: "CLUSTER kafka-cluster", Outcome: outcome,
	})
}

func verb(change bool) string {
	if change {
		return "alter"
	}
	return "describe"
}

// callerOf reads who a client says it is; false: it says nothing.
func (d *doorman) callerOf(r *http.Request) (c caller, says bool) {
	header := r.Header.Get("Authorization")
	kind, token, _ := strings.Cut(header, " ")
	switch user, password, basic := r.BasicAuth(); {
	case basic:
		return caller{principal: "User:" + user, user: user, password: password, how: "basic"}, true
	case header == "":
		return d.certificateOf(r)
	case strings.EqualFold(kind, "Bearer"):
		return d.bearer(strings.TrimSpace(token)), true
	}
	return caller{how: "unknown scheme"}, true
}

// bearer is who has a token: one of the file, or one that the issuer of OAUTHBEARER has signed.
func (d *doorman) bearer(token string) caller {
	c := caller{how: "bearer", why: "no such token"}
	if c.principal, c.proved = d.tokens.principal(token); c.proved || d.issued == nil {
		return c
	}
	d.hashing <- struct{}{}
	defer func() { <-d.hashing }()
	claims, err := d.issued.Check(token)
	if err != nil {
		c.why = err.Error()
		return c
	}
	c.principal, c.proved = "User:"+claims.User, true
	return c
}

// certificateOf is who has shown a certificate, which crypto/tls has verified.
func (d *doorman) certificateOf(r *http.Request) (c caller, says bool) {
	if d.certificates == nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return caller{}, false
	}
	principal, err := d.certificates.Principals.principal(r.TLS.PeerCertificates[0].RawSubject)
	return caller{principal: principal, how: "certificate", proved: err == nil}, true
}

// wrong is why a login failed, for the operator.
func (c *caller) wrong() string {
	switch {
	case c.how == "basic":
		return fmt.Sprintf("user %.80q: invalid credentials", c.user)
	case c.how == "bearer":
		return c.why
	}
	return "no login is in it"
}

// matches compares a password. That is costly on purpose.
func (d *doorman) matches(p node.Password, shown string) (right bool) {
	d.hashing <- struct{}{}
	done := make(chan struct{})
	go inBackground(func() {
		right = p.Matches(shown)
		close(done)
	})
	<-done
	<-d.hashing
	return right
}

// note keeps what the loop has said, for when it doesn't answer: somebody will want to know why.
func (d *doorman) note(c caller, v visit, p node.Password, may bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.allowed) >= maxKnown || len(d.passwords) >= maxKnown {
		clear(d.allowed)
		clear(d.passwords)
	}
	if d.allowed[v] = may; !c.proved {
		d.passwords[c.user] = p
	}
}

// recall is what the loop has said of a client before.
func (d *doorman) recall(c caller, v visit) (p node.Password, may, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if may, known = d.allowed[v]; !known {
		may = d.everything(c.principal)
		known = may
	}
	if !c.proved && known {
		p, known = d.passwords[c.user]
	}
	return p, may, known
}

func askLogin(w http.ResponseWriter) {
	w.Header().Add("WWW-Authenticate", `Basic realm="chronik", charset="UTF-8"`)
	w.Header().Add("WWW-Authenticate", "Bearer")
	http.Error(w, "log in as a user of the cluster, or with a token", http.StatusUnauthorized)
}

// late waits for as long as a failed login takes.
func late(r *http.Request) {
	select {
	case <-time.After(loginDelay):
	case <-r.Context().Done():
	}
}

func (d *doorman) stop() {
	d.failed.stop()
	d.denied.stop()
	d.changed.stop()
}

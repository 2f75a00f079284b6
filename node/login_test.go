// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"chronik/kafka"
	"chronik/node/sasl"
)

// on sends a frame on a connection and returns the reply, which may take some time on the node's clock.
func (o *one) on(conn ConnID, frame []byte) Reply {
	o.t.Helper()
	return o.in("", conn, frame)
}

// in does the same on a connection of a listener.
func (o *one) in(listener string, conn ConnID, frame []byte) Reply {
	o.t.Helper()
	o.step(Input{Requests: []Request{{Conn: conn, Host: "/10.0.0.1", Frame: frame, Listener: listener}}})
	for range 1000 {
		if len(o.replies) > 0 {
			r := o.replies[0]
			o.replies = o.replies[1:]
			return r
		}
		o.step(Input{})
	}
	o.t.Fatalf("no reply on connection %d", conn)
	return Reply{}
}

// Before a client has logged in it learns what is spoken, and nothing else.
func TestBeforeLogin(t *testing.T) {
	o := newGuarded(t, nil)
	if resp := o.ask(kmsg.NewPtrApiVersionsRequest()).(*kmsg.ApiVersionsResponse); len(resp.ApiKeys) == 0 {
		t.Error("ApiVersions has no keys")
	}
	for key := range int16(kmsg.MaxKey + 1) {
		req := kmsg.RequestForKey(key)
		if req == nil || key == kmsg.ApiVersions.Int16() || key == kmsg.SASLHandshake.Int16() {
			continue
		}
		if a := o.node.api(key); a != nil {
			req.SetVersion(a.max)
		}
		if r := o.on(100+ConnID(key), kafka.AppendRequest(nil, 1, "stranger", req)); !r.Close || len(r.Frame) > 0 {
			t.Errorf("%s was answered", kmsg.NameForKey(key))
		}
	}
	large := kmsg.NewPtrApiVersionsRequest()
	large.SetVersion(3)
	large.ClientSoftwareName, large.ClientSoftwareVersion = strings.Repeat("x", maxLoginFrame), "1"
	if r := o.on(1, kafka.AppendRequest(nil, 1, "stranger", large)); !r.Close || len(r.Frame) > 0 {
		t.Error("a large request was answered")
	}
}

// newGuarded is a broker whose clients must log in, with users alice (SHA-512) and bob (SHA-256), both with the password secret.
func newGuarded(t *testing.T, change func(*Config)) *one {
	o := newOne(t, func(c *Config) {
		c.Listeners = []Listener{{Mechanisms: sasl.Mechanisms()}, {Name: "OPEN"}}
		if change != nil {
			change(c)
		}
	})
	r := o.in("OPEN", 99, kafka.AppendRequest(nil, 1, "", upsert("alice 2 secret 4096", "bob 1 secret 4096")))
	if r.Close || o.node.conns[99].principal != anonymous {
		t.Fatal("the open listener is closed")
	}
	return o
}

// stranger is a client that logs in on a connection.
type stranger struct {
	*one
	conn    ConnID
	headers bool
	last    Reply
	words   string // of the last login that failed
}

// send sends a request and returns the error code of its answer, "closed" if there is none.
func (s *stranger) send(req kmsg.Request) (kmsg.Response, string) {
	s.t.Helper()
	s.last = s.on(s.conn, kafka.AppendRequest(nil, 7, "stranger", req))
	if len(s.last.Frame) == 0 {
		return nil, "closed"
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if _, err := kafka.ParseResponse(kafka.Frame(s.last.Frame).Bytes(), resp); err != nil {
		s.t.Fatal(err)
	}
	code := int16(0)
	switch resp := resp.(type) {
	case *kmsg.SASLHandshakeResponse:
		code = resp.ErrorCode
	case *kmsg.SASLAuthenticateResponse:
		code = resp.ErrorCode
	}
	return resp, kafka.CodeName(code)
}

func (s *stranger) handshake(mechanism string) string {
	s.t.Helper()
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = int16(btoi(s.headers)), mechanism
	_, code := s.send(req)
	return code
}

// token sends a token and returns what comes back for it.
func (s *stranger) token(token []byte) (answer []byte, lifetime int64, code string) {
	s.t.Helper()
	if !s.headers {
		if s.last = s.on(s.conn, token); s.last.Frame == nil {
			return nil, 0, "closed"
		}
		return kafka.Frame(s.last.Frame).Bytes(), 0, "NONE"
	}
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = 2, token
	resp, code := s.send(req)
	if resp == nil {
		return nil, 0, code
	}
	r := resp.(*kmsg.SASLAuthenticateResponse)
	if r.ErrorMessage != nil {
		s.words = *r.ErrorMessage
	}
	return r.SASLAuthBytes, r.SessionLifetimeMillis, code
}

// logIn does all of it. It returns the first error code, and how long the session lasts.
func (s *stranger) logIn(mechanism, user, password string) (lifetime int64, code string) {
	s.t.Helper()
	if code := s.handshake(mechanism); code != "NONE" {
		return 0, code
	}
	client := scram.Auth{User: user, Pass: password}.AsSha512Mechanism()
	switch mechanism {
	case sasl.Plain:
		_, lifetime, code = s.token([]byte("\x00" + user + "\x00" + password))
		return lifetime, code
	case sasl.ScramSHA256:
		client = scram.Auth{User: user, Pass: password}.AsSha256Mechanism()
	}
	session, message, err := client.Authenticate(s.t.Context(), "")
	for done := false; err == nil && !done; {
		var answer []byte
		if answer, lifetime, code = s.token(message); code != "NONE" {
			return 0, code
		}
		done, message, err = session.Challenge(answer)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return lifetime, code
}

func (s *stranger) served() bool {
	s.t.Helper()
	_, code := s.send(kmsg.NewPtrMetadataRequest())
	return code == "NONE"
}

// Who knows a password gets in, by each mechanism and both ways to send tokens; who doesn't, or is nobody, gets one answer, late.
func TestLogin(t *testing.T) {
	for _, headers := range []bool{true, false} {
		for i, c := range []struct {
			mechanism, user, password string
			want                      string
		}{
			{sasl.Plain, "alice", "secret", "NONE"},
			{sasl.Plain, "bob", "secret", "NONE"},
			{sasl.ScramSHA512, "alice", "secret", "NONE"},
			{sasl.ScramSHA256, "bob", "secret", "NONE"},
			{sasl.Plain, "alice", "Secret", "SASL_AUTHENTICATION_FAILED"},
			{sasl.Plain, "nobody", "secret", "SASL_AUTHENTICATION_FAILED"},
			{sasl.ScramSHA512, "alice", "Secret", "SASL_AUTHENTICATION_FAILED"},
			{sasl.ScramSHA512, "nobody", "secret", "SASL_AUTHENTICATION_FAILED"},
			{sasl.ScramSHA512, "bob", "secret", "SASL_AUTHENTICATION_FAILED"}, // he has no such credential
			{"GSSAPI", "alice", "secret", "UNSUPPORTED_SASL_MECHANISM"},
		} {
			o := newGuarded(t, nil)
			s, begun := &stranger{one: o, conn: ConnID(i + 1), headers: headers}, o.now
			_, code := s.logIn(c.mechanism, c.user, c.password)
			want := c.want
			if !headers && want == "SASL_AUTHENTICATION_FAILED" {
				want = "closed"
			}
			if code != want {
				t.Errorf("%+v: %s", c, code)
			}
			in := code == "NONE"
			if took := o.now.Sub(begun); (took >= failedLoginDelay) == in {
				t.Errorf("%+v: answered after %v", c, took)
			}
			if s.last.Close == in || s.last.LoggedIn != in || (s.node.conns[s.conn].principal == "User:"+c.user) != in {
				t.Errorf("%+v: close %v, logged in %v as %q", c, s.last.Close, s.last.LoggedIn, s.node.conns[s.conn].principal)
			}
			if in && !s.served() {
				t.Errorf("%+v: nothing is served", c)
			}
			if o.events[EventLoggedIn] != btoi(in) || o.events[EventLoginFailed] != btoi(!in) {
				t.Errorf("%+v: %d logins, %d failed ones", c, o.events[EventLoggedIn], o.events[EventLoginFailed])
			}
		}
	}
}

// An unknown user is answered in the same words as a wrong password.
func TestFailedLoginsAreAlike(t *testing.T) {
	for _, mechanism := range sasl.Mechanisms() {
		var texts []string
		for _, user := range []string{"alice", "bob", "nobody"} {
			s := &stranger{one: newGuarded(t, nil), conn: 1, headers: true}
			s.logIn(mechanism, user, "wrong")
			texts = append(texts, fmt.Sprintf("%v: %x", s.now, kafka.Frame(s.last.Frame).Bytes()))
		}
		if texts[0] != texts[1] || texts[0] != texts[2] {
			t.Errorf("%s: %q", mechanism, texts)
		}
	}
}

// What clients are told of a failed login is what Kafka tells them, and what their users see.
func TestWordsOfFailedLogins(t *testing.T) {
	o := newGuarded(t, func(c *Config) { c.SessionLifetime = time.Minute })
	o.in("OPEN", 98, kafka.AppendRequest(nil, 1, "", upsert("carol 2 secret 4096")))
	for i, c := range []struct{ before, mechanism, token, want string }{
		{"", sasl.ScramSHA256, "n,,n=nobody,r=abc", "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256"},
		{"", sasl.ScramSHA512, "garbage", "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512"},
		{"alice", sasl.ScramSHA512, "garbage", "Authentication failed during re-authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512"},
		{"alice", sasl.Plain, "\x00alice\x00secret", "SASL mechanism 'PLAIN' requested by client is not supported for re-authentication of mechanism 'SCRAM-SHA-512'"},
		{"", sasl.Plain, "\x00nobody\x00secret", "Authentication failed: Invalid username or password"},
		{"", sasl.Plain, "\x00\x00secret", "Authentication failed: username not specified"},
		{"", sasl.Plain, "\x00alice\x00", "Authentication failed: password not specified"},
		{"", sasl.Plain, "carol\x00alice\x00secret", "Authentication failed: Client requested an authorization id that is different from username"},
		{"", sasl.Plain, "alice\x00secret", "Invalid SASL/PLAIN response: expected 3 tokens, got 2"},
	} {
		s := &stranger{one: o, conn: ConnID(i + 1), headers: true}
		if c.before != "" {
			s.logIn(sasl.ScramSHA512, c.before, "secret")
		}
		s.handshake(c.mechanism)
		answer, _, code := s.token([]byte(c.token))
		if code == "NONE" && c.mechanism != sasl.Plain {
			nonce, _, _ := strings.Cut(string(answer), ",")
			_, _, code = s.token([]byte("c=biws," + nonce + ",p=AAAA"))
		}
		if code != "SASL_AUTHENTICATION_FAILED" || s.words != c.want {
			t.Errorf("%q with %s: %s, %q; want %q", c.token, c.mechanism, code, s.words, c.want)
		}
	}
	s := &stranger{one: o, conn: 50, headers: true}
	s.logIn(sasl.ScramSHA512, "alice", "secret")
	s.logIn(sasl.ScramSHA512, "carol", "secret")
	if want := "Cannot change principals during re-authentication from User.alice: User.carol"; s.words != want {
		t.Errorf("as another user: %q; want %q", s.words, want)
	}
}

// What comes in a wrong order is refused.
func TestLoginOrder(t *testing.T) {
	s := &stranger{one: newGuarded(t, nil), headers: true}
	for want, say := range map[string]func() string{
		"closed": func() string {
			_, _, code := s.token([]byte("\x00alice\x00secret"))
			return code
		},
		"ILLEGAL_SASL_STATE": func() string {
			s.handshake(sasl.Plain)
			return s.handshake(sasl.Plain)
		},
	} {
		s.conn++
		if code := say(); code != want || !s.last.Close {
			t.Errorf("got %s, close %v; want %s", code, s.last.Close, want)
		}
	}
	s.conn++
	s.logIn(sasl.ScramSHA256, "bob", "secret")
	for range 2 { // sessions don't end, so nobody has to log in again
		if code := s.handshake(sasl.ScramSHA256); code != "ILLEGAL_SASL_STATE" || s.last.Close {
			t.Errorf("a second handshake: %s", code)
		}
		if _, _, code := s.token(nil); code != "ILLEGAL_SASL_STATE" || s.last.Close {
			t.Errorf("a token after the login: %s", code)
		}
	}
	open := s.in("OPEN", 50, kafka.AppendRequest(nil, 1, "", kmsg.NewPtrSASLHandshakeRequest()))
	if open.Close || len(open.Frame) == 0 {
		t.Error("a handshake where no login is asked for ends the connection")
	}
	if !s.served() {
		t.Error("nothing is served any more")
	}
}

// A session ends if its client doesn't log in again, as the same user.
func TestLoginAgain(t *testing.T) {
	const lifetime = 10 * time.Second
	o := newGuarded(t, func(c *Config) { c.SessionLifetime = lifetime })
	conn := ConnID(0)
	begin := func() *stranger {
		conn++
		s := &stranger{one: o, conn: conn, headers: true}
		if got, code := s.logIn(sasl.ScramSHA512, "alice", "secret"); code != "NONE" || got != lifetime.Milliseconds() {
			t.Fatalf("session of %d ms, %s", got, code)
		}
		return s
	}
	s := begin()
	for range 3 {
		o.pass(8 * time.Second)
		if got, code := s.logIn(sasl.ScramSHA512, "alice", "secret"); code != "NONE" || got != lifetime.Milliseconds() || !s.served() {
			t.Fatalf("session of %d ms, %s", got, code)
		}
		if code := s.handshake(sasl.ScramSHA512); code != "ILLEGAL_SASL_STATE" {
			t.Errorf("at once again: %s", code)
		}
	}
	o.pass(lifetime + time.Millisecond)
	if s.served() {
		t.Error("the session has no end")
	}
	late := begin()
	o.pass(lifetime + time.Millisecond)
	if _, code := late.logIn(sasl.ScramSHA512, "alice", "secret"); code != "NONE" || !late.served() {
		t.Errorf("late, but before anything else: %s", code)
	}
	for _, c := range [][3]string{{sasl.ScramSHA512, "alice", "wrong"}, {sasl.ScramSHA256, "bob", "secret"}, {sasl.Plain, "alice", "secret"}, {"GSSAPI", "alice", "secret"}} {
		s := begin()
		if _, code := s.logIn(c[0], c[1], c[2]); code != "SASL_AUTHENTICATION_FAILED" && code != "UNSUPPORTED_SASL_MECHANISM" || !s.last.Close {
			t.Errorf("%v: %s", c, code)
		}
		if s.node.conns[s.conn].principal != "" {
			t.Errorf("%v: still %s", c, s.node.conns[s.conn].principal)
		}
	}
	o.in("OPEN", 98, kafka.AppendRequest(nil, 1, "", upsert("carol 2 secret 4096")))
	s = begin()
	if _, code := s.logIn(sasl.ScramSHA512, "carol", "secret"); code != "SASL_AUTHENTICATION_FAILED" || s.node.conns[s.conn].principal != "" {
		t.Errorf("as another user: %s", code)
	}
}

// While a login is under way, or has failed, nothing else is served, even if it was sent at once.
func TestNothingBesideLogin(t *testing.T) {
	o := newGuarded(t, func(c *Config) { c.SessionLifetime = time.Minute })
	frame := func(req kmsg.Request) []byte { return kafka.AppendRequest(nil, 1, "", req) }
	handshake, token := kmsg.NewPtrSASLHandshakeRequest(), kmsg.NewPtrSASLAuthenticateRequest()
	handshake.Version, handshake.Mechanism = 1, sasl.Plain
	for _, known := range []bool{false, true} {
		s := &stranger{one: o, conn: ConnID(1 + btoi(known)), headers: true}
		if known {
			s.logIn(sasl.Plain, "alice", "secret")
		}
		token.SASLAuthBytes = []byte("\x00alice\x00wrong")
		o.replies = nil
		var in Input
		for _, f := range [][]byte{frame(handshake), frame(token), frame(kmsg.NewPtrMetadataRequest()), frame(kmsg.NewPtrMetadataRequest())} {
			in.Requests = append(in.Requests, Request{Conn: s.conn, Host: "/10.0.0.1", Frame: f})
		}
		o.step(in)
		o.pass(time.Second)
		if len(o.replies) != 2 || o.replies[0].Close || !o.replies[1].Close || len(o.replies[1].Frame) == 0 {
			t.Errorf("known %v: %d replies: %+v", known, len(o.replies), o.replies)
		}
		o.replies = nil
	}
}

// Passwords are checked a few at a time, and whoever sends many waits for itself.
func TestPasswordsTakeTurns(t *testing.T) {
	o := newGuarded(t, nil)
	var in Input
	plain := func(conn ConnID, host string) {
		handshake, token := kmsg.NewPtrSASLHandshakeRequest(), kmsg.NewPtrSASLAuthenticateRequest()
		handshake.Version, handshake.Mechanism, token.SASLAuthBytes = 1, sasl.Plain, []byte("\x00nobody\x00guess")
		if host == "/10.0.0.2" {
			token.SASLAuthBytes = []byte("\x00alice\x00secret")
		}
		for _, req := range []kmsg.Request{handshake, token} {
			in.Requests = append(in.Requests, Request{Conn: conn, Host: host, Frame: kafka.AppendRequest(nil, 1, "", req)})
		}
	}
	for i := range ConnID(200) {
		plain(1000+i, "/10.0.0.1")
	}
	plain(1, "/10.0.0.2")
	tasks, ticks, after := 0, 0, 0
	o.look = func(out *Output) {
		if tasks += len(out.Tasks); len(out.Tasks) > loginsAtOnce {
			t.Errorf("%d at once", len(out.Tasks))
		}
		for _, r := range out.Replies {
			if r.LoggedIn {
				after = tasks
			}
		}
	}
	for ; after == 0 && ticks < 500; ticks++ {
		o.tick(in)
		in = Input{}
	}
	if after == 0 || after > 3*loginsAtOnce {
		t.Errorf("the polite client is in after %d passwords", after)
	}
	for i := range ConnID(200) {
		in.Hangups = append(in.Hangups, 1000+i)
	}
	o.step(in)
	if tasks > after+2*loginsAtOnce {
		t.Errorf("%d passwords were checked, most for nobody", tasks)
	}
}

// Listeners that nobody could mean are refused by name.
func TestConfigListeners(t *testing.T) {
	for want, listeners := range map[string][]Listener{
		"there twice": {{Name: "IN"}, {Name: "OUT"}, {Name: "IN"}},
		"GSSAPI":      {{Name: "IN", Mechanisms: []string{"PLAIN", "GSSAPI"}}},
		"":            {{Name: "IN"}, {Name: "OUT", Mechanisms: []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}}},
	} {
		c := validConfig()
		c.Listeners = listeners
		if err := c.validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", listeners, err, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/sasl"
)

// issued is a world that knows some tokens: who has them, and for how long.
type issued map[string]TokenClaims

func (i issued) Check(token string) (TokenClaims, error) {
	if token == "narrow" {
		return TokenClaims{}, fmt.Errorf("of alice: %w", ErrTokenScope)
	}
	c, ok := i[token]
	if !ok {
		return c, errors.New("the signature is wrong")
	}
	return c, nil
}

func newBearers(t *testing.T, change func(*Config)) *one {
	return newGuarded(t, func(c *Config) {
		c.Listeners[0].Mechanisms = append([]string{sasl.Bearer}, c.Listeners[0].Mechanisms...)
		c.Tokens = issued{"good": {"alice", time.Minute}, "long": {"alice", time.Hour}, "bobs": {"bob", time.Minute}, "short": {"alice", 0}, "nobody": {"", time.Minute}, "odd": {"a\x00b", time.Minute}}
		if change != nil {
			change(c)
		}
	})
}

// show logs in with a token, as somebody if that isn't "".
func (s *stranger) show(authzid, token string) (answer string, lifetime int64, code string) {
	s.t.Helper()
	if code := s.handshake(sasl.Bearer); code != "NONE" {
		return "", 0, code
	}
	if authzid != "" {
		authzid = "a=" + authzid
	}
	bytes, lifetime, code := s.token([]byte("n," + authzid + ",\x01auth=Bearer " + token + "\x01\x01"))
	return string(bytes), lifetime, code
}

// Who has a token gets in. Who has none is told why, then that the login failed, both late, and is cut off.
func TestBearerLogins(t *testing.T) {
	conn := ConnID(10)
	for _, headers := range []bool{true, false} {
		for _, c := range []struct{ authzid, token, status string }{
			{"", "good", ""},
			{"alice", "good", ""},
			{"", "bad", "invalid_token"},
			{"alice", "bad", "invalid_token"},
			{"", "nobody", "invalid_token"},
			{"", "odd", "invalid_token"},
			{"", "narrow", "insufficient_scope"},
		} {
			conn++
			o := newBearers(t, nil)
			s := &stranger{one: o, conn: conn, headers: headers}
			began := o.now
			answer, _, code := s.show(c.authzid, c.token)
			if c.status == "" {
				if code != "NONE" || answer != "" || !s.served() || o.node.conns[conn].principal != "User:alice" {
					t.Errorf("%+v: %s, %q", c, code, answer)
				}
				continue
			}
			if want := `{"status":"` + c.status + `"}`; code != "NONE" || answer != want || o.now.Sub(began) < failedLoginDelay || s.last.LoggedIn {
				t.Errorf("%+v is answered %s %q after %v, want %q", c, code, answer, o.now.Sub(began), want)
			}
			want := "SASL_AUTHENTICATION_FAILED"
			if !headers {
				want = "closed"
			}
			if _, _, code := s.token([]byte(sasl.BearerAck)); code != want || !s.last.Close {
				t.Errorf("%+v: the acknowledgement is answered %s (%v)", c, code, s.last.Close)
			}
			if o.events[EventLoginFailed] != 1 || o.events[EventLoggedIn] != 0 {
				t.Errorf("%+v: %d failed logins, %d others", c, o.events[EventLoginFailed], o.events[EventLoggedIn])
			}
		}
	}
}

// What is no token, somebody else's name, and another try after a refusal end the connection.
func TestBearerMistakes(t *testing.T) {
	o := newBearers(t, nil)
	try := func(conn ConnID) *stranger { return &stranger{one: o, conn: conn, headers: true} }
	if _, _, code := try(10).show("bob", "good"); code != "SASL_AUTHENTICATION_FAILED" {
		t.Errorf("alice as bob: %s", code)
	}
	if _, _, code := try(11).show("", "two words"); code != "SASL_AUTHENTICATION_FAILED" {
		t.Errorf("no token: %s", code)
	}
	s := try(12)
	s.show("", "bad")
	if _, _, code := s.token([]byte("n,,\x01auth=Bearer good\x01\x01")); code != "SASL_AUTHENTICATION_FAILED" || !s.last.Close {
		t.Errorf("another token after a refusal: %s", code)
	}
	s = try(13)
	s.show("", "bad")
	if s.served() {
		t.Error("a client is served after its token was refused")
	}
}

// A session lasts as long as the token, or as long as sessions do, whichever is shorter; then the client shows a newer one.
func TestBearerSessions(t *testing.T) {
	for _, c := range []struct {
		token   string
		session time.Duration
		want    int64
	}{{"good", 0, 60_000}, {"good", time.Hour, 60_000}, {"good", 10 * time.Second, 10_000}, {"long", 0, 3600_000}, {"short", 0, 1}} {
		o := newBearers(t, func(cfg *Config) { cfg.SessionLifetime = c.session })
		s := &stranger{one: o, conn: 10, headers: true}
		if _, lifetime, code := s.show("", c.token); code != "NONE" || lifetime != c.want {
			t.Errorf("%+v: it lasts %d, %s", c, lifetime, code)
		}
	}
	o := newBearers(t, nil)
	s := &stranger{one: o, conn: 10, headers: true}
	s.show("", "good")
	o.pass(50 * time.Second)
	if _, lifetime, code := s.show("", "long"); code != "NONE" || lifetime != 3600_000 {
		t.Errorf("again: %d, %s", lifetime, code)
	}
	if o.pass(50 * time.Second); !s.served() {
		t.Error("the session ended with the first token")
	}
	if _, _, code := s.show("", "bobs"); code != "SASL_AUTHENTICATION_FAILED" && code != "NONE" || o.node.conns[10].principal != "" {
		t.Errorf("bob's token on alice's connection: %s", code)
	}
	o = newBearers(t, nil)
	s = &stranger{one: o, conn: 11, headers: true}
	s.show("", "good")
	if o.pass(61 * time.Second); s.served() {
		t.Error("the session outlives its token")
	}
}

// No token is in what a node describes.
func TestNoTokenIsDescribed(t *testing.T) {
	var said strings.Builder
	o := newBearers(t, nil)
	o.look = func(out *Output) {
		fmt.Fprintln(&said, strings.Join(DescribeOutput(out, 1000), "\n"))
		for i := range out.Events {
			fmt.Fprintf(&said, "%+v %+v\n", out.Events[i], out.Events[i].Audit)
		}
	}
	for i, message := range []string{"n,,\x01auth=Bearer sEcReT\x01\x01", "n,,\x01auth=Bearer sEcReT sEcReT\x01\x01", "sEcReT"} {
		s := &stranger{one: o, conn: ConnID(20 + i), headers: true}
		req := kmsg.NewPtrSASLHandshakeRequest()
		req.Version, req.Mechanism = 1, sasl.Bearer
		s.send(req)
		s.token([]byte(message))
		if !s.last.Close {
			s.token([]byte(sasl.BearerAck))
		}
	}
	if text := said.String(); strings.Contains(text, "sEcReT") || !strings.Contains(text, "login failed") && !strings.Contains(text, "OAUTHBEARER") {
		t.Errorf("the token is in %s", text)
	}
}

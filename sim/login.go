// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
	"chronik/node/sasl"
	"chronik/sim/plan"
)

// identity is by what a client logs in.
type identity struct {
	user, password, mechanism string
	till                      node.Time // the end of a token; 0: it isn't one
}

// login is where a client's connection stands that must log in.
type login struct {
	as      identity
	user    string    // who it is logged in as; ""
	ends    node.Time // of the session, by the broker's clock; 0: never
	renewAt node.Time // it logs in again then; 0: never
	began   decided   // the handshake of the exchange
	nonce   string
	said    string // of an exchange of SCRAM
}

// identity is who a client logs in as.
func (c *client) identity() identity {
	s := c.world.secure
	id := identity{user: plan.Crew, mechanism: sasl.Mechanisms()[c.spec.ID%3]}
	switch {
	case c.admin != nil:
		id.user = plan.Admin
		if id.mechanism == sasl.ScramSHA256 { // the first user has the other one
			id.mechanism = sasl.ScramSHA512
		}
	case c.visitor != nil:
		id.user = c.visitor.spec.User
	case c.hasty != nil:
		id.user = c.hasty.spec.User
	}
	id.password = s.passwords[id.user]
	if c.visitor != nil {
		c.visitor.disguise(&id)
		c.visitor.showToken(&id)
	}
	return id
}

// logIn begins to log in, or again.
func (c *client) logIn(cn *conn, id identity) {
	w := c.world
	if cn.login == nil {
		cn.login = &login{}
	}
	cn.login.as = id
	cn.ready = false
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = 1, id.mechanism
	cn.ask(w, req, func(resp kmsg.Response) {
		if code := resp.(*kmsg.SASLHandshakeResponse).ErrorCode; code != 0 {
			w.fail("unexpected-error", "client %d: SaslHandshake for %s is answered %s", c.spec.ID, id.mechanism, kafka.CodeName(code))
		}
		cn.login.began = cn.last
		if id.mechanism == sasl.Plain {
			c.sendToken(cn, "\x00"+id.user+"\x00"+id.password, func([]byte) { c.loggedIn(cn) })
			c.press(cn)
			return
		}
		if id.mechanism == sasl.Bearer {
			c.logInByToken(cn)
			return
		}
		c.logInByScram(cn)
	})
}

// sendToken sends one, and takes the answer. A refusal ends the connection.
func (c *client) sendToken(cn *conn, token string, then func(answer []byte)) {
	w := c.world
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = [...]int16{1, 2, 0}[c.spec.ID/3%3], []byte(token)
	cn.ask(w, req, func(resp kmsg.Response) {
		r := resp.(*kmsg.SASLAuthenticateResponse)
		switch {
		case r.ErrorCode == kerr.SaslAuthenticationFailed.Code:
			c.loginRefused(cn)
		case r.ErrorCode != 0:
			w.fail("unexpected-error", "client %d: SaslAuthenticate is answered %s", c.spec.ID, kafka.CodeName(r.ErrorCode))
		default:
			cn.lifetime = plan.Duration(r.SessionLifetimeMillis) * millisecond
			then(r.SASLAuthBytes)
		}
	})
}

func newHash(h sasl.Hash) func() hash.Hash {
	if h == sasl.SHA512 {
		return sha512.New
	}
	return sha256.New
}

func scramMAC(h sasl.Hash, key, data []byte) []byte {
	mac := hmac.New(newHash(h), key)
	mac.Write(data)
	return mac.Sum(nil)
}

func scramHash(h sasl.Hash, data []byte) []byte {
	d := newHash(h)()
	d.Write(data)
	return d.Sum(nil)
}

// logInByScram is RFC 5802 on the client's side.
func (c *client) logInByScram(cn *conn) {
	l := cn.login
	h, _ := sasl.HashOf(l.as.mechanism)
	l.nonce = fmt.Sprintf("%x", uint64(c.draw()))
	bare := "n=" + l.as.user + ",r=" + l.nonce
	c.sendToken(cn, "n,,"+bare, func(first []byte) {
		var nonce, salt string
		iterations := 0
		fields := strings.Split(string(first), ",")
		_, err := fmt.Sscanf(strings.Join(fields, " "), "r=%s s=%s i=%d", &nonce, &salt, &iterations)
		bytes, errSalt := base64.StdEncoding.DecodeString(salt)
		if err != nil || errSalt != nil || !strings.HasPrefix(nonce, l.nonce) || iterations < sasl.MinIterations {
			c.world.fail("protocol", "client %d: the broker's first message of SCRAM is %q", c.spec.ID, first)
		}
		secret := salted(h, l.as.password, bytes, iterations)
		final := "c=biws,r=" + nonce
		said := []byte(bare + "," + string(first) + "," + final)
		clientKey := scramMAC(h, secret, []byte("Client Key"))
		proof := scramMAC(h, scramHash(h, clientKey), said)
		for i := range proof {
			proof[i] ^= clientKey[i]
		}
		shows := "v=" + base64.StdEncoding.EncodeToString(scramMAC(h, scramMAC(h, secret, []byte("Server Key")), said))
		c.sendToken(cn, final+",p="+base64.StdEncoding.EncodeToString(proof), func(last []byte) {
			if !hmac.Equal(last, []byte(shows)) {
				c.world.fail("protocol", "client %d: the broker's final message of SCRAM is %q, and %q shows that it knows the password", c.spec.ID, last, shows)
			}
			c.loggedIn(cn)
		})
		c.press(cn)
	})
}

// press lets a visitor ask for more when it has sent its last token.
func (c *client) press(cn *conn) {
	if c.visitor != nil {
		c.visitor.presses(cn)
	}
}

// attempt is the exchange that has just ended.
func (c *client) attempt(cn *conn, refused bool) *checker.Login {
	l := cn.login
	span := l.began.RightsSpan
	span.To = cn.last.To
	return &checker.Login{
		RightsSpan: span, What: fmt.Sprintf("client %d, as %s with %q by %s at broker %d,", c.spec.ID, l.as.user, l.as.password, l.as.mechanism, cn.broker.number),
		Credential: checker.Credential{User: l.as.user, Mechanism: l.as.mechanism}, Password: l.as.password, Refused: refused,
	}
}

// loggedIn is called when the broker has taken who the client says it is.
func (c *client) loggedIn(cn *conn) {
	w, l := c.world, cn.login
	w.checkLogin(c.attempt(cn, false), cn, false)
	if l.user != "" && l.user != l.as.user {
		w.fail("logged-in-wrongly", "client %d was %s on its connection to broker %d, and becomes %s by logging in again", c.spec.ID, l.user, cn.broker.number, l.as.user)
	}
	least, most := cn.sessionOf(w)
	if (cn.lifetime < least || cn.lifetime > most) && kmsgVersionHasLifetime(c) {
		w.fail("protocol", "client %d is told that its session lasts %v, and not %v to %v", c.spec.ID, cn.lifetime, least, most)
	}
	l.user, l.said = l.as.user, ""
	if most > 0 {
		l.ends = cn.last.ended + at(most)
		l.renewAt = 0                  // of a short session it connects anew
		if least >= 2500*millisecond { // half of it, by a slow clock, is a second, before which nobody may log in again
			l.renewAt = w.now + at(least)/2 + node.Time(c.draw().Below(int64(least/4)))
		}
	}
	cn.ready = true
	if w.tracing() {
		w.tracef("client %d  is %s on conn %d", c.spec.ID, l.user, cn.id)
	}
	if then := cn.then; then != nil {
		cn.then = nil
		then()
	}
	c.again = true
}

// checkLogin judges an attempt.
func (w *world) checkLogin(l *checker.Login, cn *conn, refused bool) {
	if cn.login.as.mechanism == sasl.Bearer {
		w.checkToken(l, cn, refused)
		return
	}
	w.violated(w.secure.rights.CheckLogin(l))
}

// kmsgVersionHasLifetime says that a client is told how long its session lasts.
func kmsgVersionHasLifetime(c *client) bool { return c.spec.ID/3%3 != 2 }

// loginRefused is called when the broker has not. It ends the connection.
func (c *client) loginRefused(cn *conn) {
	w, l := c.world, cn.login
	if l.user == "" || l.user == l.as.user {
		w.checkLogin(c.attempt(cn, true), cn, true)
	}
	l.user = ""
	if c.visitor != nil {
		c.visitor.refused = true
	}
	if w.tracing() {
		w.tracef("client %d  is not let in as %s on conn %d", c.spec.ID, l.as.user, cn.id)
	}
}

// usable says that requests can be sent over a connection now. It logs in again if it's time for that.
func (cn *conn) usable() bool {
	if !cn.ready {
		return false
	}
	c := cn.client
	if l := cn.login; l != nil && l.renewAt != 0 && c.world.now >= l.renewAt && (c.visitor == nil || c.visitor.renews(cn)) {
		l.renewAt = 0
		c.logIn(cn, c.renewal(cn))
		return false
	}
	return true
}

// renewal is by what a client logs in again: as before, with the newest password.
func (c *client) renewal(cn *conn) identity {
	id := cn.login.as
	id.password = c.world.secure.passwords[id.user]
	if c.visitor != nil {
		c.visitor.disguise(&id)
		c.visitor.change(&id)
		c.visitor.showToken(&id)
	}
	return id
}

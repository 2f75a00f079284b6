// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/sasl"
	"chronik/node/step"
)

// A client logs in by a SaslHandshake, which names a mechanism, and one or two tokens: in SaslAuthenticate requests, or as bare
// frames after version 0 of the handshake. Before that it is served ApiVersions and nothing else. A login that fails is answered
// late, and ends the connection; whether the user exists is never told, nor shown by the time that it takes.
//
// Where sessions end (KIP-368), a client logs in again on the same connection, as the same user, before its time is up.

const (
	// failedLoginDelay is how late the answer to a failed login is. Whoever guesses passwords waits for it.
	failedLoginDelay = 500 * time.Millisecond
	// maxLoginFrame bounds the requests of a client that hasn't logged in.
	maxLoginFrame = 16 << 10
	// loginsAtOnce bounds the passwords that are checked at the same time, each some milliseconds of CPU time.
	loginsAtOnce = 2
	// loginAgainAfter is the shortest time between two logins of a connection.
	loginAgainAfter = time.Second
)

// anonymous is who a client is that has said nothing (Kafka's KafkaPrincipal.ANONYMOUS).
const anonymous = "User:ANONYMOUS"

// login is where a connection stands that must log in.
type login struct {
	stage     loginStage
	mechanism string
	headers   bool          // tokens come in SaslAuthenticate requests
	scram     *sasl.Scram   // the exchange, if the mechanism is one of SCRAM
	checking  bool          // a password is being checked
	again     string        // the principal of the session, while the client logs in again
	other     string        // the mechanism of the session, if the client names another one for that, which will be refused
	refusal   string        // that was answered to the token of OAUTHBEARER, if it isn't right
	lifetime  time.Duration // of the session; 0: it doesn't end
	ends      Time          // of the session
	begun     Time          // when the client last began to log in again
}

type loginStage uint8

const (
	loginWanted loginStage = iota // a handshake is
	loginTokens                   // tokens are
	loginDone
	loginFailed // the connection is about to end
)

// identify notes who the client of a new connection is, by what its transport proved, or that it must log in. With loggedIn it has.
func (c *conn) identify(proved string, loggedIn bool) {
	switch {
	case !loggedIn && len(c.listener.Mechanisms) > 0:
		c.login = &login{}
	case proved != "":
		c.principal = proved
	default:
		c.principal = anonymous
	}
}

// mayAsk reports whether a client may ask for an API now, with a frame of that size.
func (c *conn) mayAsk(key int16, size int, now Time) bool {
	l := c.login
	switch {
	case l == nil:
		return true
	case l.stage == loginFailed || l.stage != loginDone && size > maxLoginFrame:
		return false
	case key == kmsg.SASLHandshake.Int16():
		return true
	case l.stage == loginDone:
		return now < l.ends
	case key == kmsg.SASLAuthenticate.Int16():
		return l.stage == loginTokens
	}
	return key == kmsg.ApiVersions.Int16() && l.stage == loginWanted
}

// errNotLoggedIn says why a request closes the connection.
func (c *conn) errNotLoggedIn(h kafka.Header) string {
	if c.login.stage == loginDone {
		return fmt.Sprintf("%v after the end of the session; the client must log in again before", h)
	}
	return fmt.Sprintf("%v before the client has logged in", h)
}

// handleSaslHandshake serves SaslHandshake 0 and 1. After version 0 tokens come without a header.
func (n *Node) handleSaslHandshake(r *request, m kmsg.Request) {
	req, resp := m.(*kmsg.SASLHandshakeRequest), kmsg.NewPtrSASLHandshakeResponse()
	l := r.conn.login
	switch {
	case l == nil, l.stage == loginDone && !l.mayAgain(n.now):
		resp.ErrorCode = kerr.IllegalSaslState.Code
		r.reply(resp)
		return
	case l.stage == loginTokens:
		resp.ErrorCode, r.hangup = kerr.IllegalSaslState.Code, true
		r.reply(resp)
		return
	}
	resp.SupportedMechanisms = r.conn.listener.Mechanisms
	if !slices.Contains(resp.SupportedMechanisms, req.Mechanism) {
		resp.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		n.failLogin(r, "", "the mechanism isn't served here", func() { r.reply(resp) })
		return
	}
	l.begin(n, r.conn, req.Mechanism, req.Version >= 1)
	r.reply(resp)
}

// mayAgain reports whether a client that has logged in may do so again.
func (l *login) mayAgain(now Time) bool {
	return l.ends != step.Never && (l.begun == 0 || now.Sub(l.begun) >= loginAgainAfter)
}

// begin begins an exchange.
func (l *login) begin(n *Node, c *conn, mechanism string, headers bool) {
	if l.stage == loginDone {
		l.begun, l.again = n.now, c.principal
		if l.other = ""; mechanism != l.mechanism {
			l.other = l.mechanism
		}
	}
	l.stage, l.mechanism, l.headers = loginTokens, mechanism, headers
	if h, ok := sasl.HashOf(mechanism); ok {
		nonce := base64.RawStdEncoding.EncodeToString(n.secrets.draw())
		l.scram = sasl.NewScram(h, nonce, func(user string) sasl.Credential { return n.catalog.credentialOf(user, h) })
	}
}

// handleSaslAuthenticate serves SaslAuthenticate 0 to 2.
//
//	v1  how long the session lasts (KIP-368)
func (n *Node) handleSaslAuthenticate(r *request, m kmsg.Request) {
	req, resp := m.(*kmsg.SASLAuthenticateRequest), kmsg.NewPtrSASLAuthenticateResponse()
	if l := r.conn.login; l == nil || l.stage != loginTokens {
		text := "SaslAuthenticate request received after successful authentication"
		resp.ErrorCode, resp.ErrorMessage = kerr.IllegalSaslState.Code, &text
		r.reply(resp)
		return
	}
	n.takeToken(r, req.SASLAuthBytes, func(answer []byte, err error) {
		if resp.ErrorCode, resp.ErrorMessage = kafka.Code(err), loginText(err); err == nil {
			resp.SASLAuthBytes = append([]byte{}, answer...)
			resp.SessionLifetimeMillis = r.conn.login.lasts()
		}
		r.reply(resp)
	})
}

// loginText is what a client is told of a login that failed: the text alone, as in Kafka, whose clients show it to people.
func loginText(err error) *string {
	if e, ok := errors.AsType[*kafka.Error](err); ok {
		return &e.Text
	}
	return nil
}

// takeBareToken serves a token without a header.
func (n *Node) takeBareToken(r *request, token []byte) {
	r.header.Key = kmsg.SASLAuthenticate.Int16()
	if len(token) > maxLoginFrame {
		r.refuse("a token that is too large")
		return
	}
	n.takeToken(r, token, func(answer []byte, err error) {
		if err == nil {
			r.frame = kafka.Frame{append([]byte{}, answer...)}
		}
		r.finish()
	})
}

// takeToken takes the next token of an exchange. respond is called once, perhaps later.
func (n *Node) takeToken(r *request, token []byte, respond func(answer []byte, err error)) {
	l := r.conn.login
	switch {
	case l.checking:
		r.refuse("a token before the answer to the one before it")
	case l.other != "":
		err := kafka.Errorf(kerr.SaslAuthenticationFailed, "SASL mechanism '%s' requested by client is not supported for re-authentication of mechanism '%s'", l.mechanism, l.other)
		n.failLogin(r, "", err.Error(), func() { respond(nil, err) })
	case l.mechanism == sasl.Bearer:
		n.checkBearer(r, token, respond)
	case l.mechanism == sasl.Plain:
		n.checkPlain(r, token, respond)
	default:
		answer, err := l.scram.Next(token)
		if err != nil {
			n.failLogin(r, l.scram.Claims(), err.Error(), func() { respond(nil, l.errScram()) })
		} else if user := l.scram.User(); user != "" {
			n.loggedIn(r, user, 0, answer, respond)
		} else {
			respond(answer, nil)
		}
	}
}

// errScram is all that a client is told, in Kafka's words.
func (l *login) errScram() error {
	what := "authentication"
	if l.again != "" {
		what = "re-authentication"
	}
	return kafka.Errorf(kerr.SaslAuthenticationFailed, "Authentication failed during %s due to invalid credentials with SASL mechanism %s", what, l.mechanism)
}

// checkPlain has the password of PLAIN checked by a task: that is costly on purpose, and anybody may ask for it.
func (n *Node) checkPlain(r *request, token []byte, respond func([]byte, error)) {
	l := r.conn.login
	user, password, err := sasl.ParsePlain(token)
	if err != nil {
		n.failLogin(r, "", err.Error(), func() {
			respond(nil, kafka.Errorf(kerr.SaslAuthenticationFailed, "%v", err))
		})
		return
	}
	l.checking = true
	turns := &n.tasks.logins
	turns.take(r.conn, func() {
		if r.gone {
			turns.give()
			return
		}
		n.start(Task{Kind: TaskPassword, credential: n.catalog.passwordOf(user), password: password}, func(res TaskResult) {
			turns.give()
			l.checking = false
			switch {
			case r.over():
			case res.matches:
				n.loggedIn(r, user, 0, nil, respond)
			default:
				n.failLogin(r, user, "invalid credentials", func() {
					respond(nil, kafka.Errorf(kerr.SaslAuthenticationFailed, "Authentication failed: Invalid username or password"))
				})
			}
		})
	})
}

// loggedIn ends an exchange in which a client has shown who it is, for as long as what it has shown lasts; 0: for ever.
func (n *Node) loggedIn(r *request, user string, lasts time.Duration, answer []byte, respond func([]byte, error)) {
	c, l := r.conn, r.conn.login
	principal := "User:" + user
	if l.again != "" && principal != l.again {
		err := kafka.Errorf(kerr.SaslAuthenticationFailed, "Cannot change principals during re-authentication from %s: %s", dotted(l.again), dotted(principal))
		n.failLogin(r, user, err.Error(), func() { respond(nil, err) })
		return
	}
	c.principal = principal
	l.stage, l.scram, l.again, l.ends, l.lifetime = loginDone, nil, "", step.Never, n.cfg.SessionLifetime
	if lasts > 0 && (l.lifetime == 0 || lasts < l.lifetime) {
		l.lifetime = lasts
	}
	if l.lifetime > 0 {
		l.ends = n.now.Add(l.lifetime)
	}
	r.login = true
	n.event(Event{Kind: EventLoggedIn, N: int64(c.id), Text: fmt.Sprintf("%.80q from %s", principal, c.host)})
	respond(answer, nil)
}

// dotted is a principal as Kafka writes it in that message.
func dotted(principal string) string {
	return fmt.Sprintf("%.80s", strings.Replace(principal, ":", ".", 1))
}

// lasts is how long a session lasts that has just begun, in ms; 0: for ever, or there is none yet.
func (l *login) lasts() int64 {
	if l.stage != loginDone {
		return 0
	}
	return l.lifetime.Milliseconds()
}

// failLogin answers late, and then ends the connection. Until then nothing more is served on it. A session that there was is
// over.
func (n *Node) failLogin(r *request, user, why string, respond func()) {
	n.tellLogin(r, user, why)
	n.endLogin(r, respond)
}

// endLogin is failLogin where the operator has been told.
func (n *Node) endLogin(r *request, respond func()) {
	c := r.conn
	c.principal = ""
	c.login.stage, c.login.scram = loginFailed, nil
	r.expireAfter(failedLoginDelay, func() {
		r.hangup = true
		respond()
	})
}

// tellLogin tells the operator of a login that failed.
func (n *Node) tellLogin(r *request, user, why string) {
	c := r.conn
	audit := r.auditOf(c.login.mechanism, kerr.SaslAuthenticationFailed.Code)
	if audit.Principal = ""; user != "" {
		audit.Principal = fmt.Sprintf("User:%.80s", user)
		why = fmt.Sprintf("user %.80q: %s", user, why)
	}
	n.event(Event{Kind: EventLoginFailed, N: int64(c.id), Audit: audit, Text: fmt.Sprintf("from %s, %s: %s", c.host, c.login.mechanism, why)})
}

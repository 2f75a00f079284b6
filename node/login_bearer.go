// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
	"chronik/node/sasl"
)

// A client of OAUTHBEARER shows a token that an issuer has signed. Whether it is right is the world's to say, which has the issuer's
// keys and the time of day: a task asks it. A token that isn't right is answered with why in JSON; the client says that it has read
// that, and only then the login has failed (RFC 7628). Kafka does the same.

// TokenChecker is of the world. Check is called by tasks, beside the loop, several at once.
type TokenChecker interface {
	Check(token string) (TokenClaims, error)
}

// TokenClaims are what is right of a token.
type TokenClaims struct {
	User  string
	Lasts time.Duration // from when it was checked
}

// ErrTokenScope is the error of a token that is right but doesn't let its owner in here.
var ErrTokenScope = errors.New("the token lacks a scope")

// checkBearer takes the token of OAUTHBEARER, or what follows one that wasn't right.
func (n *Node) checkBearer(r *request, message []byte, respond func([]byte, error)) {
	l := r.conn.login
	if l.refusal != "" {
		err := kafka.Errorf(kerr.SaslAuthenticationFailed, "%s", l.refusal)
		n.endLogin(r, func() { respond(nil, err) })
		return
	}
	authzid, token, err := sasl.ParseBearer(message)
	if err != nil {
		n.failLogin(r, authzid, err.Error(), func() { respond(nil, l.errScram()) })
		return
	}
	l.checking = true
	turns := &n.tasks.logins
	turns.take(r.conn, func() {
		if r.gone {
			turns.give()
			return
		}
		n.start(Task{Kind: TaskToken, tokens: n.cfg.Tokens, password: token}, func(res TaskResult) {
			turns.give()
			if !r.over() {
				n.checkedBearer(r, authzid, res, respond)
			}
		})
	})
}

func (n *Node) checkedBearer(r *request, authzid string, res TaskResult, respond func([]byte, error)) {
	l, user := r.conn.login, res.claims.User
	if err := res.Err; err == nil && checkUserName(user) != nil {
		res.Err = checkUserName(user)
	}
	switch {
	case res.Err != nil:
		n.refuseBearer(r, res.Err, respond)
	case authzid != "" && authzid != user:
		l.checking = false
		err := kafka.Errorf(kerr.SaslAuthenticationFailed, "Authentication failed: Client requested an authorization id (%.80s) that is different from the token's principal name (%.80s)", authzid, user)
		n.failLogin(r, user, "the client would like to act for somebody else", func() { respond(nil, err) })
	default:
		l.checking = false
		n.loggedIn(r, user, max(res.claims.Lasts, time.Millisecond), nil, respond)
	}
}

// refuseBearer tells a client why, late. The login has failed, whatever the client says to that.
func (n *Node) refuseBearer(r *request, why error, respond func([]byte, error)) {
	c, l := r.conn, r.conn.login
	status := "invalid_token"
	if errors.Is(why, ErrTokenScope) {
		status = "insufficient_scope"
	}
	l.refusal = fmt.Sprintf(`{"status":"%s"}`, status)
	n.tellLogin(r, "", why.Error())
	c.principal = ""
	r.expireAfter(failedLoginDelay, func() {
		l.checking = false
		respond([]byte(l.refusal), nil)
	})
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"chronik/checker"
	"chronik/node"
	"chronik/node/sasl"
	"chronik/sim/plan"
)

// Some visitors log in by OAUTHBEARER. The issuer is the world: it signs a name and an end with a key that brokers have as if from a
// file. How real tokens are read is a matter of the host; what a session by token may do, and when it ends, is the broker's.

// tokens are what brokers ask about them.
type tokens struct{ world *world }

var errToken = errors.New("the token isn't right")

const tokenKey = "of the issuer"

// issue makes a token of a user that is right until a time.
func issue(user string, till node.Time) string {
	text := fmt.Sprintf("%s.%d", user, till)
	return fmt.Sprintf("%s.%x", text, scramMAC(sasl.SHA256, []byte(tokenKey), []byte(text)))
}

// readToken says whose a token is, and until when.
func readToken(token string) (user string, till node.Time, right bool) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return "", 0, false
	}
	user, end, _ := strings.Cut(token[:i], ".")
	t, err := strconv.ParseInt(end, 10, 64)
	return user, node.Time(t), err == nil && hmac.Equal([]byte(issue(user, node.Time(t))), []byte(token))
}

// Check implements node.TokenChecker.
func (t tokens) Check(token string) (node.TokenClaims, error) {
	user, till, right := readToken(token)
	if !right || till <= t.world.now {
		return node.TokenClaims{}, errToken
	}
	return node.TokenClaims{User: user, Lasts: time.Duration(till - t.world.now)}, nil
}

// showToken makes a visitor log in by a token instead of a password: a right one, or a wrong or former one where it would show such a
// password.
func (v *visitor) showToken(id *identity) {
	w := v.client.world
	if v.spec.Token == 0 {
		return
	}
	right := w.secure.passwords[id.user]
	id.mechanism, id.till = sasl.Bearer, w.now+at(v.spec.Token)
	switch id.password {
	case right:
	case "wrong":
		id.password = "not.1.signed"
		return
	default:
		id.till = w.now - 1
	}
	id.password = issue(id.user, id.till)
}

// logInByToken is RFC 7628 on the client's side.
func (c *client) logInByToken(cn *conn) {
	c.sendToken(cn, "n,,\x01auth=Bearer "+cn.login.as.password+"\x01\x01", func(answer []byte) {
		if len(answer) == 0 {
			c.loggedIn(cn)
			return
		}
		c.sendToken(cn, sasl.BearerAck, func([]byte) {
			c.world.fail("logged-in-wrongly", "client %d: broker %d refuses its token, and then lets it in", c.spec.ID, cn.broker.number)
		})
	})
}

// checkToken demands that a right token lets its user in, and no other does. One that ends meanwhile may or may not.
func (w *world) checkToken(l *checker.Login, cn *conn, refused bool) {
	_, till, right := readToken(l.Password)
	switch {
	case !refused && (!right || till <= cn.login.began.began):
		w.fail("logged-in-wrongly", "%s logs in, and that is no token that was right when it began", l.What)
	case refused && right && till > w.now && !(cn.login.user != "" && cn.login.user != l.User):
		w.fail("refused-wrongly", "%s can't log in, and the token is right until %v", l.What, plan.Duration(till))
	}
}

// sessionOf is how long the session lasts that has just begun, as its client must be told, at least and at most; 0: for ever.
func (cn *conn) sessionOf(w *world) (least, most plan.Duration) {
	lasts, l := w.secure.spec.Lifetime, cn.login
	if l.as.till == 0 {
		return lasts, lasts
	}
	least, most = plan.Duration(l.as.till-w.now)-millisecond, plan.Duration(l.as.till-l.began.began)
	if lasts > 0 {
		least, most = min(least, lasts), min(most, lasts)
	}
	return max(0, least), most
}

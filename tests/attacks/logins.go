// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

func saslHandshake(mechanism string) kmsg.Request {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = 1, mechanism
	return req
}

func saslToken(token string) kmsg.Request {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = 1, []byte(token)
	return req
}

// largeBeforeLogin announces and sends frames that nobody has to read who hasn't logged in.
func largeBeforeLogin(ctx context.Context, t *target) error {
	first := withLength(saslHandshake("SCRAM-SHA-512"))
	token := withLength(saslToken(string(make([]byte, 17<<10))))
	err := each(ctx, 50, func(ctx context.Context) {
		for _, said := range [][]byte{
			append(length(100<<20), produceHeader()...), append(first, length(60<<20)...), append(first, token...), withLength(theft()), append(first, withLength(theft())...),
			append(length(15<<10), make([]byte, 14<<10)...),
		} {
			withConn(t, t.Guarded.Login, func(_ context.Context, c net.Conn) {
				c.Write(said)
				c.Write(make([]byte, 64<<10))
				c.SetReadDeadline(time.Now().Add(time.Second))
				waitForEnd(c)
			})(ctx)
		}
	})
	if err != nil {
		return err
	}
	return nothingStolen(t)
}

// slowLogins send the exchange of a login a byte a second.
func slowLogins(ctx context.Context, t *target) error {
	said := append(withLength(saslHandshake("SCRAM-SHA-512")), withLength(saslToken("n,,n=alice,r=abcdef"))...)
	return each(ctx, 1500, withConn(t, t.Guarded.Login, func(ctx context.Context, c net.Conn) {
		for i := range said {
			if _, err := c.Write(said[i : i+1]); err != nil || rig.Pause(ctx, time.Second) != nil {
				return
			}
		}
		waitForEnd(c)
	}))
}

// guesser tries to log in, and counts who got in.
type guesser struct{ in, refused atomic.Int64 }

// guess goes through a login with a wrong password, and asks for a topic whatever comes of it.
func (g *guesser) guess(c net.Conn, mechanism string, tokens ...string) {
	if _, err := ask(c, saslHandshake(mechanism)); err != nil {
		return
	}
	for _, token := range tokens {
		resp, err := ask(c, saslToken(token))
		if err != nil {
			return
		}
		if resp.(*kmsg.SASLAuthenticateResponse).ErrorCode != 0 {
			g.refused.Add(1)
			break
		}
	}
	if _, err := ask(c, theft()); err == nil {
		g.in.Add(1)
	}
}

func (g *guesser) check(t *target, err error) error {
	switch {
	case err != nil:
		return err
	case g.in.Load() > 0:
		return errLetIn
	case g.refused.Load() == 0:
		return errors.New("no password was refused, so this shows nothing")
	}
	return nothingStolen(t)
}

// wrongPasswords are guessed by 200 at a time, of a user that is there and of others.
func wrongPasswords(ctx context.Context, t *target) error {
	var g guesser
	var n atomic.Int64
	return g.check(t, each(ctx, 200, withConn(t, t.Guarded.Login, func(_ context.Context, c net.Conn) {
		user := "alice"
		if i := n.Add(1); i%2 == 0 {
			user = fmt.Sprintf("user-%d", i)
		}
		g.guess(c, "SCRAM-SHA-512", "n,,n="+user+",r=abcdef", "c=biws,r=abcdef,p=AAAA")
	})))
}

// wrongPlain is the same where a broker has to work out a hash for each.
func wrongPlain(ctx context.Context, t *target) error {
	config, err := t.Guarded.as("")
	if err != nil {
		return err
	}
	var g guesser
	return g.check(t, each(ctx, 200, withTLS(t, t.Guarded.Plain, config, func(_ context.Context, c *tls.Conn) {
		g.guess(c, "PLAIN", "\x00alice\x00guess")
	})))
}

// peerStrangersWithTLS say a hello at the port between brokers. The one with a certificate gets an answer to it, and no further without the secret.
func peerStrangersWithTLS(ctx context.Context, t *target) error {
	if err := t.knocks(ctx, t.Peer[0], append(peerHello(77, 1), make([]byte, nonceBytes)...)); err != nil {
		return err
	}
	config, err := t.Guarded.as("client")
	if err != nil {
		return err
	}
	in := false
	withTLS(t, t.Peer[0], config, func(_ context.Context, c *tls.Conn) {
		_, refusal, err := greet(c, 2, 1, "not the secret")
		in = err == nil && refusal == ""
	})(context.WithoutCancel(ctx))
	if in {
		return errLetIn
	}
	return nil
}

// metricsStrangersWithTLS ask the port for metrics.
func metricsStrangersWithTLS(ctx context.Context, t *target) error {
	return t.knocks(ctx, t.Metrics[0], []byte("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))
}

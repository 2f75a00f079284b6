// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

// securedAttacks are by strangers at ports with TLS and logins.
var securedAttacks = []attack{
	{name: "TLS: strangers", secured: true, quick: true, prepare: now(strangersWithTLS)},
	{name: "TLS: slow handshakes", secured: true, prepare: now(slowHandshakes)},
	{name: "TLS: a flood of handshakes", secured: true, prepare: now(floodOfHandshakes)},
	{name: "TLS: handshakes again", secured: true, prepare: now(renegotiations)},
	{name: "TLS: 10,000 connections", secured: true, prepare: now(tenThousand)},
	{name: "login: large frames", secured: true, prepare: now(largeBeforeLogin)},
	{name: "login: slow ones", secured: true, prepare: now(slowLogins)},
	{name: "login: wrong passwords", secured: true, quick: true, prepare: now(wrongPasswords)},
	{name: "login: wrong passwords by PLAIN", secured: true, prepare: now(wrongPlain)},
	{name: "peers: strangers with TLS", brokers: 3, secured: true, secret: true, quick: true, prepare: now(peerStrangersWithTLS)},
	{name: "metrics: strangers with TLS", brokers: 3, secured: true, prepare: now(metricsStrangersWithTLS)},
}

// theft is what strangers ask for: a topic that must never be there.
func theft() kmsg.Request {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = "stolen", 1, 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis, req.Topics = 5, 1000, append(req.Topics, t)
	return req
}

// nothingStolen looks whether a topic is there that only a stranger asked for.
func nothingStolen(t *target) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := errNoConn
	withConn(t, t.kafka, func(_ context.Context, c net.Conn) {
		var resp kmsg.Response
		all := kmsg.NewPtrMetadataRequest()
		all.Version = 9
		if resp, err = ask(c, all); err != nil {
			return
		}
		for _, topic := range resp.(*kmsg.MetadataResponse).Topics {
			if *topic.Topic == "stolen" {
				err = errLetIn
			}
		}
	})(ctx)
	return err
}

// withTLS calls f with a connection that has shaken hands, as far as its own end knows.
func withTLS(t *target, addr string, config *tls.Config, f func(ctx context.Context, c *tls.Conn)) func(context.Context) {
	return withConn(t, addr, func(ctx context.Context, raw net.Conn) {
		c := tls.Client(raw, config)
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if c.HandshakeContext(ctx) == nil {
			f(ctx, c)
		}
	})
}

// knocks are strangers at a port with TLS: without it, with garbage, without a certificate, and with wrong ones. told counts answers.
// It begins with who may come in: without an answer to that one the others show nothing.
func (t *target) knocks(ctx context.Context, addr string, said []byte) error {
	good, err := t.Guarded.as("client")
	if err != nil {
		return err
	}
	var told atomic.Int64
	listen := func(_ context.Context, c *tls.Conn) {
		c.Write(said)
		if n, _ := c.Read(make([]byte, 1)); n > 0 {
			told.Add(1)
		}
	}
	if withTLS(t, addr, good, listen)(ctx); told.Load() == 0 {
		return errors.New("who may come in gets no answer, so this shows nothing")
	}
	told.Store(0)
	var bad []*tls.Config
	for _, name := range []string{"", "expired", "stranger"} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c, err := t.Guarded.as(name)
			if err != nil {
				return err
			}
			c.MinVersion, c.MaxVersion = version, version
			bad = append(bad, c)
		}
	}
	err = each(ctx, 10, func(ctx context.Context) {
		for _, c := range bad {
			withTLS(t, addr, c, listen)(ctx)
		}
		for _, text := range [][]byte{said, []byte("GET / HTTP/1.1\r\n\r\n"), append([]byte{0x16, 3, 1, 0x40, 0}, randomBytes(16<<10, 0xff)...), randomBytes(64<<10, 0xff)} {
			withConn(t, addr, func(_ context.Context, c net.Conn) {
				c.Write(text)
				c.SetReadDeadline(time.Now().Add(time.Second))
				waitForEnd(c)
			})(ctx)
		}
	})
	if told.Load() > 0 {
		return errLetIn
	}
	return err
}

// strangersWithTLS ask for a topic at the listener that requires certificates.
func strangersWithTLS(ctx context.Context, t *target) error {
	harmless := kmsg.NewPtrApiVersionsRequest()
	if err := t.knocks(ctx, t.Guarded.TLS, append(withLength(harmless), withLength(theft())...)); err != nil {
		return err
	}
	// The one with a certificate has asked as well, but has no right.
	return nothingStolen(t)
}

// hello is the first message of a handshake.
func hello(config *tls.Config) []byte {
	ours, theirs := net.Pipe()
	go func() {
		_ = tls.Client(ours, config).Handshake() // it ends with the pipe
	}()
	b := make([]byte, 4096)
	n, _ := theirs.Read(b)
	theirs.Close()
	ours.Close()
	return b[:n]
}

// slowHandshakes send a byte a second of the first message.
func slowHandshakes(ctx context.Context, t *target) error {
	config, err := t.Guarded.as("client")
	if err != nil {
		return err
	}
	first := hello(config)
	return each(ctx, 1500, withConn(t, t.Guarded.TLS, func(ctx context.Context, c net.Conn) {
		for i := range first {
			if _, err := c.Write(first[i : i+1]); err != nil || rig.Pause(ctx, time.Second) != nil {
				return
			}
		}
		waitForEnd(c)
	}))
}

// floodOfHandshakes shakes hands as often as it can, and goes; the broker has to sign each time.
func floodOfHandshakes(ctx context.Context, t *target) error {
	config, err := t.Guarded.as("")
	if err != nil {
		return err
	}
	first := hello(config)
	return each(ctx, 50, func(ctx context.Context) {
		withTLS(t, t.Guarded.Plain, config, func(context.Context, *tls.Conn) {})(ctx)
		withConn(t, t.Guarded.TLS, func(_ context.Context, c net.Conn) { // only the broker has work with this one
			c.Write(first)
			c.SetReadDeadline(time.Now().Add(time.Second))
			c.Read(make([]byte, 1))
		})(ctx)
	})
}

// renegotiations have openssl ask for another handshake within a connection. Go's own client can't. To make a process keeps the
// machine from its work for ten milliseconds, whatever that does then, so there is one in two seconds.
func renegotiations(ctx context.Context, t *target) error {
	var refused, again atomic.Int64
	err := each(ctx, 1, func(ctx context.Context) {
		defer rig.Pause(ctx, 2*time.Second)
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "openssl", "s_client", "-connect", t.Guarded.TLS, "-tls1_2",
			"-cert", filepath.Join(t.Guarded.Dir, "client.crt"), "-key", filepath.Join(t.Guarded.Dir, "client.key"))
		in, err := cmd.StdinPipe() // open to the end, or openssl would go before it is refused
		if err != nil {
			return
		}
		defer in.Close()
		in.Write([]byte("R\n"))
		out, _ := cmd.CombinedOutput() // it ends with an error if the broker refuses
		t.done.Add(1)
		switch {
		case !bytes.Contains(out, []byte("RENEGOTIATING")):
		case bytes.Contains(out, []byte("alert")):
			refused.Add(1)
		case errors.Is(ctx.Err(), context.DeadlineExceeded): // it got no refusal in three seconds
			again.Add(1)
		}
	})
	switch {
	case again.Load() > 0:
		return fmt.Errorf("%d connections weren't refused another handshake", again.Load())
	case refused.Load() == 0 && err == nil:
		return errors.New("nobody was refused, so this shows nothing; is openssl here?")
	}
	return err
}

// tenThousand connect, begin to shake hands, and say no more.
func tenThousand(ctx context.Context, t *target) error {
	config, err := t.Guarded.as("client")
	if err != nil {
		return err
	}
	first := hello(config)
	n := 10_000
	if t.Quick {
		n = 1000
	}
	return each(ctx, n, withConn(t, t.Guarded.TLS, func(ctx context.Context, c net.Conn) {
		c.Write(first[:len(first)/2])
		waitForEnd(c)
		_ = rig.Pause(ctx, time.Second)
	}))
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"chronik/tests/rig"
)

// connectionAttacks hurt by how they connect and send, not by what they ask.
var connectionAttacks = []attack{
	{name: "length announced", quick: true, prepare: now(announceLengths)},
	{name: "slow uploads", prepare: now(slowUploads)},
	{name: "bytes that drip", prepare: now(drip)},
	{name: "idle crowd", quick: true, prepare: now(idleCrowd)},
	{name: "connect and leave", prepare: now(connectAndLeave)},
	{name: "HTTP and TLS", prepare: now(strangers)},
	{name: "answers unread", prepare: answersUnread},
}

// each runs f at once as many times as stated, for as long as ctx lasts.
func each(ctx context.Context, n int, f func(ctx context.Context)) error {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				f(ctx)
				_ = rig.Pause(ctx, 10*time.Millisecond)
			}
		})
	}
	wg.Wait()
	return nil
}

// dial connects; nil if that fails, as it may for an attacker. The connection ends with ctx.
func dial(ctx context.Context, addr string) net.Conn {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil
	}
	context.AfterFunc(ctx, func() { c.Close() })
	return c
}

// withConn calls f with a connection, which counts as done, and closes it.
func withConn(t *target, addr string, f func(ctx context.Context, c net.Conn)) func(context.Context) {
	return func(ctx context.Context) {
		if c := dial(ctx, addr); c != nil {
			defer c.Close()
			t.done.Add(1)
			f(ctx, c)
		}
	}
}

var errNoConn = errors.New("no connection")

func length(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// announceLengths sends four bytes and no more.
func announceLengths(ctx context.Context, t *target) error {
	return each(ctx, 20, withConn(t, t.kafka, func(ctx context.Context, c net.Conn) {
		c.Write(length(100 << 20))
		waitForEnd(c)
	}))
}

// waitForEnd returns when the other end hangs up.
func waitForEnd(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// slowUploads sends 9 MiB each from 30 connections, over links of 1 MiB/s.
func slowUploads(ctx context.Context, t *target) error {
	piece := make([]byte, 64<<10)
	return each(ctx, 30, withConn(t, t.kafka, func(ctx context.Context, c net.Conn) {
		c.Write(append(length(9<<20), produceHeader()...))
		for range 9 << 20 / len(piece) {
			if _, err := c.Write(piece); err != nil || rig.Pause(ctx, 64*time.Millisecond) != nil {
				return
			}
		}
	}))
}

// produceHeader is the header of a Produce request; what follows it here is no request.
func produceHeader() []byte { return []byte{0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff} }

// drip sends a byte a second of a large frame.
func drip(ctx context.Context, t *target) error {
	return each(ctx, 100, withConn(t, t.kafka, func(ctx context.Context, c net.Conn) {
		c.Write(append(length(50<<20), make([]byte, 32<<10)...))
		for {
			if _, err := c.Write([]byte{0}); err != nil || rig.Pause(ctx, time.Second) != nil {
				return
			}
		}
	}))
}

// idleCrowd is 1500 connections that say nothing.
func idleCrowd(ctx context.Context, t *target) error {
	return each(ctx, 1500, withConn(t, t.kafka, func(ctx context.Context, c net.Conn) { waitForEnd(c) }))
}

// connectAndLeave connects as often as it can.
func connectAndLeave(ctx context.Context, t *target) error {
	return each(ctx, 20, func(ctx context.Context) {
		for range 10 {
			withConn(t, t.kafka, func(context.Context, net.Conn) {})(ctx)
		}
	})
}

// strangers speak other protocols.
func strangers(ctx context.Context, t *target) error {
	return each(ctx, 20, func(ctx context.Context) {
		for _, hello := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "SSH-2.0-x\r\n", "\x00\x00\x00\x00"} {
			withConn(t, t.kafka, func(_ context.Context, c net.Conn) {
				c.Write([]byte(hello))
				c.SetReadDeadline(time.Now().Add(time.Second))
				waitForEnd(c)
			})(ctx)
		}
	})
}

// answersUnread pipelines fetches from the start of a topic of 64 MB on 200 connections, and reads nothing.
func answersUnread(ctx context.Context, t *target) (func(context.Context) error, error) {
	if err := rig.CreateTopic(ctx, t.Kafka, "old", 1, 1); err != nil {
		return nil, err
	}
	if _, err := rig.Fill(ctx, t.Kafka, "old", 1, 64<<20, 10<<10, 900<<10); err != nil {
		return nil, err
	}
	var requests []byte
	for range 60 {
		requests = append(requests, withLength(fetchRequest("old", 1<<20))...)
	}
	return func(ctx context.Context) error {
		return each(ctx, 200, withConn(t, t.kafka, func(ctx context.Context, c net.Conn) {
			c.(*net.TCPConn).SetReadBuffer(4 << 10)
			c.Write(requests)
			<-ctx.Done()
		}))
	}, nil
}

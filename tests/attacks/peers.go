// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"chronik/tests/rig"
)

// peerAttacks are aimed at the port between brokers: by strangers, and by one who takes part.
var peerAttacks = []attack{
	{name: "peers: strangers", brokers: 3, secret: true, quick: true, prepare: now(peerStrangers)},
	{name: "peers: a hello again", brokers: 3, secret: true, prepare: now(replayedHello)},
	{name: "peers: half a hello, a restart", brokers: 3, secret: true, prepare: now(halfHellos), beside: restartOne},
	{name: "peers: envelopes announced", brokers: 3, prepare: now(announcedEnvelopes)},
	{name: "peers: forged messages", brokers: 3, quick: true, prepare: now(forgedMessages)},
}

// peerHello is what broker from says first when it looks for broker to, without its random number.
func peerHello(from, to int) []byte {
	b := append([]byte("CHRK"), 0, 10)
	b = binary.BigEndian.AppendUint32(b, uint32(from))
	b = binary.BigEndian.AppendUint32(b, uint32(to))
	b = append(append(b, 3), "rig"...)
	b = binary.BigEndian.AppendUint32(b, 7) // its incarnation
	return append(append(b, 5), "other"...)
}

const (
	nonceBytes = 16
	proofBytes = sha256.Size
)

// greet goes through the hello as a broker that knows a secret, and returns the refusal, if there is one. sent is all
// that was said.
func greet(c net.Conn, from, to int, secret string) (sent []byte, refusal string, err error) {
	c.SetDeadline(time.Now().Add(3 * time.Second))
	defer c.SetDeadline(time.Time{})
	hello := append(peerHello(from, to), make([]byte, nonceBytes)...)
	if _, err := c.Write(hello); err != nil {
		return nil, "", err
	}
	challenge := make([]byte, nonceBytes+proofBytes)
	if _, err := io.ReadFull(c, challenge); err != nil {
		return nil, "", err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("dialer"))
	mac.Write(hello)
	mac.Write(challenge[:nonceBytes])
	proof := mac.Sum(nil)
	if _, err := c.Write(proof); err != nil {
		return nil, "", err
	}
	refusal, err = readWelcome(c)
	return append(hello, proof...), refusal, err
}

// guests counts those who were let in. With none an attack shows nothing: its hello may be of an older version.
type guests struct{ atomic.Int64 }

func (g *guests) greet(c net.Conn, from, to int) bool {
	_, refusal, err := greet(c, from, to, "")
	if err != nil || refusal != "" {
		return false
	}
	g.Add(1)
	return true
}

func (g *guests) check(err error) error {
	if err == nil && g.Load() == 0 {
		return errors.New("nobody was let in, so this shows nothing; see the version in peerHello")
	}
	return err
}

func readWelcome(c net.Conn) (refusal string, err error) {
	head := make([]byte, 6+4+1)
	if _, err := io.ReadFull(c, head); err != nil {
		return "", err
	}
	rest := make([]byte, int(head[10])+1+2) // the folder, whether a refusal is final, and the length of its text
	if _, err := io.ReadFull(c, rest); err != nil {
		return "", err
	}
	text := make([]byte, binary.BigEndian.Uint16(rest[len(rest)-2:]))
	_, err = io.ReadFull(c, text)
	return string(text), err
}

var errLetIn = errors.New("a stranger was let in")

// acceptedHello is a hello with the right secret, which a broker has taken. Without that, refusals show nothing.
func acceptedHello(ctx context.Context, t *target) (sent []byte, err error) {
	err = errors.New("there is no connection")
	refusal := ""
	withConn(t, t.Peer[0], func(_ context.Context, c net.Conn) { sent, refusal, err = greet(c, 77, 1, t.Secret) })(ctx)
	if err != nil || refusal != "" {
		return nil, fmt.Errorf("the right secret wasn't taken, so this shows nothing; see the version in peerHello: %v %s", err, refusal)
	}
	return sent, nil
}

// peerStrangers speak other protocols, garbage, and the right one without the secret.
func peerStrangers(ctx context.Context, t *target) error {
	if _, err := acceptedHello(ctx, t); err != nil {
		return err
	}
	in := make(chan struct{}, 1)
	err := each(ctx, 20, func(ctx context.Context) {
		for _, said := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "\x00\x00\x00\x04abcd", string(randomBytes(100<<10, 0xff)), string(peerHello(2, 1)) + strings.Repeat("\xff", 1<<20)} {
			withConn(t, t.Peer[0], func(_ context.Context, c net.Conn) {
				c.Write([]byte(said))
				c.SetReadDeadline(time.Now().Add(time.Second))
				waitForEnd(c)
			})(ctx)
		}
		withConn(t, t.Peer[0], func(_ context.Context, c net.Conn) {
			if _, refusal, err := greet(c, 2, 1, "not the secret"); err == nil && refusal == "" {
				in <- struct{}{}
			}
		})(ctx)
	})
	select {
	case <-in:
		return errLetIn
	default:
		return err
	}
}

// replayedHello says what a broker that knows the secret has said before.
func replayedHello(ctx context.Context, t *target) error {
	sent, err := acceptedHello(ctx, t)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		refused := true
		withConn(t, t.Peer[0], func(_ context.Context, c net.Conn) {
			c.SetDeadline(time.Now().Add(time.Second))
			c.Write(sent)
			challenge := make([]byte, nonceBytes+proofBytes)
			if _, err := io.ReadFull(c, challenge); err == nil {
				text, err := readWelcome(c)
				refused = err != nil || text != ""
			}
		})(ctx)
		if !refused {
			return errLetIn
		}
		_ = rig.Pause(ctx, 10*time.Millisecond)
	}
	return nil
}

// halfHellos stop in the middle, or send a byte a second.
func halfHellos(ctx context.Context, t *target) error {
	hello := append(peerHello(2, 1), make([]byte, nonceBytes)...)
	return each(ctx, 500, withConn(t, t.Peer[0], func(ctx context.Context, c net.Conn) {
		for i := range hello {
			if _, err := c.Write(hello[i : i+1]); err != nil || rig.Pause(ctx, time.Second) != nil {
				return
			}
		}
		waitForEnd(c)
	}))
}

// announcedEnvelopes are 256 MiB that don't come, from brokers whom nobody knows and one whom all know.
func announcedEnvelopes(ctx context.Context, t *target) error {
	var in guests
	return in.check(each(ctx, 20, withConn(t, t.Peer[0], func(ctx context.Context, c net.Conn) {
		if !in.greet(c, 77, 1) {
			return
		}
		c.Write(append(length(256<<20), 0, 0, 0, 0))
		c.Write(make([]byte, 100<<10))
		waitForEnd(c)
	})))
}

func envelope(item []byte) []byte {
	data := append([]byte{1}, item...)
	b := length(uint32(len(data)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, data...)
}

// Types of raft messages.
const (
	raftAppend    = 3
	raftVote      = 5
	raftHeartbeat = 8
)

// raftMessage is one from a broker's first replica to another's: group, from, to, type, term, log term, index, commit,
// hint, reject, context, entries.
func raftMessage(group uint64, from, to int, kind, term, logTerm, index, commit uint64, entries ...[]byte) []byte {
	b := []byte{1}
	for _, n := range []uint64{group, uint64(from)<<32 | 1, uint64(to)<<32 | 1, kind, term, logTerm, index, commit, 0} {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendUvarint(append(b, 0, 0), uint64(len(entries)))
	for i, e := range entries {
		for _, n := range []uint64{term, index + 1 + uint64(i), 0, uint64(len(e))} {
			b = binary.AppendUvarint(b, n)
		}
		b = append(b, e...)
	}
	return b
}

func command(text string) []byte {
	return append(binary.AppendUvarint([]byte{2}, uint64(len(text))), text...)
}

func strangersAsMembers() []byte {
	var list []string
	for i := range 2000 {
		list = append(list, fmt.Sprintf(`{"ID":%d,"Host":"10.9.9.9","Port":9092,"Rack":"","Peer":"127.0.0.1:1","Folder":""}`, 50+i))
	}
	text := "[" + strings.Join(list, ",") + "]"
	return append(binary.AppendUvarint([]byte{8}, uint64(len(text))), text...)
}

// forgedMessages come from one who takes part: there is no secret, so anybody on this machine may.
func forgedMessages(ctx context.Context, t *target) error {
	forged := [][]byte{
		command("not json"), command(`{"Nonsense":1}`), command("null"), command(strings.Repeat("[", 100_000)), strangersAsMembers(),
		{1},
		{2},
		{99},
		randomBytes(1000, 0xff), binary.AppendUvarint([]byte{3}, math.MaxUint64),
	}
	for group := range uint64(4) {
		forged = append(
			forged,
			raftMessage(group, 2, 1, raftHeartbeat, 1_000_000, 0, 0, 1_000_000_000),
			raftMessage(group, 2, 1, raftHeartbeat, 0, 0, 0, 1_000_000_000),
			raftMessage(group, 2, 1, raftVote, math.MaxUint64, 1<<62, 1<<62, 0),
			raftMessage(group, 2, 1, raftVote, 1<<63, 1<<62, 1<<62, 0),
			raftMessage(group, 2, 1, raftAppend, math.MaxUint64, 1, 0, 1<<40, []byte("x")),
			raftMessage(group, 2, 1, raftAppend, 0, 0, 0, 3, make([]byte, 61)),
			raftMessage(group, 2, 1, math.MaxUint64, 1, 1, 1, 1),
		)
	}
	var in guests
	return in.check(each(ctx, 2, func(ctx context.Context) {
		for _, item := range forged {
			withConn(t, t.Peer[0], func(_ context.Context, c net.Conn) {
				if !in.greet(c, 2, 1) {
					return
				}
				c.Write(envelope(item))
				_ = rig.Pause(ctx, 20*time.Millisecond)
			})(ctx)
		}
	}))
}

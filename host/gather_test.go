// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever is laid out arrives as it is, and in order: small frames and large ones, in one system call or in
// stints.
func TestGatherWritesWhatWasLaidOut(t *testing.T) {
	pairs := tcpPairs(t)
	rapid.Check(t, func(t *rapid.T) {
		var g gather
		pair := net.Pipe
		if rapid.Bool().Draw(t, "tcp") {
			g.gate, pair = newGate(), pairs
		}
		for range 2 { // it is empty again after a write
			var want []byte
			for i, size := range rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, copyBelow - 1, copyBelow, stint - 1, stint, stint + 1, 3*stint + 7}), 1, 6).Draw(t, "sizes") {
				frame := bytes.Repeat([]byte{byte(i + 1)}, size)
				g.bytes(frame)
				want = append(want, frame...)
			}
			near, far := pair()
			written := make(chan struct{})
			go func() {
				defer close(written)
				_ = g.writeTo(near)
				near.Close()
			}()
			if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes arrived, %v, want %d", len(got), err, len(want))
			}
			<-written // g is the writer's until then
		}
	})
}

// tcpPairs makes pairs of connected sockets.
func tcpPairs(t *testing.T) func() (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return func() (near, far net.Conn) {
		far, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if near, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { far.Close() })
		return near, far
	}
}

// A client that takes nothing doesn't keep the others from being written to.
func TestTheGateWaitsForNoClient(t *testing.T) {
	pair := tcpPairs(t)
	g := make(gate, 1)
	answer := make([]byte, 8<<20)
	stuck, silent := pair()
	defer stuck.Close()
	stuck.(*net.TCPConn).SetWriteBuffer(64 << 10)
	silent.(*net.TCPConn).SetReadBuffer(64 << 10)
	go func() {
		out := gather{gate: g}
		out.bytes(answer)
		_ = out.writeTo(stuck)
	}()
	near, far := pair()
	go func() {
		out := gather{gate: g}
		out.bytes(answer)
		_ = out.writeTo(near)
		near.Close()
	}()
	far.SetReadDeadline(time.Now().Add(20 * time.Second))
	if got, err := io.ReadAll(far); err != nil || len(got) != len(answer) {
		t.Fatalf("%d bytes arrived, %v", len(got), err)
	}
}

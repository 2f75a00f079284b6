// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// securedPair is both ends of a connection with TLS, this one as a broker has it.
func securedPair(t *testing.T) (here *secured, there *tls.Conn) {
	t.Helper()
	ca := newAuthority(t, "ca")
	pair, err := tls.LoadX509KeyPair(ca.pair("server", nil))
	if err != nil {
		t.Fatal(err)
	}
	near, far := tcpPair(t)
	here, there = secure(near, &tls.Config{Certificates: []tls.Certificate{pair}}, tls.Server), tls.Client(far, ca.client(""))
	done := make(chan error)
	go func() { done <- there.Handshake() }()
	if err := here.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return here, there
}

// What waits has no buffers, neither encrypted nor decrypted ones, and what is here is not waited for: a reader takes the whole of
// a record that it asked only a part of.
func TestWaitingWithTLSTakesNoBuffer(t *testing.T) {
	here, there := securedPair(t)
	in := newReader(here)
	for _, size := range []int{1, 100, smallFrame, 40_000} {
		for _, first := range []int{1, size/2 + 1, size} {
			want := bytes.Repeat([]byte{byte(size)}, size)
			go there.Write(want)
			got := make([]byte, size)
			if _, err := io.ReadFull(in, got[:first]); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(in, got[first:]); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, %d first: %v", size, first, err)
			}
			here.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			_, err := in.Peek(1)
			if e, ok := err.(net.Error); !ok || !e.Timeout() || in.buf != nil || here.records.in.buf != nil {
				t.Errorf("%d bytes, %d first: %v; buffers %v %v", size, first, err, in.buf != nil, here.records.in.buf != nil)
			}
			here.SetReadDeadline(time.Time{})
		}
	}
}

// Pieces of all sizes arrive as they were, in few system calls.
func TestPiecesOverTLS(t *testing.T) {
	here, there := securedPair(t)
	counted := &countingConn{Conn: here.records.Conn}
	here.records.Conn = counted
	for _, sizes := range [][]int{{0}, {1}, {copyBelow, 1}, {5000, 5000, 5000}, {heldBytes}, {heldBytes + 1, 3, 5 * heldBytes}} {
		var out gather
		var want []byte
		for i, size := range sizes {
			piece := bytes.Repeat([]byte{byte(i + 1)}, size)
			out.uint32(uint32(size))
			out.bytes(piece)
			want = append(want, frame(piece)...)
		}
		counted.writes = 0
		done := make(chan error)
		go func() { done <- out.writeTo(here) }()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(there, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v: %v", sizes, err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if most := 1 + len(want)/heldBytes; counted.writes > most {
			t.Errorf("%v: %d system calls, want at most %d", sizes, counted.writes, most)
		}
	}
}

type countingConn struct {
	net.Conn
	writes int
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

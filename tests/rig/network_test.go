// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// end is one end of a connection between two brokers, with the lines that arrive at it.
type end struct {
	net.Conn
	in *bufio.Reader
}

func (e end) hears(t *testing.T, want string) {
	t.Helper()
	e.SetReadDeadline(time.Now().Add(5 * time.Second))
	if line, err := e.in.ReadString('\n'); line != want+"\n" {
		t.Errorf("heard %q, %v; want %q", line, err, want)
	}
}

func (e end) hearsNothing(t *testing.T) {
	t.Helper()
	e.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if b, err := e.in.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("heard %q, %v", b, err)
	}
}

// connect makes a connection from broker 1 to broker 2.
func connect(t *testing.T) (n *Network, one, two end) {
	t.Helper()
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { behind.Close() })
	n = newNetwork()
	if err := n.serve(2, "127.0.0.1:0", behind.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	dialer, err := net.Dial("tcp", n.listeners[2].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	hello := "CHRK\x00\x02\x00\x00\x00\x01\x00\x00\x00\x02"
	io.WriteString(dialer, hello+"\n")
	listener, err := behind.Accept()
	if err != nil {
		t.Fatal(err)
	}
	one, two = end{dialer, bufio.NewReader(dialer)}, end{listener, bufio.NewReader(listener)}
	two.hears(t, hello)
	return n, one, two
}

func TestCuts(t *testing.T) {
	n, one, two := connect(t)
	for _, c := range []struct {
		name        string
		cut         func()
		there, back bool // what still arrives
	}{
		{"none", func() {}, true, true},
		{"both ways", func() { n.Cut(2, 1, 3) }, false, false},
		{"one is mute", func() { n.CutTo(1, 2) }, false, true},
		{"one is deaf", func() { n.CutFrom(1, 2) }, true, false},
		{"others", func() { n.Cut(1, 3) }, true, true},
	} {
		t.Log(c.name)
		c.cut()
		io.WriteString(one, "there\n")
		io.WriteString(two, "back\n")
		if !c.there {
			two.hearsNothing(t)
		}
		if !c.back {
			one.hearsNothing(t)
		}
		if c.there {
			two.hears(t, "there")
		}
		if c.back {
			one.hears(t, "back")
		}
		n.Heal()
		if !c.there {
			two.hears(t, "there")
		}
		if !c.back {
			one.hears(t, "back")
		}
	}
}

// While the way is cut nobody hears that the other end is gone.
func TestTheEndPassesOnlyWhenHealed(t *testing.T) {
	n, one, two := connect(t)
	n.Cut(1, 2)
	one.Close()
	two.hearsNothing(t)
	n.Heal()
	two.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := two.in.ReadByte(); err != io.EOF {
		t.Errorf("got %v, want the end", err)
	}
}

func TestReset(t *testing.T) {
	n, one, two := connect(t)
	n.Reset(1, 3)
	two.hearsNothing(t)
	n.Reset(2, 1)
	for _, e := range []end{one, two} {
		e.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := e.in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want the end", err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chronik/node"
)

// linkTo lets a link try an address for a while and returns what it says.
func linkTo(t *testing.T, addr string, d time.Duration) string {
	t.Helper()
	var out bytes.Buffer
	p, err := listenPeers("", "", hello{cluster: "c", from: 1}, newMailbox(), 64<<20, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	p.update([]node.Member{{ID: 2, Peer: addr}})
	time.Sleep(d)
	p.close()
	return out.String()
}

// acceptEach gives each connection to an address to f.
func acceptEach(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(c)
		}
	}()
	return l.Addr().String()
}

// TestLinkSaysWhy holds that the lines about a link that doesn't come about name the state and a likely cause, once.
func TestLinkSaysWhy(t *testing.T) {
	hangUp := acceptEach(t, func(c net.Conn) { c.Close() })
	afterHello := acceptEach(t, func(c net.Conn) {
		if h, err := readHello(c); err == nil {
			_, _, _ = challenge(c, []string{""}, h)
		}
		c.Close()
	})
	for _, row := range []struct{ name, addr, want string }{
		{"nobody listens", freeAddr(t), "connection refused: nothing listens there; start that broker, or mend its peer address"},
		{"closed at once", hangUp, "closed the connection before it proved that it knows the cluster secret: peer addresses in members may name another port"},
		{"closed later", afterHello, "closed the connection before it answered whether this broker may send to it: its broker is stopping"},
	} {
		said := linkTo(t, row.addr, 400*time.Millisecond)
		if n := strings.Count(said, "\n"); n != 1 || !strings.Contains(said, row.want) {
			t.Errorf("%s: %d lines, want one with %q:\n%s", row.name, n, row.want, said)
		}
	}
}

// TestLinkSaysItAgain holds that a cause that changes is told, though the link never came about in between.
func TestLinkSaysItAgain(t *testing.T) {
	var tries atomic.Int32
	addr := acceptEach(t, func(c net.Conn) {
		defer c.Close()
		h, err := readHello(c)
		if err != nil || tries.Add(1) <= 2 {
			return
		}
		if _, _, err := challenge(c, []string{""}, h); err == nil {
			_, _ = c.Write(appendAnswer(nil, 10, replica{}, false, "this broker belongs to another cluster"))
		}
	})
	said := linkTo(t, addr, 800*time.Millisecond)
	if strings.Count(said, "\n") != 2 || !strings.Contains(said, "before it proved") || !strings.Contains(said, "another cluster") {
		t.Errorf("want two lines, the second with the refusal:\n%s", said)
	}
}

// TestStrangerSaysWhy is the listener's side.
func TestStrangerSaysWhy(t *testing.T) {
	var out bytes.Buffer
	p, err := listenPeers("127.0.0.1:0", "", hello{cluster: "c", from: 1}, newMailbox(), 64<<20, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	p.start()
	for range 3 {
		c, err := net.Dial("tcp", p.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("CH"))
		c.Close()
	}
	time.Sleep(100 * time.Millisecond)
	p.close()
	if said := out.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "closed the connection before it said who it is: a scan of ports") {
		t.Errorf("want one line:\n%s", said)
	}
}

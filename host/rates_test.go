// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"testing"
	"time"

	"chronik/node"
)

// dialFrom connects from one of the addresses of this machine.
func dialFrom(t *testing.T, s testServer, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	c, err := d.Dial("tcp", s.ports[0].listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

// An address that makes more connections than its quota is served those that it may have, and the others are closed, late.
// Other addresses have their own.
func TestConnectionRateOfAnAddress(t *testing.T) {
	s := serve(t, Limits{}, echo)
	s.rates.update(&node.ConnectionRates{Default: 1, Of: map[string]float64{"127.0.0.3": 1000}})
	served := func(c net.Conn) bool {
		c.Write(frame([]byte("hello")))
		_, err := c.Read(make([]byte, 9))
		return err == nil
	}
	begun := time.Now()
	for i := range 10 {
		if !served(dialFrom(t, s, "127.0.0.2")) {
			t.Fatalf("connection %d isn't served", i)
		}
	}
	over := dialFrom(t, s, "127.0.0.2")
	for i := range 20 {
		if !served(dialFrom(t, s, "127.0.0.3")) {
			t.Fatalf("connection %d of an address with a quota of its own isn't served", i)
		}
	}
	if served(over) || time.Since(begun) < longestRest-100*time.Millisecond {
		t.Errorf("one too many is served, or closed after %v", time.Since(begun))
	}
	s.rates.update(&node.ConnectionRates{})
	if !served(dialFrom(t, s, "127.0.0.2")) {
		t.Error("without a quota it isn't served")
	}
	waitFor(t, "all are closed that were to be", func() bool {
		s.rates.mu.Lock()
		defer s.rates.mu.Unlock()
		return s.rates.closed == 0
	})
}

// A listener may have fewer connections than the broker, and fewer new ones in a second. That changes nothing for another one.
func TestConnectionsOfAListener(t *testing.T) {
	s := serveOn(t, quiet(), []Listener{
		{Listen: "127.0.0.1:0"},
		{Name: "few", Listen: "127.0.0.1:0", Conns: 3},
		{Name: "slow", Listen: "127.0.0.1:0", ConnRate: 2},
	}, Limits{}, echo)
	served := func(port int) (net.Conn, bool) {
		c := dialPort(t, s, port)
		c.Write(frame([]byte("hello")))
		_, err := c.Read(make([]byte, 9))
		return c, err == nil
	}
	var open []net.Conn
	for i := range 5 {
		c, ok := served(1)
		if ok != (i < 3) {
			t.Errorf("connection %d of 3 of a listener: served %v", i+1, ok)
		}
		open = append(open, c)
	}
	begun := time.Now()
	for range 23 {
		if _, ok := served(0); !ok {
			t.Fatal("another listener isn't served")
		}
	}
	if took := time.Since(begun); took > 700*time.Millisecond {
		t.Errorf("23 connections by another listener took %v", took)
	}
	open[0].Close()
	waitFor(t, "a place is free", func() bool { _, ok := served(1); return ok })
	begun = time.Now()
	for range 23 {
		if _, ok := served(2); !ok {
			t.Fatal("a connection that comes early isn't served")
		}
	}
	if took := time.Since(begun); took < 800*time.Millisecond {
		t.Errorf("23 connections are accepted in %v", took)
	}
}

// Over all addresses connections are accepted at a rate, after a burst of ten seconds' worth.
func TestConnectionRate(t *testing.T) {
	s := serve(t, Limits{ConnRate: 2}, echo)
	begun := time.Now()
	for range 23 {
		c := dial(t, s)
		c.Write(frame([]byte("hello")))
		mustRead(t, c)
	}
	if took := time.Since(begun); took < 800*time.Millisecond {
		t.Errorf("23 connections are accepted in %v", took)
	}
}

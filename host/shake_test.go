// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever waits for a turn gets one after at most one of each other address, and all together compute for no more than their share.
func TestTurnsOfHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		turns.share, turns.free = 0.25, 1
		const each = 2 * time.Millisecond
		var computing, done atomic.Int64
		var all sync.WaitGroup
		shake := func(addr string) {
			for i := range 2 {
				if !turns.take(addr, i > 0, t.Context().Done()) {
					t.Error("no turn")
				}
				if computing.Add(1) > 1 {
					t.Error("two compute at the same time")
				}
				time.Sleep(each / 2)
				computing.Add(-1)
				turns.give(each / 2)
			}
			done.Add(1)
		}
		begun := time.Now()
		for range 500 {
			all.Go(func() { shake("a flood") })
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if n := done.Load(); n < 100 || n > 140 {
			t.Errorf("%d handshakes of %v in a second, with a quarter of a CPU", n, each)
		}
		came := time.Now()
		all.Go(func() {
			shake("another")
			if took := time.Since(came); took > 30*time.Millisecond {
				t.Errorf("who comes from another address waits for %v", took)
			}
		})
		all.Wait()
		if took, least := time.Since(begun), (501*each-shakeCredit)*4-20*time.Millisecond; took < least {
			t.Errorf("all took %v, want %v at least", took, least)
		}
		if len(turns.lines)+len(turns.order)+len(turns.going) > 0 || turns.free != 1 {
			t.Errorf("left: %d lines, %d addresses, %d going, %d free", len(turns.lines), len(turns.order), len(turns.going), turns.free)
		}
	})
}

// Who goes while it waits, or has a turn, leaves nothing behind.
func TestTurnsOfThoseWhoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		turns.share, turns.free = 1, 1
		if !turns.take("a", false, nil) {
			t.Fatal("no turn")
		}
		ctx, leave := context.WithCancel(t.Context())
		var gone sync.WaitGroup
		for i := range 10 {
			gone.Go(func() {
				if turns.take(fmt.Sprint("b", i%3), i%2 == 0, ctx.Done()) {
					t.Error("a turn for who is gone")
				}
			})
		}
		synctest.Wait()
		leave()
		gone.Wait()
		turns.give(time.Millisecond)
		if !turns.take("a", false, t.Context().Done()) || len(turns.lines)+len(turns.going) > 0 {
			t.Error("those who left hold up the others")
		}
	})
}

// Somebody gets in within a second while another address shakes hands as often as it can.
func TestHandshakesInAFlood(t *testing.T) {
	ca := newAuthority(t, "authority")
	s, _ := serveTLS(t, ca.server(NoClientCerts), Limits{}, echo)
	addr := s.ports[0].listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	var done atomic.Int64
	for range 64 {
		flood.Go(func() {
			for ctx.Err() == nil {
				if c, err := tls.Dial("tcp", addr, ca.client("")); err == nil {
					c.Close()
					done.Add(1)
				}
			}
		})
	}
	for range 5 {
		time.Sleep(100 * time.Millisecond)
		from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		begun := time.Now()
		c, err := tls.DialWithDialer(from, "tcp", addr, ca.client(""))
		if err != nil {
			t.Skip("127.0.0.2 is no address of this machine: ", err)
		}
		c.Close()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("shaking hands took %v", took)
		}
	}
	stop()
	flood.Wait()
	if done.Load() == 0 {
		t.Error("the flood was none")
	}
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronik/node"
)

func TestOneAddressLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(800)
		var greedy, polite address
		var held []*claim
		for range 6 {
			c := new(claim)
			if !a.grow(&greedy, c, 100, nil) {
				t.Fatal("no room for one that is within its part")
			}
			held = append(held, c)
		}
		waits, quit := new(claim), make(chan struct{})
		ended := make(chan bool)
		go func() { ended <- a.grow(&greedy, waits, 100, quit) }()
		synctest.Wait()
		var other claim
		if !a.grow(&polite, &other, 100, nil) {
			t.Error("another address has to wait")
		}
		close(quit)
		if <-ended {
			t.Error("one address got more than its part")
		}
		for _, c := range append(held, &other) {
			who := &greedy
			if c == &other {
				who = &polite
			}
			a.release(who, *c)
		}
		if a.used != 0 || greedy.used != 0 || len(a.queue) != 0 {
			t.Errorf("%d bytes and %d waiters are left", a.used, len(a.queue))
		}
	})
}

// All requests are half read and the admission is full: one at a time goes on, so that all end.
func TestHalfReadRequestsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, half, whole = 8, 100, 200
		a := newAdmission(n * half)
		froms := make([]address, n)
		taken, done := make(chan int64, n), make(chan bool)
		for i := range n {
			go func() {
				var c claim
				a.grow(&froms[i], &c, half, nil)
				time.Sleep(time.Second) // until all have begun
				a.grow(&froms[i], &c, whole, nil)
				taken <- a.inUse()
				time.Sleep(time.Second)
				a.release(&froms[i], c)
				done <- true
			}()
		}
		for range n {
			<-done
			if got := <-taken; got > n*half+whole {
				t.Errorf("%d bytes were taken at once, the bound is %d and one request", got, n*half)
			}
		}
		if a.used != 0 || a.overdrawn {
			t.Errorf("at the end %d bytes are taken, overdrawn %v", a.used, a.overdrawn)
		}
	})
}

// Whoever announces lengths and sends nothing costs the others nothing.
func TestAnnouncedLengthsTakeNoMemory(t *testing.T) {
	s := serve(t, Limits{RequestBytes: 1 << 20, FrameBytes: 1 << 20}, echo)
	for range 20 {
		dial(t, s).Write(binary.BigEndian.AppendUint32(nil, 1<<20))
	}
	for _, size := range []int{10, 100_000, 500_000} {
		c := dial(t, s)
		c.Write(frame(make([]byte, size)))
		if got := mustRead(t, c); len(got) != size {
			t.Errorf("got %d bytes back, want %d", len(got), size)
		}
	}
	if n := s.large.inUse(); n != 0 {
		t.Errorf("%d bytes are taken for what was only announced", n)
	}
}

// Requests of every size near the steps by which buffers grow come through unchanged.
func TestFramesOfAllSizes(t *testing.T) {
	s := serve(t, Limits{}, echo)
	c := dial(t, s)
	for _, near := range []int{smallFrame, growEarly * smallFrame, firstPieces, 4 << 20, 8 << 20} {
		for size := near - 1; size <= near+1; size++ {
			body := make([]byte, size)
			body[0], body[size/2], body[size-1] = 1, 2, 3
			go c.Write(frame(body))
			got := mustRead(t, c)
			if len(got) != size || got[0] != 1 || got[size/2] != 2 || got[size-1] != 3 {
				t.Fatalf("a request of %d bytes came through changed", size)
			}
		}
	}
}

// The rate is that of the whole request, so dripping bytes doesn't keep one open.
func TestASlowRequestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []uint32{1000, 10 << 20} {
			s := &clients{small: newAdmission(1 << 20), large: newAdmission(1 << 20), meter: newRequestMeter(), mail: newMailbox()}
			s.limits.setDefaults()
			far, near := net.Pipe()
			c := newConn(s, new(port), near)
			c.from = new(client)
			begun := time.Now()
			go func() {
				far.Write(binary.BigEndian.AppendUint32(nil, size))
				for {
					if _, err := far.Write([]byte{0}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
			err := c.readRequests()
			if took := time.Since(begun); err == nil || !strings.Contains(err.Error(), "too slowly") || took < beginTime || took > beginTime+5*time.Second {
				t.Errorf("size %d: ended after %v with %v", size, took, err)
			}
			far.Close()
			near.Close()
			time.Sleep(2 * time.Second) // lets the writer notice
		}
	})
}

func TestOtherProtocolsAreAnswered(t *testing.T) {
	s := serve(t, Limits{}, echo)
	for hello, want := range map[string]string{
		"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n": "HTTP/1.1 400 Bad Request",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc":     "\x15\x03\x01\x00\x02\x02\x46",
	} {
		c := dial(t, s)
		c.Write([]byte(hello))
		got, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("to %q it answered %q (%v), want %q", hello, got, err, want)
		}
	}
}

// Over all connections, answers that nobody reads are bounded, and who reads loses nothing.
func TestAnswersUnreadAreBounded(t *testing.T) {
	const limit = 8 << 20
	answer := make([]byte, 1<<20)
	const atOnce = 4 // answers of a step, which are bounded in the node, too
	var waiting []node.Request
	s := serve(t, Limits{UnreadBytes: limit}, func(in *node.Input, out *node.Output) {
		waiting = append(waiting, in.Requests...)
		n := min(len(waiting), atOnce)
		for _, r := range waiting[:n] {
			out.Replies = append(out.Replies, node.Reply{Conn: r.Conn, Frame: [][]byte{answer}})
		}
		if waiting = waiting[n:]; len(waiting) > 0 {
			out.Wake = in.Now
		}
	})
	var requests []byte
	for range 60 {
		requests = append(requests, frame([]byte("fetch"))...)
	}
	for range 20 {
		dial(t, s).Write(requests)
	}
	reader := dial(t, s)
	for range 20 {
		reader.Write(frame([]byte("fetch")))
		mustRead(t, reader)
		if n := s.unread.Load(); n > 2*limit+atOnce<<20 {
			t.Fatalf("%d bytes of answers wait, the bound is %d", n, limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestOneAddressHasABoundOfConnections(t *testing.T) {
	s := serve(t, Limits{Conns: 10, AddressConns: 2}, echo)
	for range 2 {
		c := dial(t, s)
		c.Write(frame([]byte("x")))
		mustRead(t, c)
	}
	if _, err := dial(t, s).Read(make([]byte, 1)); err == nil {
		t.Error("a third connection of the same address was served")
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	other, err := d.Dial("tcp", s.ports[0].listener.Addr().String())
	if err != nil {
		t.Skip("no second loopback address: ", err)
	}
	defer other.Close()
	other.Write(frame([]byte("x")))
	mustRead(t, other)
}

// An address whose many connections leave few answers each is hung up on before another that has one with more.
func TestTheAddressWithTheMostAnswersGoesFirst(t *testing.T) {
	s := &clients{limits: Limits{UnreadBytes: 1000}, conns: make(map[node.ConnID]*conn), lines: newClientLines(slog.New(slog.DiscardHandler))}
	defer s.lines.stop()
	add := func(from *client, bytes int64) *conn {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { theirs.Close() })
		c := newConn(s, new(port), ours)
		c.from, c.replyBytes = from, bytes
		s.unread.Add(bytes)
		s.conns[node.ConnID(len(s.conns))] = c
		return c
	}
	greedy, polite := &client{}, &client{}
	one := add(polite, 400)
	for range 50 {
		add(greedy, 50)
	}
	s.dropSlow(time.Now())
	s.wg.Wait()
	if one.shutdown || s.unread.Load() > 2*s.limits.UnreadBytes {
		t.Errorf("the other address was hung up on: %v; %d bytes are left", one.shutdown, s.unread.Load())
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A server that answers in 1 ms but once stalls for 500 ms. In a closed loop a single request
// notices; an open loop must count all that were due in the stall, each from the time it was due.
func TestAnOpenLoopSeesAStallAndAClosedOneDoesNot(t *testing.T) {
	for _, c := range []struct {
		name     string
		rate     int
		min, max int64 // answers that took 100 ms and more
	}{
		{"closed", 0, 1, 1},
		// 100 a second: the 51st is due at 500 ms and answered at 1000; those due until 900 ms
		// wait for 100 ms and more.
		{"open", 100, 40, 46},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				w := window{begin, begin.Add(2 * time.Second)}
				r := newRecorder("answered", w)
				sent, slow := 0, int64(0)
				send := func(caller int, due time.Time, done func()) {
					sent++
					if sent == 51 {
						time.Sleep(500 * time.Millisecond)
					}
					time.Sleep(time.Millisecond)
					if time.Since(due) >= 100*time.Millisecond {
						slow++
					}
					r.event(caller, due, time.Now(), 0)
					done()
				}
				l := newLoad(config{Concurrency: 1, Async: 1, Rate: c.rate}, begin, w, r, send)
				l.start()
				time.Sleep(time.Until(w.to))
				l.stop()
				r.take()
				if slow < c.min || slow > c.max {
					t.Errorf("%d answers took 100 ms and more, want %d to %d", slow, c.min, c.max)
				}
				if most := percentilesOf(r.total).Max; most < 500_000 {
					t.Errorf("the longest latency is %d us, the stall was 500 ms", most)
				}
				if c.rate > 0 && (sent != 200 || l.unsent != 0) {
					t.Errorf("%d sent and %d not, want the 200 that were due", sent, l.unsent)
				}
			})
		})
	}
}

// A server that stops answering: what was due then counts with the time it has waited.
func TestRequestsThatAreDueAndNeverSentCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		w := window{begin.Add(time.Second), begin.Add(3 * time.Second)}
		r := newRecorder("answered", w)
		var held []func()
		send := func(_ int, due time.Time, done func()) { held = append(held, done) }
		l := newLoad(config{Concurrency: 1, Async: 1, Rate: 10}, begin, w, r, send)
		l.start()
		time.Sleep(time.Until(w.to))
		l.stop()
		r.take()
		if l.unsent != 20 || r.total.TotalCount() != 20 {
			t.Errorf("%d unsent, %d latencies; 20 were due in the window", l.unsent, r.total.TotalCount())
		}
		if most := percentilesOf(r.total).Max; most < 2_000_000 {
			t.Errorf("the longest latency is %d us; the first request had waited for 2 s", most)
		}
		if len(held) != 1 {
			t.Errorf("%d were sent beyond the room for one", len(held))
		}
	})
}

func TestCallersShareTheRateAndKeepToTheirRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		w := window{begin, begin.Add(time.Second)}
		r := newRecorder("answered", w)
		var sent, underWay, most atomic.Int64
		send := func(_ int, due time.Time, done func()) {
			sent.Add(1)
			for n, m := underWay.Add(1), most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.AfterFunc(100*time.Millisecond, func() { underWay.Add(-1); done() })
		}
		l := newLoad(config{Concurrency: 3, Async: 2, Rate: 30}, begin, w, r, send)
		l.start()
		time.Sleep(time.Until(w.to))
		l.stop()
		if sent.Load() != 30 {
			t.Errorf("%d sent in a second, want 30", sent.Load())
		}
		time.Sleep(time.Second) // the last answers
		sent.Store(0)
		closed := newLoad(config{Concurrency: 3, Async: 2}, begin, window{begin, begin.Add(time.Hour)}, r, send)
		closed.start()
		time.Sleep(time.Second)
		closed.stop()
		if most.Load() != 6 {
			t.Errorf("%d requests were under way, want 3 callers with 2 each", most.Load())
		}
		if n := sent.Load(); n < 54 || n > 66 {
			t.Errorf("%d sent in a second, want 6 per 100 ms", n)
		}
		time.Sleep(time.Second) // the last answers
	})
}

// Only a caller that slept can have woken late; one that had no room was kept by the server.
func TestOwnDelayIsNotTheServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		w := window{begin, begin.Add(time.Second)}
		send := func(_ int, _ time.Time, done func()) {
			time.Sleep(150 * time.Millisecond) // longer than the 100 ms between requests
			done()
		}
		l := newLoad(config{Concurrency: 1, Async: 1, Rate: 10}, begin, w, newRecorder("answered", w), send)
		l.wakes = newRecorder("own delay", w)
		l.start()
		time.Sleep(time.Until(w.to))
		l.stop()
		l.wakes.take()
		if got := percentilesOf(l.wakes.total); got.Max > 1000 {
			t.Errorf("the clock of this test wakes sleepers on time, the own delay is %+v", got)
		}
	})
}

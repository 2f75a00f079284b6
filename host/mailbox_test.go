// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"chronik/node"
	"chronik/wal"
)

func TestMailboxSleepsUntilTheDeadlineOrAPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := newMailbox(), newClock()
		start := time.Now()
		in := m.take(c, c.now().Add(70*time.Millisecond))
		if got := time.Since(start); got != 70*time.Millisecond {
			t.Errorf("woke after %v, want 70ms", got)
		}
		if len(in.Requests)+len(in.Messages)+len(in.Results)+len(in.Hangups) > 0 || in.Stop {
			t.Errorf("an input out of nothing: %+v", in)
		}

		start = time.Now()
		time.AfterFunc(30*time.Millisecond, func() { m.message(node.Message{From: 2, Data: []byte("x")}) })
		in = m.take(c, node.Never)
		if got := time.Since(start); got != 30*time.Millisecond || len(in.Messages) != 1 {
			t.Errorf("woke after %v with %d messages, want 30ms and 1", got, len(in.Messages))
		}

		m.stop()
		if in = m.take(c, node.Never); !in.Stop {
			t.Error("stop was not told")
		}
		start = time.Now()
		if in = m.take(c, c.now().Add(time.Second)); !in.Stop || time.Since(start) != time.Second {
			t.Errorf("stop must stay set (%v) and must not wake twice (after %v)", in.Stop, time.Since(start))
		}
	})
}

func TestMailboxCutsAStep(t *testing.T) {
	m, c := newMailbox(), newClock()
	const total = 2*stepItems + 7
	for i := range total {
		m.request(node.Request{Conn: 1, Frame: binary.BigEndian.AppendUint32(nil, uint32(i))})
	}
	big := make([]byte, stepBytes+1)
	m.message(node.Message{Data: big})
	m.message(node.Message{Data: big})
	var sizes, messages []int
	next := uint32(0)
	for range 3 {
		in := m.take(c, 0)
		sizes, messages = append(sizes, len(in.Requests)), append(messages, len(in.Messages))
		for _, r := range in.Requests {
			if got := binary.BigEndian.Uint32(r.Frame); got != next {
				t.Fatalf("request %d came when %d was due", got, next)
			}
			next++
		}
	}
	if diff := cmp.Diff([]int{stepItems, stepItems, 7}, sizes); diff != "" {
		t.Errorf("requests per step (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{1, 1, 0}, messages); diff != "" {
		t.Errorf("messages per step (-want +got):\n%s", diff)
	}
}

// A node forgets a connection at its hangup, so no request of that connection may come with it or
// after it.
func TestHangupComesAfterTheLastRequestsStep(t *testing.T) {
	m, c := newMailbox(), newClock()
	for range stepItems + 1 {
		m.request(node.Request{Conn: 5})
	}
	m.hangup(5)
	m.request(node.Request{Conn: 6})
	m.hangup(6)
	type step struct {
		Requests int
		Hangups  []node.ConnID
	}
	var got []step
	for range 3 {
		in := m.take(c, node.Never) // would hang if a hangup alone did not wake it
		got = append(got, step{len(in.Requests), append([]node.ConnID(nil), in.Hangups...)})
	}
	want := []step{{stepItems, nil}, {2, nil}, {0, []node.ConnID{5, 6}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestMailboxLosesNothingAndKeepsOrder(t *testing.T) {
	const writers, each = 8, 5000
	m, c := newMailbox(), newClock()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				m.request(node.Request{Conn: node.ConnID(w), Frame: binary.BigEndian.AppendUint32(nil, uint32(i))})
				if i%16 == 0 {
					m.result(wal.Result{Op: wal.Op{ID: uint64(i)}})
				}
			}
		})
	}
	var next [writers]uint32
	requests, results := 0, 0
	for requests < writers*each || results < writers*((each+15)/16) {
		in := m.take(c, node.Never)
		for _, r := range in.Requests {
			if got := binary.BigEndian.Uint32(r.Frame); got != next[r.Conn] {
				t.Fatalf("writer %d: %d came when %d was due", r.Conn, got, next[r.Conn])
			}
			next[r.Conn]++
		}
		requests += len(in.Requests)
		results += len(in.Results)
	}
	wg.Wait()
	if in := m.take(c, 0); len(in.Requests)+len(in.Results) > 0 {
		t.Errorf("%d requests and %d results too many", len(in.Requests), len(in.Results))
	}
}

func BenchmarkMailbox(b *testing.B) {
	m, c := newMailbox(), newClock()
	frame := make([]byte, 300)
	go b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.request(node.Request{Conn: 1, Frame: frame})
		}
	})
	for n := 0; n < b.N; {
		n += len(m.take(c, node.Never).Requests)
	}
}

// When much is ready to run, the loop gives way to it once, and then not at every step.
func TestTheLoopDoesNotWaitForACrowd(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var stop atomic.Bool
	defer stop.Store(true)
	for range 20 {
		go func() {
			for !stop.Load() {
				for start := time.Now(); time.Since(start) < time.Millisecond; {
				}
				runtime.Gosched()
			}
		}()
	}
	m, clock := newMailbox(), newClock()
	waits := 0
	for range 10 {
		m.message(node.Message{})
		before := clock.now()
		m.take(clock, node.Never)
		if clock.now().Sub(before) > 5*time.Millisecond {
			waits++
		}
	}
	if waits > 3 { // the system may take the CPU away
		t.Errorf("the loop waited for others at %d of 10 steps", waits)
	}
}

// A loop that is never done must not keep what comes by the network waiting, even where it has the only thread.
func TestABusyLoopHearsTheNetwork(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	m, clock := newMailbox(), newClock()
	var err error
	if m.glance, err = newGlance(); err != nil {
		t.Fatal(err)
	}
	defer m.glance.close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	go func() {
		for b := []byte{0}; ; {
			if _, err := r.Read(b); err != nil {
				return
			}
			m.message(node.Message{})
		}
	}()
	const most = 25 // steps of a tenth of a millisecond, of which the loop looks after ten
	late := 0
	for range 10 {
		for start := time.Now(); time.Since(start) < 20*time.Millisecond; { // its reader waits for the network by then
			m.take(clock, 0)
		}
		w.Write([]byte{0})
		steps := 0
		for len(m.take(clock, 0).Messages) == 0 {
			for begin := time.Now(); time.Since(begin) < 100*time.Microsecond; {
			}
			steps++
		}
		if steps > most {
			late++
		}
	}
	if late > 3 { // a thread that is kept waiting may be taken for a crowd
		t.Errorf("what came was heard after more than %d steps, %d times of 10", most, late)
	}
}

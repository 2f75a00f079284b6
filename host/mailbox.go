// SPDX-License-Identifier: Apache-2.0

package host

import (
	"sync"
	"time"

	"chronik/node"
	"chronik/wal"
)

// Bounds of one step's input. What exceeds them waits for the next step, so that one step stays
// short whatever arrived meanwhile.
const (
	stepRequests = 4096
	stepBytes    = 16 << 20 // of requests, and again of messages
)

// mailbox collects what happened until the loop takes it: a mutex and two Inputs that are swapped.
// Who posts is bounded elsewhere (requests and messages by budgets, results by the operations
// under way), so posting never blocks.
type mailbox struct {
	mu      sync.Mutex
	fill    *node.Input // being filled
	spare   *node.Input // what take returned last
	hangups []hangup
	posted  uint64 // requests ever posted
	given   uint64 // requests ever given to the loop
	waiting bool   // the loop sleeps; who posts next wakes it
	stopped bool

	wake  chan struct{}
	timer *time.Timer // the loop's
}

// hangup waits until all requests that were posted before it were given to the node in an earlier
// step. Otherwise the node could meet a request of a connection that it has already forgotten.
type hangup struct {
	conn  node.ConnID
	after uint64
}

func newMailbox() *mailbox {
	return &mailbox{fill: new(node.Input), spare: new(node.Input), wake: make(chan struct{}, 1)}
}

func (m *mailbox) request(r node.Request) {
	m.mu.Lock()
	m.fill.Requests = append(m.fill.Requests, r)
	m.posted++
	m.unlockAndWake()
}

func (m *mailbox) hangup(c node.ConnID) {
	m.mu.Lock()
	m.hangups = append(m.hangups, hangup{conn: c, after: m.posted})
	m.unlockAndWake()
}

func (m *mailbox) message(msg node.Message) {
	m.mu.Lock()
	m.fill.Messages = append(m.fill.Messages, msg)
	m.unlockAndWake()
}

func (m *mailbox) result(r wal.Result) {
	m.mu.Lock()
	m.fill.Results = append(m.fill.Results, r)
	m.unlockAndWake()
}

// stop sets Input.Stop for good.
func (m *mailbox) stop() {
	m.mu.Lock()
	m.stopped = true
	m.unlockAndWake()
}

func (m *mailbox) unlockAndWake() {
	wake := m.waiting
	m.waiting = false
	m.mu.Unlock()
	if wake {
		m.wake <- struct{}{} // never blocks: one token per time that waiting was set
	}
}

// take waits until something happened, the time is at or past deadline, or stop was called since
// the last take. The Input is valid until the next take.
func (m *mailbox) take(clock clock, deadline node.Time) *node.Input {
	for {
		m.mu.Lock()
		if m.ready() || clock.now() >= deadline {
			in := m.swap()
			m.mu.Unlock()
			in.Now = clock.now()
			in.UnixMs = time.Now().UnixMilli()
			return in
		}
		m.waiting = true
		m.mu.Unlock()
		m.sleep(clock.until(deadline))
	}
}

// sleep returns when somebody posted or d is over.
func (m *mailbox) sleep(d time.Duration) {
	if m.timer == nil {
		m.timer = time.NewTimer(d)
	} else {
		m.timer.Reset(d)
	}
	select {
	case <-m.wake:
		m.timer.Stop()
		return
	case <-m.timer.C:
	}
	m.mu.Lock()
	woken := !m.waiting // somebody posted in this moment and has sent or will send the token
	m.waiting = false
	m.mu.Unlock()
	if woken {
		<-m.wake
	}
}

// ready says whether there is something to step for.
func (m *mailbox) ready() bool {
	return len(m.fill.Requests)+len(m.fill.Messages)+len(m.fill.Results) > 0 ||
		len(m.hangups) > 0 || m.stopped != m.spare.Stop
}

// swap gives out the filled Input, cut to the bounds of a step, and clears the other one.
func (m *mailbox) swap() *node.Input {
	in, next := m.fill, m.spare
	m.fill, m.spare = next, in
	clear(next.Requests) // drop the references to frames
	clear(next.Messages)
	clear(next.Results)
	*next = node.Input{
		Requests: next.Requests[:0], Hangups: next.Hangups[:0],
		Messages: next.Messages[:0], Results: next.Results[:0],
	}
	in.Requests, next.Requests = cut(in.Requests, next.Requests, func(r node.Request) int { return len(r.Frame) })
	in.Messages, next.Messages = cut(in.Messages, next.Messages, func(m node.Message) int { return len(m.Data) })
	in.Hangups = m.ripeHangups(in.Hangups)
	m.given += uint64(len(in.Requests))
	in.Stop = m.stopped
	return in
}

// ripeHangups appends the hangups all of whose requests were given in an earlier step.
func (m *mailbox) ripeHangups(to []node.ConnID) []node.ConnID {
	n := 0
	for n < len(m.hangups) && m.hangups[n].after <= m.given {
		to = append(to, m.hangups[n].conn)
		n++
	}
	m.hangups = append(m.hangups[:0], m.hangups[n:]...)
	return to
}

// cut moves what is beyond the bounds of a step from in to rest; always at least one item stays.
func cut[T any](in, rest []T, size func(T) int) (head, tail []T) {
	bytes := 0
	for i, item := range in {
		bytes += size(item)
		if i > 0 && (i == stepRequests || bytes > stepBytes) {
			return in[:i], append(rest, in[i:]...)
		}
	}
	return in, rest
}

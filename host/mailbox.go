// SPDX-License-Identifier: Apache-2.0

package host

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"chronik/node"
	"chronik/wal"
)

// Bounds of one step's input. What exceeds them waits for the next step, so that one step stays
// short whatever arrived meanwhile.
const (
	stepItems = 4096    // of each kind
	stepBytes = 2 << 20 // of each kind, or one item
)

// mailbox collects what happened until the loop takes it. Posting never blocks, because everything posted is bounded
// elsewhere: requests and messages by budgets, results by the operations under way.
type mailbox struct {
	mu       sync.Mutex
	requests inbox[node.Request]
	messages inbox[node.Message]
	results  inbox[wal.Result]
	tasks    inbox[node.TaskResult]
	lostIDs  []node.BrokerID
	refusals []node.Refusal // by other brokers, at most one from each
	hangups  []hangup
	posted   uint64 // requests ever posted
	given    uint64 // requests ever given to the loop
	waiting  bool   // the loop sleeps; who posts next wakes it
	stopped  bool

	wake      chan struct{}
	in        node.Input  // the loop's: what take returned last
	timer     *time.Timer // the loop's
	hurry     node.Time   // until then it lets nobody post first
	slowYield bool        // the last time that it let others post took long

	glance *glance   // the loop's; nil: there is none
	lookAt node.Time // it needn't look before
}

// inbox is the items of one kind: two slices, one being filled and one being given out, swapped
// when the latter is empty.
type inbox[T any] struct {
	fill  []T
	rest  []T // not given out yet
	given []T // what take returned last
	array []T // behind rest and given
}

func (b *inbox[T]) post(item T) { b.fill = append(b.fill, item) }

func (b *inbox[T]) len() int { return len(b.fill) + len(b.rest) }

func (b *inbox[T]) empty() bool { return b.len() == 0 }

// take gives out items in order, up to the bounds of a step but at least one. They are valid until
// the next take.
func (b *inbox[T]) take(size func(*T) int) []T {
	clear(b.given) // drop the references to frames
	if len(b.rest) == 0 {
		b.fill, b.array = b.array[:0], b.fill
		b.rest = b.array
	}
	n, bytes := 0, 0
	for n < len(b.rest) && n < stepItems {
		if bytes += size(&b.rest[n]); bytes > stepBytes && n > 0 {
			break
		}
		n++
	}
	b.given, b.rest = b.rest[:n], b.rest[n:]
	return b.given
}

// hangup waits until all requests that were posted before it were given to the node in an earlier
// step. Otherwise the node could meet a request of a connection that it has already forgotten.
type hangup struct {
	conn  node.ConnID
	after uint64
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (m *mailbox) request(r node.Request) {
	m.mu.Lock()
	m.requests.post(r)
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
	m.messages.post(msg)
	m.unlockAndWake()
}

// lost says that the connection from a broker broke. It must come after the broker's last message,
// which would show that it lives.
func (m *mailbox) lost(id node.BrokerID) {
	m.mu.Lock()
	m.lostIDs = append(m.lostIDs, id)
	m.unlockAndWake()
}

// refused says that another broker will never listen to this process.
func (m *mailbox) refused(r node.Refusal) {
	m.mu.Lock()
	if !slices.ContainsFunc(m.refusals, func(o node.Refusal) bool { return o.By == r.By }) {
		m.refusals = append(m.refusals, r)
	}
	m.unlockAndWake()
}

func (m *mailbox) result(r wal.Result) {
	m.mu.Lock()
	m.results.post(r)
	m.unlockAndWake()
}

func (m *mailbox) done(r node.TaskResult) {
	m.mu.Lock()
	m.tasks.post(r)
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
	m.letPost(clock)
	m.look(clock)
	for {
		m.mu.Lock()
		if m.ready() || clock.now() >= deadline {
			m.fillInput()
			m.mu.Unlock()
			m.in.Now = clock.now()
			m.in.UnixMs = time.Now().UnixMilli()
			return &m.in
		}
		m.waiting = true
		m.mu.Unlock()
		m.sleep(clock.until(deadline))
		m.lookAt = clock.now().Add(lookEach)
	}
}

// longWait is how long the process may work on other things until Go's scheduler comes back to the loop.
const longWait = 3 * time.Millisecond

// letPost lets readers that have something post it first, for fewer, larger steps. But Go's scheduler comes back only
// after everything else that is ready, which may be a thousand clients that are written to. If that took long, much is
// posted anyway, and the loop yields to nobody for a while. Where other processes had the CPUs it must go on yielding,
// since that is when small steps cost most: so what counts is CPU time, which is asked for only after a yield that took
// long by the clock.
func (m *mailbox) letPost(clock clock) {
	before := clock.now()
	if before < m.hurry {
		return
	}
	var used time.Duration
	if m.slowYield {
		used = processTime()
	}
	runtime.Gosched()
	took := clock.now().Sub(before)
	if took > longWait && m.slowYield && processTime()-used > longWait {
		m.hurry = clock.now().Add(min(20*took, time.Second))
	}
	m.slowYield = took > longWait
}

// lookEach is how long the loop may be busy until it lets Go's scheduler look for what has come.
const lookEach = time.Millisecond

// look does that when it is time. It takes some microseconds, and longer where many others run first: so at most a
// fifth of the time.
func (m *mailbox) look(clock clock) {
	now := clock.now()
	if m.glance == nil || now < m.lookAt {
		return
	}
	m.glance.look()
	end := clock.now()
	m.lookAt = end.Add(max(lookEach, 4*end.Sub(now)))
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
	return !m.requests.empty() || !m.messages.empty() || !m.results.empty() || !m.tasks.empty() ||
		len(m.hangups)+len(m.lostIDs)+len(m.refusals) > 0 || m.stopped != m.in.Stop
}

// fillInput puts what came into the input, cut to the bounds of a step.
func (m *mailbox) fillInput() {
	m.in.Hangups = m.ripeHangups(m.in.Hangups[:0]) // before given grows
	m.in.Requests = m.requests.take(func(r *node.Request) int { return len(r.Frame) })
	m.in.Messages = m.messages.take(func(msg *node.Message) int { return len(msg.Data) })
	m.in.Results = m.results.take(func(r *wal.Result) int { return len(r.Data) })
	m.in.Done = m.tasks.take(func(r *node.TaskResult) int { return len(r.Batch) })
	m.in.Lost = m.in.Lost[:0]
	if m.messages.empty() {
		m.in.Lost = append(m.in.Lost, m.lostIDs...)
		m.lostIDs = m.lostIDs[:0]
	}
	m.in.Refused = append(m.in.Refused[:0], m.refusals...)
	m.refusals = m.refusals[:0]
	m.given += uint64(len(m.in.Requests))
	m.in.Stop = m.stopped
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

// depth is how many items wait for the next step.
func (m *mailbox) depth() (requests, messages, results int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests.len(), m.messages.len(), m.results.len()
}

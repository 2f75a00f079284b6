// SPDX-License-Identifier: Apache-2.0

package node

import (
	"container/list"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
	"chronik/node/step"
)

// Waiting requests are bounded in number and in bytes: per connection, per address and in all. A connection gets at most a
// sixteenth of what is left. So one that asks for little always gets it, however much others ask for. An address gets at most
// as much as is left, which is half of all if it is the only one. So thousands of connections from one address can't take
// everything. A request that is answered, or whose connection is gone, leaves every queue at once.
const (
	maxHeldBytes = 1 << 20 // of one connection's answers that wait for an earlier one
	shareOfRest  = 16
)

// pool is a quantity that connections share.
type pool struct{ limit, used int64 }

// fits reports whether a connection that has held of the pool, and whose address has fromHeld, may have n more.
func (p *pool) fits(held, fromHeld, n int64) bool {
	left := p.limit - p.used
	return held+n <= left/shareOfRest && fromHeld+n <= left
}

// take takes n for such a connection, if it may have them.
func (p *pool) take(held, fromHeld, n int64) bool {
	if !p.fits(held, fromHeld, n) {
		return false
	}
	p.used += n
	return true
}

func (p *pool) give(n int64) {
	p.used -= n
	step.Assert(p.used >= 0, "a pool gets back what it gave")
}

// mayBegin reports whether a connection's next request may begin. Otherwise it waits for earlier ones of the same
// connection, as all do in Kafka, or until its client has waited for its quotas; so there is no error to give.
func (n *Node) mayBegin(c *conn) bool {
	if c.unmute != nil || n.isUnsure(c) {
		return false
	}
	if len(c.queue) == 0 {
		return true
	}
	left := n.cfg.MaxRequests - n.begun
	return c.deferred == 0 && c.parked == 0 && c.heldBytes < maxHeldBytes && n.heldBytes < n.large.memory.limit && len(c.queue) < left/shareOfRest && c.from.begun < left
}

// errTooManyWaits says that a connection's share of what can wait is used up.
var errTooManyWaits = kafka.Errorf(kerr.ThrottlingQuotaExceeded, "too much is asked for that waits for other brokers; wait for some answers, then try again")

// takeWaits reports whether the request may wait for n partitions more. Who got them gives them back.
func (r *request) takeWaits(n int64) bool {
	if !r.node.waits.take(r.conn.waits, r.conn.from.waits, n) {
		return false
	}
	r.conn.waits += n
	r.conn.from.waits += n
	return true
}

func (r *request) giveWaits(n int64) {
	r.node.waits.give(n)
	r.conn.waits -= n
	r.conn.from.waits -= n
}

// over reports whether nobody waits for the request any more.
func (r *request) over() bool { return r.settled || r.gone }

// thenWith returns what goes on with a request when a result comes: f, unless the request is answered by then. Commands call
// back through here and proposals through proposeFor, so their handlers need not ask. A request whose connection is gone runs
// on, see hangUp.
func thenWith[T any](r *request, f func(T)) func(T) {
	return func(result T) {
		if !r.settled {
			f(result)
		}
	}
}

// onEnd calls leave when the request is answered or its connection is gone.
func (r *request) onEnd(leave func()) {
	if r.over() {
		leave()
		return
	}
	r.ends = append(r.ends, leave)
}

// end takes the request out of all queues.
func (r *request) end() {
	ends := r.ends
	r.ends = nil
	for _, leave := range ends {
		leave()
	}
}

// waiters is a queue of waiting requests, in order of arrival. A request that is over has left it.
type waiters[T any] struct{ list list.List }

type waiter[T any] struct {
	request *request // nil: the broker itself waits
	item    T
}

func (q *waiters[T]) add(r *request, item T) {
	if r == nil {
		q.list.PushBack(waiter[T]{nil, item})
		return
	}
	if r.over() {
		return
	}
	e := q.list.PushBack(waiter[T]{r, item})
	r.onEnd(func() { q.list.Remove(e) }) // nothing happens if it was taken out before
}

// pop takes the oldest out; false if there is none.
func (q *waiters[T]) pop() (item T, ok bool) {
	e := q.list.Front()
	if e == nil {
		return item, false
	}
	return q.list.Remove(e).(waiter[T]).item, true
}

func (q *waiters[T]) len() int { return q.list.Len() }

// all takes all out, the oldest first.
func (q *waiters[T]) all() (items []T) {
	for item, ok := q.pop(); ok; item, ok = q.pop() {
		items = append(items, item)
	}
	return items
}

// stale reports whether a request is in it that is over.
func (q *waiters[T]) stale() bool {
	for e := q.list.Front(); e != nil; e = e.Next() {
		if r := e.Value.(waiter[T]).request; r != nil && r.over() {
			return true
		}
	}
	return false
}

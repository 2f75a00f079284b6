// SPDX-License-Identifier: Apache-2.0

package host

import "sync"

// budget is a bounded number of bytes that many goroutines share, first come, first served. Whoever asks for more than
// is left waits. A demand above the whole bound is met when nobody else holds anything. So the bound is exceeded by at
// most one demand, and nobody waits for ever.
type budget struct {
	mu      sync.Mutex
	limit   int64
	used    int64
	waiters []waiter
}

type waiter struct {
	n    int64
	done chan struct{} // closed when the bytes were given
}

func newBudget(limit int64) *budget { return &budget{limit: limit} }

// acquire takes n bytes. It returns false, with nothing taken, if quit closes before.
func (b *budget) acquire(n int64, quit <-chan struct{}) bool {
	b.mu.Lock()
	if len(b.waiters) == 0 && b.fits(n) {
		b.used += n
		b.mu.Unlock()
		return true
	}
	w := waiter{n: n, done: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.mu.Unlock()
	select {
	case <-w.done:
		return true
	case <-quit:
		b.withdraw(w)
		return false
	}
}

// release gives n bytes back.
func (b *budget) release(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.used < 0 {
		panic("host: a budget got back more than it gave")
	}
	b.serve()
}

func (b *budget) fits(n int64) bool { return b.used == 0 || b.used+n <= b.limit }

// serve gives to the waiters in turn.
func (b *budget) serve() {
	for len(b.waiters) > 0 && b.fits(b.waiters[0].n) {
		b.used += b.waiters[0].n
		close(b.waiters[0].done)
		b.waiters[0] = waiter{}
		b.waiters = b.waiters[1:]
	}
}

// withdraw takes a waiter out again; if it was served in this moment, it gives the bytes back.
func (b *budget) withdraw(w waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.waiters {
		if b.waiters[i].done == w.done {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.serve() // it may have stood in the way of a smaller one
			return
		}
	}
	b.used -= w.n
	b.serve()
}

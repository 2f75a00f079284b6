// SPDX-License-Identifier: Apache-2.0

package host

import "sync"

// admission shares a bounded number of bytes among the clients' requests. Each address gets at most a part of it,
// so that one machine can't keep all others waiting. A request takes its bytes in pieces, as they arrive.
//
// Pieces alone could end with all requests half read and none able to go on. So one request at a time, which has
// begun and is next in line, may go over the bounds; they are exceeded by at most one request.
type admission struct {
	mu         sync.Mutex
	limit      int64
	perAddress int64
	used       int64
	overdrawn  bool       // some request has gone over the bounds and isn't answered
	queue      []*address // those with waiters, in turn
}

// address is what one machine has taken of an admission.
type address struct {
	used    int64
	waiters []*claim
}

// claim is what one request has taken.
type claim struct {
	held int64
	over bool

	wants int64
	given chan struct{}
}

// addressParts is how an admission is shared out: one address gets at most so many of eight parts.
const addressParts = 6

func newAdmission(limit int64) *admission {
	return &admission{limit: limit, perAddress: limit / 8 * addressParts}
}

// grow makes c hold n bytes, which are more than it holds. It returns false, with nothing changed, if quit closes
// before there is room.
func (a *admission) grow(from *address, c *claim, n int64, quit <-chan struct{}) bool {
	a.mu.Lock()
	c.wants = n - c.held
	if c.over || len(a.queue) == 0 && a.fits(from, c.wants) {
		a.give(from, c)
		a.mu.Unlock()
		return true
	}
	c.given = make(chan struct{})
	if from.waiters = append(from.waiters, c); len(from.waiters) == 1 {
		a.queue = append(a.queue, from)
	}
	a.serve()
	a.mu.Unlock()
	select {
	case <-c.given:
		return true
	case <-quit:
		return a.withdraw(from, c)
	}
}

func (a *admission) fits(from *address, n int64) bool {
	return a.used == 0 || a.used+n <= a.limit && (from.used == 0 || from.used+n <= a.perAddress)
}

func (a *admission) give(from *address, c *claim) {
	a.used += c.wants
	from.used += c.wants
	c.held += c.wants
}

// release gives back all that c holds.
func (a *admission) release(from *address, c claim) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used -= c.held
	from.used -= c.held
	if from.used < 0 {
		panic("host: an admission got back more than it gave")
	}
	if c.over {
		a.overdrawn = false
	}
	a.serve()
}

// serve gives to the first waiter of each address in turn, until one finds no room at all.
func (a *admission) serve() {
	for blocked := 0; blocked < len(a.queue); {
		from := a.queue[0]
		c := from.waiters[0]
		switch {
		case a.fits(from, c.wants):
		case c.held > 0 && !a.overdrawn:
			c.over, a.overdrawn = true, true
		default:
			a.queue = append(a.queue[1:], from)
			blocked++
			continue
		}
		blocked = 0
		a.give(from, c)
		close(c.given)
		a.queue = a.queue[1:]
		if from.waiters = from.waiters[1:]; len(from.waiters) > 0 {
			a.queue = append(a.queue, from)
		}
	}
}

// withdraw takes a waiter out again; true if it was served in this moment.
func (a *admission) withdraw(from *address, c *claim) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, w := range from.waiters {
		if w != c {
			continue
		}
		if from.waiters = append(from.waiters[:i:i], from.waiters[i+1:]...); len(from.waiters) == 0 {
			for j := range a.queue {
				if a.queue[j] == from {
					a.queue = append(a.queue[:j:j], a.queue[j+1:]...)
					break
				}
			}
		}
		a.serve() // it may have stood in the way of a smaller one
		return false
	}
	return true
}

// inUse is how many bytes are taken.
func (a *admission) inUse() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used
}

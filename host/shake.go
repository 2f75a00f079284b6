// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// turns is who computes of those that shake hands. A handshake costs this broker some tenths of a millisecond, and more with
// large keys; its client may send a fixed text. So few compute at a time, all of them together for a share of the CPUs only,
// and addresses take turns. Nobody has a turn while it waits for its client.
type turns struct {
	share float64 // of a CPU, that they may take over time

	mu     sync.Mutex
	free   int                 // how many more may compute now
	going  []*place            // that had a turn before, the oldest first; they go before the others
	lines  map[string][]*place // the others, by address, the oldest first
	order  []string            // of addresses, the next one first
	credit time.Duration       // that may be computed now
	at     time.Time           // as of then
	timer  bool                // next comes again
}

// place is that of one who waits for a turn.
type place struct {
	ready chan struct{} // closed when it has it
	has   bool
	left  bool
}

const (
	// shakeCredit is for how long they may compute without having waited.
	shakeCredit = 20 * time.Millisecond
	// longestTurn is what a turn counts for at most: who was kept from its CPU has not used it.
	longestTurn = 10 * time.Millisecond
)

// newTurns gives an eighth of the CPUs to handshakes.
func newTurns() *turns {
	cpus := runtime.NumCPU()
	return &turns{share: float64(cpus) / 8, free: (cpus + 7) / 8, lines: make(map[string][]*place), credit: shakeCredit, at: time.Now()}
}

// take waits for a turn; false if it's not worth it any more.
func (t *turns) take(addr string, goesOn bool, quit <-chan struct{}) bool {
	p := &place{ready: make(chan struct{})}
	t.mu.Lock()
	switch {
	case goesOn:
		t.going = append(t.going, p)
	default:
		if len(t.lines[addr]) == 0 {
			t.order = append(t.order, addr)
		}
		t.lines[addr] = append(t.lines[addr], p)
	}
	t.next()
	t.mu.Unlock()
	select {
	case <-p.ready:
		return true
	case <-quit:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.left = true; p.has {
		t.free++
		t.next()
	}
	return false
}

// give ends a turn that took so long.
func (t *turns) give(took time.Duration) {
	t.mu.Lock()
	t.free++
	t.credit -= min(took, longestTurn)
	t.next()
	t.mu.Unlock()
}

// next gives turns to as many as may compute now. The caller holds t.mu.
func (t *turns) next() {
	now := time.Now()
	t.credit = min(shakeCredit, t.credit+time.Duration(t.share*float64(now.Sub(t.at))))
	t.at = now
	for t.free > 0 {
		if t.credit <= 0 {
			if wait := time.Duration(float64(-t.credit)/t.share) + time.Microsecond; !t.timer && len(t.going)+len(t.order) > 0 {
				t.timer = true
				time.AfterFunc(wait, func() {
					t.mu.Lock()
					t.timer = false
					t.next()
					t.mu.Unlock()
				})
			}
			return
		}
		p := t.pop()
		if p == nil {
			return
		}
		if !p.left {
			p.has = true
			t.free--
			close(p.ready)
		}
	}
}

// pop takes out who has the next turn; nil if nobody waits.
func (t *turns) pop() (p *place) {
	if len(t.going) > 0 {
		p, t.going[0] = t.going[0], nil
		t.going = t.going[1:]
		return p
	}
	if len(t.order) == 0 {
		return nil
	}
	addr := t.order[0]
	line := t.lines[addr]
	p, line[0] = line[0], nil
	t.order = t.order[1:]
	if len(line) > 1 {
		t.lines[addr] = line[1:]
		t.order = append(t.order, addr)
	} else {
		delete(t.lines, addr)
	}
	return p
}

// turn is one handshake's use of them.
type turn struct {
	of   *turns
	addr string
	quit <-chan struct{}
	line *atomic.Bool // whether it waits; nil: nobody asks

	has   bool
	since time.Time
}

// take waits for a turn; goesOn says that it isn't the handshake's first.
func (u *turn) take(goesOn bool) bool {
	u.inLine(true)
	u.has = u.of.take(u.addr, goesOn, u.quit)
	u.inLine(false)
	u.since = time.Now()
	return u.has
}

func (u *turn) inLine(yes bool) {
	if u.line != nil {
		u.line.Store(yes)
	}
}

// give ends the turn, if there is one.
func (u *turn) give() {
	if u.has {
		u.has = false
		u.of.give(time.Since(u.since))
	}
}

// shake shakes hands with a client, or another broker that has dialled, and computes only when it is its turn.
func (u *turn) shake(s *secured) error {
	if !u.take(false) {
		return net.ErrClosed
	}
	defer u.give()
	s.records.turn = u
	err := s.Handshake()
	s.records.turn = nil
	return err
}

// addressOf is whose turns those of a connection are.
func addressOf(sock net.Conn) string {
	addr := sock.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// inTurns are connections to a port of which net/http makes the TLS. The costly part of a handshake, up to the broker's own
// answer, is done by turns.
type inTurns struct {
	net.Listener
	turns *turns
}

// Accept implements net.Listener.
func (l inTurns) Accept() (net.Conn, error) {
	sock, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &turned{Conn: sock, turn: turn{of: l.turns, addr: addressOf(sock)}}, nil
}

type turned struct {
	net.Conn
	closed atomic.Bool

	mu   sync.Mutex // also while it waits for a turn
	turn turn
}

// begin waits for a turn. It ends with the next Read, or with the connection.
func (c *turned) begin(quit <-chan struct{}) bool {
	c.mu.Lock()
	c.turn.quit = quit
	has := c.turn.take(false)
	c.mu.Unlock()
	if c.closed.Load() {
		c.give()
		return false
	}
	return has
}

func (c *turned) give() {
	c.mu.Lock()
	c.turn.give()
	c.mu.Unlock()
}

// Read implements net.Conn.
func (c *turned) Read(p []byte) (int, error) {
	c.give()
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *turned) Close() error {
	c.closed.Store(true)
	err := c.Conn.Close()
	if c.mu.TryLock() { // else it gives its turn back when it has it
		c.turn.give()
		c.mu.Unlock()
	}
	return err
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"log/slog"
	"net"
	"slices"
	"time"
)

// unreadTime is how long a client may take to read answers, in addition to the time that they take at minRate.
const unreadTime = 30 * time.Second

// client is one address, with what all its connections together use.
type client struct {
	addr         string
	conns        int
	shaking      int // hands, of conns
	small, large address
}

// client returns the one that sock comes from. The caller holds s.mu.
func (s *clients) client(sock net.Conn) *client {
	addr := sock.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(addr); err == nil {
		addr = host
	}
	c := s.from[addr]
	if c == nil {
		c = &client{addr: addr}
		s.from[addr] = c
	}
	return c
}

// forget drops a client without connections. The caller holds s.mu.
func (s *clients) forget(c *client) {
	if c.conns == 0 {
		delete(s.from, c.addr)
	}
}

// slowTime is how long a client takes no answers before it counts as slow.
const slowTime = time.Second

// lookEvery is how often connections are searched for slow ones, unless more than twice the bound is used.
const lookEvery = 10 * time.Millisecond

// dropSlow closes connections until unread answers are within their bound. It begins with the address that has the most
// of them, over however many connections, and there with the connection that has the most. It closes only connections
// whose clients have read nothing for slowTime, but any connection while more than twice the bound is used. The caller
// holds s.mu.
func (s *clients) dropSlow(now time.Time) {
	limit := s.limits.UnreadBytes
	if s.unread.Load() <= 2*limit && now.Sub(s.looked) < lookEvery {
		return
	}
	s.looked = now
	type waiting struct {
		c     *conn
		bytes int64
		slow  bool
	}
	var list []waiting
	sums := make(map[*client]int64)
	for _, c := range s.conns {
		if n, since := c.waits(now); n > 0 {
			list = append(list, waiting{c, n, since > slowTime})
			sums[c.from] += n
		}
	}
	slices.SortFunc(list, func(a, b waiting) int {
		return cmp.Or(cmp.Compare(sums[b.c.from], sums[a.c.from]), cmp.Compare(b.bytes, a.bytes))
	})
	for _, w := range list {
		left := s.unread.Load()
		if left <= limit {
			break
		}
		if !w.slow && left <= 2*limit {
			continue
		}
		s.lines.unread.tell(slog.LevelWarn, "closed a client connection: too many answers are not read, and its client has the most", "",
			from(w.c.sock), slog.Int64("bytes", w.bytes), slog.Int64("limit_of_all", limit))
		w.c.abandon()
	}
}

// waits is how many bytes of answers the client has not taken, and for how long it has taken none.
func (c *conn) waits(now time.Time) (int64, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shutdown {
		return 0, 0
	}
	if c.writing == 0 { // its writer is about to begin
		return c.replyBytes, 0
	}
	return c.replyBytes, now.Sub(c.writeFrom)
}

// abandon ends the connection and lets go of its answers. The loop calls it, so it waits for nobody.
func (c *conn) abandon() {
	if c.markShut() {
		c.srv.wg.Go(func() { c.sock.Close() })
	}
	c.mu.Lock()
	c.replies = nil
	c.srv.unread.Add(-c.replyBytes)
	c.replyBytes = 0
	c.mu.Unlock()
}

// stuck reports whether the client is past its time for reading what is being written.
func (c *conn) stuck(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writing > 0 && now.After(c.writeBy)
}

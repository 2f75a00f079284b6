// SPDX-License-Identifier: Apache-2.0

package host

import (
	"log/slog"
	"net"
	"time"
)

// unreadTime is how long a client may take to read answers, beside a time at minRate.
const unreadTime = 30 * time.Second

// client is one address, and what all its connections together have taken.
type client struct {
	addr         string
	conns        int
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

// dropSlowest closes the connection with the most unread answers: of those whose clients have taken nothing for
// slowTime, or of all if the bound is exceeded twice. The caller holds s.mu.
func (s *clients) dropSlowest() {
	anybody := s.unread.Load() > 2*s.limits.UnreadBytes
	var slowest *conn
	most, now := int64(0), time.Now()
	for _, c := range s.conns {
		if n, since := c.waits(now); n > most && (anybody || since > slowTime) {
			slowest, most = c, n
		}
	}
	if slowest == nil {
		return
	}
	s.lines.unread.tell(slog.LevelWarn, "closed a client connection: too many answers are not read, and its client has the most", "",
		from(slowest.sock), slog.Int64("bytes", most), slog.Int64("limit_of_all", s.limits.UnreadBytes))
	slowest.abandon()
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

// abandon ends the connection and lets go of its answers.
func (c *conn) abandon() {
	c.shut()
	c.mu.Lock()
	c.replies = nil
	c.srv.unread.Add(-c.replyBytes)
	c.replyBytes = 0
	c.mu.Unlock()
}

// stuck says whether the client should have read long ago what is being written.
func (c *conn) stuck(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writing > 0 && now.After(c.writeBy)
}

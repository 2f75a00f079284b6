// SPDX-License-Identifier: Apache-2.0

package host

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"chronik/node"
)

// A client of a listener with logins is a stranger at first. It has LoginTime to log in, and until then its requests are small.
// Which requests those may be is the node's business.

// guard keeps a stranger's connection short.
type guard struct {
	stranger atomic.Bool
	timer    *time.Timer
}

// expectLogins notes at which ports clients must log in.
func (s *clients) expectLogins(listeners []node.Listener) {
	for _, p := range s.ports {
		p.logins = slices.ContainsFunc(listeners, func(l node.Listener) bool { return l.Name == p.name && len(l.Mechanisms) > 0 })
	}
}

// expectLogin is called before anything is read from a connection.
func (c *conn) expectLogin() {
	c.guard.stranger.Store(true)
	c.guard.timer = time.AfterFunc(c.srv.limits.LoginTime, func() {
		if c.guard.stranger.Load() {
			c.srv.lines.strangers.tell(slog.LevelWarn, "closed a client connection: the client hasn't logged in", "", from(c.sock))
			c.shut()
		}
	})
}

// trust ends that: the client has logged in, or is gone.
func (g *guard) trust() {
	if g.stranger.Swap(false) {
		g.timer.Stop()
	}
}

// frameLimit is the largest request that is read from the client now.
func (c *conn) frameLimit() int {
	if c.guard.stranger.Load() {
		return min(smallFrame, c.srv.limits.FrameBytes)
	}
	return c.srv.limits.FrameBytes
}

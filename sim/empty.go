// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"

	"chronik/sim/plan"
)

// empty is the end of a run. All clients go, the cluster is idle for a while (idle.go), and then all topics are deleted. What brokers hold must go with what it is about
// (check leak). A table that keeps something of each connection, request, member, topic or group that ever was would fill
// their memory, and no call would show it.
func (w *world) empty() {
	if w.tracing() {
		w.tracef("everybody goes, then all topics are deleted")
	}
	for _, m := range w.consumers {
		if m.client != nil {
			m.stop(true)
		}
	}
	for _, v := range w.watchers {
		v.client.watcher = nil
	}
	for _, r := range w.readers {
		r.stop()
	}
	for _, c := range w.askers {
		c.asks.over = true // it may just hear whom to ask
	}
	w.leaveSecurity()
	w.everybodyGoes("all clients are gone")
	w.idle()
	w.doomed = make(map[string]bool) // nobody else asks for a topic any more
	w.ask(w.verifier, plan.CallDelete, nil)
	w.waitFor("all topics are deleted", w.patience())
	w.everybodyGoes("all topics are deleted")
}

// everybodyGoes closes all connections, also those of members that vanished. In time nothing may be left that was theirs.
func (w *world) everybodyGoes(when string) {
	for _, c := range w.clients {
		c.goAway()
	}
	for _, v := range w.watchers {
		v.client.goAway()
	}
	for _, b := range w.brokers {
		for _, cn := range b.conns {
			w.sendFrame(cn, evHangup, nil)
		}
	}
	longest := cmp.Or(w.plan.Knobs.GroupSession, 45*second) // the default
	for _, m := range w.consumers {
		longest = max(longest, m.spec.Session+m.spec.Rebalance)
	}
	what, who := "", 0
	if !w.runUntil(w.now+w.patience()+2*at(longest), w.afterSteps(func() bool {
		what, who = w.leftovers()
		return what == ""
	})) {
		w.fail("leak", "%s, and broker %d keeps %s", when, who, what)
	}
}

// goAway closes a client's connections. It has no calls any more.
func (c *client) goAway() {
	for b, cn := range c.conns {
		if cn != nil {
			cn.hangUp(c.world)
			c.conns[b] = nil
		}
	}
}

// leftovers says what a broker holds that it shouldn't; "" if none does.
func (w *world) leftovers() (what string, broker int) {
	for _, b := range w.brokers {
		if b.node != nil {
			if what = b.node.Leftovers(); what != "" {
				return what, b.number
			}
		}
	}
	return "", 0
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"chronik/node"
	"chronik/sim/plan"
)

// Groups in which nothing happens are quiet (node/quiet.go). At the end of a run all of them are, and then the broker that leads
// most of them dies, or hears and is heard by nobody any more. The others have to notice without a message of the groups, and
// as soon as if they were awake: a quiet group whose leader is gone gets another one, and a leader that is cut off steps down (check
// asleep).

// fallsAsleep waits until all groups but the catalog are quiet. That takes a while: leaders go back to where they are preferred
// some seconds after an election.
func (w *world) fallsAsleep() {
	why := ""
	if !w.runUntil(w.now+w.patience()+at(20*second), w.afterSteps(func() bool {
		why = w.awake()
		return why == ""
	})) {
		w.fail("wasteful", "nobody wants anything, and %s", why)
	}
}

// awake names a replica that isn't quiet though it could be; "" if there is none.
func (w *world) awake() string {
	for _, b := range w.brokers {
		if b.node == nil {
			continue
		}
		for _, g := range b.node.Groups() {
			if v, _ := b.node.Inspect(g); g != 0 && !v.Quiet && !v.Closed {
				return fmt.Sprintf("broker %d's replica of group %d isn't quiet", b.number, g)
			}
		}
	}
	return ""
}

// wake takes away the broker that leads most quiet groups, if the others can do without it.
func (w *world) wake() {
	gone := w.dearest()
	if gone == nil {
		return
	}
	d := w.seed.Draw(domainHeal, uint64(w.epoch), 2000)
	left := w.ledBy(gone)
	cut := d.Ratio(1, 2)
	if w.tracing() {
		w.tracef("%s  leads quiet groups, and is gone: cut off %v", w.column(gone), cut)
	}
	if cut {
		w.cutOff(gone, 1)
	} else {
		gone.frozen = true
		w.crash(gone, d.Next().Ratio(1, 2), 0)
	}
	w.mourn(gone, left)
	if cut {
		w.cutOff(gone, -1)
	} else {
		w.thaw()
	}
	w.converge()
}

// dearest is the broker that leads most groups of which each has a quorum without it; nil if there is none.
func (w *world) dearest() (dearest *broker) {
	most := 0
	for _, b := range w.brokers {
		if b.node == nil || b.leaving || b.away || b.stray {
			continue
		}
		led := len(w.ledBy(b))
		b.frozen = true
		if led > most && w.quorums() {
			dearest, most = b, led
		}
		b.frozen = false
	}
	return dearest
}

// ledBy lists the quiet groups that a broker leads.
func (w *world) ledBy(b *broker) (led []node.GroupID) {
	for _, g := range b.node.Groups() {
		if v, _ := b.node.Inspect(g); v.Quiet && v.Role == node.Leader && len(v.Voters) > 2 {
			led = append(led, g)
		}
	}
	return led
}

func (w *world) cutOff(b *broker, by int) {
	for _, o := range w.brokers {
		if o != b {
			w.net.cut(b.number, o.number, by)
			w.net.cut(o.number, b.number, by)
		}
	}
	w.disturbed()
}

// mourn demands that groups get another leader, and that the old one steps down if it lives.
func (w *world) mourn(gone *broker, groups []node.GroupID) {
	k := &w.plan.Knobs
	limit := node.Time(8*k.ElectionTicks)*node.Time(k.Tick) + 100*node.Time(k.LinkLatency+k.WriteLatency+k.StepCost) + at(second)
	why := ""
	if !w.runUntil(w.now+limit, w.afterSteps(func() bool {
		why = ""
		for _, g := range groups {
			if why == "" {
				why = w.mourns(gone, g)
			}
		}
		return why == ""
	})) {
		w.fail("asleep", "broker %d is gone since %v, and %s", gone.number, plan.Duration(limit), why)
	}
}

// mourns says what a group still lacks.
func (w *world) mourns(gone *broker, g node.GroupID) string {
	if gone.node != nil {
		if v, ok := gone.node.Inspect(g); ok && v.Role == node.Leader {
			return fmt.Sprintf("it still leads group %d, quiet: %v", g, v.Quiet)
		}
	}
	if !slices.ContainsFunc(w.brokers, func(b *broker) bool {
		if b == gone || b.node == nil {
			return false
		}
		v, ok := b.node.Inspect(g)
		return ok && v.Role == node.Leader
	}) {
		return fmt.Sprintf("group %d has no other leader", g)
	}
	return ""
}

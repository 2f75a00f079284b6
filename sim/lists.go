// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// listed says whom a founder lists: what its folder was made with.
func (w *world) listed(b *broker) []int {
	if l := w.plan.ListOf(b.number); l != nil && !b.mended {
		return l.Members
	}
	return w.plan.RightList()
}

// foundersOf are the members that a founder is told.
func (w *world) foundersOf(b *broker) (members []node.Member) {
	l := w.plan.ListOf(b.number)
	for _, o := range w.listed(b) {
		m := machine(o)
		if l != nil && !b.mended && slices.Contains(l.Swapped, o) {
			m.Peer = host(l.Swapped[0] + l.Swapped[1] - o)
		}
		members = append(members, m)
	}
	return members
}

// leadsCatalog demands that a broker which leads the catalog founded the one cluster that there is, with the agreement
// of all that it lists.
func (j *judge) leadsCatalog(w *world, b *broker) {
	if len(w.plan.Lists) == 0 || b.diskNumber > 1 {
		return
	}
	list := w.listed(b)
	for _, o := range list {
		if o > w.plan.FounderCount() || !slices.Equal(w.listed(w.brokers[o-1]), list) {
			w.fail("two-clusters", "broker %d leads the catalog of a cluster of the brokers %v, but broker %d doesn't list the same", b.number, list, o)
		}
	}
	if j.founded == nil {
		j.founded = list
	}
	if !slices.Equal(j.founded, list) {
		w.fail("two-clusters", "broker %d leads the catalog of a cluster of the brokers %v, but there is one of the brokers %v", b.number, list, j.founded)
	}
}

// noteHeld remembers that a founder which lists only itself may have given something to somebody.
func (w *world) noteHeld(b *broker) {
	if len(w.plan.Lists) > 0 && !b.mended && len(w.listed(b)) == 1 {
		b.holds = b.holds || b.node.Holds()
	}
}

// mendList lets an operator mend a list.
func (w *world) mendList(l *plan.List) {
	b := w.brokers[l.Broker-1]
	if b.mended || b.kept {
		return
	}
	switch {
	case b.diskNumber > 1:
		b.mended = true // it joined the cluster of another
	case len(l.Members) > 1 && slices.Equal(l.Members, w.plan.RightList()):
		w.result.Lists.Kept++
		w.operate(b)
	case len(l.Members) == 1 && b.holds:
		w.joinTo(b)
	default:
		w.result.Lists.Emptied++
		if len(l.Members) == 1 {
			w.judge.forgetAll()
		}
		w.operate(b)
		w.judge.lostDisk(b)
		b.disk = newDisk(w.seed, keyed.Pair(b.number, 1<<20))
		b.disk.full, b.limbo = b.full > 0, nil
	}
	if w.tracing() {
		w.tracef("%s  its list is mended", w.column(b))
	}
}

// joinTo lets the other founders join the cluster of one that lists only itself.
func (w *world) joinTo(b *broker) {
	for _, o := range w.brokers[:w.plan.FounderCount()] {
		if o == b || o.diskNumber > 1 {
			continue
		}
		w.operate(o)
		w.newDisk(o)
		o.away = true
		clear(o.met[:])
		o.met[b.number] = true
	}
	b.kept = true
	w.result.Lists.Joined++
}

// ahead is how long after the start a broker starts: all but the founder that lists only itself may be late.
func (w *world) ahead(b *broker) plan.Duration {
	for i := range w.plan.Lists {
		if l := &w.plan.Lists[i]; l.Broker != b.number && l.Ahead > 0 {
			return l.Ahead
		}
	}
	return 0
}

// mending says that some list isn't mended yet.
func (w *world) mending() bool {
	return slices.ContainsFunc(w.plan.Lists, func(l plan.List) bool { b := w.brokers[l.Broker-1]; return !b.mended && !b.kept })
}

// operate takes a broker down and starts it again when nothing that it said is under way any more.
func (w *world) operate(b *broker) {
	w.takeAway(b)
	b.mended = true
	w.schedule(event{at: w.lastOf(func(o *broker) bool { return o == b }) + node.Time(second), kind: evOperated, broker: b, incarnation: b.incarnation})
}

// operated ends that.
func (w *world) operated(b *broker) {
	if b.node == nil {
		b.away = false
		w.boot(b)
	}
}

// mendLists mends what is left, before everything is healed.
func (w *world) mendLists() {
	for i := range w.plan.Lists {
		w.mendList(&w.plan.Lists[i])
	}
	operated := func() bool {
		return !slices.ContainsFunc(w.brokers, func(b *broker) bool { return b.away && b.mended && !b.leaving })
	}
	if len(w.plan.Lists) > 0 {
		w.runUntil(w.now+at(30*second), operated)
	}
}

// founderEnded takes the end of a founder that lists only itself, and from which nobody has got anything.
func (w *world) founderEnded(b *broker, end *node.End) {
	if l := w.plan.ListOf(b.number); l == nil || b.mended || len(l.Members) != 1 || b.holds {
		w.fail("ended", "broker %d ended, though it serves: %v", b.number, end)
	}
	w.takeAway(b)
	w.result.Lists.Ended++
}

// forgetAll drops what was seen: the only cluster that there was is given up.
func (j *judge) forgetAll() {
	j.cluster.Reset()
	for n := range j.seen {
		j.seen[n] = nil
	}
	clear(j.progress)
	j.founded = nil
	j.changes, j.terms = nil, nil
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"chronik/node"
)

// List is a founder's list of members that contradicts the others', until its operator mends it. The cluster must not
// be founded twice: one leads the catalog only if all that it lists have the same list, and nobody ever leads that of
// another list. When it is mended, all must come right.
//
// How it is mended: the broker gets an empty folder and the right list. If it lists only itself it has a cluster; once
// that may hold something of somebody's the other founders get empty folders, and join it. People take longer to
// do that than a message is on its way.
type List struct {
	Broker  int      `json:"broker"`
	Members []int    `json:"members"`           // itself among them; above Plan.Brokers: one that there isn't
	Swapped []int    `json:"swapped,omitempty"` // two of them are listed at each other's address
	Ahead   Duration `json:"ahead,omitempty"`   // one that lists only itself starts so long before the others
	For     Duration `json:"for"`
}

// rightList is what all founders should list.
func (p *Plan) rightList() []int {
	var all []int
	for b := 1; b <= p.founders(); b++ {
		all = append(all, b)
	}
	return all
}

// listOf returns a founder's list, nil if it is right.
func (p *Plan) listOf(broker int) *List {
	for i := range p.Lists {
		if p.Lists[i].Broker == broker {
			return &p.Lists[i]
		}
	}
	return nil
}

// alone says that some founder lists only itself.
func (p *Plan) alone() bool {
	return slices.ContainsFunc(p.Lists, func(l List) bool { return len(l.Members) == 1 })
}

// listed says that some wrong list names a broker.
func (p *Plan) listed(broker int) bool {
	return slices.ContainsFunc(p.Lists, func(l List) bool { return slices.Contains(l.Members, broker) })
}

func (p *Plan) validateLists() error {
	alone := 0
	for i, l := range p.Lists {
		if l.Broker < 1 || l.Broker > p.founders() || p.founders() < 2 || p.listOf(l.Broker) != &p.Lists[i] || l.For < 0 || l.Ahead < 0 || l.Ahead > 0 && len(l.Members) > 1 ||
			!slices.Contains(l.Members, l.Broker) || !slices.IsSorted(l.Members) || l.Members[0] < 1 {
			return fmt.Errorf("list of broker %d: one for each founder of several, itself in it, ascending", l.Broker)
		}
		if len(l.Swapped) != 0 && (len(l.Swapped) != 2 || slices.ContainsFunc(l.Swapped, func(b int) bool { return b == l.Broker || b > p.Brokers || !slices.Contains(l.Members, b) })) {
			return fmt.Errorf("list of broker %d: swapped needs two others that it lists", l.Broker)
		}
		switch {
		case len(l.Members) == 1:
			alone++
		case p.agreed(l.Members):
			return fmt.Errorf("list of broker %d: all that it lists agree on a cluster of their own", l.Broker)
		}
		if p.leaves(l.Broker) {
			return fmt.Errorf("list of broker %d: it is removed later", l.Broker)
		}
	}
	if alone > 1 {
		return fmt.Errorf("%d founders list only themselves: they can't know of each other", alone)
	}
	return nil
}

// agreed says that all in a list which isn't the right one have it.
func (p *Plan) agreed(list []int) bool {
	return !slices.Equal(list, p.rightList()) && !slices.ContainsFunc(list, func(b int) bool {
		o := p.listOf(b)
		return o == nil || !slices.Equal(o.Members, list)
	})
}

// lists draws wrong lists for one or two founders.
func (g *generator) lists() {
	p := g.plan
	leaving := slices.ContainsFunc(p.Calls, func(c Call) bool { return c.Kind == CallRemove })
	if g.prof.lists == 0 || p.founders() < 2 || leaving || !g.chance(g.prof.lists, 100) {
		return
	}
	for range g.between(1, 2) {
		p.Lists = append(p.Lists, g.list())
		if p.validateLists() != nil {
			p.Lists = p.Lists[:len(p.Lists)-1]
		}
	}
}

func (g *generator) list() List {
	p := g.plan
	b := int(g.between(1, int64(p.founders())))
	l := List{Broker: b, Members: p.rightList(), For: g.span(100*millisecond, p.Safety)}
	other := 1 + int(g.pick(int64(p.founders())))
	stranger := p.founders() + 1 + int(g.pick(3)) // one that joins later, or that there isn't
	drop := func() { l.Members = slices.DeleteFunc(l.Members, func(o int) bool { return o == other && o != b }) }
	switch g.pick(5) {
	case 0:
		l.Members = []int{b}
		if g.chance(2, 3) {
			l.Ahead = g.span(millisecond, p.Safety)
		}
	case 1:
		drop()
	case 2:
		l.Members = append(l.Members, stranger)
	case 3:
		drop()
		l.Members = append(l.Members, stranger)
	case 4:
		rest := slices.DeleteFunc(p.rightList(), func(o int) bool { return o == b })
		if len(rest) > 1 {
			l.Swapped = rest[:2]
		}
	}
	return l
}

// listed says whom a founder lists: what its folder was made with.
func (w *world) listed(b *broker) []int {
	if l := w.plan.listOf(b.number); l != nil && !b.mended {
		return l.Members
	}
	return w.plan.rightList()
}

// foundersOf are the members that a founder is told.
func (w *world) foundersOf(b *broker) (members []node.Member) {
	l := w.plan.listOf(b.number)
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
		if o > w.plan.founders() || !slices.Equal(w.listed(w.brokers[o-1]), list) {
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
func (w *world) mendList(l *List) {
	b := w.brokers[l.Broker-1]
	if b.mended || b.kept {
		return
	}
	switch {
	case b.diskNumber > 1:
		b.mended = true // it joined the cluster of another
	case len(l.Members) > 1 && slices.Equal(l.Members, w.plan.rightList()):
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
		b.disk = newDisk(w.seed, pair(b.number, 1<<20))
		b.disk.full, b.limbo = b.full > 0, nil
	}
	if w.tracing() {
		w.tracef("%s  its list is mended", w.column(b))
	}
}

// joinTo lets the other founders join the cluster of one that lists only itself.
func (w *world) joinTo(b *broker) {
	for _, o := range w.brokers[:w.plan.founders()] {
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
func (w *world) ahead(b *broker) Duration {
	for i := range w.plan.Lists {
		if l := &w.plan.Lists[i]; l.Broker != b.number && l.Ahead > 0 {
			return l.Ahead
		}
	}
	return 0
}

// mending says that some list isn't mended yet.
func (w *world) mending() bool {
	return slices.ContainsFunc(w.plan.Lists, func(l List) bool { b := w.brokers[l.Broker-1]; return !b.mended && !b.kept })
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
	if l := w.plan.listOf(b.number); l == nil || b.mended || len(l.Members) != 1 || b.holds {
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

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// How late a command to the catalog may take effect whose request was answered with a time-out, or never.
//
// Its broker sends it no more, and each copy names the term of group 0 that it was sent in, and has no effect in another.
// So what is under way either reaches the leader of that term, within the time that anything is on its way, or is in the
// log of one that fell, and is committed with the first entry of a later term, if at all.

// reign is a time in which a broker led group 0.
type reign struct {
	broker   int
	term     uint64
	from, to node.Time // to: node.Never while it leads
	commits  node.Time // when it first committed an entry of its term; node.Never if it didn't
}

// reigns notes who leads group 0.
func (j *judge) reigns(w *world, b *broker, e node.Event) {
	switch {
	case e.Group != 0:
	case e.Kind == node.EventBecameLeader:
		j.endReign(w, b)
		j.led = append(j.led, reign{b.number, e.Term, w.now, node.Never, node.Never})
	case e.Kind == node.EventLostLeadership:
		j.endReign(w, b)
	case e.Kind == node.EventCommitted:
		for i := range j.led {
			if r := &j.led[i]; r.broker == b.number && r.to == node.Never {
				r.commits = min(r.commits, w.now)
			}
		}
	}
}

func (j *judge) endReign(w *world, b *broker) {
	for i := range j.led {
		if r := &j.led[i]; r.broker == b.number && r.to == node.Never {
			r.to = w.now
		}
	}
}

// wish is one attempt to have the catalog changed.
type wish struct {
	what        string // as node.EventCatalogChanged says it
	broker      int    // that was asked
	from, ended node.Time
}

// change is a change of the catalog.
type change struct {
	index, term uint64
	at          node.Time // when the first broker applied it
	what        string
}

// whatOf says what a call wants changed; "" if nothing.
func whatOf(c *plan.Call) string {
	switch c.Kind {
	case plan.CallCreate:
		return "create " + c.Topic
	case plan.CallDelete:
		return "delete " + c.Topic
	case plan.CallGrow:
		return "grow " + c.Topic
	case plan.CallConfigure:
		return "configure " + c.Topic
	case plan.CallMove:
		return fmt.Sprintf("move %s/%d to %v", c.Topic, c.Partition, c.Brokers)
	case plan.CallElect:
		return fmt.Sprintf("elect %s/%d", c.Topic, c.Partition)
	case plan.CallRemove:
		return fmt.Sprintf("remove broker %d", c.Brokers[0])
	}
	return ""
}

// wished notes that an attempt goes out, and returns its place.
func (j *judge) wished(w *world, call *plan.Call, broker int) int {
	if whatOf(call) == "" {
		return -1
	}
	j.wishes = append(j.wishes, wish{whatOf(call), broker, w.now, node.Never})
	return len(j.wishes) - 1
}

// stopWishing notes that nobody waits for an attempt any more.
func (j *judge) stopWishing(w *world, p *pendingCall) {
	if p.wish >= 0 && p.wish < len(j.wishes) {
		wish := &j.wishes[p.wish]
		wish.ended = min(wish.ended, w.now)
	}
}

// changed notes a change of the catalog when it is applied for the first time.
func (j *judge) changed(w *world, e node.Event) {
	i, there := slices.BinarySearchFunc(j.changes, uint64(e.N), func(c change, index uint64) int { return cmp.Compare(c.index, index) })
	if !there {
		j.changes = slices.Insert(j.changes, i, change{uint64(e.N), e.Term, w.now, e.Text})
	}
}

// elected demands that an election which a broker was asked for comes in time. Its broker tells the leader until when it counts.
func (j *judge) elected(w *world, b *broker, e node.Event) {
	r := j.find(b, e.Group)
	if e.Text == "" || r == nil { // nobody asked for it
		return
	}
	what := fmt.Sprintf("elect %s/%d", r.view.Topic, r.view.Partition)
	if !slices.ContainsFunc(j.wishes, func(wish wish) bool {
		return wish.what == what && (wish.ended == node.Never || w.now <= wish.ended+w.atItsBroker(wish))
	}) {
		w.fail("late-election", "at %v broker %d hands group %d over, as somebody asked, but nobody has asked for that lately: %v", plan.Duration(w.now), b.number, e.Group, j.attempts(what))
	}
}

// checkChanges demands that each change which a plan's call can have made was asked for, and comes in time: while what is
// on its way arrives, and by a copy of a command that was sent while its request was open, which has its effect only in the
// term of group 0 that it was sent in.
func (j *judge) checkChanges(w *world) {
	for _, c := range j.changes {
		known, timely := false, false
		for _, wish := range j.wishes {
			if wish.what != c.what {
				continue
			}
			known = true
			until := j.until(w, wish.ended)
			timely = timely || wish.from <= c.at && (wish.ended == node.Never || (until == 0 || int64(c.at) <= until) && j.termBegan(c.term) <= wish.ended+w.atItsBroker(wish))
		}
		if known && !timely {
			w.fail("late-change", "at %v the catalog's entry %d of term %d had the effect %q, long after the last attempt that asked for it had ended: %v", plan.Duration(c.at), c.index, c.term, c.what, j.attempts(c.what))
		}
	}
}

func (j *judge) attempts(what string) (list []string) {
	for _, wish := range j.wishes {
		if wish.what == what {
			list = append(list, fmt.Sprintf("at broker %d from %v to %v", wish.broker, plan.Duration(wish.from), plan.Duration(wish.ended)))
		}
	}
	return list
}

// termBegan is when a term of group 0 was first heard of.
func (j *judge) termBegan(term uint64) node.Time {
	for _, t := range j.terms {
		if t.term == term {
			return t.from
		}
	}
	return 0
}

// newTerm notes a term of group 0 that begins.
func (j *judge) newTerm(w *world, term uint64) {
	if !slices.ContainsFunc(j.terms, func(r reign) bool { return r.term == term }) {
		j.terms = append(j.terms, reign{term: term, from: w.now})
	}
}

// atItsBroker is how long a broker may go on to send copies of a command whose request its client has given up. How long they
// are on their way then doesn't matter: each names the term that it was sent in.
func (w *world) atItsBroker(wish wish) node.Time {
	k := &w.plan.Knobs
	longest := 2*node.Time(second) + 200*node.Time(k.LinkLatency+k.StepCost)
	if len(w.plan.Attacks) > 0 || k.StepItems < 100 { // requests and hang-ups wait long for a step
		longest += w.patience() / 2
	}
	for _, h := range w.held {
		if (h.kind == plan.FaultPause || h.kind == plan.FaultSilence || h.kind == plan.FaultSlow) && h.broker == wish.broker && h.from <= wish.ended+longest && h.to >= wish.from {
			longest += max(0, h.to-max(h.from, wish.ended))
		}
	}
	return longest
}

// hold is a time in which something is held up: at a broker, or everywhere (0).
type hold struct {
	kind     plan.FaultKind
	broker   int
	from, to node.Time
}

// holdUp notes a fault that keeps what is on its way from arriving.
func (w *world) holdUp(f *plan.Fault, b *broker) {
	h := hold{f.Kind, 0, w.now, w.now + at(f.For)}
	switch f.Kind {
	case plan.FaultPause, plan.FaultSilence, plan.FaultClog, plan.FaultStall, plan.FaultSlowDisk, plan.FaultStop, plan.FaultClogs:
		h.broker = b.number
	case plan.FaultSlow: // what has come by then waits for its turn
		h.broker, h.to = b.number, h.to+node.Time(2*second)
	case plan.FaultTail:
		h.to += node.Time(4 * second)
	case plan.FaultNarrow:
		h.to += mostDelayed
	default:
		return
	}
	w.held = append(w.held, h)
}

// onItsWay is the longest time that a command whose request is over is still under way: in a connection that is silent,
// at a broker or a leader that stands still, in a link that is clogged or slow, and on the leader's disk.
func (w *world) onItsWay(ended node.Time) node.Time {
	limit := ended + node.Time(5*time.Second) + w.patience()/8 + 50*node.Time(w.plan.Knobs.LinkLatency+w.plan.Knobs.WriteLatency+w.plan.Knobs.StepCost)
	for _, h := range w.held { // in order of time
		if h.from <= limit && h.to > ended {
			limit += h.to - max(h.from, ended)
		}
	}
	return limit
}

// until is when a call of unknown outcome that ended at a time has taken effect, if it ever does; 0 if that isn't known.
func (j *judge) until(w *world, ended node.Time) int64 {
	if ended == node.Never {
		return 0
	}
	limit, term := w.onItsWay(ended), uint64(0)
	for _, r := range j.led {
		if r.from <= limit {
			term = max(term, r.term)
		}
	}
	for _, r := range j.led { // in order of time
		if r.commits != node.Never && (r.term > term || r.term == term && r.to > limit) {
			return int64(max(limit, r.commits))
		}
	}
	return 0
}

// boundOutcomes gives calls of unknown outcome their time.
func (w *world) boundOutcomes(calls []checker.CatalogCall) {
	for i := range calls {
		if c := &calls[i]; c.Outcome == checker.Unknown {
			c.Until = w.judge.until(w, node.Time(c.Return))
		}
	}
}

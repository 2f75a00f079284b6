// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"chronik/checker"
	"chronik/node"
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

// onItsWay is the longest time that a command whose request is over is still under way: in a connection that is silent,
// at a broker or a leader that stands still, in a link that is clogged or slow, and on the leader's disk.
func (w *world) onItsWay() node.Time {
	longest := node.Time(5*time.Second) + w.patience()/8 + 50*node.Time(w.plan.Knobs.LinkLatency+w.plan.Knobs.WriteLatency+w.plan.Knobs.StepCost)
	for _, f := range w.plan.Faults {
		switch f.Kind {
		case FaultTail:
			longest += node.Time(4*time.Second) * 4
		case FaultSilence, FaultPause, FaultClog, FaultStall, FaultSlowDisk, FaultStop:
			longest += at(f.For) * node.Time(max(f.Times, 1))
		}
	}
	return longest
}

// until is when a call of unknown outcome that ended at a time has taken effect, if it ever does; 0 if that isn't known.
func (j *judge) until(w *world, ended node.Time) int64 {
	limit, term := ended+w.onItsWay(), uint64(0)
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

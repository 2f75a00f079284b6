// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// Records that are deleted by age are judged by virtual time, which no broker can see: none goes early while a
// majority of the clocks is right, and when all is over all of them go, whatever the clocks show.

// ageSlack is how far a right clock may be from a record's age: messages that tell what clocks show may be late, and
// small differences are followed slowly.
const ageSlack = node.Time(second)

// byAge returns how long records of a topic live, if nothing else deletes them; 0: something else may.
func (w *world) byAge(name string) node.Time {
	t := w.plan.Topic(name)
	trims := func(c plan.Call) bool { return c.Kind == plan.CallTrim && c.Topic == name }
	if w.emptied || t == nil || t.RetentionMs == 0 || t.RetentionBytes > 0 || slices.ContainsFunc(w.plan.Calls, trims) {
		return 0
	}
	return node.Time(t.RetentionMs) * node.Time(millisecond)
}

// checkAge looks at the records that were just deleted: those that were acknowledged must have been there for as long
// as their topic says.
func (j *judge) checkAge(w *world, b *broker, e node.Event) {
	v, ok := b.node.Inspect(e.Group)
	if !ok || e.N <= j.deleted[e.Group] {
		return
	}
	from := j.deleted[e.Group]
	j.deleted[e.Group] = e.N
	lives := w.byAge(v.Topic)
	if lives == 0 || !w.clocksRight || w.doomed[v.Topic] {
		return
	}
	young := w.now - lives*99/100 + ageSlack // began after it
	produces := j.histories.Partition(partitionName(v.Topic, v.Partition)).Produces
	for i := len(produces) - 1; i >= 0; i-- {
		p := &produces[i]
		if last := p.BaseOffset + int64(len(p.Values)) - 1; p.Outcome == checker.OK && last >= from && last < e.N && node.Time(p.Call) > young {
			w.fail("expired-early", "offset %d of %s is deleted after at most %v; records of the topic live for %v, and most clocks are right",
				last, partitionName(v.Topic, v.Partition), plan.Duration(w.now-node.Time(p.Call)), plan.Duration(lives))
		}
	}
}

// expire demands that all records go whose topic says so. Clocks have no part in it: a process knows for how long it
// has held a record.
func (w *world) expire() {
	for _, g := range w.judge.groups {
		lives := w.byAge(g.topic)
		if lives == 0 || w.doomed[g.topic] || w.judge.gone[g.id] {
			continue
		}
		kept := int64(0)
		gone := func() bool {
			l := w.leader(g.id)
			if l == nil {
				return false
			}
			v, _ := l.node.Inspect(g.id)
			kept = v.HighWatermark - v.LogStart
			return kept == 0
		}
		if !w.runUntil(w.now+lives*3/2+w.patience(), gone) {
			w.fail("never-expired", "%s still has %d records %v after all faults ended; they live for %v", partitionName(g.topic, g.partition), kept, plan.Duration(w.now-w.healedAt), plan.Duration(lives))
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/node"
	"chronik/sim/plan"
)

// fillCalls is how many records of each partition are to fill the disks at most. With smaller segments the reserve doesn't
// hold the checkpoints of all groups.
const (
	fillCalls   = 400
	fillSegment = 32 << 10
)

// wayOut fills all disks to the brim and demands that records can be deleted all the same, and that then records are
// taken again although no file can grow: the log's own files are free.
func (w *world) wayOut() {
	compacted := func(t plan.Topic) bool { return t.Keys > 0 } // DeleteRecords is refused there
	if w.epoch > 0 || slices.ContainsFunc(w.plan.Topics, compacted) || w.plan.Knobs.SegmentBytes < fillSegment || !slices.ContainsFunc(w.plan.Faults, func(f plan.Fault) bool { return f.Kind == plan.FaultFull }) ||
		!w.seed.Draw(domainHeal, 0, 1000).Ratio(1, 2) {
		return
	}
	if !w.sparesRot() || !w.haveSpares() {
		return
	}
	for _, b := range w.brokers {
		b.disk.full = true
	}
	if w.tracing() {
		w.tracef("all disks are full from now on")
	}
	if w.fill() {
		w.emptied = true
		w.askToTrim()
		w.trimPrey()
		w.waitFor("with all disks full, records can be deleted and are taken again", w.patience())
		w.verifier.topics = w.verifier.topics[:len(w.plan.Topics)]
	}
	w.disturbed()
	for _, b := range w.brokers {
		b.disk.full = false
	}
	w.waitFor("each record that filled the disks ends", w.patience())
}

// sparesRot waits, where entries have rotted, until they are repaired and all replicas have everything; false if that takes too much.
// A replica that is found damaged on full disks has no successor, and while disks fill some log may come to lack records, and gets none:
// with both, a group has no majority.
func (w *world) sparesRot() bool {
	return len(w.rotten) == 0 || w.runUntil(w.now+w.patience(), w.afterSteps(func() bool { return w.unrepaired() == "" && w.difference() == "" }))
}

// haveSpares waits until each log has a second file; false if that takes too much. One that has none can't be emptied into another.
func (w *world) haveSpares() bool {
	lacks := func(b *broker) bool {
		if b.node == nil {
			return false
		}
		s := b.node.Stats().Log
		return s.Segments+s.Free < 2
	}
	return w.runUntil(w.now+w.patience(), w.afterSteps(func() bool { return !slices.ContainsFunc(w.brokers, lacks) }))
}

// fill writes until records are refused because disks are full; false if that takes too much.
func (w *world) fill() bool {
	full := func(b *broker) bool { return b.node != nil && b.node.Full() }
	for range fillCalls {
		for i := range w.plan.Topics {
			t := &w.plan.Topics[i]
			for p := range t.Partitions {
				if !w.doomed[t.Name] {
					call := w.verifierCall(plan.CallProduce, t.Name, p)
					call.Size = int(w.plan.Knobs.SegmentBytes / 16)
					w.verifier.begin(call)
				}
			}
		}
		if !w.runUntil(w.now+node.Time(3*second), func() bool { return w.verifier.left == 0 }) {
			return slices.ContainsFunc(w.brokers, full)
		}
	}
	return false
}

// trimPrey has what hostile clients wrote deleted, too: it may be more than all the rest.
func (w *world) trimPrey() {
	is := func(g groupInfo) bool { return g.topic == preyTopic && !w.judge.gone[g.id] }
	if !slices.ContainsFunc(w.judge.groups, is) {
		return
	}
	t := &plan.Topic{Name: preyTopic, Partitions: 1}
	w.verifier.topics = append(w.verifier.topics, &topicView{plan: t, stale: true, partitions: []partitionView{{epoch: -1}}})
	call := w.verifierCall(plan.CallTrim, t.Name, 0)
	call.Offset = -1
	w.verifier.begin(call)
}

// askToTrim has all records of all partitions deleted.
func (w *world) askToTrim() {
	for i := range w.plan.Topics {
		t := &w.plan.Topics[i]
		for p := range t.Partitions {
			if !w.doomed[t.Name] {
				call := w.verifierCall(plan.CallTrim, t.Name, p)
				call.Offset = -1
				w.verifier.begin(call)
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// freeze takes brokers away that no group needs for its quorum.
func (w *world) freeze() {
	n := int64(len(w.brokers))
	first := w.seed.Draw(domainHeal, uint64(w.epoch), 1).Below(n)
	for i := range n {
		b := w.brokers[(first+i)%n]
		if b.node == nil {
			continue
		}
		b.frozen = true
		if !w.quorums() {
			b.frozen = false
			continue
		}
		w.crash(b, w.seed.Draw(domainHeal, uint64(w.epoch), 2+uint64(b.number)).Ratio(1, 2), 0)
		if w.tracing() {
			w.tracef("%s  stays dead for a while", w.column(b))
		}
	}
}

// quorums says that every group has a quorum of brokers that aren't frozen.
func (w *world) quorums() bool {
	for _, g := range w.judge.groups {
		if !w.judge.gone[g.id] && !w.quorum(g) {
			return false
		}
	}
	return len(w.judge.groups) > 0
}

// quorum says whether the brokers that aren't frozen can decide in a group, whichever of the
// configurations that replicas know is in force. (Raft's replicas go by what they have applied.) Where
// the partition was to be moved they have to be able to decide, too: its leader may take the last step
// before it notices that others are dead. The same holds without a broker whose removal is under way.
func (w *world) quorum(g groupInfo) bool {
	for _, brokers := range w.destinations(g) {
		up := 0
		for _, n := range brokers {
			if b := w.brokers[n-1]; b.node != nil && !b.frozen && !b.leaving {
				up++
			}
		}
		if len(brokers) > 0 && up <= len(brokers)/2 {
			return false
		}
	}
	awake := func(id checker.ReplicaID) bool {
		return w.current(id, g.id) && w.brokers[id.Broker()-1].node != nil && !w.brokers[id.Broker()-1].frozen
	}
	some := false
	for _, b := range w.brokers {
		if r := w.judge.find(b, g.id); r != nil && !b.away && len(r.view.Voters) > 0 {
			some = true
			conf := checker.Config{Voters: replicaIDs(r.view.Voters), Outgoing: replicaIDs(r.view.Outgoing)}
			left := without(w.removals(), conf)
			if !conf.Quorum(awake) || !left.Quorum(awake) || slices.ContainsFunc(replicaIDs(r.view.Learners), func(id checker.ReplicaID) bool { return !awake(id) }) {
				return false // learners may be made voters any time
			}
		}
	}
	return some
}

// destinations lists where a partition was to be moved, or will be by a call that is under way.
func (w *world) destinations(g groupInfo) (all [][]int) {
	for _, m := range w.judge.moves[partitionName(g.topic, g.partition)] {
		all = append(all, m.brokers)
	}
	for _, c := range w.clients {
		for _, p := range c.serial.queue {
			if p.call.Kind == plan.CallMove && p.call.Topic == g.topic && p.call.Partition == g.partition {
				all = append(all, p.call.Brokers)
			}
		}
	}
	return all
}

// removals lists the brokers that calls which are under way may remove from the cluster.
func (w *world) removals() (brokers []int) {
	for _, c := range w.clients {
		for _, p := range c.serial.queue {
			if p.call.Kind == plan.CallRemove {
				brokers = append(brokers, p.call.Brokers[0])
			}
		}
	}
	return brokers
}

// without returns a configuration without brokers that are being removed. A group whose only voter is there stays as it is:
// its broker isn't removed before it has moved.
func without(brokers []int, conf checker.Config) checker.Config {
	gone := func(id checker.ReplicaID) bool { return slices.Contains(brokers, int(id.Broker())) }
	left := checker.Config{Voters: slices.DeleteFunc(slices.Clone(conf.Voters), gone), Outgoing: slices.DeleteFunc(slices.Clone(conf.Outgoing), gone)}
	if len(left.Voters) == 0 {
		return conf
	}
	return left
}

// probeQuorums demands that each partition takes a record without the frozen brokers.
func (w *world) probeQuorums() {
	frozen := false
	for _, b := range w.brokers {
		frozen = frozen || b.frozen
	}
	if !frozen {
		return
	}
	w.createLate()
	for _, g := range w.judge.groups { // some of them were not known before the brokers started again
		if w.plan.Topic(g.topic) != nil && !w.doomed[g.topic] && w.quorum(g) {
			w.verifier.begin(w.verifierCall(plan.CallProduce, g.topic, g.partition))
		}
	}
	if !w.runUntil(w.now+w.patience(), func() bool { return w.verifier.left == 0 }) {
		w.fail("liveness", "with a quorum of each group alive and all faults ended, not every partition took a record within %v", plan.Duration(w.now-w.healedAt))
	}
}

// lastOfFrozen returns when the last message of a frozen broker arrives, at least now. It was sent before the broker
// died, and until then the broker seems to live.
func (w *world) lastOfFrozen() node.Time {
	return w.lastOf(func(b *broker) bool { return b.frozen })
}

// lastOf returns when the last message of some brokers arrives, at least now.
func (w *world) lastOf(some func(*broker) bool) node.Time {
	last := w.now
	for _, k := range w.heap.keys {
		if e := &w.heap.slab[k.slot]; e.kind == evMessage && some(w.brokers[e.from-1]) {
			last = max(last, e.at)
		}
	}
	return last
}

// thaw starts the frozen brokers.
func (w *world) thaw() {
	for _, b := range w.brokers {
		if b.frozen {
			b.frozen = false
			if !b.away {
				w.boot(b)
			}
		}
	}
	w.healedAt = w.now
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
	"chronik/sim/plan"
)

// Replicas of a compacted topic drop records on their own, so when all is over each of them is read.

// compacted is what a fresh client read from each replica of a partition.
type compacted struct {
	partition string
	keys      int
	truths    []*checker.Truth
}

// essence is what compaction leaves of an entry: replicas may have its batch with other records missing.
// In a world without compacted topics it is all of it.
func (w *world) essence(data []byte) []byte {
	if !w.compacts {
		return data
	}
	b, err := kafka.ParseBatch(data)
	if err != nil {
		return data
	}
	if b.IsControl() {
		if m, err := kafka.ParseMarker(data); err == nil {
			return fmt.Appendf(nil, "%+v", m)
		}
	}
	return fmt.Appendf(nil, "%d records of producer %d/%d from %d at %d", b.LastOffsetDelta+1, b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.FirstTimestamp)
}

// readReplicas lets each replica of each compacted partition lead once and the verifier read from it.
func (w *world) readReplicas() {
	for _, g := range w.judge.groups {
		t := w.plan.Topic(g.topic)
		if t == nil || t.Keys == 0 || w.doomed[g.topic] || w.judge.gone[g.id] {
			continue
		}
		c := &compacted{partition: partitionName(g.topic, g.partition), keys: t.Keys}
		c.truths = append(c.truths, w.judge.histories.Truths[c.partition])
		var leader *broker
		if !w.runUntil(w.now+w.patience(), w.afterSteps(func() bool { leader = w.leader(g.id); return leader != nil })) { // it may be moving
			w.fail("liveness", "%s has no leader", c.partition)
		}
		v, _ := leader.node.Inspect(g.id)
		replicas := slices.Clone(v.Replicas)
		for _, b := range replicas {
			if int(b) != leader.number {
				w.lead(g, b, replicas)
				w.readAgain(g)
				c.truths = append(c.truths, w.judge.histories.Truths[c.partition])
			}
		}
		w.judge.compacted = append(w.judge.compacted, c)
	}
}

// lead makes a replica the leader: as the preferred one, the first of all.
func (w *world) lead(g groupInfo, b node.BrokerID, replicas []node.BrokerID) {
	order := []int{int(b)}
	for _, r := range replicas {
		if r != b {
			order = append(order, int(r))
		}
	}
	for range 2 { // an attempt of an earlier move may arrive after this one, and undo it once
		move := w.verifierCall(plan.CallMove, g.topic, g.partition)
		move.Brokers = order
		w.verifier.begin(move)
		w.waitFor("an order of replicas is taken", w.patience())
		w.verifier.begin(w.verifierCall(plan.CallElect, g.topic, g.partition))
		w.waitFor("an election is answered", w.patience())
		if w.runUntil(w.now+w.patience(), func() bool { l := w.leader(g.id); return l != nil && l.number == int(b) }) {
			return
		}
	}
	w.fail("liveness", "%s doesn't come to be led by its preferred replica, on broker %d", partitionName(g.topic, g.partition), b)
}

// readAgain lets the verifier read a partition from the start.
func (w *world) readAgain(g groupInfo) {
	t := w.verifier.topic(g.topic)
	p := &t.partitions[g.partition]
	t.stale, p.position = true, 0
	w.readPartition(w.verifier, t, int(g.partition))
}

// expected demands that what the plan is about did happen.
func (w *world) expected() {
	for _, e := range w.plan.Expect {
		if i, _ := plan.AnchorIndex(e); w.result.Events[i] == 0 {
			w.fail("expected-event", "no broker met %q, which this scenario is about", e)
		}
	}
}

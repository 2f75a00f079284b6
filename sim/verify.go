// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// verifierID is the client that asks everything once more when all is over.
const verifierID = 1 << 20

// Kinds of calls that only the verifier makes.
const (
	callMoving = "moving" // ListPartitionReassignments
	callPlaced = "placed" // Metadata of a topic: on which brokers its partitions are
)

// verify demands that every pending call ends, that each partition takes a record, and that a fresh
// client can read all of it.
func (w *world) verify() {
	longest := plan.Duration(0)
	for _, c := range w.clients {
		longest = max(longest, c.spec.GiveUp)
	}
	v := w.verifier
	if w.epoch == 0 {
		w.ask(v, plan.CallCreate, func(t *plan.Topic) bool { return !t.Auto })
	}
	w.waitFor("every call of the plan and a topic's creation ends", at(longest)+w.patience())
	w.wayOut()
	w.settleTransactions()
	w.ask(v, plan.CallProduce, nil)
	w.waitFor("each partition takes a record", w.patience())
	w.ask(v, plan.CallLatest, nil)
	w.waitFor("each partition tells its end", w.patience())
	w.readAll(v)
	w.quiz(v)
}

// ask gives the verifier a call for each partition (create and delete: for each topic) that nobody deletes.
func (w *world) ask(v *client, kind string, want func(*plan.Topic) bool) {
	for i := range w.plan.Topics {
		t := &w.plan.Topics[i]
		if w.doomed[t.Name] || want != nil && !want(t) {
			continue
		}
		for p := range t.Partitions {
			if p > 0 && (kind == plan.CallCreate || kind == plan.CallDelete) {
				break
			}
			v.begin(w.verifierCall(kind, t.Name, p))
		}
	}
}

func (w *world) verifierCall(kind, topic string, partition int32) *plan.Call {
	w.asked++
	return &plan.Call{ID: verifierID + w.asked, Client: verifierID, Kind: kind, Topic: topic, Partition: partition, Records: 1, Size: plan.MinValue, Acks: -1}
}

// waitFor runs until no call is pending.
func (w *world) waitFor(what string, limit node.Time) {
	done := func() bool {
		for _, c := range w.clients {
			if c.left > 0 {
				return false
			}
		}
		return true
	}
	if !w.runUntil(w.now+limit, done) {
		w.fail("liveness", "%s: not within %v after all faults ended", what, plan.Duration(w.now-w.healedAt))
	}
}

// waitForMoves demands that soon no partition is on the move any more.
func (w *world) waitForMoves() {
	for limit := w.now + 4*w.patience(); ; {
		w.verifier.begin(w.verifierCall(callMoving, w.plan.Topics[0].Name, 0))
		w.waitFor("the question for moves is answered", w.patience())
		switch {
		case w.verifier.moving == "":
			return
		case w.now > limit:
			w.fail("liveness", "a move doesn't come to its end: %s", w.verifier.moving)
		}
		w.runUntil(w.now+node.Time(200*millisecond), func() bool { return false })
	}
}

// checkPlacements demands that partitions are where they were moved.
func (w *world) checkPlacements() {
	for i := range w.plan.Topics {
		if t := &w.plan.Topics[i]; !w.doomed[t.Name] {
			w.verifier.begin(w.verifierCall(callPlaced, t.Name, 0))
			w.waitFor("the question where partitions are is answered", w.patience())
		}
	}
}

// readAll lets the verifier fetch each partition from the start to the end that it was told.
func (w *world) readAll(v *client) {
	for _, t := range v.topics {
		if w.doomed[t.plan.Name] {
			continue
		}
		for i := range t.partitions {
			w.readPartition(v, t, i)
		}
	}
}

func (w *world) readPartition(v *client, t *topicView, i int) {
	p, name := &t.partitions[i], partitionName(t.plan.Name, int32(i))
	w.judge.histories.Truths[name] = &checker.Truth{Start: p.position}
	w.readings[name] = &reading{epochs: make(map[int64]int16)}
	for limit := w.now + 4*w.patience(); p.position < p.end; {
		if w.now > limit {
			w.fail("liveness", "a fresh client reads %s up to offset %d of %d and comes no further", name, p.position, p.end)
		}
		v.begin(w.verifierCall(plan.CallFetch, t.plan.Name, int32(i)))
		w.waitFor("a fetch of "+name+" is answered", 2*w.patience())
	}
}

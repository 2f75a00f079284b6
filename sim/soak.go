// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// A soak is one world that goes on for days of virtual time, in epochs. In each there are calls and faults,
// then all is healed, judged and forgotten, and the cluster lives on into the next. So what the
// simulator keeps is bounded, and whether what the cluster keeps is can be seen in the process.

// SoakState is where a soak is after an epoch.
type SoakState struct {
	Epoch   int // from 1
	Virtual node.Time
	Result  *Result
	// Look-ups of entries by followers and fetches: answered by memory, by the cache of old entries, and
	// reads from the logs' files.
	Hot, Cached, Cold int64
}

// Soak runs a world for a virtual time. after is called after each epoch. The result's Failure is the
// first promise that was broken.
func Soak(s uint64, length plan.Duration, after func(SoakState)) *Result {
	w := newWorld(plan.Soak(s), Options{})
	defer w.random.install()()
	w.result.Failure = w.protect(func() {
		w.start()
		for {
			w.runUntil(w.epochBegan+at(plan.EpochLength), func() bool { return false })
			w.settle()
			w.epoch++
			w.judge.forget(w.epochBegan)
			after(w.soakState())
			if w.now >= at(length) {
				return
			}
			w.nextEpoch()
		}
	})
	w.finish()
	return w.result
}

// nextEpoch begins with new calls and faults.
func (w *world) nextEpoch() {
	w.plan = w.plan.SoakEpoch(w.epoch)
	w.heap.drop(evFault, evFaultEnd)
	for i := range w.anchored {
		w.anchored[i] = nil
	}
	w.rotten, w.healing, w.epochBegan, w.held = nil, false, w.now, nil
	w.beginEpoch()
}

// forget drops what was judged. What a client asked for since a time and never got an answer to may still
// come.
func (j *judge) forget(since node.Time) {
	j.changes, j.wishes = j.changes[:0], j.wishes[:0]
	old := j.histories
	j.begins = make(map[string]int64)
	j.histories = checker.Histories{Truths: make(map[string]*checker.Truth)}
	for i := range old.Partitions {
		name := old.Partitions[i].Partition
		h := j.histories.Partition(name)
		j.begins[name] = old.Truths[name].End()
		for _, p := range old.Partitions[i].Produces {
			if p.Outcome == checker.Unknown && p.Call >= int64(since) {
				h.Produces = append(h.Produces, p)
			}
		}
	}
	for _, g := range j.groups {
		if r := j.behind(g.id); r != nil {
			j.cluster.Forget(uint64(g.id), r.view.Applied)
		}
	}
}

// behind returns the replica of a group that has applied the least, as last seen.
func (j *judge) behind(g node.GroupID) (last *seenReplica) {
	for _, seen := range j.seen {
		for _, r := range seen {
			if r.group == g && (last == nil || r.view.Applied < last.view.Applied) {
				last = r
			}
		}
	}
	return last
}

// soakState sums up.
func (w *world) soakState() SoakState {
	s := SoakState{Epoch: w.epoch, Virtual: w.now, Result: w.result, Hot: w.hotReads, Cached: w.cachedReads}
	for _, b := range w.brokers {
		if b.node != nil {
			st := b.node.Stats()
			s.Hot, s.Cached = s.Hot+st.HotHits, s.Cached+st.CacheHits
		}
	}
	s.Cold = w.result.Events[node.EventColdRead]
	return s
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strconv"

	"chronik/checker"
	"chronik/node"
)

// A soak is one world that goes on for days of virtual time, in epochs. In each there are calls and faults,
// then all is healed, judged and forgotten, and the cluster lives on into the next. So what the
// simulator keeps is bounded, and whether what the cluster keeps is can be seen in the process.

// epochLength is the virtual time of calls and faults in an epoch.
const epochLength = 5 * 60 * second

// What happens in an epoch, at most or about.
const (
	soakProducers = 64
	soakConsumers = 8
	soakBatches   = 30 // of each producer
	soakFetches   = 50 // of each consumer
	soakFaults    = 8
)

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
func Soak(s uint64, length Duration, after func(SoakState)) *Result {
	g := soakGenerator(s, 0)
	g.soakCluster()
	g.soakEpoch()
	w := newWorld(g.plan, Options{})
	defer w.random.install()()
	w.result.Failure = w.protect(func() {
		w.start()
		for {
			w.runUntil(w.epochBegan+at(epochLength), func() bool { return false })
			w.settle()
			w.epoch++
			w.judge.forget(w.epochBegan)
			after(w.soakState())
			if w.now >= at(length) {
				return
			}
			w.nextEpoch(s)
		}
	})
	w.finish()
	return w.result
}

func soakGenerator(s uint64, epoch int) *generator {
	n := uint64(0)
	g := &generator{prof: &profile{name: "soak"}, plan: &Plan{Seed: s, Profile: "soak", Safety: epochLength}}
	g.pick = func(limit int64) int64 {
		n++
		return seed(s).draw(domainPlan, uint64(epoch), n).below(limit)
	}
	return g
}

// soakCluster is a plain cluster with the defaults of production where they matter.
func (g *generator) soakCluster() {
	p := g.plan
	p.Brokers, p.Founders = 3, 3
	p.Clocks = []Clock{{}, {OffsetMs: 1500, DriftPPM: 20}, {OffsetMs: -700, DriftPPM: -35}}
	for i := range 4 {
		p.Topics = append(p.Topics, Topic{Name: "t" + strconv.Itoa(i), Partitions: 2, Replicas: 3, RetentionBytes: 1 << 19})
	}
	p.Knobs = Knobs{
		Tick: 100 * millisecond, ElectionTicks: 10, HeartbeatTicks: 2, SegmentBytes: 1 << 18, CacheBytes: 4 << 20,
		StepCost: 50 * microsecond, StepItems: 1000, LinkLatency: 500 * microsecond, LinkInOrder: true,
		WriteLatency: 2 * millisecond, ReadLatency: millisecond, RestartTime: 50 * millisecond,
	}
	admin := g.client(false)
	for i := range p.Topics {
		g.call(Call{Client: admin, Kind: CallCreate, Topic: p.Topics[i].Name})
	}
	for range soakProducers {
		g.client(true)
	}
	for range soakConsumers {
		g.client(false)
	}
	for i := range p.Clients { // slow enough for a broker that restarts
		p.Clients[i].Timeout, p.Clients[i].GiveUp = 2*second, 60*second
	}
}

// soakEpoch draws calls and faults. Clients are the administrator, the producers, the consumers.
func (g *generator) soakEpoch() {
	one := func(c Call) {
		c.At = Duration(g.upTo(int64(epochLength)) / 1000 * 1000)
		t := &g.plan.Topics[g.pick(int64(len(g.plan.Topics)))]
		c.Topic, c.Partition = t.Name, int32(g.pick(int64(t.Partitions)))
		g.call(c)
	}
	for i := range soakProducers {
		for range soakBatches {
			one(Call{Client: 2 + i, Kind: CallProduce, Records: int(g.wide(1, 20)), Size: int(g.wide(minValue, 512)), Acks: -1})
		}
	}
	for i := range soakConsumers {
		for n := range soakFetches {
			one(Call{Client: 2 + soakProducers + i, Kind: []string{CallFetch, CallFetch, CallFetch, CallLatest}[n%4]})
		}
	}
	for range g.upTo(soakFaults) {
		g.fault(drawnKinds[g.pick(int64(len(drawnKinds)))], g.chance(1, 4))
	}
}

// nextEpoch begins with new calls and faults.
func (w *world) nextEpoch(s uint64) {
	g := soakGenerator(s, w.epoch)
	g.plan.Brokers, g.plan.Founders = w.plan.Brokers, w.plan.Founders
	g.plan.Topics = w.plan.Topics
	g.soakEpoch()
	next := *w.plan
	next.Calls, next.Faults = g.plan.Calls, g.plan.Faults
	for i := range next.Calls {
		next.Calls[i].ID += w.epoch << 24
	}
	for i := range next.Faults {
		next.Faults[i].ID += w.epoch << 24
	}
	w.plan = &next
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

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"chronik/checker"
	"chronik/node"
)

// verifierID is the client that asks everything once more when all is over.
const verifierID = 1 << 20

// settle is the second half of a run: all faults end, and within bounded time everything must
// finish. A run that only shows that nothing bad happened could pass by doing nothing.
//
// Half of the time some brokers stay dead at first: as long as each group has a quorum, it must
// work without them.
func (w *world) settle() {
	w.verifier = newClient(w, &Client{
		ID: verifierID, Idempotent: true, InFlight: 1, Home: 1,
		Timeout: second, GiveUp: 2 * Duration(w.patience()),
	})
	w.clients = append(w.clients, w.verifier)
	if w.seed.draw(domainHeal, 0, 0).ratio(1, 2) {
		w.freeze()
	}
	w.heal()
	w.probeQuorums()
	w.thaw()
	w.verify()
	w.converge()
	w.judgeHistories()
}

// freeze takes brokers away that no group needs for its quorum.
func (w *world) freeze() {
	n := int64(len(w.brokers))
	first := w.seed.draw(domainHeal, 0, 1).below(n)
	for i := range n {
		b := w.brokers[(first+i)%n]
		b.frozen = true
		if !w.quorums() {
			b.frozen = false
			continue
		}
		if b.node != nil {
			w.crash(b, w.seed.draw(domainHeal, 1, uint64(b.number)).ratio(1, 2), 0)
		}
		if w.tracing() {
			w.tracef("%s  stays dead for a while", w.column(b))
		}
	}
}

// quorums says that every group has a majority of brokers that aren't frozen.
func (w *world) quorums() bool {
	for _, g := range w.judge.groups {
		if !w.quorum(g) && !w.judge.gone[g.id] {
			return false
		}
	}
	return len(w.judge.groups) > 0
}

func (w *world) quorum(g groupInfo) bool {
	alive := 0
	for _, id := range g.replicas {
		if !w.brokers[id-1].frozen {
			alive++
		}
	}
	return alive > len(g.replicas)/2
}

// heal ends all faults and starts all brokers that aren't frozen.
func (w *world) heal() {
	w.healing, w.healedAt = true, w.now
	w.net.heal()
	for _, b := range w.brokers {
		b.refusing, b.slowness = 0, 0
		b.silentUntil, b.pausedUntil, b.stalledUntil = 0, 0, 0
		b.disk.failSyncs, b.disk.failWrites = 0, 0
		b.dieAt = 0
		if b.stopBy != 0 {
			w.crash(b, false, 0)
		}
		if b.node == nil && !b.frozen {
			w.boot(b)
		}
	}
	if w.tracing() {
		w.tracef("all faults end")
	}
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
	for _, g := range w.judge.groups { // some of them were not known before the brokers started again
		if g.topic != "" && !w.doomed[g.topic] && w.quorum(g) {
			w.verifier.begin(w.verifierCall(CallProduce, g.topic, g.partition))
		}
	}
	if !w.runUntil(w.now+w.patience(), func() bool { return w.verifier.left == 0 }) {
		w.fail("liveness", "with a quorum of each group alive and all faults ended, not every partition took a record within %v", Duration(w.now-w.healedAt))
	}
}

// thaw starts the frozen brokers.
func (w *world) thaw() {
	for _, b := range w.brokers {
		if b.frozen {
			b.frozen = false
			w.boot(b)
		}
	}
	w.healedAt = w.now
}

// abandoned says that nobody waits for a topic any more: some call deletes it, and all is healed.
func (w *world) abandoned(topic string) bool { return w.healing && w.doomed[topic] }

// patience is how long anything may take once all is well: leaders are elected within a few
// election timeouts, and then everything is a few round trips and writes.
func (w *world) patience() node.Time {
	k := &w.plan.Knobs
	election := node.Time(k.Tick) * node.Time(k.ElectionTicks)
	trip := node.Time(k.LinkLatency + k.WriteLatency + k.StepCost)
	return 20*election + 1000*trip + node.Time(10*second)
}

// verify demands that every pending call ends, that each partition takes a record, and that a fresh
// client can read all of it.
func (w *world) verify() {
	longest := Duration(0)
	for _, c := range w.clients {
		longest = max(longest, c.spec.GiveUp)
	}
	v := w.verifier
	w.ask(v, CallCreate, func(t *Topic) bool { return !t.Auto })
	w.waitFor("every call of the plan and a topic's creation ends", at(longest)+w.patience())
	w.ask(v, CallProduce, nil)
	w.waitFor("each partition takes a record", w.patience())
	w.ask(v, CallLatest, nil)
	w.waitFor("each partition tells its end", w.patience())
	w.readAll(v)
}

// ask gives the verifier a call for each partition (create: for each topic) that nobody deletes.
func (w *world) ask(v *client, kind string, want func(*Topic) bool) {
	for i := range w.plan.Topics {
		t := &w.plan.Topics[i]
		if w.doomed[t.Name] || want != nil && !want(t) {
			continue
		}
		for p := range t.Partitions {
			if kind == CallCreate && p > 0 {
				break
			}
			v.begin(w.verifierCall(kind, t.Name, p))
		}
	}
}

func (w *world) verifierCall(kind, topic string, partition int32) *Call {
	w.asked++
	return &Call{ID: verifierID + w.asked, Client: verifierID, Kind: kind, Topic: topic, Partition: partition, Records: 1, Size: minValue, Acks: -1}
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
		w.fail("liveness", "%s: not within %v after all faults ended", what, Duration(w.now-w.healedAt))
	}
}

// readAll lets the verifier fetch each partition from the start to the end that it was told.
func (w *world) readAll(v *client) {
	for _, t := range v.topics {
		if w.doomed[t.plan.Name] {
			continue
		}
		for i := range t.partitions {
			p := &t.partitions[i]
			name := partitionName(t.plan.Name, int32(i))
			w.judge.histories.Truths[name] = &checker.Truth{}
			for limit := w.now + 4*w.patience(); p.position < p.end; {
				if w.now > limit {
					w.fail("liveness", "a fresh client reads %s up to offset %d of %d and comes no further", name, p.position, p.end)
				}
				v.begin(w.verifierCall(CallFetch, t.plan.Name, int32(i)))
				w.waitFor("a fetch of "+name+" is answered", 2*w.patience())
			}
		}
	}
}

// converge demands that all replicas of each group come to the same state.
func (w *world) converge() {
	var why string
	if !w.runUntil(w.now+w.patience(), func() bool {
		why = w.difference()
		return why == ""
	}) {
		w.fail("liveness", "replicas don't become equal: %s", why)
	}
}

// difference says what still differs between replicas; "" if nothing does.
func (w *world) difference() string {
	for _, b := range w.brokers {
		for _, g := range b.node.Groups() {
			v, _ := b.node.Inspect(g)
			for _, id := range v.Replicas {
				o, ok := w.brokers[id-1].node.Inspect(g)
				if why := unequal(&v, &o, ok); why != "" {
					return why
				}
			}
		}
	}
	return ""
}

func unequal(v, o *node.View, ok bool) string {
	switch {
	case !ok:
		return "a broker has no replica of a group that it votes in"
	case v.Lead < 0:
		return "a replica knows no leader"
	case v.LastIndex != o.LastIndex || v.Commit != o.Commit || v.Applied != o.Applied || v.Applied != v.LastIndex:
		return "logs have different ends"
	case v.HighWatermark != o.HighWatermark:
		return "high watermarks differ"
	}
	return ""
}

// catalogTimeout is how much wall time the search for an order of the catalog's calls may take. It
// is usually over at once; if not, that is counted and neither a pass nor a failure.
const catalogTimeout = 5 * time.Second

// judgeHistories hands what clients saw to the checkers.
func (w *world) judgeHistories() {
	h := &w.judge.histories
	bad, undecided := checker.CheckCatalog(h.Catalog, catalogTimeout)
	w.violated(bad)
	w.result.Undecided = int64(len(undecided))
	for i := range h.Partitions {
		p := &h.Partitions[i]
		truth := h.Truths[p.Partition]
		if truth == nil { // the topic is deleted
			continue
		}
		w.violated(checker.CheckPartition(p, truth, checker.LogOptions{MaxStaleness: -1}))
	}
}

// finish completes the result.
func (w *world) finish() {
	r := w.result
	r.Virtual = w.now
	r.Draws = w.random.draws
	r.Checks = w.judge.cluster.Evaluations()
	w.hash.word(uint64(w.now))
	w.hash.word(uint64(r.Steps))
	r.Hash = uint64(w.hash)
	if r.Failure == nil && len(w.brokers) > 1 && r.Draws == 0 {
		r.Failure = &Failure{
			Check: "determinism", At: w.now,
			Text: "no election timeout was drawn from crypto/rand.Reader: the raft library has another source of randomness now, and runs can't be repeated",
		}
	}
}

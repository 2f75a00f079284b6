// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"fmt"
	"slices"
	"time"

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

// settle is the second half of a run: all faults end, and within bounded time everything must
// finish. A run that only shows that nothing bad happened could pass by doing nothing.
//
// Half of the time some brokers stay dead at first: as long as each group has a quorum, it must
// work without them.
func (w *world) settle() {
	if w.verifier == nil {
		w.verifier = newClient(w, &plan.Client{
			ID: verifierID, Idempotent: true, InFlight: 1, Home: 1,
			Timeout: second, GiveUp: 2 * plan.Duration(w.patience()),
		})
		w.clients = append(w.clients, w.verifier)
	}
	w.mendLists()
	w.heal()
	w.healMembers()
	w.waitForStrays()
	if w.founded() && w.joined() && w.seed.Draw(domainHeal, uint64(w.epoch), 0).Ratio(1, 2) {
		w.freeze()
	}
	w.probeQuorums()
	w.thaw()
	w.verify()
	w.settleMembers()
	w.waitForEnds()
	w.converge()
	if len(w.judge.moves) > 0 {
		w.waitForMoves()
		w.converge()
		w.checkPlacements()
	}
	if len(w.rotten) > 0 {
		w.waitForRepairs()
		w.converge()
	}
	w.readReplicas()
	w.checkStored()
	w.expire()
	if len(w.attackers) > 0 {
		w.checkBounded()
	}
	w.judge.checkChanges(w)
	w.judgeHistories()
	w.expected()
}

// founded waits until the founders have all told each other whom they found a cluster with. Before that none of them
// may be missing.
func (w *world) founded() bool {
	return w.runUntil(w.now+w.patience(), func() bool { return !w.founding() })
}

// joined says that every broker that runs is part of the cluster. One that joins may know none but a broker that is to
// be taken away, and then waits for it.
func (w *world) joined() bool {
	waits := func(b *broker) bool { return b.node != nil && !b.node.Ready() }
	return w.runUntil(w.now+w.patience(), func() bool { return !slices.ContainsFunc(w.brokers, waits) })
}

// founding says that the founders don't know yet that all found the same cluster: then all their disks are needed.
func (w *world) founding() bool {
	up := func(b *broker) bool { return b.node != nil }
	open := func(b *broker) bool { return up(b) && b.node.Founding() }
	return w.mending() || !slices.ContainsFunc(w.brokers, up) || slices.ContainsFunc(w.brokers, open)
}

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
// before it notices that others are dead.
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
			if !conf.Quorum(awake) || slices.ContainsFunc(replicaIDs(r.view.Learners), func(id checker.ReplicaID) bool { return !awake(id) }) {
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

// heal ends all faults and starts all brokers of the cluster.
func (w *world) heal() {
	w.healing, w.healedAt = true, w.now
	for _, a := range w.attackers {
		w.endAttack(a)
	}
	w.net.heal()
	for _, b := range w.brokers {
		b.refusing, b.slowness = 0, 0
		b.silentUntil, b.pausedUntil, b.stalledUntil = 0, 0, 0
		b.disk.failSyncs, b.disk.failWrites = 0, 0
		b.full, b.disk.full = 0, false
		b.dieAt = 0
		if b.stopBy != 0 {
			w.crash(b, false, 0)
		}
		if b.leaving && b.node == nil {
			w.takeAway(b)
		}
		if b.node == nil && b.diskNumber > 0 && !b.away {
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

// createLate makes topics when the living brokers have noticed that others are dead: their replicas must not be
// where nobody can serve them.
func (w *world) createLate() {
	k := &w.plan.Knobs
	w.runUntil(w.lastOfFrozen()+5*node.Time(k.Tick)*node.Time(k.ElectionTicks), func() bool { return false })
	for i := range w.plan.Topics {
		t := &w.plan.Topics[i]
		if !t.Late || w.epoch > 0 {
			continue
		}
		w.verifier.begin(w.verifierCall(plan.CallCreate, t.Name, 0))
		w.runUntil(w.now+w.patience(), func() bool { return w.verifier.left == 0 })
		for p := range t.Partitions {
			w.verifier.begin(w.verifierCall(plan.CallProduce, t.Name, p))
		}
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

// abandoned says that nobody waits for a topic any more: some call deletes it, and all is healed.
func (w *world) abandoned(topic string) bool { return w.healing && w.doomed[topic] }

// patience is how long anything may take once all is well: leaders are elected within a few
// election timeouts, and then everything is a few round trips and writes, but for followers that catch up at
// their pace.
func (w *world) patience() node.Time {
	k := &w.plan.Knobs
	election := node.Time(k.Tick) * node.Time(k.ElectionTicks)
	trip := node.Time(k.LinkLatency + k.WriteLatency + k.StepCost)
	catchUp := node.Time(0)
	if k.CatchUpRate > 0 {
		catchUp = node.Time(int64(second) * mostBehind / k.CatchUpRate)
	}
	return 20*election + 1000*trip + node.Time(10*second) + catchUp
}

// mostBehind is how many bytes patience allows a follower to lack.
const mostBehind = 8 << 20

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
	w.ask(v, plan.CallProduce, nil)
	w.waitFor("each partition takes a record", w.patience())
	w.ask(v, plan.CallLatest, nil)
	w.waitFor("each partition tells its end", w.patience())
	w.readAll(v)
}

// ask gives the verifier a call for each partition (create: for each topic) that nobody deletes.
func (w *world) ask(v *client, kind string, want func(*plan.Topic) bool) {
	for i := range w.plan.Topics {
		t := &w.plan.Topics[i]
		if w.doomed[t.Name] || want != nil && !want(t) {
			continue
		}
		for p := range t.Partitions {
			if kind == plan.CallCreate && p > 0 {
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
	for limit := w.now + 4*w.patience(); p.position < p.end; {
		if w.now > limit {
			w.fail("liveness", "a fresh client reads %s up to offset %d of %d and comes no further", name, p.position, p.end)
		}
		v.begin(w.verifierCall(plan.CallFetch, t.plan.Name, int32(i)))
		w.waitFor("a fetch of "+name+" is answered", 2*w.patience())
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
	w.compareStates()
}

// compareStates demands that replicas which have applied the same entries have the same state: offsets,
// leader epochs, producer windows, the catalog, consumer groups.
func (w *world) compareStates() {
	for _, g := range w.judge.groups {
		leader := w.leader(g.id)
		if w.judge.gone[g.id] || leader == nil {
			continue
		}
		want := leader.node.StateOf(g.id)
		for _, b := range w.brokers {
			if b == leader || b.node == nil {
				continue
			}
			if have := b.node.StateOf(g.id); have != nil && !bytes.Equal(have, want) {
				w.fail("state-equal", "brokers %d and %d have applied the same entries of group %d and have different states: %q and %q",
					leader.number, b.number, g.id, want, have)
			}
		}
	}
}

// difference says what still differs between replicas; "" if nothing does.
func (w *world) difference() string {
	for _, g := range w.judge.groups {
		leader := w.leader(g.id)
		switch {
		case w.judge.gone[g.id]:
			continue
		case leader == nil:
			return fmt.Sprintf("group %d has no leader", g.id)
		}
		v, _ := leader.node.Inspect(g.id)
		all := append(replicaIDs(v.Voters), replicaIDs(v.Learners)...)
		for _, id := range all {
			b := w.brokers[id.Broker()-1]
			if b.node == nil {
				return fmt.Sprintf("group %d counts on broker %v, which has left", g.id, id)
			}
			o, ok := b.node.Inspect(g.id)
			if why := unequal(&v, &o, ok && o.Self == uint64(id) && !o.Closed); why != "" {
				return fmt.Sprintf("group %d: %s", g.id, why)
			}
		}
		for _, b := range w.brokers {
			if b.node != nil && !slices.ContainsFunc(all, func(id checker.ReplicaID) bool { return int(id.Broker()) == b.number }) {
				if _, ok := b.node.Inspect(g.id); ok {
					return fmt.Sprintf("broker %d keeps a replica of group %d that has moved elsewhere", b.number, g.id)
				}
			}
		}
		if why := w.notInSync(g, v.Voters); why != "" {
			return why
		}
	}
	return ""
}

func unequal(v, o *node.View, ok bool) string {
	switch {
	case !ok:
		return "a broker doesn't have the replica that the others count on"
	case len(v.Outgoing) > 0:
		return "the configuration is still joint"
	case v.Lead < 0:
		return "a replica knows no leader"
	case v.LastIndex != o.LastIndex || v.Commit != o.Commit || v.Applied != o.Applied || v.Applied != v.LastIndex:
		return fmt.Sprintf("logs have different ends: broker %d has entries to %d, commit index %d, applied %d; the leader %d, %d, %d",
			node.BrokerID(o.Self>>32), o.LastIndex, o.Commit, o.Applied, v.LastIndex, v.Commit, v.Applied)
	case v.ConfIndex != o.ConfIndex:
		return "configurations differ"
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
	w.boundOutcomes(h.Catalog)
	bad, undecided := checker.CheckCatalog(h.Catalog, catalogTimeout)
	w.violated(bad)
	w.result.Undecided = int64(len(undecided))
	for i := range h.Partitions {
		p := &h.Partitions[i]
		truth := h.Truths[p.Partition]
		if truth == nil { // the topic is deleted
			continue
		}
		if at := slices.IndexFunc(w.judge.compacted, func(c *compacted) bool { return c.partition == p.Partition }); at >= 0 {
			c := w.judge.compacted[at]
			w.violated(checker.CheckCompacted(p, c.truths, func(id checker.RecordID) int { return keyOf(id, c.keys) }))
			continue
		}
		w.violated(checker.CheckPartition(p, truth, checker.LogOptions{MaxStaleness: -1}))
	}
	w.judgeGroups()
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

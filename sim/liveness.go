// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
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
	w.healTransactors()
	if w.plan.Beyond() {
		w.settleBeyond()
		return
	}
	w.waitForStrays()
	w.settleRollout()
	if w.founded() && w.joined() && w.seed.Draw(domainHeal, uint64(w.epoch), 0).Ratio(1, 2) {
		w.freeze()
	}
	w.probeQuorums()
	w.thaw()
	w.verify()
	w.readCommittedAgain()
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
	w.settleSecurity()
	w.checkSettings()
	w.checkOldIDs()
	w.examine()
	w.readReplicas()
	w.checkStored()
	w.expire()
	if len(w.attackers) > 0 {
		w.checkBounded()
	}
	w.checkAllNotes()
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

// heal ends all faults and starts all brokers of the cluster.
func (w *world) heal() {
	w.healing, w.healedAt = true, w.now
	for _, a := range w.attackers {
		w.endAttack(a)
	}
	w.disturbedTill(max(w.now, w.net.heal()))
	w.storm = storm{}
	for _, b := range w.brokers {
		b.refusing = 0
		if b.slowness > 0 {
			w.easeDisk(b, 0)
		}
		b.silentUntil, b.pausedUntil, b.stalledUntil = 0, 0, 0
		b.disk.failSyncs, b.disk.failWrites = 0, 0
		b.full, b.failReads, b.disk.full, b.disk.phantom = 0, 0, false, 0
		b.disk.trust()
		b.cutRate, b.bitsRate, b.tornRate, b.stepRate, b.still = 0, 0, 0, 0, 0
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

// catalogTimeout is how much wall time the search for an order of the catalog's calls may take. It
// is usually over at once; if not, that is counted and neither a pass nor a failure.
const catalogTimeout = 5 * time.Second

// judgeHistories hands what clients saw to the checkers.
func (w *world) judgeHistories() {
	h := &w.judge.histories
	w.boundOutcomes(h.Catalog)
	aborted := w.finalLogs()
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
			w.violated(checker.CheckCompacted(p, c.truths, func(id checker.RecordID) int { return keyOf(id, c.keys) }, aborted))
			continue
		}
		w.violated(checker.CheckPartition(p, truth, checker.LogOptions{MaxStaleness: -1}))
	}
	w.judgeGroups()
	w.judgeTransactions()
}

// finish completes the result.
func (w *world) finish() {
	r := w.result
	r.Virtual = w.now
	r.Draws = w.random.draws
	r.Checks = w.judge.cluster.Evaluations()
	r.Cells, r.Unlisted = w.cells.Reached(), w.cells.Unlisted()
	w.hash.word(uint64(w.now))
	w.hash.word(uint64(r.Steps))
	r.Hash = uint64(w.hash)
	if w.features != nil {
		r.Features = w.features.names(r, &w.plan.Knobs)
	}
	if r.Failure == nil && len(w.brokers) > 1 && r.Draws == 0 {
		r.Failure = &Failure{
			Check: "determinism", At: w.now,
			Text: "no election timeout was drawn from crypto/rand.Reader: the raft library has another source of randomness now, and runs can't be repeated",
		}
	}
}

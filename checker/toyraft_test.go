// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// toyRaft is raft with the messages left out: one step is an election, an append, a replication to
// one follower, ... of brokers that crash and lose what isn't durable. It shows every step to a
// Cluster. Its bugs are what the invariants are there for.
type toyRaft struct {
	rng     *rand.Rand
	bug     toyBug
	c       *Cluster
	brokers []*toyBroker
	bad     *Violation
	payload int
}

type toyBug int

const (
	noBug toyBug = iota
	voteNotDurable
	ackBeforeSync
	anyCandidateWins
	commitsOldTerm
	truncatesTooMuch
	appliesAtAppend
	tailLostAtRestart
	leaderKeepsTerm // the hold rule missing: a term is used before it is durable
	toyBugs
)

var toyBugNames = [toyBugs]string{
	noBug: "none", voteNotDurable: "vote not durable", ackBeforeSync: "acknowledged before sync", anyCandidateWins: "any candidate wins",
	commitsOldTerm: "commits an entry of an older term by counting", truncatesTooMuch: "truncates below commit", appliesAtAppend: "applies at append",
	tailLostAtRestart: "durable tail lost at restart", leaderKeepsTerm: "term not durable before it is used",
}

type toyBroker struct {
	id      int32
	ballot  ballot
	log     []toyEntry
	disk    ballot
	diskLog []toyEntry
	leader  bool
	commit  int
	applied int
	match   map[int32]int // of a leader: durable on followers up to here
}

func (b *toyBroker) name() ReplicaID { return NewReplicaID(b.id, 1) }

type toyEntry struct {
	term    uint64
	payload string
}

func newToyRaft(seed uint64, bug toyBug) *toyRaft {
	t := &toyRaft{rng: rand.New(rand.NewPCG(seed, 3)), bug: bug, c: NewCluster()}
	for id := int32(1); id <= 3; id++ {
		t.brokers = append(t.brokers, &toyBroker{id: id})
	}
	for _, b := range t.brokers {
		t.c.Recovered(b.name(), 1)
		t.note(t.c.Configured(b.name(), 1, Config{Voters: []ReplicaID{t.brokers[0].name(), t.brokers[1].name(), t.brokers[2].name()}}))
	}
	return t
}

func (t *toyRaft) note(v *Violation) {
	if t.bad == nil {
		t.bad = v
	}
}

func (t *toyRaft) show(b *toyBroker) {
	records := 0
	for _, e := range b.log[:b.applied] {
		if e.payload != "" {
			records++
		}
	}
	if t.bug == appliesAtAppend {
		records += len(b.log) - b.applied
	}
	v := View{
		Term: b.ballot.term, Vote: b.ballot.vote, Leader: b.leader, First: 1, Last: uint64(len(b.log)),
		Commit: uint64(b.commit), Applied: uint64(b.applied), HighWatermark: int64(records),
	}
	t.note(t.c.Observe(b.name(), 1, v, func(i uint64) (uint64, []byte, bool) {
		e := b.log[i-1]
		return e.term, []byte(e.payload), true
	}))
}

// sync makes everything durable, as one flush does.
func (t *toyRaft) sync(b *toyBroker) {
	from := 0
	for from < len(b.log) && from < len(b.diskLog) && b.log[from] == b.diskLog[from] {
		from++
	}
	for i, e := range b.log[from:] {
		t.c.Durable(b.id, 1, 0, uint64(from+i+1), Entry{e.term, HashPayload([]byte(e.payload))})
	}
	b.diskLog = slices.Clone(b.log)
	t.syncBallot(b)
	if b.leader {
		b.match[b.id] = len(b.log)
	}
}

func (t *toyRaft) syncBallot(b *toyBroker) {
	if b.disk != b.ballot {
		t.note(t.c.DurableVote(b.id, 1, 0, b.ballot.term, b.ballot.vote))
		b.disk = b.ballot
	}
}

// step does one thing that a broker may do now.
func (t *toyRaft) step() {
	b := t.brokers[t.rng.IntN(3)]
	switch n := t.rng.IntN(20); {
	case n == 0:
		t.elect(b)
	case n == 1:
		t.crash(b)
	case n < 5:
		t.sync(b)
	case n < 9 && b.leader:
		t.payload++
		b.log = append(b.log, toyEntry{b.ballot.term, fmt.Sprint(t.payload)})
	case n < 14 && b.leader:
		t.replicate(b, t.brokers[t.rng.IntN(3)])
	case n < 17 && b.leader:
		t.advance(b)
	case b.applied < b.commit:
		b.applied += 1 + t.rng.IntN(b.commit-b.applied)
	}
	t.show(b)
}

func last(log []toyEntry) toyEntry {
	if len(log) == 0 {
		return toyEntry{}
	}
	return log[len(log)-1]
}

func (t *toyRaft) elect(b *toyBroker) {
	term, votes := b.ballot.term+1, 0
	b.leader = false
	asked := t.brokers[t.rng.IntN(3)] // and b itself
	for _, v := range t.brokers {
		if v != b && v != asked || v.ballot.term > term || v.ballot.term == term && v.ballot.vote != 0 && v.ballot.vote != b.name() {
			continue
		}
		mine, theirs := last(b.log).term, last(v.log).term
		if t.bug != anyCandidateWins && (theirs > mine || theirs == mine && len(v.log) > len(b.log)) {
			continue
		}
		v.leader = false
		v.ballot = ballot{term, b.name()}
		if t.bug != voteNotDurable && (t.bug != leaderKeepsTerm || v != b) {
			t.syncBallot(v)
		}
		votes++
		t.show(v)
	}
	if votes >= 2 {
		b.leader, b.match = true, map[int32]int{}
		b.log = append(b.log, toyEntry{term: term})
	}
}

func (t *toyRaft) replicate(b, f *toyBroker) {
	if f == b || f.ballot.term > b.ballot.term {
		return
	}
	if f.ballot.term < b.ballot.term {
		f.ballot, f.leader = ballot{b.ballot.term, 0}, false
	}
	keep := 0
	for keep < len(f.log) && keep < len(b.log) && f.log[keep] == b.log[keep] {
		keep++
	}
	if t.bug == truncatesTooMuch && keep > 0 {
		keep--
		f.log = f.log[:keep]
		t.show(f)
	}
	end := keep + t.rng.IntN(len(b.log)-keep+1) // one message holds so much
	if end > keep {
		f.log = slices.Concat(f.log[:keep], b.log[keep:end])
	}
	t.show(f)
	if t.rng.IntN(3) > 0 {
		t.sync(f)
	} else if t.bug != ackBeforeSync {
		return
	}
	b.match[f.id] = max(b.match[f.id], end)
	f.commit = max(f.commit, min(b.commit, end))
	t.show(f)
}

// advance moves a leader's commit index (raft paper, 5.4.2).
func (t *toyRaft) advance(b *toyBroker) {
	var have []int
	for _, v := range t.brokers {
		have = append(have, b.match[v.id])
	}
	slices.Sort(have)
	if n := have[1]; n > b.commit && (b.log[n-1].term == b.ballot.term || t.bug == commitsOldTerm) {
		b.commit = n
	}
}

// crash loses what isn't durable, or with luck keeps it.
func (t *toyRaft) crash(b *toyBroker) {
	if t.rng.IntN(3) > 0 {
		b.log, b.ballot = slices.Clone(b.diskLog), b.disk
	}
	if t.bug == tailLostAtRestart && len(b.log) > 0 {
		b.log = b.log[:len(b.log)-1]
	}
	b.leader, b.commit, b.applied = false, 0, 0
	t.c.Restarted(b.id)
	t.c.Recovered(b.name(), 1)
	t.sync(b) // recovery syncs what it found
}

func (t *toyRaft) run(steps int) *Violation {
	for range steps {
		if t.step(); t.bad != nil {
			break
		}
	}
	return t.bad
}

// A right raft is right in every run, and every invariant had something to say in them.
func TestRightRaft(t *testing.T) {
	var total [checkCount]int64
	for seed := range uint64(1500) {
		r := newToyRaft(seed, noBug)
		if bad := r.run(400); bad != nil {
			t.Fatalf("seed %d: %v", seed, bad)
		}
		for i, e := range r.c.Evaluations() {
			total[i] += e.Count
		}
	}
	for i, n := range total {
		t.Logf("%-28s %d", Invariant(i), n)
		if n == 0 && Invariant(i) != ConfigsOverlap { // its members don't change
			t.Errorf("%v was never evaluated", Invariant(i))
		}
	}
}

// Every bug is found, and soon.
func TestBuggyRafts(t *testing.T) {
	for bug := noBug + 1; bug < toyBugs; bug++ {
		t.Run(toyBugNames[bug], func(t *testing.T) {
			for seed := range uint64(1500) {
				if bad := newToyRaft(seed, bug).run(400); bad != nil {
					t.Logf("seed %d: %v", seed, bad)
					return
				}
			}
			t.Error("not found in 1500 runs")
		})
	}
}

func BenchmarkObserve(b *testing.B) {
	c := NewCluster()
	id := NewReplicaID(1, 1)
	v := View{Term: 1, Vote: id, First: 1}
	data := make([]byte, 256)
	entry := func(uint64) (uint64, []byte, bool) { return 1, data, true }
	for b.Loop() {
		v.Last++
		v.Commit, v.Applied = v.Last, v.Last
		if bad := c.Observe(id, 1, v, entry); bad != nil {
			b.Fatal(bad)
		}
	}
}

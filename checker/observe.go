// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"cmp"
	"slices"
)

// observation is one call of Observe: what was known before, and the new view.
type observation struct {
	c     *Cluster
	g     *group
	r     *replica
	v     View
	entry func(index uint64) (term uint64, data []byte, ok bool)
}

func (o *observation) check() *Violation {
	for _, part := range []func(*observation) *Violation{
		(*observation).ballot, (*observation).log, (*observation).leader,
		(*observation).commit, (*observation).applied, (*observation).state,
	} {
		if bad := part(o); bad != nil {
			return bad
		}
	}
	return nil
}

// ballot checks term and vote: against the last view, or after a restart against the disk.
func (o *observation) ballot() *Violation {
	now := ballot{o.v.Term, o.v.Vote}
	switch {
	case !o.r.fresh:
		return o.c.checkVote(TermAndVoteForward, o.g, o.r.id.Broker(), "shows", ballot{o.r.view.Term, o.r.view.Vote}, now)
	case o.r.life.vote.term > 0:
		return o.c.checkVote(TermAndVoteDurable, o.g, o.r.id.Broker(), "recovered", o.r.life.vote, now)
	}
	return nil
}

func (c *Cluster) checkVote(i Invariant, g *group, broker int32, verb string, old, now ballot) *Violation {
	c.counts[i]++
	switch {
	case now.term < old.term:
		return g.broken(i, "broker %v %s term %d after term %d", broker, verb, now.term, old.term)
	case now.term == old.term && old.vote != 0 && now.vote == 0:
		return g.broken(i, "broker %v %s no vote in term %d, in which it voted for %v", broker, verb, now.term, old.vote)
	case now.term == old.term && old.vote != 0 && now.vote != old.vote:
		return g.broken(i, "broker %v %s a vote for %v in term %d, in which it voted for %v", broker, verb, now.vote, now.term, old.vote)
	}
	return nil
}

// log brings the copy of the replica's log up to date and checks how it changed.
func (o *observation) log() *Violation {
	g, r, v := o.g, o.r, o.v
	if r.installed || v.First > r.log.last()+1 { // a snapshot took the place of the whole log
		r.log = newMirror(v.First)
		r.checked = v.First - 1
		r.installed = false
	}
	from := o.firstChanged()
	if bad := o.truncation(from); bad != nil {
		return bad
	}
	replaces := from <= r.log.last() && from <= v.Last && !r.fresh
	r.log.cut(from)
	r.checked = min(r.checked, from-1)
	for i := r.log.last() + 1; i <= v.Last; i++ {
		if bad := o.append(i); bad != nil {
			return bad
		}
	}
	if e, ok := r.log.at(from); ok && replaces {
		r.life.replaced = append(r.life.replaced, indexed{from, e.Entry})
	}
	o.c.counts[CommitWithinLog]++
	if v.Commit > v.Last {
		return g.broken(CommitWithinLog, "broker %v has commit index %d, but its log ends at %d", r.id, v.Commit, v.Last)
	}
	if r.fresh && len(r.life.log.entries) > 0 {
		return o.recovered()
	}
	return nil
}

// firstChanged returns the first index whose entry isn't what it was. Raft replaces suffixes, so a
// running replica is compared from its end down to the first entry that is the same; one that
// restarted is compared as far as it has entries in memory.
func (o *observation) firstChanged() uint64 {
	r := o.r
	end := min(r.log.last(), o.v.Last)
	from := end + 1
	for i := end; i >= max(o.v.First, r.log.first); i-- {
		term, data, ok := o.entry(i)
		if !ok {
			break
		}
		old := &r.log.entries[i-r.log.first]
		switch {
		case !old.known:
			old.Entry, old.known = Entry{Term: term, Hash: HashPayload(data)}, true
		case old.Term != term || r.fresh && old.Hash != HashPayload(data):
			from = i
		case !r.fresh:
			return from
		}
	}
	return from
}

// truncation checks that the entries from an index on may go.
func (o *observation) truncation(from uint64) *Violation {
	g, r := o.g, o.r
	if r.fresh {
		return nil
	}
	truncated := from <= r.log.last()
	if r.view.Leader && o.v.Leader && r.view.Term == o.v.Term {
		o.c.counts[LeaderAppendOnly]++
		if truncated {
			return g.broken(LeaderAppendOnly, "broker %v, leader of term %d, replaced or removed its entries %d to %d", r.id, o.v.Term, from, r.log.last())
		}
	}
	if !truncated {
		return nil
	}
	o.c.counts[NoTruncationBelowCommit]++
	if from <= r.view.Commit {
		return g.broken(NoTruncationBelowCommit, "broker %v replaced or removed entry %d, but had commit index %d", r.id, from, r.view.Commit)
	}
	return nil
}

// append takes the next entry of the log and compares it to the one that others had there.
func (o *observation) append(index uint64) *Violation {
	g, r := o.g, o.r
	var e mirrored
	if term, data, ok := o.entry(index); ok {
		e = mirrored{Entry: Entry{Term: term, Hash: HashPayload(data)}, known: true}
	} else if d, ok := r.life.log.at(index); ok {
		e = mirrored{Entry: d.Entry, known: true}
	}
	before := g.entryBefore(index)
	if b, ok := r.log.at(index - 1); ok {
		before = b
	}
	e = e.after(before)
	if e.known {
		first, seen := g.sight(index, sighting{e, r.id})
		if seen {
			o.c.counts[LogMatching]++
		}
		switch {
		case first.Hash != e.Hash:
			return g.broken(LogMatching, "entry %d of term %d has two payloads, one on broker %v and one on broker %v", index, e.Term, first.on, r.id)
		case !first.same(e):
			return g.broken(LogMatching, "brokers %v and %v have the same entry %d of term %d, but not the same entries before it", first.on, r.id, index, e.Term)
		}
		e = first.mirrored
	}
	r.log.put(index, e)
	return nil
}

// recovered checks after a restart that everything durable is there, unless it was replaced.
func (o *observation) recovered() *Violation {
	g, r := o.g, o.r
	o.c.counts[LogDurable]++
	for i := max(r.life.log.first, o.v.First, r.log.first); i <= r.life.log.last(); i++ {
		d, _ := r.life.log.at(i)
		if r.life.cutAfter > 0 && i > r.life.cutAfter {
			return nil
		}
		if i > o.v.Last {
			return g.broken(LogDurable, "broker %v recovered a log that ends at %d, but its entry %d of term %d was durable", r.id, o.v.Last, i, d.Term)
		}
		e, ok := r.log.at(i)
		if !ok || e.Entry == d.Entry {
			continue
		}
		if slices.Contains(r.life.replaced, indexed{i, e.Entry}) {
			return nil // and what follows in the log was written after it
		}
		return g.broken(LogDurable, "broker %v recovered entry %d of term %d, but entry %d of term %d was durable and not replaced by that", r.id, i, e.Term, i, d.Term)
	}
	return nil
}

// leader checks a replica that wins an election.
func (o *observation) leader() *Violation {
	g, r, v := o.g, o.r, o.v
	if !v.Leader || !r.fresh && r.view.Leader && r.view.Term == v.Term {
		return nil
	}
	o.c.counts[OneLeaderPerTerm]++
	if other, ok := g.leaders[v.Term]; ok && other != r.id {
		return g.broken(OneLeaderPerTerm, "brokers %v and %v are both leader of term %d", other, r.id, v.Term)
	} else if ok {
		return g.broken(OneLeaderPerTerm, "broker %v became leader of term %d twice", r.id, v.Term)
	}
	g.leaders[v.Term] = r.id
	if bad := o.elected(); bad != nil {
		return bad
	}
	for i := g.commit(); i > g.base; i-- {
		if g.committedAt(i).inTerm < v.Term {
			return o.c.leaderHas(g, r, v.Term, i) // with all before it: chains are compared
		}
	}
	return nil
}

// elected checks by the disks that a leader keeps its term (without that it could win the same term
// once more, with other entries), and that a quorum keeps its votes for it.
func (o *observation) elected() *Violation {
	g, r, v := o.g, o.r, o.v
	o.c.counts[LeaderTermDurable]++
	if r.life.vote.term < v.Term {
		return g.broken(LeaderTermDurable, "broker %v is leader of term %d, but a power loss would put it back to term %d", r.id, v.Term, r.life.vote.term)
	}
	o.c.counts[VotesDurable]++
	voters := g.ballots[ballot{v.Term, r.id}]
	if ok, have, of := o.decided(func(id ReplicaID) bool {
		voter := g.replicas[id]
		return voter != nil && slices.Contains(voters, voter.life)
	}); !ok {
		return g.broken(VotesDurable, "broker %v is leader of term %d, but only %d of %d replicas ever had a durable vote for it", r.id, v.Term, have, of)
	}
	return nil
}

// leaderHas checks that a leader has an entry that was committed before its term.
func (c *Cluster) leaderHas(g *group, leader *replica, term, index uint64) *Violation {
	want := g.committedAt(index)
	if !want.known || index < leader.log.first {
		return nil
	}
	c.counts[LeaderCompleteness]++
	have, ok := leader.log.at(index)
	switch {
	case index > leader.log.last():
		return g.broken(LeaderCompleteness, "broker %v is leader of term %d with a log that ends at %d, but entry %d was committed in term %d (seen on broker %v)",
			leader.id, term, leader.log.last(), index, want.inTerm, want.on)
	case ok && !have.same(want.mirrored):
		return g.broken(LeaderCompleteness, "broker %v is leader of term %d with other entries up to %d than were committed in term %d (seen on broker %v)",
			leader.id, term, index, want.inTerm, want.on)
	}
	return nil
}

// commit checks the commit index and compares what is committed now to what others committed.
func (o *observation) commit() *Violation {
	g, r, v := o.g, o.r, o.v
	if !r.fresh {
		o.c.counts[CommitForward]++
		if v.Commit < r.view.Commit {
			return g.broken(CommitForward, "broker %v moved its commit index from %d back to %d", r.id, r.view.Commit, v.Commit)
		}
	}
	for i := max(r.checked+1, r.log.first, g.base+1); i <= v.Commit; i++ {
		e, _ := r.log.at(i)
		for i > g.commit()+1 { // compacted everywhere that could have shown it
			g.committed = append(g.committed, committed{inTerm: v.Term, on: r.id})
		}
		if i > g.commit() {
			g.committed = append(g.committed, committed{mirrored: e, inTerm: v.Term, on: r.id})
			if bad := o.newCommit(i, e); bad != nil {
				return bad
			}
			continue
		}
		was := g.committedAt(i)
		if !was.known {
			was.mirrored = e
			continue
		}
		if !e.known {
			continue
		}
		o.c.counts[CommittedEqual]++
		if !was.same(e) {
			return g.broken(CommittedEqual, "brokers %v and %v committed different entries at or before index %d (terms %d and %d)", was.on, r.id, i, was.Term, e.Term)
		}
	}
	r.checked = max(r.checked, v.Commit)
	return nil
}

// newCommit checks an entry at the moment when it is first seen committed.
func (o *observation) newCommit(index uint64, e mirrored) *Violation {
	g := o.g
	if !e.known {
		return nil
	}
	for _, d := range g.disks { // leaders of later terms that were elected before this was seen
		if r := cmp.Or(d.running, d.stopped); r != nil && r != o.r && r.view.Leader && r.view.Term > o.v.Term {
			if bad := o.c.leaderHas(g, r, r.view.Term, index); bad != nil {
				return bad
			}
		}
	}
	o.c.counts[CommittedDurable]++
	if ok, have, of := o.decided(func(id ReplicaID) bool { return g.everDurable(id, index, e.Entry) }); !ok {
		return g.broken(CommittedDurable, "broker %v committed entry %d of term %d, which is durable on %d of %d replicas", o.r.id, index, e.Term, have, of)
	}
	return nil
}

// applied checks the applied index and the offsets that follow from it.
func (o *observation) applied() *Violation {
	g, r, v := o.g, o.r, o.v
	o.c.counts[AppliedWithinCommit]++
	if v.Applied > v.Commit {
		return g.broken(AppliedWithinCommit, "broker %v applied entry %d, but its commit index is %d", r.id, v.Applied, v.Commit)
	}
	if !r.fresh {
		o.c.counts[AppliedForward]++
		if v.Applied < r.view.Applied {
			return g.broken(AppliedForward, "broker %v moved its applied index from %d back to %d", r.id, r.view.Applied, v.Applied)
		}
	}
	if v.HighWatermark < 0 {
		return nil
	}
	o.c.counts[HighWatermarkAboveStart]++
	if v.LogStart > v.HighWatermark {
		return g.broken(HighWatermarkAboveStart, "broker %v has log start offset %d above its high watermark %d", r.id, v.LogStart, v.HighWatermark)
	}
	if r.fresh {
		return nil
	}
	o.c.counts[HighWatermarkForward]++
	if v.HighWatermark < r.view.HighWatermark {
		return g.broken(HighWatermarkForward, "broker %v moved its high watermark from %d back to %d", r.id, r.view.HighWatermark, v.HighWatermark)
	}
	return nil
}

// state compares the state machine to those of other replicas.
func (o *observation) state() *Violation {
	g, r, v := o.g, o.r, o.v
	if v.Applied < g.base {
		return nil // a new replica that catches up
	}
	g.applied = grow(g.applied, v.Applied-g.base)
	was := &g.applied[v.Applied-g.base]
	now := appliedState{true, v.HighWatermark, v.State, r.id}
	if !was.set {
		*was = now
	}
	if was.on != r.id {
		o.c.counts[StateEqual]++
	}
	if was.highWatermark != v.HighWatermark {
		return g.broken(StateEqual, "with entries up to %d applied, broker %v has high watermark %d and broker %v has %d", v.Applied, was.on, was.highWatermark, r.id, v.HighWatermark)
	}
	if was.state != v.State && was.state != 0 && v.State != 0 {
		return g.broken(StateEqual, "with entries up to %d applied, brokers %v and %v have different states (hashes %016x and %016x)", v.Applied, was.on, r.id, was.state, v.State)
	}
	if v.HighWatermark < 0 {
		return nil
	}
	if v.Applied >= g.appliedTop {
		return o.follows(g.top(), g.appliedTop, now, v.Applied)
	}
	return o.follows(now, v.Applied, g.top(), g.appliedTop)
}

// follows checks that the state after more entries doesn't have the lower high watermark.
func (o *observation) follows(less appliedState, lessIndex uint64, more appliedState, moreIndex uint64) *Violation {
	o.g.appliedTop = moreIndex
	if !less.set || less.on == more.on {
		return nil
	}
	o.c.counts[HighWatermarkFollowsLog]++
	if less.highWatermark > more.highWatermark {
		return o.g.broken(HighWatermarkFollowsLog, "broker %v has high watermark %d after %d entries, broker %v has %d after %d",
			less.on, less.highWatermark, lessIndex, more.on, more.highWatermark, moreIndex)
	}
	return nil
}

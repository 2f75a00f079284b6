// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"

	"chronik/wal"
)

// check compares what a replica has noted: with all, also what takes a walk over entries and replicas.
func (g *group) check(all bool) error {
	if g.closed {
		return cmp.Or(
			broken(g.outgoing == nil && g.incoming == nil && len(g.late) == 0 && g.admitted == admitted{}, "a closed replica holds nothing"),
			broken(len(g.pending)+len(g.ordered)+len(g.pipe.appends)+len(g.pipe.held) == 0, "nothing waits in a closed replica"),
		)
	}
	st, _ := g.node.log.State(g.id)
	err := cmp.Or(g.checkLog(&st), g.checkProposals(&st), g.pipe.check(g.term), g.reads.check(g), g.checkRole(), g.checkQuiet(&st))
	if err != nil || !all {
		return err
	}
	if g.serving && g.id != 0 {
		err = g.inSync.check(g)
	}
	if err = cmp.Or(err, g.view.check(), g.checkReplicas(), g.checkSaved()); err != nil {
		return err
	}
	switch m := g.machine.(type) {
	case *partition:
		return m.check()
	case *coordinator:
		return m.check()
	case *txnCoordinator:
		return m.check()
	case *catalog: // it has no replica's part, see Node.Check
		return nil
	default:
		panic(unknownMachine(m))
	}
}

// checkLog compares what raft last reported with the log.
func (g *group) checkLog(st *wal.State) error {
	switch {
	case st.Term != g.term || st.Vote != g.vote:
		return fmt.Errorf("term %d and vote %x, the log has %d and %x", g.term, g.vote, st.Term, st.Vote)
	case st.Commit > g.commit || g.commit > st.Last || g.applied > g.commit || g.applied+1 < st.First:
		return fmt.Errorf("applied to entry %d of %d that are committed, the log has %d, and entries %d to %d", g.applied, g.commit, st.Commit, st.First, st.Last)
	case g.checkpointed > g.applied:
		return fmt.Errorf("checkpoint at entry %d, applied to %d", g.checkpointed, g.applied)
	case g.bytesBefore < 0 || g.bytesSince < 0:
		return fmt.Errorf("%d and %d bytes of entries since the checkpoints", g.bytesBefore, g.bytesSince)
	}
	return nil
}

// checkProposals looks at what waits to be ordered and committed. Each queue is in log order, and nothing waits in it that
// nobody will go on with.
func (g *group) checkProposals(st *wal.State) error {
	at := g.applied
	for _, p := range g.ordered {
		if p.index <= at || p.index > st.Last || p.term != g.term {
			return fmt.Errorf("a proposal waits for entry %d of term %d, after %d; the log ends at %d in term %d", p.index, p.term, at, st.Last, g.term)
		}
		at = p.index
	}
	return cmp.Or(
		differ("entries to be proposed", int64(len(g.entries)), int64(len(g.pending))),
		broken(len(g.pending) == 0 || g.dirty || g.noFile, "proposals wait for the next step or for a file"),
		broken(len(g.late) == 0 || g.noFile, "appends of the leader that are late wait for a file"),
		broken(g.admitted == admitted{} || g.dirty, "what was admitted is put into the log soon"),
		broken(len(g.decoded) == 0 || g.dirty, "raft is to see a checkpoint that came"),
		broken(!g.probing || g.dirty || g.id == 0 && g.node.founding.open, "answers to heartbeats are noted until the group is advanced"),
		broken(g.dirty || g.id == 0 && g.node.founding.open || !g.rn.HasReady(), "a group for which raft wants something is to be advanced"),
	)
}

// check looks at what waits for the disk: in order, and only for what is under way.
func (p *pipeline) check(term uint64) error {
	if p.durableTerm > term {
		return fmt.Errorf("durable term %d, in term %d", p.durableTerm, term)
	}
	end, underWay := uint64(0), p.durableTerm
	for _, a := range p.appends {
		if uint64(a.end) < end || a.term != 0 && a.term < underWay {
			return fmt.Errorf("an append of term %d ends at %d, one before it of term %d at %d", a.term, a.end, underWay, end)
		}
		end, underWay = uint64(a.end), max(underWay, a.term)
	}
	last := p.durableTerm + 1
	for _, m := range p.held {
		if t := m.GetTerm(); t < last || t > underWay {
			return fmt.Errorf("a message of term %d is held after one of %d, and what is under way goes to term %d", t, last, underWay)
		}
		last = m.GetTerm()
	}
	return nil
}

// check looks for reads that wait for a round that nobody has begun, or for entries that are applied.
func (q *readQueue) check(g *group) error {
	switch {
	case (q.round == 0) != (len(q.asked) == 0):
		return fmt.Errorf("round %d of reads has %d", q.round, len(q.asked))
	case q.round == 0 && len(q.waiting) > 0:
		return fmt.Errorf("%d reads wait for no round", len(q.waiting))
	case q.round > q.last:
		return fmt.Errorf("round %d of reads is under way, the newest is %d", q.round, q.last)
	case !g.serving && len(q.asked)+len(q.waiting)+len(q.proven) > 0:
		return fmt.Errorf("%d reads wait in a replica that doesn't lead", len(q.asked)+len(q.waiting)+len(q.proven))
	}
	at := g.applied
	for _, p := range q.proven {
		if p.index <= g.applied || p.index < at {
			return fmt.Errorf("reads wait for entry %d after %d, applied are %d", p.index, at, g.applied)
		}
		at = p.index
	}
	return nil
}

// checkQuiet looks whether something is left to be done in a quiet group.
func (g *group) checkQuiet(st *wal.State) error {
	switch {
	case !g.quiet.is:
		return nil
	case g.dirty || g.rn.HasReady() || len(g.pipe.appends) > 0:
		return fmt.Errorf("a quiet replica has something to do")
	case len(g.pending)+len(g.ordered)+len(g.reads.asked)+len(g.reads.waiting)+len(g.reads.proven) > 0:
		return fmt.Errorf("%d proposals and %d reads wait in a quiet replica", len(g.pending)+len(g.ordered), len(g.reads.asked)+len(g.reads.waiting))
	case g.applied != st.Last || g.commit != st.Last:
		return fmt.Errorf("a quiet replica has applied %d entries of %d, and %d are committed", g.applied, st.Last, g.commit)
	case g.lead == raft.None || g.incoming != nil || g.outgoing != nil:
		return fmt.Errorf("a quiet replica knows %x as leader, fetches a checkpoint: %v, offers one: %v", g.lead, g.incoming != nil, g.outgoing != nil)
	}
	return nil
}

// checkRole compares what only a leader has with the role.
func (g *group) checkRole() error {
	leads := g.role == raft.StateLeader
	switch {
	case g.serving && !leads:
		return fmt.Errorf("a replica serves that doesn't lead")
	case leads && g.lead != g.self:
		return fmt.Errorf("this replica %x leads, and knows %x as leader", g.self, g.lead)
	case !leads && len(g.ordered)+len(g.pending) > 0:
		return fmt.Errorf("%d proposals wait in a replica that doesn't lead", len(g.ordered)+len(g.pending))
	}
	return nil
}

// check compares the ISR with what is known of each follower.
func (s *inSync) check(g *group) error {
	var brokers []BrokerID
	if slices.Contains(g.conf.Voters, g.self) || slices.Contains(g.conf.VotersOutgoing, g.self) || slices.Contains(g.conf.Learners, g.self) {
		brokers = append(brokers, g.node.self) // otherwise it was removed, and hands over
	}
	missing := false
	for i := range s.followers {
		f := &s.followers[i]
		if slices.ContainsFunc(s.followers[:i], func(o syncing) bool { return o.id == f.id }) {
			return fmt.Errorf("replica %x is followed twice", f.id)
		}
		voter := slices.Contains(g.conf.Voters, f.id) || slices.Contains(g.conf.VotersOutgoing, f.id)
		if f.id == g.self || !voter {
			continue
		}
		if f.in {
			brokers = append(brokers, brokerOf(f.id))
		} else {
			missing = true
		}
	}
	slices.Sort(brokers)
	if !slices.Equal(slices.Compact(brokers), slices.Compact(slices.Clone(s.brokers))) || missing != s.missing {
		return fmt.Errorf("in sync are %v, one is missing: %v; by its followers %v, %v", s.brokers, s.missing, brokers, missing)
	}
	return nil
}

// check compares the entries in memory with the log. Every entry above the applied index is there, up to the last.
func (v *logView) check() error {
	g := v.group
	st, _ := v.log.State(g.id)
	bytes, next := int64(0), v.hotFirst()
	for _, e := range v.hot {
		bytes += entryBytes(e)
		if term, ok := v.log.Term(g.id, e.GetIndex()); e.GetIndex() != next || !ok || term != e.GetTerm() {
			return fmt.Errorf("entry %d of term %d in memory, at the place of %d; the log has term %d", e.GetIndex(), e.GetTerm(), next, term)
		}
		next++
	}
	switch {
	case next != st.Last+1 || v.hotFirst() > g.applied+1 || v.hotFirst() < st.First:
		return fmt.Errorf("entries %d to %d are in memory, applied are %d, the log has %d to %d", v.hotFirst(), next-1, g.applied, st.First, st.Last)
	case len(v.hot) > 0 && g.hot == nil:
		return fmt.Errorf("%d entries in memory, and nobody evicts them", len(v.hot))
	}
	return differ("bytes of hot entries", v.hotBytes, bytes)
}

// checkReplicas compares the list of brokers with the configuration.
func (g *group) checkReplicas() error {
	var peers []BrokerID
	for _, ids := range [][]uint64{g.conf.Voters, g.conf.VotersOutgoing, g.conf.Learners, g.conf.LearnersNext} {
		for _, id := range ids {
			peers = append(peers, brokerOf(id))
		}
	}
	slices.Sort(peers)
	if peers = slices.Compact(peers); !slices.Equal(peers, g.peers) {
		return fmt.Errorf("replicas are on %v, noted are %v", peers, g.peers)
	}
	return nil
}

// checkSaved compares what is known of the newest checkpoint with the log, and looks for one that nobody writes. The log has to
// begin after its oldest one: that is what a follower gets that needs what came before.
func (g *group) checkSaved() error {
	index, size, oldest := uint64(0), 0, uint64(0)
	if kept := g.node.log.Checkpoints(g.id); len(kept) > 0 {
		index, size, oldest = kept[len(kept)-1].Index, kept[len(kept)-1].Size, kept[0].Index
	}
	st, _ := g.node.log.State(g.id)
	return cmp.Or(
		broken(st.First <= 1 || oldest == 0 || oldest+1 == st.First, "the log begins after its oldest checkpoint"),
		differ("entry of the newest checkpoint", int64(g.checkpointed), int64(index)),
		differ("bytes of the newest checkpoint", g.stateBytes, int64(size)),
		broken(g.saving == nil || g.saving.next == nil || slices.Contains(g.node.saves, g), "a checkpoint that is being written is in the list of those"),
		broken(g.incoming == nil || !g.incoming.staged || g.staged != nil, "a checkpoint that came is being staged"),
	)
}

// check compares the reads under way with those that the world was asked for.
func (c *coldReader) check() error {
	//det:ok whether all are there has no order
	for id, key := range c.pending {
		if _, ok := c.reading[key]; !ok || c.reads.took[id] == nil {
			return fmt.Errorf("read %d from entry %d of group %d on is under way, and isn't noted", id, key.first, key.group)
		}
	}
	//det:ok whether all are there has no order
	for key := range c.forClients {
		if _, ok := c.reading[key]; !ok {
			return fmt.Errorf("a client's read from entry %d of group %d on isn't under way", key.first, key.group)
		}
	}
	return c.coldCache.check()
}

// checkReaders looks for readers that wait for a read which isn't under way.
func (n *Node) checkReaders() error {
	//det:ok whether all are there has no order
	for id, waiting := range n.coldFor {
		underWay := false
		//det:ok whether there is one has no order
		for key := range n.cold.reading {
			underWay = underWay || key.group == id
		}
		if !underWay {
			return fmt.Errorf("%d readers wait for a read of group %d, and none is under way", len(waiting), id)
		}
		for _, rd := range waiting {
			if !slices.Contains(rd.in, id) && !rd.request.over() {
				return fmt.Errorf("a reader waits for a read of group %d, and doesn't know", id)
			}
		}
	}
	return nil
}

// check compares the partition's index of offsets with the entries in memory.
func (p *partition) check() error {
	if p.group.machine != machine(p) {
		return fmt.Errorf("the partition isn't that of its group")
	}
	if err := p.records.check(p.group.applied); err != nil {
		return err
	}
	if len(p.spans) == 0 {
		return nil
	}
	// The newest span that lies in memory as a whole, and those after it, take as many offsets as their entries.
	i := len(p.spans) - 1
	if p.spans[i].index < p.group.view.hotFirst() {
		return nil
	}
	for i > 0 && p.spans[i-1].index >= p.group.view.hotFirst() {
		i--
	}
	c := cursor{p.spans[i].index, p.spans[i].base}
	for ; c.index <= p.group.applied; p.take(&c, p.group.view.entry(c.index)) {
		for i+1 < len(p.spans) && p.spans[i+1].index <= c.index {
			i++
			if p.spans[i].index != c.index || p.spans[i].base != c.base {
				return fmt.Errorf("span %d begins at entry %d and offset %d, by its entries at %d and %d", i, p.spans[i].index, p.spans[i].base, c.index, c.base)
			}
		}
	}
	return differ("the offset after the last record", p.highWatermark, c.base)
}

// check looks whether the compactor waits for something that will come.
func (c *compactor) check() error {
	return cmp.Or(
		broken(c.part != nil || c.read == 0 && !c.task, "what is read and looked at is of a partition that is being compacted"),
		broken(c.read == 0 || c.node.reads.took[c.read] != nil, "a read for the compactor is under way"),
		broken(len(c.ents) == 0 || c.task, "entries that were read are being looked at"),
	)
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"chronik/node/step"
	"chronik/wal"
)

// raftID makes a raft id. The upper half is the broker. The lower is a number that the broker's
// replica never had before: in group 0 the broker's incarnation, in partitions one that the catalog
// gave out. So an id is never used again after its log was lost or dropped. Raft knows no id 0;
// numbers are at least 1.
func raftID(b BrokerID, number uint32) uint64 { return uint64(b)<<32 | uint64(number) }

// brokerOf is the inverse of raftID; -1 for raft's "none".
func brokerOf(id uint64) BrokerID {
	if id == raft.None {
		return -1
	}
	return BrokerID(id >> 32)
}

// leaderEpoch is where raft's term becomes Kafka's leader epoch (KIP-101). Epochs never begin again: terms above the
// largest one are refused when they arrive.
func leaderEpoch(term uint64) int32 { return int32(min(term, maxTerm)) }

// machine is the state that a group's committed entries build: the catalog or a partition. Apply is
// the only place where state that a client can see changes.
type machine interface {
	// apply takes the next committed entry and returns what the proposer is told. Empty data is
	// raft's own entry, with which a leader begins its term.
	apply(index, term uint64, data []byte) any
	// snapshot returns the state after the last applied entry, for the next checkpoint, in pieces. They are those of
	// that state, whatever is applied before all are written; there is one at a time. since is the entry of the
	// checkpoint before, 0 if there is none.
	snapshot(since uint64) pieces
	// state returns the same at once, and leaves pieces that are being written alone. It is for tests.
	state(since uint64) []byte
	// restore takes the states of the log's checkpoints, oldest first; a machine whose snapshots are
	// whole needs only the last.
	restore(checkpoints [][]byte) error
	// adopt takes the state of a machine of the same kind, which was restored from what another broker sent and which
	// nobody else uses, in the place of its own.
	adopt(received machine)
	// retain returns the first entry that the machine still needs; one past the last applied if none.
	retain() uint64
	// leading tells that this replica now answers for the group: it leads, and an entry of its own
	// term is applied. following tells that it no longer does.
	leading()
	following()
}

// group is one replica of a raft group: raft's state machine, its log and what waits for either.
type group struct {
	node      *Node
	id        GroupID
	self      uint64  // raft id of this replica
	begins    wal.LSN // where the broker's log begins to speak of it; 0 if it did at Open
	rn        *raft.RawNode
	view      logView
	pipe      pipeline
	machine   machine
	conf      *pb.ConfState // the replicas
	confIndex uint64        // entry of the last configuration change in conf
	peers     []BrokerID    // on which they are, ascending; with this one if it is among them

	// What raft last told, kept because asking it allocates.
	term, vote, commit uint64
	openedAt           Time // and the highest term that was believed then, see terms.go
	termLimit          uint64
	lead               uint64
	role               raft.StateType
	applied            uint64
	servingSince       Time
	serving            bool // leading() was told and following() not yet

	// A proposal is ordered when raft gave it an index, and committed when it is applied. Each
	// queue is in log order.
	pending  []proposal  // not yet handed to raft
	proposed []proposal  // handed to raft in this step, not yet ordered
	ordered  []proposal  // waiting for commit
	entries  []*pb.Entry // of pending, in the same order

	reads  readQueue
	inSync inSync // on a serving leader

	checkpointed            uint64    // entry of the newest checkpoint
	stateBytes              int64     // its size
	saving                  *saving   // the one that is being written
	toSave                  bool      // in node.saves
	bytesBefore, bytesSince int64     // applied between the two newest checkpoints, and since the newest
	outgoing                *outgoing // a checkpoint that followers fetch from here
	incoming                *incoming // one that this replica fetches
	decoded                 []decoded // those that have come, until raft has taken or refused them
	careful                 bool      // old entries are read one by one, because one can't be read
	unreadable              []uint64  // entries that can't be read back, and that nobody else has
	confTicks               int       // until the leader looks at the replicas again

	probing    bool     // an answer to a heartbeat was stepped since the group last advanced
	closed     bool     // the replica is gone
	dirty      bool     // in node.dirty
	hot        bool     // in node.hot
	position   int      // in node.groups
	rolled     uint64   // the log's segment for whose beginning it made a checkpoint, or needn't
	eagerTicks int      // ticks left in which this replica campaigns if there is no leader
	eagerAfter int      // after so many of them
	tried      []uint64 // replicas that were asked to take over while this broker stops
}

// alone reports whether this is the only replica.
func (g *group) alone() bool {
	return len(g.peers) == 1 && len(g.conf.Voters) == 1 && g.conf.Voters[0] == g.self
}

// touch makes the group advance at the end of this step.
func (g *group) touch() {
	if !g.dirty {
		g.dirty = true
		g.node.dirty = append(g.node.dirty, g)
	}
}

func (g *group) step(m *pb.Message) {
	if g.closed {
		return
	}
	g.probing = g.probing || m.GetType() == pb.MsgHeartbeatResp
	// Errors say that raft ignored the message (a stale peer, a lost proposal); nothing depends on
	// them but proposals, which are stepped by proposePending.
	_ = g.rn.Step(m)
	if t := m.GetType(); t == pb.MsgAppResp || t == pb.MsgHeartbeatResp {
		g.inSync.answered(g, m)
	}
	g.touch()
}

// tick is called once in each tick. A group that is idle costs hardly anything: it is advanced only if something has
// come of it.
func (g *group) tick() {
	if g.closed || g.id == 0 && g.node.founding.open {
		return
	}
	if !g.outOfTerms() {
		g.rn.Tick()
		g.campaignEagerly()
	}
	g.reads.tick(g)
	g.tickSnapshots()
	g.tickReplicas()
	g.tickInSync()
	g.tellLead()
	if p := g.node.partitions[g.id]; p != nil && g.serving && g.node.turn(g, g.node.ticksIn(retentionCheck)) {
		p.expire()
	}
	g.tickCheckpoint()
	if g.rn.HasReady() {
		g.touch()
	}
}

// tickCheckpoint makes a checkpoint when the log has begun a segment.
func (g *group) tickCheckpoint() {
	n := g.node
	if n.told.Segment == 0 || g.rolled == n.told.Segment {
		return
	}
	g.rolled = n.told.Segment
	if g.applied > g.checkpointed && g.largeState() == 0 { // large ones wait until it is worth it
		g.checkpoint()
	}
}

// advance hands raft what was queued in this step and does what it asks for until it is quiet.
func (g *group) advance() {
	g.proposePending()
	for g.rn.HasReady() {
		g.node.out.Work.Advanced++
		rd := g.rn.Ready()
		if rd.SoftState != nil {
			g.lead = rd.SoftState.Lead
		}
		for _, m := range rd.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				g.persist(m)
			case raft.LocalApplyThread:
				g.applyCommitted(m)
			default:
				g.send(m)
			}
		}
		g.noteRole(rd.SoftState)
		g.reads.ready(g, rd.ReadStates)
		if g.node.spent(1) && len(g.proposed) == 0 && g.rn.HasReady() {
			g.touch() // goes on in the next step
			break
		}
	}
	g.probing = false
	step.Assert(len(g.proposed) == 0, "raft orders a proposal in the step that accepts it")
	if !g.rn.HasReady() {
		g.decoded = nil
	}
	if g.isDue() {
		g.checkpoint()
	}
}

// persist puts what raft wants durable into the log: term and vote first and the commit index last,
// so that a torn write can leave neither entries of an unknown term nor a commit index without its
// entries.
func (g *group) persist(m *pb.Message) {
	hardTerm := uint64(0)
	if m.Term != nil {
		hardTerm = m.GetTerm()
		g.noteVote(m)
	}
	if !raft.IsEmptySnap(m.Snapshot) {
		g.install(m.Snapshot)
	}
	if len(m.Entries) > 0 {
		g.appendEntries(m.Entries)
	}
	if m.Term != nil && m.GetCommit() > g.commit {
		g.commit = m.GetCommit()
		g.node.log.SetCommit(g.id, g.commit)
		g.node.event(Event{Kind: EventCommitted, Group: g.id, Term: g.term, N: int64(g.commit)})
	}
	if len(m.Responses) > 0 || hardTerm > g.pipe.durableTerm {
		g.node.log.Sync()
		g.pipe.append(g.node.log.End(), hardTerm, m.Responses)
		g.node.wait(g)
	}
}

// noteVote records a new term or vote.
func (g *group) noteVote(m *pb.Message) {
	term, vote := m.GetTerm(), m.GetVote()
	if term == g.term && vote == g.vote {
		return
	}
	if term != g.term {
		g.node.event(Event{Kind: EventNewTerm, Group: g.id, Term: term})
	}
	if vote != raft.None {
		g.node.event(Event{Kind: EventVoted, Group: g.id, Term: term, N: int64(brokerOf(vote))})
	}
	before := g.term
	g.term, g.vote = term, vote
	g.warnOfTerms(before)
	g.node.log.SetVote(g.id, term, vote)
}

func (g *group) appendEntries(ents []*pb.Entry) {
	first, last := ents[0].GetIndex(), ents[len(ents)-1].GetIndex()
	if had, _ := g.view.LastIndex(); first <= had {
		g.node.event(Event{Kind: EventTruncated, Group: g.id, Term: g.term, N: int64(first)})
	}
	records := g.node.records[:0]
	for _, e := range ents {
		records = append(records, toLog(e))
	}
	g.view.append(ents, records)
	if g.role == raft.StateLeader {
		g.view.earn(ents)
	}
	clear(records)
	g.node.records = records
	g.node.event(Event{Kind: EventAppended, Group: g.id, Term: g.term, N: int64(last)})
	g.order(ents)
}

// durable does what had to wait for the log to be on the disk up to a position.
func (g *group) durable(upTo wal.LSN) {
	for {
		released, responses, ok := g.pipe.durable(upTo)
		if !ok {
			return
		}
		for _, m := range released {
			g.transmit(m)
		}
		self := g.self
		for _, m := range responses {
			if m.GetTo() == self {
				g.step(m)
			} else {
				g.send(m)
			}
		}
		g.touch()
	}
}

// send lets a message to another broker leave, now or when its term is durable.
func (g *group) send(m *pb.Message) {
	if g.pipe.hold(m) {
		g.node.event(Event{Kind: EventHeldMessage, Group: g.id, Term: m.GetTerm()})
		return
	}
	g.transmit(m)
}

func (g *group) transmit(m *pb.Message) {
	p := g.node.peer(brokerOf(m.GetTo()))
	switch {
	case p == nil || g.canWait(m):
	case m.GetType() == pb.MsgSnap:
		p.envelope = g.sendSnapshot(p.begin(), m)
	default:
		if m.GetType() == pb.MsgVoteResp {
			p.clockTold = 0 // it will stamp records, and may have heard no clock since it started
		}
		p.addRaft(g.id, m)
	}
}

// canWait reports whether a message only tells a follower of a new commit index. That comes with the
// next entries or the next heartbeat anyway, and by itself would cost each follower a step and the
// leader its answer: under load as much again as the replication itself. The catalog doesn't wait,
// since any broker answers from its own copy of it; nor do messages without entries by which raft
// finds out, after an answer to a heartbeat, what became of those that are under way.
func (g *group) canWait(m *pb.Message) bool {
	if g.id == 0 || g.probing || m.GetType() != pb.MsgApp || len(m.Entries) > 0 {
		return false
	}
	replicating := false // otherwise raft probes, and depends on the answer
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		replicating = replicating || id == m.GetTo() && pr.State == tracker.StateReplicate
	})
	return replicating && g.role == raft.StateLeader
}

// applyCommitted applies committed entries, tells their proposers, and lets raft know.
func (g *group) applyCommitted(m *pb.Message) {
	for _, e := range m.Entries {
		step.Assert(e.GetIndex() == g.applied+1, "entries are applied in order: %d after %d", e.GetIndex(), g.applied)
		g.applied = e.GetIndex()
		g.bytesSince += int64(len(e.GetData()))
		g.node.out.Work.Entries++
		g.node.out.Work.Bytes += int64(len(e.GetData()))
		if e.GetType() == pb.EntryNormal {
			g.complete(e, g.machine.apply(e.GetIndex(), e.GetTerm(), e.GetData()))
		} else {
			g.applyConf(e)
		}
		if !g.serving && g.role == raft.StateLeader && e.GetTerm() == g.term {
			g.serving, g.servingSince = true, g.node.now
			g.machine.leading()
			g.inSync = inSync{}
			g.lookInSync()
		}
	}
	g.reads.applied(g)
	for _, r := range m.Responses {
		g.step(r)
	}
}

// kick makes the leader's raft try again to send to followers that wait for old entries: they have just been
// read back, or it is their turn. It steps a copy of the answer to a heartbeat, a message that the network may
// deliver twice anyway; only for followers heard from lately, since it counts as a sign of life.
func (g *group) kick() {
	if g.role != raft.StateLeader {
		return
	}
	self, term := g.self, g.term
	var behind []uint64
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id != self && pr.RecentActive && pr.Next <= g.applied {
			behind = append(behind, id)
		}
	})
	for _, id := range behind {
		g.step(&pb.Message{Type: pb.MsgHeartbeatResp.Enum(), From: &id, To: &self, Term: &term})
	}
}

// close ends a replica that is no longer wanted here. What it has under way to the disk comes to
// nothing: its log is about to be removed.
func (g *group) close() {
	g.closed = true
	g.pipe = pipeline{}
	g.setOutgoing(nil)
	g.setIncoming(nil)
	g.decoded, g.saving = nil, nil
	g.abdicate()
	g.lead, g.role = raft.None, raft.StateFollower
}

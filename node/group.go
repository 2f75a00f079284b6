// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"chronik/node/step"
	"chronik/wal"
)

// raftID makes a raft id: the broker in the upper half, the number of its replica in the lower one. The
// number is the broker's incarnation in group 0, and in partitions one that the catalog gave out. No broker
// gets the same number twice. Raft needs that: a replica that has lost its log has forgotten its votes, and
// under its old id it could vote again in the same term. Numbers start at 1, because raft reserves id 0.
func raftID(b BrokerID, number uint32) uint64 { return uint64(b)<<32 | uint64(number) }

// brokerOf is the inverse of raftID; -1 for raft's "none".
func brokerOf(id uint64) BrokerID {
	if id == raft.None {
		return -1
	}
	return BrokerID(id >> 32)
}

// leaderEpoch turns raft's term into Kafka's leader epoch (KIP-101). Epochs never wrap around: terms above the
// largest epoch are refused when they arrive (terms.go).
func leaderEpoch(term uint64) int32 { return int32(min(term, maxTerm)) }

// machine is the state that a group's committed entries build: the catalog, a partition or a coordinator of
// consumer groups. State that a client can see changes only in apply. So replicas agree, and nothing has to be
// rolled back when a leader is deposed.
type machine interface {
	// apply applies the next committed entry and returns the result for its proposer. Empty data is
	// raft's own entry, with which a leader begins its term.
	apply(index, term uint64, data []byte) any
	// snapshot returns the state after the last applied entry, for the next checkpoint, in pieces. Entries may be
	// applied before all pieces are written; the pieces still show the state as it is now. One snapshot is taken at
	// a time. since is the entry of the previous checkpoint, 0 if there is none.
	snapshot(since uint64) pieces
	// state returns the same bytes at once, without disturbing a snapshot under way. It is for tests.
	state(since uint64) []byte
	// restore builds the state from the log's checkpoints, oldest first. A machine whose snapshots are
	// complete needs only the last one.
	restore(checkpoints [][]byte) error
	// adopt replaces the state by that of another machine of the same kind. That one was restored from a checkpoint of
	// another broker, and nobody else uses it.
	adopt(received machine)
	// retain returns the first entry that the machine still needs; one past the last applied if none.
	retain() uint64
	// leading says that this replica now serves the group: it leads, and has applied an entry of its own
	// term. following says that it no longer does.
	leading()
	following()
}

// unknownMachine is what to panic with where code knows each kind of machine and meets another one.
func unknownMachine(m machine) string { return fmt.Sprintf("broken invariant: no case for %T", m) }

// group is one replica of a raft group: raft's state machine, its log, and everything that waits for either.
type group struct {
	node      *Node
	id        GroupID
	self      uint64  // raft id of this replica
	begins    wal.LSN // position of its first record in the broker's log; 0 if it was there at Open
	rn        *raft.RawNode
	view      logView
	pipe      pipeline
	machine   machine
	conf      *pb.ConfState // the replicas
	confIndex uint64        // entry of the last configuration change in conf
	confSeen  uint64        // the confIndex for which confEnd is
	confEnd   wal.LSN       // where the log ended when it had that change and its commit index
	out       *leavingConf  // applied, but not taken over, see isToGo
	confProof confProof     // by which others show that they know of it
	peers     []BrokerID    // brokers that hold a replica, ascending, this one included

	// What raft last reported, kept because asking it allocates.
	term, vote, commit uint64
	openedAt           Time   // when the replica was opened,
	termLimit          uint64 // and the highest term that was believed then, see terms.go
	lead               uint64
	role               raft.StateType
	applied            uint64
	servingSince       Time
	serving            bool // between machine.leading and machine.following

	// A proposal is ordered once raft has given it an index. Its proposer gets the result when the entry is
	// committed and applied. Each queue is in log order.
	pending  []proposal  // not yet handed to raft
	proposed []proposal  // handed to raft in this step, not yet ordered
	ordered  []proposal  // waiting for commit
	entries  []*pb.Entry // of pending, in the same order

	admitted admitted
	noFile   bool          // in Node.noFile
	late     []*pb.Message // appends that wait for a file, in order

	stuckAt    uint64 // the commit index at which most replicas refuse the next entries of this leader,
	stuckSince Time   // and since when; 0 if they don't (giveWay)

	reads  readQueue
	inSync inSync // on a serving leader
	quiet  quiet

	checkpointed            uint64    // entry of the newest checkpoint
	stateBytes              int64     // its size
	saving                  *saving   // the one that is being written
	staged                  func()    // goes on when the data of a large one is in the log
	toSave                  bool      // in node.saves, and not begun
	saveAt                  Time      // not before: there was no room for one
	bytesBefore, bytesSince int64     // applied between the two newest checkpoints, and since the newest
	outgoing                *outgoing // a checkpoint that followers fetch from here
	incoming                *incoming // one that this replica fetches
	offer                   *incoming // one that it will fetch when there is a place
	awaitsPlace             bool      // in node.awaitPlace
	decoded                 []decoded // fetched ones, until raft has accepted or refused them
	careful                 Time      // so long old entries are read one by one, because one of them is damaged
	unreadable              []uint64  // entries that can't be read back, and of which there is no other copy
	readAgain               Time      // not before: a read of old entries has failed
	confTicks               int       // until the leader compares the replicas with what is wanted again

	probing    bool     // an answer to a heartbeat was stepped since the group last advanced
	closed     bool     // the replica is gone, or damaged
	closedAt   Time     // when it was found damaged
	asked      bool     // the catalog was asked to replace it
	dirty      bool     // in node.dirty
	hot        *hotList // in which of node.hot it is, nil if in none
	hotAt      int      // where
	readUntil  Time     // until then a client that read here counts, see isRead
	position   int      // in node.groups
	awakeAt    int      // in node.awake, unless it is quiet
	settled    bool     // the replicas are as wanted, and the preferred one leads; as of the last look
	rolled     uint64   // the newest segment of the log that tickCheckpoint has looked at
	releases   bool     // it has looked, since this replica was opened, at what the log may let go of
	eagerTicks int      // ticks left in which this replica campaigns if there is no leader
	eagerAfter int      // ticks to wait before those
	tried      []uint64 // replicas that were already asked to take over leadership
}

// alone reports whether this is the only replica.
func (g *group) alone() bool {
	return len(g.peers) == 1 && len(g.conf.Voters) == 1 && g.conf.Voters[0] == g.self
}

// touch makes the group advance at the end of this step.
func (g *group) touch() {
	if g.quiet.is {
		g.unrest()
	}
	if !g.dirty {
		g.dirty = true
		g.node.dirty = append(g.node.dirty, g)
	}
}

func (g *group) step(m *pb.Message) {
	if g.closed {
		return
	}
	if g.quiet.is {
		if g.alreadyConsented(m) || g.asksAgain(m) {
			return
		}
		g.unrest()
	}
	if m.GetType() == pb.MsgHeartbeatResp {
		g.probing = true
		g.consented(m)
	}
	// An error says that raft ignored the message, for example from a removed replica. Only proposals need to
	// know, and proposePending steps those.
	_ = g.rn.Step(m)
	if t := m.GetType(); t == pb.MsgAppResp || t == pb.MsgHeartbeatResp {
		g.inSync.answered(g, m)
	}
	g.touch()
}

// advance hands raft the proposals of this step, and then carries out what raft asks for until it asks for
// nothing. Messages of one Ready may leave before its entries are durable, except those that need its term
// (send) and the answers among the responses (persist).
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
		g.reads.confirmed(g, rd.ReadStates)
		if g.node.spent(1) && len(g.proposed) == 0 && g.rn.HasReady() {
			g.touch() // goes on in the next step
			break
		}
	}
	g.probing = false
	if !g.rn.HasReady() { // what was taken is in the log, or raft has refused it
		g.setAdmitted(admitted{})
	}
	step.Assert(len(g.proposed) == 0, "raft orders a proposal in the step that accepts it")
	if !g.rn.HasReady() && len(g.decoded) > 0 { // raft has refused it
		g.decoded = nil
		if g.staged == nil { // and no checkpoint of this broker's own is being staged
			g.unstage()
		}
	}
	g.endOutgoing()
	if g.isDue() {
		g.checkpoint()
	}
	g.goQuiet()
}

// persist puts what raft wants to be durable into the log. Term and vote come first and the commit index last.
// A torn write keeps a prefix of the records, so it leaves neither entries of an unknown term nor a commit
// index without its entries.
//
// Only a new term and responses need an fsync. A commit index alone doesn't: if a crash loses it, the replica
// learns it again, see confKept for the exception.
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
		g.node.log.RequestSync()
		g.pipe.append(g.node.log.End(), hardTerm, m.Responses)
		g.node.awaitDurable(g)
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
	records := g.node.walEntries[:0]
	for _, e := range ents {
		records = append(records, toLog(e))
	}
	g.view.append(ents, records)
	g.node.out.Work.Appended += len(ents)
	if g.role == raft.StateLeader {
		g.view.earn(ents)
		g.node.out.Work.Owed += len(ents) * (len(g.peers) - 1)
	}
	clear(records)
	g.node.walEntries = records
	g.node.event(Event{Kind: EventAppended, Group: g.id, Term: g.term, N: int64(last)})
	g.order(ents)
}

// durable does what had to wait until the log is on the disk up to a position. Responses to this replica are
// how raft learns that its own disk counts towards the majority. They must not come earlier, or a record could
// be acknowledged that fewer than a majority of disks hold.
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

// send sends a message to another broker, now or when its term is durable (the hold rule, pipeline.hold).
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
	case m.GetType() == pb.MsgTimeoutNow:
		p.endHandOver(m)
		p.addRaft(g.id, m)
	case m.GetType() == pb.MsgSnap:
		p.envelope = g.sendSnapshot(p.begin(), m)
	default:
		switch m.GetType() {
		case pb.MsgHeartbeat:
			g.askQuiet(m)
		case pb.MsgHeartbeatResp:
			g.answerQuiet(m)
		case pb.MsgVoteResp:
			p.clockTold = 0 // tell it this clock again: as leader it stamps records, and it may have started just now
		}
		p.addRaft(g.id, m)
		g.node.out.Work.Sent += len(m.Entries)
	}
}

// canWait reports whether a message only tells a follower of a new commit index, so that it needn't be sent. The
// next entries or the next heartbeat carry the commit index as well. A message of its own would cost each follower
// a step and the leader an answer, which under load is as much again as the replication itself.
//
// Three kinds of empty MsgApp must not wait. The catalog's: every broker answers clients from its own copy, which
// should be new. Those that follow an answer to a heartbeat (probing): with them raft finds out whether entries
// under way were lost. Those to a follower that raft probes: it gets no entries until it has answered.
func (g *group) canWait(m *pb.Message) bool {
	if g.id == 0 || g.probing || m.GetType() != pb.MsgApp || len(m.Entries) > 0 {
		return false
	}
	replicating := false // otherwise raft probes, and needs the answer
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		replicating = replicating || id == m.GetTo() && pr.State == tracker.StateReplicate
	})
	return replicating && g.role == raft.StateLeader
}

// applyBytes bounds the entries that raft hands out to be applied at once. After each lot the step's budget is looked at.
const applyBytes = 64 << 10

// applyCommitted applies committed entries, gives their proposers the results, and lets raft know.
//
// A leader serves once it has applied an entry of its own term. Before that it can't know which of its entries
// its predecessors have committed (raft paper, section 8), and its state may lack acknowledged records.
func (g *group) applyCommitted(m *pb.Message) {
	for _, e := range m.Entries {
		if g.node.isUnfit() {
			return
		}
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

// kick makes the leader's raft try again to send old entries to followers: the entries have just been read back,
// or the rate limit allows more. Raft has no call for that, and by itself tries again only at the next answer to a
// heartbeat. So kick steps a copy of such an answer. That is safe, because the network may deliver a message twice
// anyway. Raft takes it for a sign of life, so only followers that were heard from lately get one.
//
// It looks at all followers whose next entry is applied, not only at those whose next entry has left memory:
// entries in memory are rate limited too.
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

// close ends a replica that is no longer wanted here. Nothing waits for its writes any more, since its log is
// about to be removed. What it held back for a sync is never sent.
func (g *group) close() {
	g.unrest()
	g.closed = true
	g.pipe = pipeline{}
	g.setAdmitted(admitted{})
	g.late = nil
	g.setOutgoing(nil)
	g.offer = nil
	g.setIncoming(nil)
	g.decoded, g.saving = nil, nil
	g.abdicate()
	g.lead, g.role = raft.None, raft.StateFollower
}

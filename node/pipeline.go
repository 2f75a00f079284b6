// SPDX-License-Identifier: Apache-2.0

package node

import (
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/node/step"
	"chronik/wal"
)

// pipeline holds what one group has under way to the disk, and what has to wait for it. Raft's asynchronous
// storage writes are safe only together with five rules:
//
//  1. Hold rule: a message leaves only when its term is durable here. Raft alone doesn't ensure that for a
//     candidate's requests and for what it sends as a new leader. A candidate could win with the votes of
//     others, replicate, and crash before its own term is on its disk. After the restart it could win the same
//     term again and write other entries: two different entries at one (index, term), which raft can't tell
//     apart. See hold.
//  2. Commit floor: after a restart the commit index is at least the applied index. A commit record may reach
//     the disk later than a checkpoint that was built with it, and raft panics if it has applied more than is
//     committed. See logView.InitialState.
//  3. Snapshot fence: no configuration change from before a snapshot is applied after it. Raft switches to the
//     snapshot's configuration at once, and an older change would corrupt it. Holds because committed entries
//     are applied in the step that hands them out, before anything else reaches raft.
//  4. Appends become durable in order, and none is dropped, because a response to one stands for all before it.
//     Holds because they are records of one log; a failed write ends the broker.
//  5. A raft id is never used again after its disk was lost, because its votes were lost with it. See
//     Config.Incarnation.
type pipeline struct {
	// durableTerm is the term that a restart is sure to find. Invariant: never above raft's term.
	durableTerm uint64
	// held are messages to other brokers whose term is above durableTerm, in sending order.
	held []*pb.Message
	// appends are under way, oldest first. Invariant: end never decreases from one to the next.
	appends []pendingAppend
}

// pendingAppend is one MsgStorageAppend whose records are in the log but maybe not on the disk.
type pendingAppend struct {
	end       wal.LSN // once the log is durable up to here, so is all of the append
	term      uint64  // of the hard state in it, 0 if it has none
	responses []*pb.Message
}

// hold reports whether a message to another broker has to wait until its term is durable, and keeps it if so.
// That delays elections only: in a term that is durable, nothing is held.
func (p *pipeline) hold(m *pb.Message) bool {
	switch m.GetType() {
	case pb.MsgPreVote, pb.MsgPreVoteResp:
		return false // these carry the next term, which nobody has entered yet, and promise nothing
	}
	if m.GetTerm() <= p.durableTerm {
		return false
	}
	p.held = append(p.held, m)
	return true
}

// append notes a MsgStorageAppend that has been put into the log up to end.
func (p *pipeline) append(end wal.LSN, term uint64, responses []*pb.Message) {
	if n := len(p.appends); n > 0 {
		step.Assert(p.appends[n-1].end <= end, "appends reach the log in order")
	}
	p.appends = append(p.appends, pendingAppend{end, term, responses})
}

// durable removes the oldest append if it is durable now. It returns what may be sent because of that, in
// order: messages held for its term, then its responses. Call it until ok is false.
func (p *pipeline) durable(upTo wal.LSN) (released, responses []*pb.Message, ok bool) {
	if len(p.appends) == 0 || p.appends[0].end > upTo {
		return nil, nil, false
	}
	a := p.appends[0]
	p.appends[0] = pendingAppend{}
	p.appends = p.appends[1:]
	if a.term > p.durableTerm {
		p.durableTerm = a.term
		released = p.release()
	}
	return released, a.responses, true
}

// release removes the held messages whose term is durable. Terms only grow, so these are a prefix.
func (p *pipeline) release() []*pb.Message {
	n := 0
	for n < len(p.held) && p.held[n].GetTerm() <= p.durableTerm {
		n++
	}
	released := p.held[:n:n]
	p.held = p.held[n:]
	return released
}

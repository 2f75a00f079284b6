// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/kafka"
	"chronik/node/step"
)

// proposal is an entry on its way through the log, and the callback of its proposer.
type proposal struct {
	index, term uint64
	size        int64
	done        func(result any, err error)
}

// errTooMuchUnderway says that Config.UnderwayBytes are used up.
var errTooMuchUnderway = kafka.Errorf(kerr.NotEnoughReplicas, "too many bytes wait already until a majority of the replicas has them; try again when it has")

// errNotLeader says that this replica doesn't lead its group, or no longer does. A proposal that was ordered may still
// be committed by the next leader.
var errNotLeader = errors.New("this broker does not lead the partition")

// propose queues an entry for the log. done is called once: with the result of apply, or with errNotLeader, errDiskFull
// or errTooMuchUnderway. It may be called before propose returns.
func (g *group) propose(data []byte, done func(result any, err error)) {
	if g.role != raft.StateLeader {
		done(nil, errNotLeader)
		return
	}
	if !g.takesRecords() && !g.isUrgent(len(data)) {
		done(nil, errDiskFull)
		return
	}
	size := int64(len(data))
	if g.node.underway+size > g.node.cfg.UnderwayBytes && g.node.underway > 0 {
		done(nil, errTooMuchUnderway)
		return
	}
	g.node.underway += size
	g.entries = append(g.entries, &pb.Entry{Data: data})
	g.pending = append(g.pending, proposal{size: size, done: done})
	g.touch()
}

// proposeFor does the same for a client's request; done isn't called if that is answered before.
func (g *group) proposeFor(r *request, data []byte, done func(result any, err error)) {
	g.propose(data, func(result any, err error) {
		if !r.settled {
			done(result, err)
		}
	})
}

// proposePending gives raft all entries of this step in one message. Raft starts a round of replication for each
// message, so one message with many entries is about five times cheaper than one for each.
func (g *group) proposePending() {
	if len(g.pending) == 0 {
		return
	}
	entries, pending := g.admitPending()
	if len(entries) == 0 {
		return
	}
	g.proposed = pending
	self := g.self
	err := g.rn.Step(&pb.Message{Type: pb.MsgProp.Enum(), From: &self, Entries: entries})
	if err != nil { // not the leader any more, or handing over leadership
		g.proposed = nil
		g.loseProposals(pending)
	}
}

// order gives the proposals of this step their indexes. Raft doesn't say which entry is which proposal, but while this
// replica leads, every entry with data in its term is a proposal of its own, in the order of proposing.
func (g *group) order(ents []*pb.Entry) {
	for _, e := range ents {
		if len(g.proposed) == 0 {
			return
		}
		if e.GetTerm() != g.term || e.GetType() != pb.EntryNormal || len(e.GetData()) == 0 {
			continue
		}
		p := g.proposed[0]
		g.proposed = g.proposed[1:]
		p.index, p.term = e.GetIndex(), e.GetTerm()
		g.ordered = append(g.ordered, p)
	}
}

// complete gives the proposer of an entry its result. A proposal of another term at the same index can't be waiting:
// proposers were told when leadership ended (abdicate).
func (g *group) complete(e *pb.Entry, result any) {
	if len(g.ordered) == 0 || g.ordered[0].index != e.GetIndex() {
		return
	}
	p := g.ordered[0]
	step.Assert(p.term == e.GetTerm(), "proposals of an older term are dropped when leadership ends")
	g.ordered[0] = proposal{}
	g.ordered = g.ordered[1:]
	g.node.underway -= p.size
	p.done(result, nil)
}

// loseProposals tells those who proposed that this broker doesn't lead any more; what they proposed may still be committed.
func (g *group) loseProposals(lost []proposal) {
	if len(lost) > 0 {
		g.node.event(Event{Kind: EventProposalLost, Group: g.id, Term: g.term, N: int64(len(lost))})
	}
	for _, p := range lost {
		g.node.underway -= p.size
		p.done(nil, errNotLeader)
	}
}

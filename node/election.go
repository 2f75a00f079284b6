// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// campaignEagerly campaigns without waiting for an election timeout, where probably nobody leads: in a new
// group, and after the leader's connection broke (ADR 6). If the leader lives after all, raft's pre-vote protects
// it: whoever still hears it grants no pre-vote.
func (g *group) campaignEagerly() {
	switch {
	case g.eagerTicks == 0:
	case g.lead != raft.None || g.role == raft.StateLeader:
		g.eagerTicks = 0
	case g.eagerAfter > 0:
		g.eagerAfter--
	default:
		if g.eagerTicks--; g.role != raft.StateCandidate {
			g.campaign()
		}
	}
}

func (g *group) campaign() {
	if g.outOfTerms() {
		return
	}
	_ = g.rn.Campaign()
	g.touch()
}

// beEager makes the replica campaign after some ticks. Each replica waits a little longer than the one before it in
// the list, so that they don't split the votes. The replica on broker except isn't waited for.
func (g *group) beEager(except BrokerID, after int) {
	g.eagerTicks, g.eagerAfter = g.node.cfg.ElectionTicks, after
	for _, b := range g.peers {
		if b == g.node.self {
			break
		}
		if b != except {
			g.eagerAfter += eagerStep
		}
	}
}

// eagerStep is how many ticks a replica waits for each one before it.
const eagerStep = 3

// loseLeader forgets the leader on a broker that was lost, and lets this replica campaign soon. While it remembered
// the leader it would grant no pre-vote to others either.
func (g *group) loseLeader(id BrokerID) {
	_ = g.rn.ForgetLeader()
	g.lead = raft.None
	g.beEager(id, 0)
	g.touch()
	g.campaignEagerly()
}

// handOver hands leadership to another replica and reports whether that is under way. Each call tries one that
// wasn't tried before. Meanwhile raft accepts no proposals; it first brings the other one up to date, and gives up
// after an election timeout.
func (g *group) handOver() bool {
	if g.role != raft.StateLeader {
		return false
	}
	if g.rn.BasicStatus().LeadTransferee != raft.None {
		return true
	}
	to := g.successor()
	if to == raft.None {
		return false
	}
	g.tried = append(g.tried, to)
	g.node.event(Event{Kind: EventLeadershipMoved, Group: g.id, Term: g.term, N: int64(brokerOf(to))})
	g.rn.TransferLeader(to)
	g.touch()
	return true
}

// haveLead has another replica campaign at once, without waiting for what it lacks.
func (g *group) haveLead(to uint64) {
	self, term := g.self, g.term
	g.send(&pb.Message{Type: pb.MsgTimeoutNow.Enum(), From: &self, To: &to, Term: &term})
}

// successor returns the replica that has most of the log, of those that were heard from lately and weren't tried
// yet. It needs the fewest entries before it can lead.
func (g *group) successor() uint64 {
	best, most := raft.None, uint64(0)
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id != g.self && !pr.IsLearner && pr.RecentActive && pr.Match > most && !slices.Contains(g.tried, id) && g.node.hasRoom(brokerOf(id)) {
			best, most = id, pr.Match
		}
	})
	return best
}

// handOver hands over all leaderships of a broker that stops. When none is under way any more, it only remains to
// make durable what the log holds by then.
func (n *Node) handOver() {
	if n.handingOver {
		return
	}
	n.handingOver = true
	underWay := false
	n.forAll(func(g *group) { underWay = g.handOver() || underWay }, func() {
		n.handingOver = false
		if !underWay && n.lastLSN == 0 {
			n.log.RequestSync()
			n.lastLSN = n.log.End()
		}
	})
}

// noteRole notes that this replica gained or lost leadership. A new leader doesn't serve yet, see applyCommitted.
func (g *group) noteRole(soft *raft.SoftState) {
	if soft == nil || soft.RaftState == g.role {
		return
	}
	was := g.role
	g.role = soft.RaftState
	switch {
	case g.role == raft.StateLeader:
		g.node.event(Event{Kind: EventBecameLeader, Group: g.id, Term: g.term})
		g.goOut()
	case was == raft.StateLeader:
		g.node.event(Event{Kind: EventLostLeadership, Group: g.id, Term: g.term})
		g.abdicate()
	}
}

// abdicate ends everything that only a leader may answer. Proposals may be committed by the next leader, or not;
// this replica can't tell, and says so (errNotLeader).
func (g *group) abdicate() {
	lost := append(append(g.ordered, g.proposed...), g.pending...)
	g.ordered, g.proposed, g.pending, g.entries = nil, nil, nil, nil
	g.loseProposals(lost)
	g.reads.fail(g)
	if g.serving {
		g.serving = false
		g.machine.following()
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// campaignEagerly campaigns without waiting for an election timeout where it is likely that nobody
// leads: in a new group, and after the leader's connection broke. Raft's pre-vote keeps that from
// disturbing a leader that others still hear.
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

// beEager makes the replica campaign after some ticks, and each replica behind it in the list a little
// later, but for the one on a broker that is out of the question.
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

// eagerStep is how many ticks one replica waits for another that comes before it.
const eagerStep = 3

// loseLeader makes this replica campaign soon, each replica a little later than the one before it.
func (g *group) loseLeader(id BrokerID) {
	_ = g.rn.ForgetLeader()
	g.lead = raft.None
	g.beEager(id, 0)
	g.touch()
	g.campaignEagerly()
}

// handOver gives leadership to another replica, trying each of those that were heard from lately,
// and reports whether that is under way. While it is, raft takes no proposals and brings the other
// up to date first.
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

// successor returns the replica that has most of the log, of those that weren't tried yet.
func (g *group) successor() uint64 {
	best, most := raft.None, uint64(0)
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id != g.self && pr.RecentActive && pr.Match > most && !slices.Contains(g.tried, id) && g.node.hasRoom(brokerOf(id)) {
			best, most = id, pr.Match
		}
	})
	return best
}

// handOver gives leadership away, group by group. When none is on its way any more, all that is left
// is to make durable what the log holds by then.
func (n *Node) handOver() {
	if n.handingOver {
		return
	}
	n.handingOver = true
	underWay := false
	n.forAll(func(g *group) { underWay = g.handOver() || underWay }, func() {
		n.handingOver = false
		if !underWay && n.lastLSN == 0 {
			n.log.Sync()
			n.lastLSN = n.log.End()
		}
	})
}

// noteRole tells who waits for this replica when it gains or loses leadership.
func (g *group) noteRole(soft *raft.SoftState) {
	if soft == nil || soft.RaftState == g.role {
		return
	}
	was := g.role
	g.role = soft.RaftState
	switch {
	case g.role == raft.StateLeader:
		g.node.event(Event{Kind: EventBecameLeader, Group: g.id, Term: g.term})
	case was == raft.StateLeader:
		g.node.event(Event{Kind: EventLostLeadership, Group: g.id, Term: g.term})
		g.abdicate()
	}
}

// abdicate drops everything that only a leader may answer.
func (g *group) abdicate() {
	lost := append(append(g.ordered, g.proposed...), g.pending...)
	g.ordered, g.proposed, g.pending, g.entries = nil, nil, nil, nil
	g.lose(lost)
	g.reads.fail(g)
	if g.serving {
		g.serving = false
		g.machine.following()
	}
}

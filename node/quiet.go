// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// A group in which nothing happens goes quiet (ADR 17): it isn't ticked, and its replicas say nothing to each other. What a
// heartbeat of the group would have shown, that the leader's broker and those of the followers live, the brokers see from each
// other: contact is kept per pair of brokers.
//
//   - The leader asks its followers to go quiet, in its heartbeats, when all of them have everything and nothing has happened for
//     a while. A follower that has everything, too, goes quiet and says so. When all have, the leader goes quiet as well.
//   - Whatever touches a group wakes it, because all that a replica does begins with touch: a proposal, a read, a message of raft,
//     a change of replicas, a hand-over. Its first message or heartbeat wakes the others.
//   - Doubt about a broker wakes all groups that have a replica there: its connection broke, it wasn't heard for an election
//     timeout, or another process of it speaks. For a follower of the leader in doubt, an election timeout has passed then, so it
//     campaigns as soon as one that was awake would.
//
// None of this matters for safety: raft is safe whatever its clocks do, and no read is answered by a lease. What has to hold is
// that a quiet group with work, or without a leader, doesn't stay quiet. It does, because a follower is quiet only while its
// broker is in contact with the process of the leader in which that leader asked, because a leader that steps down is awake and
// campaigns, and because a replica that is closed says so until it is replaced (tellClosed).
//
// A broker of an earlier release repeats what a heartbeat says instead of consenting to it. So its groups stay awake.
type quiet struct {
	is    bool
	since Time
	calm  int      // ticks for which nothing has happened, on a leader
	seen  progress // by which it sees that
	ask   uint64   // to go quiet: the number of the newest
	open  bool     // it is in the heartbeats, and
	yes   []uint64 // these replicas have consented
	going bool     // this replica goes quiet when it has advanced
	again bool     // a late answer came to this quiet leader, which asked once more
}

// progress changes with whatever happens in a group.
type progress struct{ term, last, reads, conf uint64 }

func (g *group) progress() progress {
	last, _ := g.view.LastIndex()
	return progress{g.term, last, g.reads.last, g.confIndex}
}

// calmTicks is for how many ticks nothing must have happened in a group before it goes quiet. Meanwhile what its leader tells
// brokers without a replica is told again at least once.
func (n *Node) calmTicks() int { return max(n.cfg.ElectionTicks, syncRounds) }

// unrest wakes the group if it is quiet, and takes back an open request to go quiet.
func (g *group) unrest() {
	q := &g.quiet
	q.calm, q.open, q.yes, q.going = 0, false, nil, false
	if !q.is {
		return
	}
	q.is = false
	g.node.addAwake(g)
	g.node.event(Event{Kind: EventGroupWoken, Group: g.id, Term: g.term, N: int64(btoi(g.role == raft.StateLeader))})
	g.inSync.awoke(g)
}

// rest makes the group quiet.
func (g *group) rest() {
	q := &g.quiet
	q.is, q.since, q.open, q.yes, q.again = true, g.node.now, false, nil, false
	g.node.dropAwake(g)
	g.node.event(Event{Kind: EventGroupQuiet, Group: g.id, Term: g.term, N: int64(btoi(g.role == raft.StateLeader))})
}

// isStill reports whether nothing is under way in this replica: it has applied and made durable all that it has.
func (g *group) isStill() bool {
	last, _ := g.view.LastIndex()
	return g.id != 0 && !g.closed && !g.node.stopping && g.lead != raft.None &&
		g.applied == last && g.commit == last && g.pipe.durableTerm == g.term && len(g.pipe.appends)+len(g.pipe.held) == 0 &&
		len(g.pending)+len(g.proposed)+len(g.ordered)+len(g.late) == 0 && !g.noFile && g.eagerTicks == 0 &&
		g.reads.round == 0 && len(g.reads.waiting)+len(g.reads.proven) == 0 &&
		g.outgoing == nil && g.incoming == nil && g.offer == nil && g.staged == nil && len(g.decoded) == 0 && !g.awaitsPlace
}

// isCalm reports whether the group may go quiet as far as its leader's broker knows.
func (g *group) isCalm() bool {
	if !g.serving || !g.isStill() || !g.settled || g.inSync.missing || len(g.conf.VotersOutgoing) > 0 {
		return false
	}
	for _, b := range g.peers {
		if p := g.node.peer(b); b != g.node.self && (p == nil || !p.inContact() || !g.node.hasRoom(b)) {
			return false
		}
	}
	return true
}

// haveAll reports whether all followers have everything and were heard, and are quiet if they must be.
func (g *group) haveAll(quiet bool) bool {
	last, _ := g.view.LastIndex()
	all := g.rn.BasicStatus().LeadTransferee == raft.None
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		all = all && (id == g.self || pr.State == tracker.StateReplicate && pr.RecentActive && pr.Match == last && (!quiet || slices.Contains(g.quiet.yes, id)))
	})
	return all
}

// tickQuiet counts for how long nothing has happened. A request to go quiet leaves with the next heartbeats.
func (g *group) tickQuiet() {
	q := &g.quiet
	if m := g.progress(); m != q.seen || !g.isCalm() {
		q.seen, q.calm, q.open, q.yes = m, 0, false, nil
		return
	}
	if q.calm++; q.calm < g.node.calmTicks() || !g.haveAll(false) {
		return
	}
	if !q.open {
		q.open, q.ask = true, q.ask+1
	}
	if g.haveAll(true) {
		q.going = true
		g.touch()
	}
}

// goQuiet makes the group quiet if it is to be, once raft has nothing to do.
func (g *group) goQuiet() {
	q := &g.quiet
	if !q.going {
		return
	}
	q.going = false
	if g.rn.HasReady() || g.dirty || !g.isStill() {
		return
	}
	if g.role == raft.StateLeader && (!q.open || g.progress() != q.seen || !g.isCalm() || !g.haveAll(true)) {
		return
	}
	g.rest()
}

// In a heartbeat the request says up to which entry the leader's log goes. The answer repeats it with another tag. Rounds of
// reads have contexts of another length.
const (
	quietAsk = 'q'
	quietYes = 'y'
	quietLen = 1 + 8 + 8
)

func quietContext(tag byte, ask, last uint64) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{tag}, ask)
	return binary.LittleEndian.AppendUint64(b, last)
}

func readQuiet(b []byte, tag byte) (ask, last uint64, ok bool) {
	if len(b) != quietLen || b[0] != tag {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint64(b[1:]), binary.LittleEndian.Uint64(b[9:]), true
}

// askQuiet puts an open request into a heartbeat to a replica.
func (g *group) askQuiet(m *pb.Message) {
	if last, _ := g.view.LastIndex(); g.quiet.open && len(m.GetContext()) == 0 && m.GetCommit() == last {
		m.Context = quietContext(quietAsk, g.quiet.ask, last)
	}
}

// answerQuiet answers a request in the answer to its heartbeat: this replica goes quiet if it has what the leader has.
func (g *group) answerQuiet(m *pb.Message) {
	ask, last, ok := readQuiet(m.GetContext(), quietAsk)
	if !ok {
		return
	}
	m.Context = nil
	own, _ := g.view.LastIndex()
	p := g.node.peer(brokerOf(m.GetTo()))
	if g.role != raft.StateFollower || m.GetTo() != g.lead || m.GetTerm() != g.term || own != last || !g.isStill() || p == nil || !p.inContact() {
		return
	}
	m.Context = quietContext(quietYes, ask, last)
	g.quiet.going = true
}

// consented notes that a follower went quiet.
func (g *group) consented(m *pb.Message) {
	ask, last, ok := readQuiet(m.GetContext(), quietYes)
	if !ok {
		return
	}
	m.Context = nil
	q := &g.quiet
	if own, _ := g.view.LastIndex(); !q.open || ask != q.ask || last != own || m.GetTerm() != g.term {
		return
	}
	if !slices.Contains(q.yes, m.GetFrom()) {
		q.yes = append(q.yes, m.GetFrom())
	}
	q.going = true
}

// alreadyConsented reports whether a message to a quiet leader says once more what made it quiet: with slow messages it has asked
// several times. If that woke it, it would ask several times again, for ever.
func (g *group) alreadyConsented(m *pb.Message) bool {
	ask, _, ok := readQuiet(m.GetContext(), quietYes)
	return ok && g.role == raft.StateLeader && m.GetType() == pb.MsgHeartbeatResp && m.GetTerm() == g.term && ask == g.quiet.ask
}

// asksAgain takes a late answer to a heartbeat, which says nothing new: its sender has everything, and has consented since. But where
// messages overtake each other that heartbeat may have come late, too, and woken the sender. So this quiet leader stays quiet and asks
// the one replica again. It does so once, because that may have a reason to stay awake.
func (g *group) asksAgain(m *pb.Message) bool {
	to, p := m.GetFrom(), g.node.peer(brokerOf(m.GetFrom()))
	if g.quiet.again || p == nil || g.role != raft.StateLeader || m.GetType() != pb.MsgHeartbeatResp || m.GetTerm() != g.term {
		return false
	}
	last, _ := g.view.LastIndex()
	hasAll := false
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		hasAll = hasAll || id == to && pr.Match == last
	})
	if !hasAll {
		return false
	}
	g.quiet.again = true
	from, term := g.self, g.term
	p.addRaft(g.id, &pb.Message{Type: pb.MsgHeartbeat.Enum(), To: &to, From: &from, Term: &term, Commit: &last, Context: quietContext(quietAsk, g.quiet.ask, last)})
	return true
}

// inContact reports whether a broker was heard within an election timeout. Time is counted in this broker's ticks: one that was
// stopped for a while must first hear what happened meanwhile.
func (p *peer) inContact() bool { return p.spoke && !p.lost && !p.silent }

// mindSilence looks at each tick which brokers were silent for an election timeout.
func (n *Node) mindSilence() {
	for _, p := range n.peers {
		if p.quietTicks++; p.quietTicks >= n.cfg.ElectionTicks && !p.silent {
			p.silent = true
			if p.spoke {
				n.event(Event{Kind: EventBrokerSilent, N: int64(p.id)})
			}
			n.doubt(p)
		}
	}
}

// speaks notes the process of a broker that was heard.
func (n *Node) speaks(p *peer, s start) {
	if s.sameProcess(p.speaker) {
		return
	}
	p.speaker, p.speakerAt = s, n.now
	n.youngTill = n.now.Add(youngFor)
	n.doubt(p)
}

// doubt wakes the quiet groups that have a replica on a broker, in pieces. One such walk is under way at a time.
func (n *Node) doubt(p *peer) {
	if p.doubting {
		p.doubtAgain = true
		return
	}
	if len(n.awake) == len(n.groups) && len(n.groups) > 0 {
		return
	}
	p.doubting, p.doubtAgain = true, false
	n.forAll(func(g *group) { g.doubt(p) }, func() {
		if p.doubting = false; p.doubtAgain {
			n.doubt(p)
		}
	})
}

// doubt wakes the group if it has a replica on a broker; a broker without one may be new, and is told who leads.
func (g *group) doubt(p *peer) {
	if !g.quiet.is {
		if g.hasReplica(p.id) {
			g.unrest()
		}
		return
	}
	if !g.hasReplica(p.id) {
		g.announce(p)
		return
	}
	g.unrest()
	if g.role == raft.StateFollower && brokerOf(g.lead) == p.id && !g.outOfTerms() {
		for range g.node.cfg.ElectionTicks { // they have passed since the leader was heard
			g.rn.Tick()
		}
		g.touch()
	}
}

// announce tells a broker, or all of them, that this one leads the group if they have no replica of it.
func (g *group) announce(to *peer) {
	if !g.serving {
		return
	}
	for _, p := range g.node.peers {
		if (to == nil || to == p) && !g.hasReplica(p.id) {
			p.leads = append(p.leads, lead{g.id, g.term})
		}
	}
}

// tellClosed wakes the other replicas, of which one may be a quiet leader or follower: this one was closed, and says nothing more.
// The message is one of which raft makes nothing: the refusal of a vote that nobody has asked for, in the first term.
func (g *group) tellClosed() {
	if g.id == 0 || !g.node.turn(g, max(1, g.node.cfg.ElectionTicks/2)) {
		return
	}
	for _, id := range append(slices.Clone(g.conf.GetVoters()), g.conf.GetLearners()...) {
		if p := g.node.peer(brokerOf(id)); p != nil {
			to, from, term, no := id, g.self, uint64(1), true
			p.addRaft(g.id, &pb.Message{Type: pb.MsgPreVoteResp.Enum(), To: &to, From: &from, Term: &term, Reject: &no})
		}
	}
}

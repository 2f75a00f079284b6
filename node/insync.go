// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// The leader knows which replicas are in sync (Kafka's ISR): raft tells it up to which entry each follower's disk has
// the leader's log. A follower enters the ISR when it has everything that was committed an election timeout ago. It
// leaves when it isn't heard, or when it lacks something that was committed syncPatience election timeouts ago. The gap
// between the two limits keeps it from flapping under load. A learner is never in the ISR. It has no vote, so it can't
// make up for the loss of a replica that has one.
//
// Leaders tell the other brokers when the ISR changes, and repeat it from time to time. A broker that hasn't heard
// reports only the leader as in sync.

// syncPatience is by how many election timeouts a follower in the ISR may lag.
const syncPatience = 10

// syncRounds is in how many ticks a broker tells the others of all groups that it leads, once more.
const syncRounds = 20

// inSync is what a leader knows about its followers.
type inSync struct {
	followers []syncing
	brokers   []BrokerID // in sync, this one included; ascending
	missing   bool       // some voter isn't
}

// syncing is the progress of one follower.
type syncing struct {
	id       uint64
	mark     uint64 // entry that was committed when
	markAt   Time
	caughtUp Time // it had everything that was committed then
	heard    Time // when it, and not only its broker, last answered
	in       bool
}

// lookInSync updates the ISR, and schedules a message to the other brokers if it has changed.
func (g *group) lookInSync() {
	if !g.serving || g.id == 0 {
		return
	}
	s := &g.inSync
	brokers, missing := g.node.inSyncNow[:0], false
	g.rn.WithProgress(func(id uint64, kind raft.ProgressType, pr tracker.Progress) {
		switch f := s.follower(g, id); {
		case id == g.self:
			brokers = append(brokers, g.node.self)
		case kind != raft.ProgressTypePeer:
		case f.look(g, pr):
			brokers = append(brokers, brokerOf(id))
		default:
			missing = true
		}
	})
	s.missing, g.node.inSyncNow = missing, brokers
	if !slices.Equal(brokers, s.brokers) {
		s.brokers = slices.Clone(brokers)
		g.node.event(Event{Kind: EventInSyncChanged, Group: g.id, Term: g.term, N: int64(len(brokers))})
		g.node.syncNews = append(g.node.syncNews, g)
	}
}

// awoke is called when a quiet group wakes. While it was quiet its followers had everything, and what was heard of their brokers
// was a sign of life of theirs, as long as no other process of the broker spoke.
func (s *inSync) awoke(g *group) {
	n := g.node
	for i := range s.followers {
		f := &s.followers[i]
		if p := n.peer(brokerOf(f.id)); f.in && p != nil && p.speakerAt <= g.quiet.since {
			f.heard = max(f.heard, p.heard)
			f.caughtUp, f.mark, f.markAt = n.now, g.commit, n.now
		}
	}
}

// follower returns what is known of a follower, from now on if nothing was.
func (s *inSync) follower(g *group, id uint64) *syncing {
	i := slices.IndexFunc(s.followers, func(f syncing) bool { return f.id == id })
	if i < 0 {
		i = len(s.followers)
		s.followers = append(s.followers, syncing{id: id, mark: g.commit, markAt: g.node.now, caughtUp: -Never / 2, heard: -Never / 2})
	}
	return &s.followers[i]
}

// look compares a follower with what was committed a while ago, and reports whether it is in sync.
func (f *syncing) look(g *group, pr tracker.Progress) bool {
	n := g.node
	if pr.Match >= f.mark {
		f.caughtUp, f.mark, f.markAt = f.markAt, g.commit, n.now
	}
	patience := n.electionTimeout()
	if f.in {
		patience *= syncPatience
	}
	f.in = f.there(g) && n.now.Sub(f.caughtUp) <= patience
	return f.in
}

// there reports whether the replica lives. It isn't enough that its broker is heard: the broker may have come back
// without its disk, as another replica.
func (f *syncing) there(g *group) bool {
	n, b := g.node, brokerOf(f.id)
	p, meta := n.peer(b), n.catalog.partitionOf(g.id)
	if p == nil || meta == nil || f.heard <= p.lostAt || n.now.Sub(f.heard) >= 3*n.electionTimeout() {
		return false
	}
	r, ok := meta.replica(b)
	return n.alive(b) && ok && r.id() == f.id
}

// answered notes that a follower lives, and looks how far it is if that is not known to be far enough.
func (s *inSync) answered(g *group, m *pb.Message) {
	i := slices.IndexFunc(s.followers, func(f syncing) bool { return f.id == m.GetFrom() })
	if i < 0 || !g.serving {
		return
	}
	s.followers[i].heard = g.node.now
	if s.missing {
		g.lookInSync()
	}
}

// position is the progress of a replica in the units of its clients: offsets, or entries of a coordinator.
func (n *Node) position(g *group) int64 {
	if p := n.partitions[g.id]; p != nil {
		return p.highWatermark
	}
	return int64(g.applied)
}

// syncReport is what a leader tells other brokers about a group.
type syncReport struct {
	group    GroupID
	term     uint64
	position int64
	brokers  []BrokerID
}

// heardInSync is the newest report on a partition that this broker doesn't lead.
type heardInSync struct {
	syncReport
	at Time
}

// tellInSync adds news to the envelopes of this step, and at each tick some of the other groups. They come after what
// raft needs: a broker that doesn't know an item drops what follows it. Only the clock items come later (post).
func (n *Node) tellInSync() {
	if len(n.syncNews) == 0 {
		return
	}
	var reports []syncReport
	for _, g := range n.syncNews {
		if g.serving && n.byID[g.id] == g {
			reports = append(reports, syncReport{g.id, g.term, n.position(g), g.inSync.brokers})
		}
	}
	clear(n.syncNews)
	n.syncNews = n.syncNews[:0]
	if len(reports) == 0 {
		return
	}
	for _, p := range n.peers {
		p.envelope = appendInSync(p.begin(), reports)
	}
}

// tickInSync updates the ISR, and repeats it to the other brokers from time to time.
func (g *group) tickInSync() {
	g.lookInSync()
	if g.serving && g.id != 0 && g.node.turn(g, syncRounds) {
		g.node.syncNews = append(g.node.syncNews, g)
	}
}

func appendInSync(b []byte, reports []syncReport) []byte {
	b = append(b, itemInSync)
	b = binary.AppendUvarint(b, uint64(len(reports)))
	for _, r := range reports {
		b = binary.AppendUvarint(b, uint64(r.group))
		b = binary.AppendUvarint(b, r.term)
		b = binary.AppendVarint(b, r.position)
		b = binary.AppendUvarint(b, uint64(len(r.brokers)))
		for _, id := range r.brokers {
			b = binary.AppendUvarint(b, uint64(id))
		}
	}
	return b
}

func (r *reader) inSync() []syncReport {
	reports := make([]syncReport, r.count(4))
	for i := range reports {
		reports[i] = syncReport{group: GroupID(r.uvarint()), term: r.uvarint(), position: r.varint()}
		reports[i].brokers = make([]BrokerID, r.count(1))
		for j := range reports[i].brokers {
			reports[i].brokers[j] = BrokerID(r.uvarint())
		}
	}
	return reports
}

// receiveInSync notes the ISRs that leaders report.
func (n *Node) receiveInSync(from BrokerID, reports []syncReport) {
	for _, r := range reports {
		p := n.catalog.partitionOf(r.group)
		if p == nil || r.term > maxTerm {
			continue
		}
		leader, epoch := n.leaderOf(p)
		if leader == from && epoch == leaderEpoch(r.term) || n.plausible(p, from, r.term, &hint{term: p.heard.term, at: p.heard.at}) {
			p.heard = heardInSync{r, n.now}
		}
	}
}

// inSyncOf lists the brokers whose replicas of a partition are in sync with its leader, as far as is known here.
func (n *Node) inSyncOf(p *partitionMeta, leader BrokerID, epoch int32) []BrokerID {
	g := n.group(p.Group)
	switch {
	case leader < 0:
		return nil
	case leader == n.self && g != nil && g.serving && len(g.inSync.brokers) > 0:
		return g.inSync.brokers
	case leader != n.self && n.believes(&p.heard, epoch):
		return p.heard.brokers
	}
	return []BrokerID{leader}
}

// toldInSync is whether the leader of a partition, another broker, has said who is in sync, and whether this broker is.
func (n *Node) toldInSync(p *partitionMeta) (told, in bool) {
	leader, epoch := n.leaderOf(p)
	if leader < 0 || leader == n.self || !n.believes(&p.heard, epoch) {
		return false, false
	}
	return true, slices.Contains(p.heard.brokers, n.self)
}

// believes reports whether what a leader said may still hold.
func (n *Node) believes(h *heardInSync, epoch int32) bool {
	return h.term > 0 && leaderEpoch(h.term) == epoch && n.now.Sub(h.at) < 3*(syncRounds*n.cfg.TickInterval+visitTold*visitEvery)
}

// lagOf is how many offsets this broker's replica of a partition lacks that its leader has; -1 if that isn't known.
func (n *Node) lagOf(p *partitionMeta, g *group) int64 {
	leader, epoch := n.leaderOf(p)
	switch {
	case leader == n.self && g.serving:
		return 0
	case leader >= 0 && leader != n.self && n.believes(&p.heard, epoch):
		return max(0, p.heard.position-n.position(g))
	}
	return -1
}

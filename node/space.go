// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"chronik/kafka"
)

// When the disk is full, the broker goes on. It accepts no more records, still reads and votes, and hands leadership to
// brokers that have space. The log keeps a segment in reserve for what must be written even then. When there is space
// again, the broker accepts records again.
//
// Freeing space must work when all disks are full: DeleteTopics, DeleteRecords and AlterConfigs. Their entries go to the
// reserve, and so do the checkpoints that let the log release what they deleted. They may use all but the last quarter
// of it, which is for votes and for the log's own records; checkpoints leave an eighth more. Entries that leaders had
// accepted before they noticed may use half of it. Otherwise a command that deletes records could wait for ever after
// entries that don't fit.

var (
	// errDiskFull is what a producer is told.
	errDiskFull = errors.New("this broker's disk is full")

	errStorage = kafka.Errorf(kerr.KafkaStorageError, "this broker's disk is full; make room, and writes go on by themselves")
)

// spaceRetry is how often the log tries again to prepare a segment.
const spaceRetry = time.Second

// isFull reports whether no file can be created and hardly anything but the reserve is left in the files, or a leader was
// refused more than that lately. To leave that state a bit more must be left, so that a broker doesn't take leaderships back
// for a few records.
func (n *Node) isFull() bool {
	left := n.log.SegmentBytes() / 8
	if n.full {
		left *= 2
	}
	return n.log.Short() && (n.left()-n.log.SegmentBytes() < left || n.now < n.refusingTill)
}

// lookFull notices that the disk is full, or no longer is, and tells the others at once. What they send until they hear
// it comes out of the reserve. When they were told one tick later, that was half of the reserve, and a command that deletes
// records had to wait for it.
func (n *Node) lookFull() {
	if !n.full && !n.log.Short() {
		return
	}
	if full := n.isFull(); full != n.full {
		n.full = full
		n.event(Event{Kind: EventDiskFull, N: int64(btoi(full))})
		n.forAll(func(g *group) { g.tried = nil }, nil)
		n.tellFull()
	}
}

// mindSpace tries at each tick to make room, and hands leaderships over while there is none.
func (n *Node) mindSpace() {
	n.lookFull()
	n.retryAppends()
	if n.now >= n.spaceAt && (n.log.Short() || slices.ContainsFunc(n.peers, func(p *peer) bool { return p.fullTill > n.now })) {
		n.spaceAt = n.now.Add(spaceRetry)
		n.log.Retry(n.full)
		n.forAll(func(g *group) {
			if g.scarce() {
				g.makeRoom()
				g.giveWay()
			}
		}, n.log.RequestSync) // segments become free when it is durable that nobody needs them
	}
	if !n.full {
		return
	}
	n.tellFull()
	if !n.emptying {
		n.emptying = true
		n.forAll(func(g *group) { g.handOver() }, func() { n.emptying = false })
	}
}

// Full reports whether the disk is full, and records are refused.
func (n *Node) Full() bool { return n.full }

func (n *Node) tellFull() {
	for _, p := range n.peers {
		p.envelope = append(p.begin(), itemFull, byte(btoi(n.full)))
	}
}

func (n *Node) receiveFull(from BrokerID, full bool) {
	p := n.peer(from)
	switch {
	case p == nil:
	case full:
		p.fullTill = n.now.Add(n.electionTimeout())
	default:
		p.fullTill = 0
	}
}

// hasRoom reports whether a broker's disk has room, as far as it said.
func (n *Node) hasRoom(id BrokerID) bool {
	if p := n.peer(id); p != nil {
		return p.fullTill <= n.now
	}
	return !n.full
}

// hasRoom reports whether a majority of the replicas can take entries. Otherwise what is proposed would
// never be committed. If some can't, others count only where they take what is sent: one that is far behind may be full
// before it comes to these entries, and then they stand before those that delete records.
func (g *group) hasRoom() bool {
	room := 0
	for _, id := range g.conf.Voters {
		room += btoi(g.node.hasRoom(brokerOf(id)))
	}
	switch {
	case room == len(g.conf.Voters):
		return true
	case 2*room <= len(g.conf.Voters):
		return false
	}
	room = 0
	g.rn.WithProgress(func(id uint64, kind raft.ProgressType, pr tracker.Progress) {
		takes := id == g.self || pr.State == tracker.StateReplicate
		room += btoi(takes && kind == raft.ProgressTypePeer && g.node.hasRoom(brokerOf(id)))
	})
	return 2*room > len(g.conf.Voters)
}

// takesRecords reports whether the leader takes entries that aren't urgent.
func (g *group) takesRecords() bool { return !g.node.full && g.hasRoom() }

// scarce reports whether this disk is full, or that of a follower, a learner too. Such a follower may lack entries for which it
// has no room, although their records are deleted already. Once they are released here, it gets a checkpoint instead.
func (g *group) scarce() bool {
	return g.node.log.Short() || g.role == raft.StateLeader && slices.ContainsFunc(g.peers, func(b BrokerID) bool { return !g.node.hasRoom(b) })
}

// makeRoom releases entries that are kept only for followers that lag slightly, or because no checkpoint came after them.
func (g *group) makeRoom() {
	if g.closed || g.node.left() <= g.node.log.SegmentBytes()/4 {
		return
	}
	if kept := g.node.log.Checkpoints(g.id); len(kept) == 0 || g.machine.retain() > kept[len(kept)-1].Index+1 && g.bytesSince > 0 {
		g.checkpoint()
	}
	g.releaseNow()
}

// giveWay has another replica lead if this leader's log holds, uncommitted, what most replicas have no room for. They refuse
// it, and what deletes records stands behind it in the log: so a way out of full disks is only a log without it. That of
// each replica which refuses it is one. The leader names the one that has most, and raft's election decides whether most
// replicas do without these entries. Those that a majority has can't be lost so.
func (g *group) giveWay() {
	if g.role != raft.StateLeader || !g.standsStill() {
		g.stuckSince = 0
		return
	}
	if g.stuckSince == 0 || g.commit != g.stuckAt {
		g.stuckSince, g.stuckAt = g.node.now, g.commit
	}
	if g.node.now < g.stuckSince.Add(4*g.node.electionTimeout()) {
		return
	}
	to, most := raft.None, uint64(0)
	g.rn.WithProgress(func(id uint64, kind raft.ProgressType, pr tracker.Progress) {
		if id != g.self && kind == raft.ProgressTypePeer && pr.RecentActive && pr.Match > most {
			to, most = id, pr.Match
		}
	})
	if to == raft.None {
		return
	}
	g.stuckSince = g.node.now
	g.node.event(Event{Kind: EventGaveWay, Group: g.id, Term: g.term, N: int64(brokerOf(to))})
	g.haveLead(to)
}

// standsStill reports whether the log has an entry that isn't committed, and for which most replicas may have no room.
func (g *group) standsStill() bool {
	if g.hasRoom() {
		return false
	}
	last, _ := g.view.LastIndex()
	for i := g.commit + 1; i <= last; i++ {
		if e := g.view.entry(i); e != nil && !g.isUrgent(len(e.GetData())) {
			return true
		}
	}
	return false
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

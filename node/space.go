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

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

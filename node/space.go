// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"chronik/kafka"
	"chronik/wal"
)

// When the disk is full, the broker goes on. It accepts no more records, still reads and votes, and hands leadership to
// brokers that have space. The log keeps a segment in reserve for what must be written even then. When there is space
// again, the broker accepts records again.
//
// Freeing space must work when all disks are full: DeleteTopics, DeleteRecords and AlterConfigs. Their entries go to the
// reserve, and so do the checkpoints that let the log release what they deleted. They may use all but the last quarter
// of it, which is for votes and for the log's own records. Entries that leaders had accepted before they noticed may
// use half of it. Otherwise a command that deletes records could wait for ever after
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

// left is how many bytes the log can still take in its files.
func (n *Node) left() int64 {
	room := n.room()
	return room.Left()
}

// room returns the log's room, without that for entries that were taken and are not in the log yet.
func (n *Node) room() wal.Room {
	room := n.log.Room()
	room.Reserve(n.admitted)
	return room
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
	if n.now >= n.spaceAt && (n.log.Short() || slices.ContainsFunc(n.peers, func(p *peer) bool { return p.fullTill > n.now })) {
		n.spaceAt = n.now.Add(spaceRetry)
		n.log.Retry()
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

// smallEntry is the size, in bytes, up to which an entry is accepted even then: entries with which a leader begins its
// term, and those that delete records and so make room. largestCommand is the same for commands to the catalog.
const (
	smallEntry     = 32
	largestCommand = 4 << 10
)

// share is how much must be left after an entry or a checkpoint, so that what is more urgent has room: records leave all of
// the reserve, entries that their leader had accepted before it noticed half of it, and what deletes records a quarter. The
// rest is for votes and for the log's own records.
func (g *group) share(size int, accepted bool) int64 {
	switch segment := g.node.log.SegmentBytes(); {
	case g.id == 0 && size <= largestCommand:
		return segment / 4
	case accepted:
		return segment / 2
	default:
		return segment
	}
}

// admit reports whether the log has a file for an entry, and counts it in what room there is. Small ones always have one.
func (g *group) admit(room *wal.Room, size int, accepted bool) bool {
	return room.Take(size, g.share(size, accepted)) || size <= smallEntry
}

// admitPending returns the entries of this step for which the log has room, and their proposals. The others are refused.
func (g *group) admitPending() (entries []*pb.Entry, taken []proposal) {
	entries, taken = g.entries, g.pending
	g.entries, g.pending = nil, nil
	if !g.node.log.Short() {
		return entries, taken
	}
	all, room, took := taken, g.node.room(), 0
	for i, e := range entries {
		if g.admit(&room, len(e.GetData()), false) {
			entries[took], all[took] = e, all[i]
			took++
			continue
		}
		p := all[i]
		g.node.underway -= p.size
		g.node.later(func() { p.done(nil, errDiskFull) })
	}
	return entries[:took], all[:took]
}

// holdsCheckpoint reports whether the log has room for a checkpoint of so many bytes.
func (n *Node) holdsCheckpoint(size int) bool {
	room := n.room()
	return room.TakeCheckpoint(size, n.log.SegmentBytes()/4)
}

// setAdmitted notes how many bytes of a leader's entries were taken and are not in the log yet. They are there soon: most
// at the end of the step, and some later if its budget is spent.
func (g *group) setAdmitted(bytes int64) {
	g.node.admitted += bytes - g.admitted
	g.admitted = bytes
}

// takeSome cuts a leader's entries down to those for which this follower has room, and reports whether any are left. The
// leader sends the others again. A broker that can't even take the first is full, however much is left.
func (g *group) takeSome(m *pb.Message) bool {
	last, _ := g.view.LastIndex()
	if m.GetTerm() < g.term || m.GetIndex() > last && g.admitted == 0 { // raft rejects them anyway, and the leader must hear that
		return true
	}
	room, took, bytes := g.node.room(), 0, g.admitted
	for _, e := range m.Entries {
		if term, err := g.view.Term(e.GetIndex()); e.GetIndex() <= last && (err != nil || term == e.GetTerm()) { // it is there
			took++
			continue
		}
		if !g.admit(&room, len(e.GetData()), e.GetIndex() > m.GetCommit()) {
			break
		}
		bytes += int64(len(e.GetData())) + smallEntry
		took++
	}
	if took == 0 {
		g.node.refusingTill = g.node.now.Add(g.node.electionTimeout())
	}
	g.setAdmitted(bytes)
	m.Entries = m.Entries[:took]
	return took > 0
}

// scarce reports whether this disk is full, or that of a follower. Such a follower may lack entries for which it has no
// room, although their records are deleted already. Once they are released here, it gets a checkpoint instead.
func (g *group) scarce() bool {
	return g.node.log.Short() || g.role == raft.StateLeader && slices.ContainsFunc(g.conf.Voters, func(id uint64) bool { return !g.node.hasRoom(brokerOf(id)) })
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

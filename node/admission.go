// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/wal"
)

// The log is given no entry before there is a file for it. Whether a disk is full shows only when a file can't be made, and
// what was given to the log by then is written in order: an entry without a file keeps waiting all that come after it, those
// that delete records as well. So an entry that finds no file waits here until the log has tried to make one: as a proposal
// of a leader, or as a message to a follower. If that fails, proposals are refused, and messages are dropped: their leader
// sends them again.

// smallEntry is the size, in bytes, up to which an entry is accepted even then: entries with which a leader begins its
// term, and those that delete records and so make room. largestCommand is the same for commands to the catalog.
const (
	smallEntry     = 32
	largestCommand = 4 << 10
)

// isUrgent reports whether an entry of so many bytes may be one of those.
func (g *group) isUrgent(size int) bool {
	return size <= smallEntry || g.id == 0 && size <= largestCommand
}

// share is how much must be left after an entry or a checkpoint, so that what is more urgent has room: records leave all of
// the reserve, those that were accepted before anybody knew half of it, checkpoints of this broker three eighths, and what
// deletes records a quarter. The rest is for votes and for the log's own records.
func (g *group) share(size int, accepted bool) int64 {
	switch segment := g.node.log.SegmentBytes(); {
	case g.id == 0 && size <= largestCommand:
		return segment / 4
	case accepted || !g.node.log.Short():
		return segment / 2
	default:
		return segment
	}
}

// admitted is what was taken of leaders' entries and isn't in the log yet. It is there soon: most at the end of the step, and
// some later if its budget is spent.
type admitted struct {
	bytes int64
	large int // so many entries that need a file of their own
}

func (a *admitted) add(log *wal.Log, size int) {
	if bytes := wal.EntryRoom(size); bytes <= log.SegmentBytes() {
		a.bytes += bytes
	} else {
		a.large++
	}
}

func (g *group) setAdmitted(a admitted) {
	all := &g.node.admitted
	all.bytes += a.bytes - g.admitted.bytes
	all.large += a.large - g.admitted.large
	g.admitted = a
}

// room returns the log's room, without that for what was admitted.
func (n *Node) room() wal.Room {
	room := n.log.Room()
	room.Reserve(n.admitted.bytes, n.admitted.large)
	return room
}

// left is how many bytes the log can still take in its files.
func (n *Node) left() int64 {
	room := n.room()
	return room.Left()
}

// holdsCheckpoint reports whether the log has room for a checkpoint of so many bytes, and so much is left after it.
func (n *Node) holdsCheckpoint(size int, leave int64) bool {
	room := n.room()
	return room.TakeCheckpoint(size, leave)
}

// leaveBeside is how much has to be left after a leader's checkpoint on a full disk, for entries that delete records. A
// small one may take of that: it stands for entries that go, and a follower that lags may get rid of them in no other way, since
// the entry that deletes their records comes after those that it has no room for.
func (n *Node) leaveBeside(size int) int64 {
	segment := n.log.SegmentBytes()
	if int64(size) <= segment/64 {
		return segment / 16
	}
	return segment / 4
}

// admit reports whether the log has a file for an entry, and counts it in what room there is. Small ones always have one.
// Otherwise, unless no file can be made, the group waits for one.
func (g *group) admit(room *wal.Room, size int, accepted bool) bool {
	if room.Take(size, g.share(size, accepted)) || size <= smallEntry {
		return true
	}
	if log := g.node.log; !log.Short() {
		log.Ask(size)
		log.RequestSync() // segments that have no file yet get theirs, and then more are made
		g.waitForFile()
	}
	return false
}

// admitPending returns the proposals of this step for which the log has room, and their entries. Those for which it has none
// wait, or are refused if no file can be made.
func (g *group) admitPending() (entries []*pb.Entry, taken []proposal) {
	entries, taken = g.entries, g.pending
	g.entries, g.pending = nil, nil
	room, took := g.node.room(), 0
	for i, e := range entries {
		switch {
		case g.admit(&room, len(e.GetData()), false):
			entries[took], taken[took] = e, taken[i]
			took++
		case g.node.log.Short():
			p := taken[i]
			g.node.underway -= p.size
			g.node.later(func() { p.done(nil, errDiskFull) })
		default:
			g.entries, g.pending = slices.Clone(entries[i:]), slices.Clone(taken[i:])
			return entries[:took], taken[:took]
		}
	}
	return entries[:took], taken[:took]
}

// receiveAppend steps a leader's message as far as there is room for its entries. A message that comes while an earlier one
// waits stays behind it.
func (g *group) receiveAppend(m *pb.Message) {
	if len(g.late) > 0 {
		if len(g.late) < g.node.cfg.ReplicationWindow {
			g.late = append(g.late, m)
		}
		return
	}
	took := g.takes(m)
	if took < len(m.Entries) {
		if !g.node.log.Short() {
			g.late = append(g.late, after(m, took))
		} else if took == 0 { // however much is left
			g.node.refusingTill = g.node.now.Add(g.node.electionTimeout())
		}
		if took == 0 {
			return
		}
		m.Entries = m.Entries[:took]
	}
	g.step(m)
}

// after returns a message with the entries of another one but the first.
func after(m *pb.Message, took int) *pb.Message {
	if took == 0 {
		return m
	}
	rest := &pb.Message{Type: m.Type, From: m.From, To: m.To, Term: m.Term, Commit: m.Commit, Entries: m.Entries[took:]}
	rest.Index, rest.LogTerm = m.Entries[took-1].Index, m.Entries[took-1].Term
	return rest
}

// takes returns how many of a leader's entries this follower has room for, or has already.
func (g *group) takes(m *pb.Message) int {
	last, _ := g.view.LastIndex()
	// Raft takes nothing of a message that is outdated, leaves a gap, or begins below the commit index, and the leader must hear
	// that.
	if len(m.Entries) == 0 || m.GetTerm() < g.term || m.GetIndex() > last && g.admitted == (admitted{}) || m.GetIndex() < g.commit {
		return len(m.Entries)
	}
	room, took := g.node.room(), g.admitted
	defer func() { g.setAdmitted(took) }()
	for i, e := range m.Entries {
		if index := e.GetIndex(); index <= last {
			if term, err := g.view.Term(index); err != nil || term == e.GetTerm() { // it is there
				continue
			}
		}
		if !g.admit(&room, len(e.GetData()), e.GetIndex() > m.GetCommit()) {
			return i
		}
		took.add(g.node.log, len(e.GetData()))
	}
	return len(m.Entries)
}

// waitForFile has a group go on when the log has tried to make a file.
func (g *group) waitForFile() {
	if !g.noFile {
		g.noFile = true
		g.node.noFile = append(g.node.noFile, g)
	}
}

// retryAppends goes on with groups that wait for a file, as long as there is room.
func (n *Node) retryAppends() {
	waiting := n.noFile
	n.noFile = nil
	for i, g := range waiting {
		g.noFile = false
		late := g.late
		g.late = nil
		for _, m := range late {
			n.receiveRaft(brokerOf(m.GetFrom()), g.id, m)
		}
		if len(g.pending) > 0 {
			g.touch()
		}
		if g.noFile && !n.log.Short() {
			n.noFile = append(n.noFile, waiting[i+1:]...)
			return
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"slices"

	"chronik/node/step"
	"chronik/wal"
)

// A state may be large, so a checkpoint is made in three stages, and the group goes on meanwhile. First the state is
// encoded in pieces, as many per step as savingShare allows. Then the pieces are compressed, large ones by a task of the
// world. Then the result is put into the log, a large one in pieces again, one with each write: a write of all would keep
// everybody waiting who waits for a sync.
//
// All pieces must show the state after one entry. So whatever is about to change before its piece is written leaves its
// old value in place until then; that is up to each machine.

// saving is a checkpoint that is being written.
type saving struct {
	index, term uint64
	replaces    uint64   // the checkpoint that it replaces; 0: it is added to the others
	bytes       int64    // group.bytesSince when it began
	data        [][]byte // pieces so far, in chunks, so that growing copies nothing
	size        int
	next        pieces // nil: all are in data
	want        []byte // see Config.CheckStates
}

// savingChunk is the size of a chunk.
const savingChunk = 64 << 10

// piece writes the next piece.
func (s *saving) piece() {
	last := len(s.data) - 1
	if last < 0 || len(s.data[last]) >= savingChunk-savingChunk/16 {
		s.data = append(s.data, make([]byte, 0, savingChunk))
		last++
	}
	before, more := len(s.data[last]), false
	if s.data[last], more = s.next(s.data[last]); !more {
		s.next = nil
	}
	s.size += len(s.data[last]) - before
}

// savingShare says how much of a step's budget is for encoding and decoding states: one part in so many. The share is
// theirs alone, so that they make progress under load too.
const savingShare = 4

// maySave is how many pieces of states a step may still encode or decode.
func (n *Node) maySave() int { return max(1, n.cfg.StepBudget/savingShare) - n.out.Work.Saved }

// pieceBytes is about what a piece of a state takes.
const pieceBytes = 64

// savesAtOnce charges this step for compressing or decoding size bytes of a state. It returns false if that is too much,
// and then a task has to do it.
func (n *Node) savesAtOnce(size int) bool {
	cost := 1 + size/pieceBytes
	if cost > n.maySave() {
		return false
	}
	n.out.Work.Saved += cost
	return true
}

// checkpoint schedules a checkpoint, for this step or a later one. Once it is in the log, entries and checkpoints that
// it makes superfluous are released.
func (g *group) checkpoint() {
	if !g.toSave && g.saving == nil && !g.closed && g.node.now >= g.saveAt {
		g.toSave = true
		g.node.saves = append(g.node.saves, g)
	}
}

// save goes on with checkpoints, one after the other.
func (n *Node) save() {
	for begun := n.out.Work.Bytes; len(n.saves) > 0 && !n.packing && n.maySave() > 0 && n.out.Work.Bytes-begun < maxSaved; {
		g := n.saves[0]
		if g.toSave {
			g.toSave = false
			g.beginSaving()
		}
		if s := g.saving; s != nil && s.next != nil {
			g.encode(s)
		}
		if s := g.saving; s == nil || s.next == nil { // it is in the log, or being packed, or there was nothing to keep
			n.saves[0] = nil
			n.saves = n.saves[1:]
		}
	}
}

// maxSaved bounds the bytes of states that one step encodes, since single pieces can be large.
const maxSaved = 256 << 10

// beginSaving begins to write the state at the applied index. If little happened since the previous checkpoint, the new
// one replaces it.
func (g *group) beginSaving() {
	kept := g.node.log.Checkpoints(g.id)
	since, replaces := uint64(0), uint64(0)
	if n := len(kept); n > 0 {
		if kept[n-1].Index >= g.applied {
			return
		}
		since = kept[n-1].Index
		if g.checkpointIsSmall(kept) {
			replaces, since = kept[n-1].Index, 0
			if n > 1 {
				since = kept[n-2].Index
			}
		}
	}
	if g.closed {
		return
	}
	term, err := g.view.Term(g.applied)
	step.Assert(err == nil, "the log knows the term of the applied entry %d: %v", g.applied, err)
	s := &saving{index: g.applied, term: term, replaces: replaces, bytes: g.bytesSince}
	if g.node.cfg.CheckStates {
		s.want = g.machine.state(since)
	}
	head := checkpoint{}
	head.conf, head.confIndex = g.appliedConf()
	s.data = append(s.data, append(make([]byte, 0, pieceBytes), head.head()...))
	s.size, s.next = len(s.data[0]), g.machine.snapshot(since)
	g.saving = s
}

// encode writes the next piece of a state. After the last one it is compressed and kept.
func (g *group) encode(s *saving) {
	before := s.size
	s.piece()
	g.node.out.Work.Saved++
	g.node.out.Work.Bytes += int64(s.size - before)
	if s.next != nil {
		return
	}
	if s.want != nil {
		got := bytes.Join(s.data, nil)
		step.Assert(bytes.HasSuffix(got, s.want), "the pieces of a state are of one entry: group %d, entry %d: % x, not % x", g.id, s.index, got, s.want)
	}
	if g.node.savesAtOnce(s.size) {
		g.keep(s, g.node.packer.pack(bytes.Join(s.data, nil)))
		return
	}
	g.node.packing = true
	g.node.start(Task{Kind: TaskPack, Pieces: s.data}, func(res TaskResult) {
		g.node.packing = false
		g.keep(s, res.Batch)
	})
}

// keep puts a checkpoint into the log, unless the group is gone or gets one from another broker, or the disk is full and
// there is no room for it.
func (g *group) keep(s *saving, data []byte) {
	switch {
	case g.saving != s:
	case g.node.log.Short() && !g.node.holdsCheckpoint(len(data), 3*g.node.log.SegmentBytes()/8): // what deletes records needs the rest
		g.saving, g.saveAt = nil, g.node.now.Add(spaceRetry)
	case !g.node.log.Large(len(data)):
		g.kept(s, data)
	case g.incoming != nil && g.incoming.staged || len(g.decoded) > 0:
		g.saving = nil
	default:
		g.stage(wal.Checkpoint{Index: s.index, Term: s.term, Data: data}, func() {
			if g.saving == s {
				g.kept(s, data)
			}
		})
	}
}

// stage begins to put the data of a large checkpoint into the log. When it is there, done makes it a checkpoint.
func (g *group) stage(c wal.Checkpoint, done func()) {
	if g.staged == nil {
		g.node.staging = append(g.node.staging, g)
	}
	g.node.log.Stage(g.id, c)
	g.staged = done
}

// unstage gives up what is staged.
func (g *group) unstage() {
	g.node.log.Unstage(g.id)
	g.staged = nil
	g.node.staging = slices.DeleteFunc(g.node.staging, func(x *group) bool { return x == g })
}

// finishStaging goes on with the checkpoints whose data is in the log.
func (n *Node) finishStaging() {
	n.staging = slices.DeleteFunc(n.staging, func(g *group) bool {
		done := g.staged
		switch {
		case g.closed:
		case n.log.Staged(g.id):
			g.staged = nil
			done()
		default:
			return false
		}
		return true
	})
}

// kept puts a checkpoint into the log at once, and lets go of what it makes superfluous.
func (g *group) kept(s *saving, data []byte) {
	n := g.node
	g.saving = nil
	n.counters.checkpoint += int64(len(data))
	n.out.Work.Bytes += int64(len(data))
	n.log.AddCheckpoint(g.id, wal.Checkpoint{Index: s.index, Term: s.term, Data: data})
	if s.replaces > 0 {
		n.log.DropCheckpoint(g.id, s.replaces)
	} else {
		g.bytesBefore = 0
	}
	g.bytesBefore, g.bytesSince = g.bytesBefore+s.bytes, g.bytesSince-s.bytes
	g.checkpointed, g.stateBytes = s.index, int64(len(data))
	n.event(Event{Kind: EventCheckpoint, Group: g.id, Term: g.term, N: int64(s.index)})
	g.releaseNow()
	if !g.quiet.is {
		g.touch() // the next one may be due by now
	}
}

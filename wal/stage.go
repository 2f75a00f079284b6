// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// A large checkpoint in one record would keep everybody waiting who waits for the flush that it is in. So its data is
// staged first: put into the log in pieces, one with each flush, which means nothing to anybody. AddCheckpoint or
// Install then puts a small record after them that makes them a checkpoint. doc.go says what a crash leaves.

const (
	manyPieces = 256     // a checkpoint has about so many pieces at most, unless segments are too small
	maxPieces  = 1 << 20 // and never more than so many
	pieceShare = 8       // a piece takes at most 1/8 of a segment
	leastPiece = 16      // bytes of data
)

// stage is a checkpoint whose data is being put into the log.
type stage struct {
	group       GroupID
	index, term uint64
	left        []byte // data that isn't in the log yet
	size        int    // of a piece
	is          Piece  // the next one
}

// Large says that a checkpoint with so many bytes of data should be staged.
func (l *Log) Large(bytes int) bool { return bytes > l.pieceBytes(bytes) }

// pieceBytes is how much data goes into a piece of a checkpoint.
func (l *Log) pieceBytes(bytes int) int {
	size := max(l.opt.PieceBytes, (bytes+manyPieces-1)/manyPieces)
	return max(leastPiece, (bytes+maxPieces-1)/maxPieces, min(size, int(l.opt.SegmentBytes/pieceShare)))
}

// Stage begins to put the data of a large checkpoint into the log, without effect for now. Staged says when all of it
// is in the log. Until then, and until AddCheckpoint or Install with the same checkpoint, c.Data must not change. A group
// has one staged checkpoint at most, and Stage gives the one before up. A crash, and an Install of another checkpoint, give it up, too.
func (l *Log) Stage(g GroupID, c Checkpoint) {
	if !l.Large(len(c.Data)) || len(c.Data) > MaxEntryBytes {
		panic(fmt.Sprintf("wal: group %d: checkpoint at entry %d of %d bytes can't be staged", g, c.Index, len(c.Data)))
	}
	l.Unstage(g)
	size := l.pieceBytes(len(c.Data))
	l.stages = append(l.stages, &stage{
		group: g, index: c.Index, term: c.Term, left: c.Data, size: size,
		is: Piece{Parts: uint64((len(c.Data) + size - 1) / size)},
	})
}

// Staged says that all of the group's staged checkpoint is in the log, durable or about to be.
func (l *Log) Staged(g GroupID) bool {
	gr := l.groups[g]
	return gr != nil && len(gr.staged) > 0 && !gr.staged[0].missing()
}

// Unstage gives the group's staged checkpoint up, if there is one.
func (l *Log) Unstage(g GroupID) {
	l.unqueue(g)
	if gr := l.groups[g]; gr != nil && len(gr.staged) > 0 {
		l.putEnd(g, &gr.staged[0], endGivenUp)
		l.retire()
	}
}

// unqueue puts no more pieces of a group's checkpoint into the log.
func (l *Log) unqueue(g GroupID) {
	l.stages = slices.DeleteFunc(l.stages, func(s *stage) bool { return s.group == g })
}

// putPiece buffers the next piece of the checkpoint that has been waiting longest, when the piece before is durable. When
// the disk is full, the last quarter of the reserve isn't for that; and whether it is full must be known.
func (l *Log) putPiece() {
	if len(l.stages) == 0 || l.pieceEnd > l.durable || len(l.free) == 0 && !l.short {
		return
	}
	s := l.stages[0]
	c := Checkpoint{s.index, s.term, s.left[:min(s.size, len(s.left))]}
	if r := l.Room(); l.short && !r.Take(pieceHead-entryHead+len(c.Data), l.opt.SegmentBytes/4) {
		return
	}
	at := l.putPart(s.group, &c, s.is)
	if s.is.Part == 0 {
		s.is.ID = l.cur.lsn(at)
	}
	l.placePiece(l.ensure(s.group), &c, s.is, piece{l.cur, at, len(c.Data)})
	l.pieceEnd, l.want = l.End(), l.End()
	s.is.Part++
	if s.left = s.left[len(c.Data):]; len(s.left) == 0 {
		l.stages = slices.Delete(l.stages, 0, 1)
	}
	l.retire()
}

// putPart buffers a piece of a checkpoint. The first one doesn't know its checkpoint's id before: it is its own place.
func (l *Log) putPart(g GroupID, c *Checkpoint, is Piece) place {
	p := l.add(RecordPiece, 0, g, pieceHead+len(c.Data))
	size := uint32(recordBytes(len(p)))
	at := place{uint32(l.cur.end) - size, size}
	if is.ID == 0 {
		is.ID = l.cur.lsn(at)
	}
	for i, v := range [...]uint64{c.Index, c.Term, uint64(is.ID), is.Part, is.Parts} {
		binary.LittleEndian.PutUint64(p[8*i:], v)
	}
	copy(p[pieceHead:], c.Data)
	return at
}

// putEnd buffers what becomes of a staged checkpoint, and does it.
func (l *Log) putEnd(g GroupID, c *checkpoint, what uint64) {
	p, id := l.add(RecordEnd, 0, g, endBytes), c.id
	for i, v := range [...]uint64{c.index, c.term, uint64(id), what} {
		binary.LittleEndian.PutUint64(p[8*i:], v)
	}
	done := l.groups[g].takeStaged(c.index, c.term, id)
	done.whole = l.End()
	l.endStaged(l.groups[g], done, what)
}

// endStaged gives a group a checkpoint that was staged, beside what it has or in place of all of that, or drops it.
func (l *Log) endStaged(g *group, c checkpoint, what uint64) {
	switch what {
	case endCheckpoint:
		l.addCheckpoint(g, c)
	case endInstall:
		l.install(g, c)
	default:
		l.unrefCheckpoint(&c)
	}
}

// stagedAs returns the group's staged checkpoint if it is this one and all of it is in the log.
func (l *Log) stagedAs(g GroupID, c *Checkpoint) *checkpoint {
	if !l.Staged(g) {
		return nil
	}
	if s := &l.groups[g].staged[0]; s.index == c.Index && s.term == c.Term && s.size == len(c.Data) {
		return s
	}
	return nil
}

// placePiece puts a piece of a checkpoint into the index, in place of the same piece elsewhere. It returns false if it
// contradicts the others.
func (l *Log) placePiece(g *group, c *Checkpoint, is Piece, p piece) bool {
	into := g.findStaged(is.ID)
	if i, ok := g.checkpoint(c.Index); ok && g.checkpoints[i].id == is.ID {
		into = &g.checkpoints[i]
	}
	if into == nil {
		g.staged = append(g.staged, checkpoint{index: c.Index, term: c.Term, id: is.ID})
		into = &g.staged[len(g.staged)-1]
	}
	if len(into.pieces) == 0 {
		into.term, into.pieces = c.Term, make([]piece, is.Parts)
	}
	if into.index != c.Index || into.term != c.Term || uint64(len(into.pieces)) != is.Parts {
		return false
	}
	old := &into.pieces[is.Part]
	l.unrefPiece(*old)
	into.size += p.bytes - old.bytes
	*old = p
	l.refPiece(g, into, int(is.Part))
	return true
}

// findStaged returns a staged checkpoint, nil if it isn't there.
func (g *group) findStaged(id LSN) *checkpoint {
	for i := range g.staged {
		if g.staged[i].id == id {
			return &g.staged[i]
		}
	}
	return nil
}

// takeStaged takes a checkpoint out of those that are staged, or makes one of which no piece is known.
func (g *group) takeStaged(index, term uint64, id LSN) checkpoint {
	for i, c := range g.staged {
		if c.id == id {
			g.staged = slices.Delete(g.staged, i, i+1)
			return c
		}
	}
	return checkpoint{index: index, term: term, id: id}
}

// dropStaged gives up what is staged of a group.
func (l *Log) dropStaged(g *group) {
	l.unqueue(g.id)
	for i := range g.staged {
		l.unrefCheckpoint(&g.staged[i])
	}
	g.staged = nil
}

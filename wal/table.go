// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
)

// A table, the payload of a seal, says where the entries and checkpoints of a segment are that
// were live when it ended; doc.go draws it. With it Open needn't read the segment.

// What a group, a run, a checkpoint add to a table besides their entries, in bytes, at most.
const (
	groupCost      = 10 + 5 + 5 + 5 + 5
	runCost        = 10 + 10 + 5 + 5 + 5          // packed or not
	checkpointCost = 10 + 10 + 5 + 5              // in one record
	pieceCost      = 10 + 10 + 10 + 5 + 5 + 5 + 5 // a piece of one
	recordCost     = groupCost + runCost + 10     // of a record, whatever it is
)

// entryCost is what an entry adds to a table.
func entryCost(at, before place) int {
	gap := uint64(int64(at.off)-before.end()) / 8
	return uvarintBytes(gap) + uvarintBytes(uint64(at.size)/8)
}

func uvarintBytes(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// appendTable encodes what is live in a segment.
func appendTable(b []byte, seg *segment) []byte {
	groups := slices.DeleteFunc(slices.Clone(seg.groups), func(g *group) bool { return !g.has(seg) })
	slices.SortFunc(groups, func(a, b *group) int { return cmp.Compare(a.id, b.id) })
	b = binary.AppendUvarint(b, uint64(len(groups)))
	for _, g := range groups {
		b = binary.AppendUvarint(b, uint64(g.id))
		b = g.appendRuns(b, seg)
		if seg.version >= packedVersion {
			b = g.appendPacked(b, seg)
		}
		b = g.appendCheckpoints(b, seg)
		if seg.version >= pieceVersion {
			b = g.appendPieces(b, seg)
		}
	}
	return b
}

func (g *group) has(seg *segment) bool {
	return slices.ContainsFunc(g.runs, func(r run) bool { return r.seg == seg }) ||
		g.countPieces(seg, func(*checkpoint) bool { return true }) > 0
}

func (g *group) appendRuns(b []byte, seg *segment) []byte {
	n := 0
	for i := range g.runs {
		if g.runs[i].seg == seg && g.runs[i].packed == 0 {
			n++
		}
	}
	b = binary.AppendUvarint(b, uint64(n))
	for i := range g.runs {
		r := &g.runs[i]
		if r.seg != seg || r.packed > 0 {
			continue
		}
		b = binary.AppendUvarint(b, r.first)
		b = binary.AppendUvarint(b, r.term)
		b = binary.AppendUvarint(b, uint64(len(r.at)))
		end := int64(0)
		for _, at := range r.at {
			b = binary.AppendUvarint(b, uint64(int64(at.off)-end)/8)
			b = binary.AppendUvarint(b, uint64(at.size)/8)
			end = at.end()
		}
	}
	return b
}

func (g *group) appendPacked(b []byte, seg *segment) []byte {
	n := 0
	for i := range g.runs {
		n += btoi(g.runs[i].seg == seg && g.runs[i].packed > 0)
	}
	b = binary.AppendUvarint(b, uint64(n))
	for i := range g.runs {
		if r := &g.runs[i]; r.seg == seg && r.packed > 0 {
			b = binary.AppendUvarint(b, r.first)
			b = binary.AppendUvarint(b, r.term)
			b = binary.AppendUvarint(b, r.packed)
			b = binary.AppendUvarint(b, uint64(r.at[0].off)/8)
			b = binary.AppendUvarint(b, uint64(r.at[0].size)/8)
		}
	}
	return b
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (g *group) appendCheckpoints(b []byte, seg *segment) []byte {
	b = binary.AppendUvarint(b, uint64(g.countPieces(seg, (*checkpoint).single)))
	for i := range g.checkpoints {
		if c := &g.checkpoints[i]; c.single() && c.pieces[0].seg == seg {
			b = binary.AppendUvarint(b, c.index)
			b = binary.AppendUvarint(b, c.term)
			b = binary.AppendUvarint(b, uint64(c.size))
			b = binary.AppendUvarint(b, uint64(c.pieces[0].at.off)/8)
		}
	}
	return b
}

func (g *group) appendPieces(b []byte, seg *segment) []byte {
	b = binary.AppendUvarint(b, uint64(g.countPieces(seg, func(c *checkpoint) bool { return !c.single() })))
	g.eachCheckpoint(func(c *checkpoint) {
		if c.single() {
			return
		}
		for part, p := range c.pieces {
			if p.seg != seg {
				continue
			}
			for _, v := range [...]uint64{c.index, c.term, uint64(c.id), uint64(part), uint64(len(c.pieces)), uint64(p.bytes), uint64(p.at.off) / 8} {
				b = binary.AppendUvarint(b, v)
			}
		}
	})
	return b
}

// countPieces counts records of some checkpoints, staged ones included, in a segment.
func (g *group) countPieces(seg *segment, which func(*checkpoint) bool) (n int) {
	g.eachCheckpoint(func(c *checkpoint) {
		if which(c) {
			for _, p := range c.pieces {
				n += btoi(p.seg == seg)
			}
		}
	})
	return n
}

var errTable = errors.New("the segment's table contradicts itself or its records")

// tableReader decodes a table. Once something is wrong all further numbers are 0.
type tableReader struct {
	b   []byte
	end int64 // of the segment's records: no place is after it
	bad bool
}

func (t *tableReader) uvarint() uint64 {
	if len(t.b) > 0 && t.b[0] < 0x80 {
		v := t.b[0]
		t.b = t.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(t.b)
	if n <= 0 {
		t.bad = true
		return 0
	}
	t.b = t.b[n:]
	return v
}

// count decodes a number of things that take at least so many bytes each.
func (t *tableReader) count(size int) int {
	n := t.uvarint()
	if n > uint64(len(t.b)/size) {
		t.bad = true
		return 0
	}
	return int(n)
}

// place decodes where a record is that begins so many units of 8 bytes after a position.
func (t *tableReader) place(from int64, gap, size uint64) place {
	if gap > uint64(t.end)/8 || size > uint64(t.end)/8 || size*8 < uint64(recordBytes(entryHead)) || from+int64(gap+size)*8 > t.end {
		t.bad = true
		return place{}
	}
	return place{uint32(from + int64(gap)*8), uint32(size * 8)}
}

// readTable puts what a table says into the index. The entries and checkpoints of a table are
// younger than all that is in the index.
func (l *Log) readTable(seg *segment, table []byte) error {
	t := tableReader{b: table, end: seg.sealAt}
	for n := t.count(3); n > 0 && !t.bad; n-- {
		g := l.ensure(GroupID(t.uvarint()))
		for n := t.count(3); n > 0 && !t.bad; n-- {
			l.readRun(g, seg, &t)
		}
		if seg.version >= packedVersion {
			for n := t.count(5); n > 0 && !t.bad; n-- {
				l.readPacked(g, seg, &t)
			}
		}
		for n := t.count(4); n > 0 && !t.bad; n-- {
			l.readSingle(g, seg, &t)
		}
		if seg.version >= pieceVersion {
			for n := t.count(7); n > 0 && !t.bad; n-- {
				l.readPiece(g, seg, &t)
			}
		}
	}
	if t.bad || len(t.b) > 0 {
		return errTable
	}
	return nil
}

func (l *Log) readSingle(g *group, seg *segment, t *tableReader) {
	c := Checkpoint{Index: t.uvarint(), Term: t.uvarint()}
	size := int(min(t.uvarint(), MaxEntryBytes))
	at := t.place(0, t.uvarint(), uint64(recordBytes(entryHead+size))/8)
	if !t.bad {
		l.addSingle(g, &c, piece{seg, at, size})
	}
}

func (l *Log) readPiece(g *group, seg *segment, t *tableReader) {
	c := Checkpoint{Index: t.uvarint(), Term: t.uvarint()}
	is := Piece{ID: LSN(t.uvarint()), Part: t.uvarint(), Parts: t.uvarint()}
	size := int(min(t.uvarint(), MaxEntryBytes))
	at := t.place(0, t.uvarint(), uint64(recordBytes(pieceHead+size))/8)
	t.bad = t.bad || is.Part >= is.Parts || is.Parts > maxPieces || !l.placePiece(g, &c, is, piece{seg, at, size})
}

func (l *Log) readRun(g *group, seg *segment, t *tableReader) {
	r := run{seg: seg, first: t.uvarint(), term: t.uvarint()}
	n := t.count(2)
	if n == 0 || r.first == 0 || r.first+uint64(n) < r.first {
		t.bad = true
		return
	}
	r.at = make([]place, n)
	end := int64(0)
	for i := range r.at {
		r.at[i] = t.place(end, t.uvarint(), t.uvarint())
		end = r.at[i].end()
	}
	if !t.bad {
		l.overlay(g, r)
	}
}

func (l *Log) readPacked(g *group, seg *segment, t *tableReader) {
	r := run{seg: seg, first: t.uvarint(), term: t.uvarint(), packed: t.uvarint()}
	at := t.place(0, t.uvarint(), t.uvarint())
	if r.first == 0 || r.packed == 0 || r.first+r.packed < r.first {
		t.bad = true
	}
	if !t.bad {
		r.at = []place{at}
		l.overlay(g, r)
	}
}

// clip frees memory that the runs of a segment reserve for more entries, which won't come.
func (s *segment) clip() {
	for _, g := range s.groups {
		for i := range g.runs {
			if r := &g.runs[i]; r.seg == s && cap(r.at) > len(r.at)+len(r.at)/8 {
				r.at = slices.Clone(r.at)
			}
		}
	}
}

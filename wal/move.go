// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"cmp"
	"slices"
	"sort"
)

// A segment that has hardly anything live in it is emptied: that is read and appended again,
// so that nothing in the segment is needed and its file is free. One piece is read at a time, and the
// next one when what was moved is durable; that is asked for by others, and by the move only when the disk is full.

// When the disk is full, files are wanted at once. As long as the caller takes records all the same, two files become free
// for each that moves fill. When it refuses them, any gain is worth it, and the segment with the least live is the next.
const (
	moveShare  = 8  // a segment is emptied when about 1/8 of it is live
	moveAge    = 4  // and it is so many segments old
	fullShare  = 3  // when the disk is full, also if 1/3 is live
	leastGain  = 4  // and when records are refused, if 1/4 isn't
	rollGain   = 6  // the current segment ends for that if 1/6 was live, and isn't any more
	moveLeaves = 16 // 1/16 of a segment is left for others
)

// mover is how far the log is with emptying a segment.
type mover struct {
	look   bool     // there may be a segment to empty
	seg    *segment // the one that is being emptied
	from   int64    // all before it is moved
	active bool     // an OpMove is under way
	until  LSN      // what was moved is durable when this is
	damage []*Damage
}

// origin is where a copy of an entry or checkpoint came from, which may be a copy itself. It is read
// as long as the copy isn't durable; until then it is there, because what frees the old place comes
// after the copy.
type origin struct {
	seg   *segment
	at    place
	other bool  // the copy has other data (Replace, Pack)
	was   []run // where each of the entries was that are packed now, instead of seg and at
}

// copies knows the origins of all copies that aren't durable yet.
type copies struct {
	from  map[LSN]origin
	order []copyEnd // ascending
}

type copyEnd struct{ at, end LSN }

func (c *copies) add(seg *segment, at place, o origin) {
	c.from[seg.lsn(at)] = o
	c.order = append(c.order, copyEnd{seg.lsn(at), seg.base + LSN(at.end())})
}

// settle forgets the origins of what is durable.
func (c *copies) settle(durable LSN) {
	n := 0
	for n < len(c.order) && c.order[n].end <= durable {
		delete(c.from, c.order[n].at)
		n++
	}
	c.order = slices.Delete(c.order, 0, n)
}

// item is an entry or checkpoint of a segment.
type item struct {
	group      *group
	index      uint64
	last       uint64      // of packed entries, otherwise 0
	checkpoint *checkpoint // nil: an entry
	part       int         // of the checkpoint
	at         place
}

// sparse says that a segment should be emptied when it is old enough: if what is live in it, and the
// manifest without it, fill only a small share of what a segment holds besides its beginning. So
// several segments are emptied for each one that moves fill, and moves come to an end. When records are refused, three
// may be filled for four.
func (l *Log) sparse(s *segment) bool {
	if l.cur == nil { // recovery
		return false
	}
	cost := s.live + int64(recordBytes(manifestRow*len(l.segs)))
	limit := l.opt.SegmentBytes - l.cur.preamble
	switch {
	case l.full && l.refusing:
		limit -= limit / leastGain
	case l.full:
		limit /= fullShare
	default:
		limit /= moveShare
	}
	return (s.live > 0 || s == l.cur) && cost <= limit
}

// nextMove hands out the next read of the segment that is being emptied.
func (l *Log) nextMove() (Op, bool) {
	m := &l.move
	for !m.active && m.until <= l.durable {
		if m.seg == nil && !l.findSparse() {
			break
		}
		items := m.seg.items(m.from, l.opt.ReadBytes)
		if len(items) == 0 { // what is left, if anything, is damaged
			m.seg.stuck = m.seg.live // 0 if nothing is left, and then it is no longer in the log
			m.seg = nil
			continue
		}
		m.active = true
		off := int64(items[0].at.off)
		return l.read(OpMove, off, items[len(items)-1].at.end()-off, &reading{seg: m.seg}), true
	}
	return Op{}, false
}

// roomToMove reports whether there is room for what is live in a segment, and a bit is left for others. Only when all of it
// was moved does its file become free, so it must not be begun otherwise. What fits the rest of the current segment in all
// does so record by record. Otherwise a new one takes it, and what the rest can't take may be lost, as much as the largest
// record: all of this must be less than the file that becomes free, or moves would never end.
func (l *Log) roomToMove(s *segment, r *Room) bool {
	segment := l.opt.SegmentBytes
	need := s.live + int64(s.table) + int64(recordBytes(manifestRow*len(l.segs))) + segment/moveLeaves
	switch rest := segment - r.end; {
	case r.missing > 0:
		return false
	case need <= rest:
		return true
	case r.left == 0 || l.beginRoom()+need > segment:
		return false
	default:
		return l.beginRoom()+need+min(max(rest, 0), s.largest()+int64(recordBytes(recordCost))) <= segment
	}
}

// largest is the size of the largest record of a segment that is live.
func (s *segment) largest() (size int64) {
	s.eachRow(func(_ item, at []place) {
		for _, p := range at {
			size = max(size, int64(p.size))
		}
	})
	return size
}

// findSparse finds a segment to empty: the oldest, or one with the least live if the disk is full. One in which nothing is
// live is retired anyway.
func (l *Log) findSparse() bool {
	m := &l.move
	if !m.look {
		return false
	}
	room := l.Room()
	for _, s := range l.segs {
		age := uint64(moveAge)
		if l.full {
			age = 1
		}
		old := s.seq+age <= l.cur.seq && l.sparse(s)
		switch {
		case !old && !s.spoiled, s == l.cur, s.live == s.stuck, s.base+LSN(s.end) > l.durable, l.full && !l.roomToMove(s, &room):
		case !l.full:
			m.seg, m.from = s, 0
			return true
		case m.seg == nil || s.live < m.seg.live:
			m.seg, m.from = s, 0
		}
	}
	m.look = m.seg != nil
	return m.look
}

// items lists what is live in a segment from an offset on, in the order of the places, as much as
// lies within maxBytes, but at least one.
func (s *segment) items(from, maxBytes int64) []item {
	first := s.sealAt
	s.eachRow(func(_ item, at []place) {
		if k := sort.Search(len(at), func(k int) bool { return int64(at[k].off) >= from }); k < len(at) {
			first = min(first, int64(at[k].off))
		}
	})
	var items []item
	s.eachRow(func(row item, at []place) {
		for k := sort.Search(len(at), func(k int) bool { return int64(at[k].off) >= first }); k < len(at); k++ {
			if at[k].end() > first+maxBytes && int64(at[k].off) > first {
				break
			}
			it := row
			it.index, it.at = it.index+uint64(k), at[k]
			items = append(items, it)
		}
	})
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.at.off, b.at.off) })
	return items
}

// eachRow calls fn with the first item and the places of each run and checkpoint in a segment that is live.
func (s *segment) eachRow(fn func(first item, at []place)) {
	for _, g := range s.groups {
		for i := range g.runs {
			r := &g.runs[i]
			if r.seg != s {
				continue
			}
			first := item{group: g, index: r.first}
			if r.packed > 0 {
				first.last = r.end() - 1
			}
			fn(first, r.at)
		}
		g.eachCheckpoint(func(c *checkpoint) {
			for k, p := range c.pieces {
				if p.seg == s {
					fn(item{group: g, index: c.index, checkpoint: c, part: k}, []place{p.at})
				}
			}
		})
	}
}

// moveRead takes what an OpMove read, and appends again what is still live of it. What can't be
// read stays where it is.
func (l *Log) moveRead(res Result) {
	m := &l.move
	m.active = false
	m.from = res.Op.Off + res.Op.N
	r, err := l.finishRead(&res)
	if err != nil || r.seg != m.seg {
		return
	}
	items := m.seg.items(res.Op.Off, res.Op.N)
	if l.full && !l.fileFor(items) { // others have used the room meanwhile
		m.seg, m.look = nil, false
		return
	}
	for _, it := range items {
		if int64(it.at.off) < res.Op.Off || it.at.end() > m.from {
			break
		}
		rec, damage := l.verifyItem(r.seg, it, res)
		switch {
		case damage != nil:
			m.damage = append(m.damage, damage)
		case it.checkpoint != nil:
			l.movePiece(it, r.seg, rec.Checkpoint)
		default:
			l.moveEntry(it, r.seg, rec.Entry)
		}
	}
	m.until = l.End()
	l.retire()
	if l.full {
		l.RequestSync() // nothing else may be written
	}
}

// fileFor reports whether there is a file for all of these, and for the manifest without their segment. A record without one
// keeps waiting all that comes after it.
func (l *Log) fileFor(items []item) bool {
	r := l.Room()
	for _, it := range items {
		if !r.take(int64(it.at.size)+int64(recordBytes(recordCost)), 0) {
			return false
		}
	}
	return r.take(int64(recordBytes(manifestRow*len(l.segs))), 0)
}

// verifyItem compares a record to what the index says is there.
func (l *Log) verifyItem(seg *segment, it item, res Result) (Record, *Damage) {
	rec, err := seg.verify(it.at, res.Data[int64(it.at.off)-res.Op.Off:][:it.at.size])
	if err == nil {
		switch {
		case rec.Group != it.group.id:
			err = errOther
		case it.checkpoint != nil:
			err = it.checkpoint.verify(it.part, &rec)
		default:
			if term, _ := it.group.term(it.index); !rec.holds(it.index, it.last, term) {
				err = errOther
			}
		}
	}
	if err != nil {
		return rec, &Damage{it.group.id, it.index, it.checkpoint != nil, res.Op.File, int64(it.at.off), err}
	}
	return rec, nil
}

func (l *Log) moveEntry(it item, from *segment, e Entry) {
	l.copyEntry(it.group, e, origin{seg: from, at: it.at})
}

// copyEntry appends an entry that is in the log, or packed entries, once more.
func (l *Log) copyEntry(g *group, e Entry, from origin) {
	r, at := run{first: e.Index, term: e.Term}, place{}
	if e.Last > 0 {
		at = l.putPacked(g.id, &e)
		r.first = max(e.Index, g.state.First)
		r.packed = e.Last + 1 - r.first
	} else {
		at = l.putEntry(RecordMoved, g.id, &e)
	}
	r.seg, r.at = l.cur, []place{at}
	l.overlay(g, r)
	l.copies.add(l.cur, at, from)
	l.stats.Moved += uint64(at.size)
}

// movePiece appends a checkpoint, or a piece of one, once more.
func (l *Log) movePiece(it item, from *segment, c Checkpoint) {
	old, at := it.checkpoint, place{}
	if old.single() {
		at = l.putCheckpoint(RecordCheckpoint, it.group.id, &c)
	} else {
		at = l.putPart(it.group.id, &c, Piece{ID: old.id, Part: uint64(it.part), Parts: uint64(len(old.pieces))})
	}
	l.unrefPiece(old.pieces[it.part])
	old.pieces[it.part] = piece{l.cur, at, len(c.Data)}
	l.refPiece(it.group, old, it.part)
	l.copies.add(l.cur, at, origin{seg: from, at: it.at})
	l.stats.Moved += uint64(at.size)
}

// Damages returns what was found damaged by moves since the last call. The log goes on without;
// nobody but the caller can repair it.
func (l *Log) Damages() []*Damage {
	d := l.move.damage
	l.move.damage = nil
	return d
}

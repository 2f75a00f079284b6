// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const maxSpare = 3 // buffers kept for later

// chunk is what one flush will write: whole records, one after the other, in one segment.
type chunk struct {
	seg *segment
	off int64 // in the segment's file
	buf []byte
}

func (c *chunk) start() LSN { return c.seg.base + LSN(c.off) }
func (c *chunk) end() LSN   { return c.start() + LSN(len(c.buf)) }

// Next returns an operation to carry out, until it returns false. The caller asks again after
// every append and every Done.
func (l *Log) Next() (Op, bool) {
	if l.err != nil {
		return Op{}, false
	}
	if op, ok := l.nextWrite(); ok {
		return op, true
	}
	if op, ok := l.nextPrepare(); ok {
		return op, true
	}
	if len(l.surplus) > 0 && !l.removing {
		l.removing = true
		return l.op(OpRemove, l.surplus[0].name), true
	}
	return l.nextMove()
}

func (l *Log) op(kind OpKind, file string) Op {
	l.lastOp++
	return Op{ID: l.lastOp, Kind: kind, File: file}
}

// nextWrite hands out the first chunk if somebody waits for it and its segment has a file.
func (l *Log) nextWrite() (Op, bool) {
	if l.writing != nil {
		return Op{}, false
	}
	l.putPiece()
	if len(l.chunks) == 0 || l.chunks[0].start() >= l.want {
		return Op{}, false
	}
	c := l.chunks[0]
	if c.seg.slot.name == "" && !l.takeSlot(c.seg) {
		return Op{}, false
	}
	l.chunks[0] = chunk{}
	l.chunks = l.chunks[1:]
	records := l.seal(&c)
	l.writing = &c
	op := l.op(OpWrite, c.seg.slot.name)
	op.Off, op.N, op.Data = c.off, records, c.buf
	return op, true
}

// seal fills in the durable position and the checksum of a chunk's records, and counts them.
func (l *Log) seal(c *chunk) (records int64) {
	off := 0
	if c.off == 0 {
		off = headerBytes
	}
	for off < len(c.buf) {
		size := recordBytes(int(binary.LittleEndian.Uint32(c.buf[off+4:])))
		sealRecord(c.buf[off:off+size], l.durable, c.seg.seed)
		off += size
		records++
	}
	return records
}

// Done takes the result of a finished operation that Next handed out. (An OpRead's goes to Entries
// or CheckpointData, an OpScrub's to Scrubbed.) Its error is fatal: the log hands out nothing more,
// and the process has to end, because what is on the disk is now unknown. An OpMove that failed and
// an OpPrepare that found no space (see Full) are no error.
func (l *Log) Done(res Result) error {
	if l.err != nil {
		return l.err
	}
	switch {
	case res.Op.Kind == OpMove:
		l.moveRead(res)
		return nil
	case res.Op.Kind == OpPrepare && errors.Is(res.Err, ErrNoSpace):
		l.noSpace()
		return nil
	case res.Err != nil:
		l.err = fmt.Errorf("the log is closed: %v of %s at offset %d failed, and what is on the disk is now unknown; "+
			"see to the disk and restart the broker, which recovers what is durable: %w", res.Op.Kind, res.Op.File, res.Op.Off, res.Err)
		return l.err
	}
	switch op := res.Op; op.Kind {
	case OpWrite:
		l.written()
	case OpPrepare:
		l.prepared(slot{op.File, op.N})
	case OpRemove:
		l.removing = false
		l.stats.Removed++
		l.surplus = slices.Delete(l.surplus, 0, 1)
	default:
		panic(fmt.Sprintf("wal: Done of %v", op.Kind))
	}
	return nil
}

func (l *Log) written() {
	c := l.writing
	l.writing = nil
	l.durable = c.end()
	l.copies.settle(l.durable)
	c.seg.slot.size = max(c.seg.slot.size, c.off+int64(len(c.buf)))
	if len(l.spare) < maxSpare && cap(c.buf) <= 2*l.opt.FlushBytes {
		l.spare = append(l.spare, c.buf[:0])
	}
	l.reclaim()
}

// add buffers a record, in the next segment if it doesn't fit this one, and returns its payload
// for the caller to fill in before anything else happens.
func (l *Log) add(t RecordType, kind EntryKind, g GroupID, n int) []byte {
	size := recordBytes(n)
	if !l.fits(size) {
		l.roll()
	}
	return l.put(l.room(size), t, kind, g, n)
}

// room returns the chunk that takes the next size bytes of the current segment.
func (l *Log) room(size int) *chunk {
	if n := len(l.chunks); n > 0 {
		c := &l.chunks[n-1]
		if c.seg == l.cur && len(c.buf)+size <= l.opt.FlushBytes {
			return c
		}
	}
	return l.newChunk()
}

func (l *Log) newChunk() *chunk {
	c := chunk{seg: l.cur, off: l.cur.end}
	if n := len(l.spare); n > 0 {
		c.buf = l.spare[n-1]
		l.spare = l.spare[:n-1]
	}
	l.chunks = append(l.chunks, c)
	return &l.chunks[len(l.chunks)-1]
}

// put adds a record to a chunk of the current segment and returns its payload.
func (l *Log) put(c *chunk, t RecordType, kind EntryKind, g GroupID, n int) []byte {
	size, start := recordBytes(n), len(c.buf)
	c.buf = slices.Grow(c.buf, size)[:start+size]
	rec := c.buf[start:]
	putRecord(rec, t, kind, g, n, l.End(), l.epoch)
	l.cur.end += int64(size)
	return rec[recordHead : recordHead+n]
}

// roll ends the current segment, unless Open found that it has ended, and begins the next one.
func (l *Log) roll() {
	old := l.cur
	if !old.sealed() {
		l.putSeal()
	}
	if old.live == 0 {
		l.dead++
	}
	l.move.look = true
	l.cur = &segment{version: formatVersion, seed: l.opt.Owner.seed(formatVersion), seq: old.seq + 1, base: l.End()}
	l.segs = append(l.segs, l.cur)
	l.beginSegment(old.sealAt)
}

// putSeal buffers the record that ends the current segment.
func (l *Log) putSeal() {
	l.cur.clip()
	table := appendTable(nil, l.cur)
	at := l.cur.end
	copy(l.put(l.room(recordBytes(len(table))), RecordSeal, 0, 0, len(table)), table)
	l.cur.sealAt = at
}

// beginSegment buffers what a segment begins with: header, manifest, the state of each group.
// They are one chunk, however many groups there are: recovery relies on it. sealAt is where the
// segment before ended.
func (l *Log) beginSegment(sealAt int64) {
	c := l.newChunk()
	c.buf = appendHeader(c.buf, header{
		version: l.cur.version,
		seq:     l.cur.seq,
		base:    l.cur.base,
		epoch:   l.epoch,
		groups:  uint32(len(l.order)),
		sealAt:  uint64(sealAt),
		owner:   l.opt.Owner,
	})
	l.cur.end = headerBytes
	l.putManifest(c, l.manifest())
	for _, g := range l.order {
		l.putGroup(c, g)
	}
	l.cur.preamble = l.cur.end
}

// putGroup buffers the state of a group.
func (l *Log) putGroup(c *chunk, g *group) {
	kind, row := EntryKind(0), 8
	if slices.ContainsFunc(g.checkpoints, func(c checkpoint) bool { return !c.single() }) {
		kind, row = stateWithIDs, 16
	}
	p := l.put(c, RecordState, kind, g.id, stateBytes+row*len(g.checkpoints))
	putState(p, g.state)
	for i := range g.checkpoints {
		c := &g.checkpoints[i]
		binary.LittleEndian.PutUint64(p[stateBytes+row*i:], c.index)
		if kind == stateWithIDs {
			id := c.id
			if c.single() {
				id = 0
			}
			binary.LittleEndian.PutUint64(p[stateBytes+row*i+8:], uint64(id))
		}
	}
}

// retire takes segments out of the log that hold nothing live.
func (l *Log) retire() {
	if l.dead == 0 {
		return
	}
	runs := l.manifest()
	size := recordBytes(manifestRow * len(runs))
	if !l.fits(size) {
		l.roll() // which writes a manifest
		return
	}
	l.putManifest(l.room(size), runs)
}

// manifest drops dead segments from segs and returns what remains, the current segment left out.
// The dead ones are no longer part of the log once the manifest that leaves them out is durable.
func (l *Log) manifest() []SegmentRun {
	var runs []SegmentRun
	l.dead = 0
	l.segs = slices.DeleteFunc(l.segs, func(s *segment) bool {
		switch {
		case s == l.cur:
			return false
		case s.live == 0:
			l.retired = append(l.retired, s)
			return true
		}
		if n := len(runs); n > 0 && runs[n-1].First+runs[n-1].Count == s.seq {
			runs[n-1].Count++
			runs[n-1].SealAt = uint64(s.sealAt)
		} else {
			runs = append(runs, SegmentRun{s.seq, 1, uint64(s.sealAt)})
		}
		return false
	})
	return runs
}

func (l *Log) putManifest(c *chunk, runs []SegmentRun) {
	p := l.put(c, RecordManifest, 0, 0, manifestRow*len(runs))
	for i, r := range runs {
		binary.LittleEndian.PutUint64(p[manifestRow*i:], r.First)
		binary.LittleEndian.PutUint64(p[manifestRow*i+8:], r.Count)
		binary.LittleEndian.PutUint64(p[manifestRow*i+16:], r.SealAt)
	}
	for _, s := range l.retired {
		if s.freeAt == 0 {
			s.freeAt = l.End()
		}
	}
}

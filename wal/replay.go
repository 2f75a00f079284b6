// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// walk calls fn with the records of a segment that are valid one after the other, and says where
// they end and where the seal is, 0 if there is none. Behind a seal only open records count. k counts
// the records of the segment from 0.
func (r *recovery) walk(f *segmentFile, data []byte, fn func(k int, off int64, size int, rec *Record) error) (end, sealAt int64, err error) {
	var rec Record
	off := int64(headerBytes)
	r.epoch = f.head.epoch
	for k := 0; off < int64(len(data)) && plausible(data[off:], f.head.base+LSN(off)); k++ {
		size, err := parseRecord(data[off:], f.head.owner.seed(f.head.version), &rec)
		if errors.Is(err, errRecord) {
			return off, 0, corrupt(f.slot.name, off, err)
		}
		if err != nil || !r.inEpoch(&rec) || sealAt > 0 && rec.Type != RecordOpen {
			break
		}
		if rec.Durable > rec.LSN {
			return off, 0, corrupt(f.slot.name, off, errRecord)
		}
		r.epoch = rec.Epoch
		r.durable = max(r.durable, rec.Durable)
		if rec.Type == RecordSeal {
			sealAt = off
		}
		if err := fn(k, off, size, &rec); err != nil {
			return off, 0, corrupt(f.slot.name, off, err)
		}
		off += int64(size)
	}
	return off, sealAt, nil
}

// plausible says, without looking at the checksum, that b may begin with the record at a position.
func plausible(b []byte, lsn LSN) bool {
	return len(b) >= recordHead && LSN(binary.LittleEndian.Uint64(b[8:])) == lsn
}

// inEpoch says that a record may follow the ones before. Only an open record begins an epoch.
func (r *recovery) inEpoch(rec *Record) bool {
	if rec.Type == RecordOpen {
		return rec.Epoch == r.epoch+1
	}
	return rec.Epoch == r.epoch
}

// checkPreamble refuses a segment that doesn't begin with a manifest and the states of all groups.
func checkPreamble(f *segmentFile, k int, rec *Record) error {
	if k == 0 && rec.Type != RecordManifest || k > 0 && k <= int(f.head.groups) && rec.Type != RecordState {
		return fmt.Errorf("record %d of the segment has type %d", k, rec.Type)
	}
	return nil
}

// replay reads the log into the index, oldest first: of the segments that ended their tables, of
// the last one every record.
//
// The tables know nothing of what younger segments replaced, released or removed. What is live is in
// the index for sure, because the youngest copy of an entry or checkpoint wins and the live one is
// the youngest. Beside it there are ghosts. The last segment begins with the exact state of each
// group, which leaves none of them; from there on records do what they did when they were written.
func (r *recovery) replay() error {
	if r.last == nil {
		return nil
	}
	var prev *segment
	for _, f := range r.live {
		seg, err := r.replaySealed(f, prev)
		if err != nil {
			return err
		}
		prev = seg
	}
	if err := r.replayLast(prev); err != nil {
		return err
	}
	r.dropStaged()
	l := r.log
	l.dead = 0
	for _, s := range l.segs {
		if s.live == 0 && s != l.cur {
			l.dead++
		}
	}
	for _, g := range l.order {
		if err := g.check(); err != nil {
			return corrupt(r.last.slot.name, r.end, fmt.Errorf("group %d, read to the end of the log here: %w", g.id, err))
		}
		r.report.Entries += int64(g.state.Last + 1 - g.state.First)
	}
	return nil
}

// begin adds a segment to the log, if it follows the one before it, in whose seal the epoch was
// r.epoch.
func (r *recovery) begin(f *segmentFile, prev *segment) (*segment, error) {
	seg := &segment{slot: f.slot, version: f.head.version, seed: f.head.owner.seed(f.head.version), seq: f.head.seq, base: f.head.base, sealAt: f.sealAt}
	r.log.segs = append(r.log.segs, seg)
	if prev == nil {
		return seg, nil
	}
	end := prev.base + LSN(prev.end)
	opens := uint32((f.head.base - end) / recordHead)
	if f.head.base < end || f.head.epoch < r.epoch || f.head.seq == prev.seq+1 &&
		(f.head.base != end+LSN(opens)*recordHead || f.head.epoch != r.epoch+opens || f.head.sealAt != uint64(prev.sealAt)) {
		return nil, corrupt(f.slot.name, 0, fmt.Errorf("segment %d begins at position %d in epoch %d, but segment %d ended at %d in epoch %d",
			f.head.seq, f.head.base, f.head.epoch, prev.seq, end, r.epoch))
	}
	return seg, nil
}

// replaySealed reads the table of a segment that has ended.
func (r *recovery) replaySealed(f *segmentFile, prev *segment) (*segment, error) {
	seg, err := r.begin(f, prev)
	if err != nil {
		return nil, err
	}
	data, err := r.readSeal(f)
	if err != nil {
		return nil, err
	}
	var rec Record
	size, err := parseRecord(data, seg.seed, &rec)
	if err == nil && (rec.Type != RecordSeal || rec.LSN != seg.base+LSN(seg.sealAt) || rec.Epoch < f.head.epoch) {
		err = errors.New("another record than was written here")
	}
	if err == nil {
		err = r.log.readTable(seg, rec.Table)
	}
	if err != nil {
		return nil, corrupt(f.slot.name, f.sealAt, fmt.Errorf("the seal of segment %d: %w", seg.seq, err))
	}
	seg.end = seg.sealAt + int64(size)
	r.epoch = rec.Epoch
	return seg, nil
}

// readSeal reads a segment from its seal on, at least the whole seal if it is there.
func (r *recovery) readSeal(f *segmentFile) ([]byte, error) {
	limit := int64(sealGuess)
	for {
		data, _, err := r.readLegible(f, r.buf, f.sealAt, limit)
		if err != nil {
			return nil, err
		}
		r.buf = data
		if len(data) < recordHead {
			return data, nil
		}
		size := int64(recordBytes(int(binary.LittleEndian.Uint32(data[4:]))))
		if size <= int64(len(data)) || size > f.slot.size-f.sealAt {
			return data, nil
		}
		limit = size
	}
}

// sealGuess is how much is read of a seal at first, in bytes.
const sealGuess = 64 << 10

// replayLast reads the segment that the log ends in.
func (r *recovery) replayLast(prev *segment) error {
	f, l := r.last, r.log
	seg, err := r.begin(f, prev)
	if err != nil {
		return err
	}
	seg.sealAt, seg.unowned = 0, f.head.owner != l.opt.Owner || f.head.version != formatVersion
	end, sealAt, err := r.walk(f, r.data, func(k int, off int64, size int, rec *Record) error {
		if err := checkPreamble(f, k, rec); err != nil {
			return err
		}
		if err := r.apply(seg, rec, place{uint32(off), uint32(size)}); err != nil {
			return err
		}
		if k == int(f.head.groups) {
			seg.preamble = off + int64(size)
			r.forgetUnseen()
		}
		return nil
	})
	seg.end, seg.sealAt = end, sealAt
	l.cur = seg
	return err
}

// forgetUnseen drops the groups that the last segment has no state of: they were removed.
func (r *recovery) forgetUnseen() {
	for _, g := range slices.Clone(r.log.order) {
		if !g.seen {
			r.log.forget(g.id)
		}
	}
}

// apply does what a record says, and refuses what Log's methods would never have written.
func (r *recovery) apply(seg *segment, rec *Record, at place) error {
	switch rec.Type {
	case RecordOpen:
		r.dropStaged()
	case RecordManifest:
	case RecordSeal:
		if !bytes.Equal(rec.Table, appendTable(nil, seg)) {
			return errTable
		}
	case RecordState:
		if err := rec.checkState(); err != nil {
			return err
		}
		g := r.log.ensure(rec.Group)
		g.seen = true
		r.log.restore(g, rec.State, rec.Checkpoints, rec.IDs)
	case RecordEntry, RecordMoved:
		return r.applyEntry(seg, rec, at)
	case RecordPacked:
		return r.applyPacked(seg, rec, at)
	case RecordPiece, RecordEnd:
		s, ok := r.log.State(rec.Group)
		if rec.Type == RecordPiece && !r.applyPiece(seg, rec, at) || rec.Type == RecordEnd && !(ok && r.applyEnd(rec, s)) {
			return contradicts(rec, s)
		}
	default:
		return r.applyChange(seg, rec, at)
	}
	return nil
}

// applyChange applies what changes a group's state but isn't an entry.
func (r *recovery) applyChange(seg *segment, rec *Record, at place) error {
	l := r.log
	s, ok := l.State(rec.Group)
	bad := func() error { return contradicts(rec, s) }
	switch rec.Type {
	case RecordVote:
		if rec.State.Term < s.Term {
			return bad()
		}
		g := l.ensure(rec.Group)
		g.state.Term, g.state.Vote = rec.State.Term, rec.State.Vote
	case RecordCommit:
		if rec.State.Commit < s.Commit || rec.State.Commit > s.Last {
			return bad()
		}
		l.ensure(rec.Group).state.Commit = rec.State.Commit
	case RecordRelease:
		if !ok || rec.State.First <= s.First || rec.State.First > s.Last+1 {
			return bad()
		}
		l.release(l.ensure(rec.Group), rec.State.First, rec.State.PrevTerm)
	case RecordRemove:
		if !ok {
			return bad()
		}
		l.forget(rec.Group)
	case RecordCheckpoint:
		if i := rec.Checkpoint.Index; i+1 < s.First || i > s.Commit {
			return bad()
		}
		l.addSingle(l.ensure(rec.Group), &rec.Checkpoint, piece{seg, at, len(rec.Checkpoint.Data)})
	case RecordInstall:
		if i := rec.Checkpoint.Index; i < s.Commit || i+1 == 0 {
			return bad()
		}
		l.installSingle(l.ensure(rec.Group), &rec.Checkpoint, piece{seg, at, len(rec.Checkpoint.Data)})
	case RecordDrop:
		if !ok || !l.dropCheckpoint(l.ensure(rec.Group), rec.Checkpoint.Index) {
			return bad()
		}
	default:
		return bad()
	}
	return nil
}

func (r *recovery) applyEntry(seg *segment, rec *Record, at place) error {
	l := r.log
	s, _ := l.State(rec.Group)
	i, term := rec.Entry.Index, rec.Entry.Term
	if rec.Type == RecordMoved {
		if i < s.First || i > s.Last || i == s.Last && term != s.LastTerm {
			return fmt.Errorf("moved entry %d of term %d of group %d doesn't fit %+v", i, term, rec.Group, s)
		}
		l.overlay(l.ensure(rec.Group), run{seg, i, term, []place{at}, 0})
		return nil
	}
	if i <= s.Commit || i > s.Last+1 || i == s.Last+1 && term < s.LastTerm {
		return fmt.Errorf("entry %d of term %d of group %d doesn't fit %+v", i, term, rec.Group, s)
	}
	l.addEntry(l.ensure(rec.Group), i, term, seg, at)
	return nil
}

// applyPacked puts packed entries in the place of those that are there. Of entries that were released when they were
// packed again, nothing is left.
func (r *recovery) applyPacked(seg *segment, rec *Record, at place) error {
	l, e := r.log, &rec.Entry
	s, _ := l.State(rec.Group)
	first := max(e.Index, s.First)
	g := l.groups[rec.Group]
	if g == nil || seg.version < packedVersion || e.Last < first || e.Last > s.Commit || e.Last == s.Last && e.Term != s.LastTerm {
		return fmt.Errorf("packed entries %d to %d of term %d of group %d don't fit %+v", e.Index, e.Last, e.Term, rec.Group, s)
	}
	l.overlay(g, run{seg, first, e.Term, []place{at}, e.Last + 1 - first})
	return nil
}

func contradicts(rec *Record, s State) error {
	return fmt.Errorf("record of type %d for group %d contradicts the ones before it: %+v, checkpoint at %d, after %+v", rec.Type, rec.Group, rec.State, rec.Checkpoint.Index, s)
}

// applyPiece notes where a piece of a checkpoint is, and returns false if there can't be one.
func (r *recovery) applyPiece(seg *segment, rec *Record, at place) bool {
	l := r.log
	return seg.version >= pieceVersion && l.placePiece(l.ensure(rec.Group), &rec.Checkpoint, rec.Piece, piece{seg, at, len(rec.Checkpoint.Data)})
}

// applyEnd does what was decided about a staged checkpoint, and returns false if that can't be. Its pieces may lie in a
// segment that is gone, because the checkpoint was dropped later on; if it wasn't, the last check finds that they are missing.
func (r *recovery) applyEnd(rec *Record, s State) bool {
	l, g, i := r.log, r.log.groups[rec.Group], rec.Checkpoint.Index
	c := g.takeStaged(i, rec.Checkpoint.Term, rec.Piece.ID)
	switch {
	case c.index != i || c.term != rec.Checkpoint.Term:
		return false
	case rec.Piece.End == endCheckpoint && (i+1 < s.First || i > s.Commit):
		return false
	case rec.Piece.End == endInstall && (i < s.Commit || i+1 == 0):
		return false
	}
	l.endStaged(g, c, rec.Piece.End)
	return true
}

// dropStaged gives up the checkpoints that were staged and never became the group's: nobody goes on with them after Open.
func (r *recovery) dropStaged() {
	for _, g := range r.log.order {
		r.log.dropStaged(g)
	}
}

// checkState reports how a state record contradicts itself.
func (r *Record) checkState() error {
	if err := r.State.check(); err != nil {
		return err
	}
	for k, i := range r.Checkpoints {
		if i+1 < r.State.First || i > r.State.Commit || k > 0 && i <= r.Checkpoints[k-1] {
			return fmt.Errorf("checkpoint at entry %d contradicts %+v or another checkpoint", i, r.State)
		}
	}
	return nil
}

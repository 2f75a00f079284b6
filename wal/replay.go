// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// walk calls fn with the records of a segment that are valid one after the other, and says where
// they end and whether the last one was a seal. k counts the records of the segment from 0.
func (r *recovery) walk(f *segmentFile, data []byte, fn func(k int, off int64, size int, rec *Record) error) (end int64, sealed bool, err error) {
	var rec Record
	off := int64(headerBytes)
	r.epoch = f.head.epoch
	for k := 0; off < int64(len(data)) && plausible(data[off:], f.head.base+LSN(off)); k++ {
		size, err := parseRecord(data[off:], &rec)
		if errors.Is(err, errRecord) {
			return off, false, corrupt(f.slot.name, off, err)
		}
		if err != nil || !r.inEpoch(&rec) {
			break
		}
		if rec.Durable > rec.LSN {
			return off, false, corrupt(f.slot.name, off, errRecord)
		}
		r.epoch = rec.Epoch
		r.durable = max(r.durable, rec.Durable)
		if err := fn(k, off, size, &rec); err != nil {
			return off, false, corrupt(f.slot.name, off, err)
		}
		off += int64(size)
		if rec.Type == RecordSeal {
			return off, true, nil
		}
	}
	return off, false, nil
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

// replay reads the live segments into the index, oldest first.
//
// A group's state is exact from the first segment on, because each segment begins with the states
// of all groups. The index is not: entries and checkpoints that were replaced or released by
// records of a segment that is gone come back as ghosts until a later record drops them, and
// leave gaps. Whatever killed them is durable, so in the end nothing is left of them; then each
// group's index must be exact, too.
func (r *recovery) replay() error {
	if r.last == nil {
		return nil
	}
	var prev *segment
	for _, f := range append(slices.Clip(r.live), r.last) {
		data := r.data
		if f != r.last {
			var err error
			if data, err = r.read(f, r.buf, wholeFile); err != nil {
				return err
			}
			r.buf = data
		}
		seg, err := r.replaySegment(f, data, prev)
		if err != nil {
			return err
		}
		prev = seg
	}
	l := r.log
	for _, s := range l.segs[:len(l.segs)-1] {
		s.sealed = true
		if s.live == 0 {
			l.dead++
		}
	}
	l.cur = prev
	for _, g := range l.order {
		if err := g.check(); err != nil {
			return corrupt(r.last.slot.name, r.end, fmt.Errorf("group %d, read to the end of the log here: %w", g.id, err))
		}
		r.report.Entries += int64(g.state.Last + 1 - g.state.First)
	}
	return nil
}

func (r *recovery) replaySegment(f *segmentFile, data []byte, prev *segment) (*segment, error) {
	seg := &segment{slot: f.slot, seq: f.head.seq, base: f.head.base}
	if prev != nil {
		if err := r.checkOrder(f, prev); err != nil {
			return nil, err
		}
	}
	end, sealed, err := r.walk(f, data, func(k int, off int64, size int, rec *Record) error {
		if err := checkPreamble(f, k, rec); err != nil {
			return err
		}
		if err := r.apply(seg, rec, place{uint32(off), uint32(size)}); err != nil {
			return err
		}
		if k == int(f.head.groups) {
			seg.preamble = off + int64(size)
			r.forgetUnseen(seg.seq)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if f != r.last && (!sealed || seg.preamble == 0) {
		return nil, corrupt(f.slot.name, end, fmt.Errorf("no valid record in the middle of the log"))
	}
	seg.end = end
	r.log.segs = append(r.log.segs, seg)
	return seg, nil
}

// checkOrder refuses a segment that doesn't begin where the one before it ended. r.epoch is that
// one's.
func (r *recovery) checkOrder(f *segmentFile, prev *segment) error {
	end := prev.base + LSN(prev.end)
	if f.head.seq == prev.seq+1 && (f.head.base != end || f.head.epoch != r.epoch) || f.head.base < end || f.head.epoch < r.epoch {
		return corrupt(f.slot.name, 0, fmt.Errorf("segment %d begins at position %d in epoch %d, but segment %d ended at %d in epoch %d",
			f.head.seq, f.head.base, f.head.epoch, prev.seq, end, r.epoch))
	}
	return nil
}

// forgetUnseen drops the groups that a segment has no state of: they were removed.
func (r *recovery) forgetUnseen(seq uint64) {
	for _, g := range slices.Clone(r.log.order) {
		if g.seen != seq {
			r.log.forget(g.id)
		}
	}
}

// apply does what a record says, and refuses what Log's methods would never have written.
func (r *recovery) apply(seg *segment, rec *Record, at place) error {
	l := r.log
	s, ok := l.State(rec.Group)
	bad := func() error {
		return fmt.Errorf("record of type %d for group %d contradicts the ones before it: %+v, checkpoint at %d, after %+v", rec.Type, rec.Group, rec.State, rec.Checkpoint.Index, s)
	}
	switch rec.Type {
	case RecordOpen, RecordManifest, RecordSeal:
	case RecordState:
		if err := rec.checkState(); err != nil {
			return err
		}
		g := l.ensure(rec.Group)
		g.seen = seg.seq
		l.restore(g, rec.State, rec.Checkpoints)
	case RecordEntry:
		i := rec.Entry.Index
		if i <= s.Commit || i > s.Last+1 || i == s.Last+1 && rec.Entry.Term < s.LastTerm {
			return fmt.Errorf("entry %d of term %d of group %d doesn't fit %+v", i, rec.Entry.Term, rec.Group, s)
		}
		l.addEntry(l.ensure(rec.Group), i, rec.Entry.Term, seg, at)
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
		l.addCheckpoint(l.ensure(rec.Group), &rec.Checkpoint, seg, at)
	case RecordInstall:
		if i := rec.Checkpoint.Index; i < s.Commit || i+1 == 0 {
			return bad()
		}
		l.install(l.ensure(rec.Group), &rec.Checkpoint, seg, at)
	case RecordDrop:
		if !ok || !l.dropCheckpoint(l.ensure(rec.Group), rec.Checkpoint.Index) {
			return bad()
		}
	default:
		return bad()
	}
	return nil
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

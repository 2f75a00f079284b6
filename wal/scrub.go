// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"errors"
	"fmt"
)

// scrubber is how far a scrub is.
type scrubber struct {
	seq    uint64 // of the segment
	from   int64  // all before it in the segment is verified
	narrow int64  // up to here what is live is read record by record, since it couldn't be read at once
	active bool   // an OpScrub is under way
}

// ScrubOp returns the next read of a scrub, which looks for rot in what is rarely read: in all
// segments that have ended, their headers, what is live, and their seals. The result goes to
// Scrubbed; one read is under way at a time, and how fast they follow is up to the caller. It
// returns false while a read is under way and when a round ends; the next call begins another one.
func (l *Log) ScrubOp() (Op, bool) {
	s := &l.scrub
	for !s.active && l.err == nil {
		seg := l.scrubSegment()
		if seg == nil {
			if s.seq > 0 {
				l.stats.Scrubs++
			}
			*s = scrubber{}
			break
		}
		off, n := int64(0), int64(headerBytes)
		switch {
		case s.from > seg.sealAt:
			s.seq, s.from, s.narrow = seg.seq+1, 0, 0
			continue
		case s.from == seg.sealAt:
			off, n = seg.sealAt, seg.end-seg.sealAt
		case s.from > 0:
			limit := l.opt.ReadBytes
			if s.from < s.narrow {
				limit = 1
			}
			items := seg.items(s.from, limit)
			if len(items) == 0 {
				s.from = seg.sealAt
				continue
			}
			off = int64(items[0].at.off)
			n = items[len(items)-1].at.end() - off
		}
		s.active = true
		return l.read(OpScrub, off, n, &reading{seg: seg}), true
	}
	return Op{}, false
}

// scrubSegment returns the segment to verify, nil if all are.
func (l *Log) scrubSegment() *segment {
	s := &l.scrub
	for _, seg := range l.segs {
		if seg.seq < s.seq || !seg.sealed() || seg.base+LSN(seg.end) > l.durable {
			continue
		}
		if seg.seq > s.seq {
			s.seq, s.from, s.narrow = seg.seq, 0, 0
		}
		return seg
	}
	return nil
}

// Scrubbed takes the result of a ScrubOp and verifies everything in it that is live. It returns the
// entries and checkpoints that are damaged or that the disk can't read. An error wraps ErrReadFailed, or it wraps
// ErrCorrupt if the header or seal of the segment is damaged: nothing is lost then, but the next Open would refuse the
// log, so the log begins to empty the segment, which takes some time.
func (l *Log) Scrubbed(res Result) ([]*Damage, error) {
	s := &l.scrub
	r, err := l.finishRead(&res)
	s.active = false
	s.from = res.Op.Off + res.Op.N
	if errors.Is(err, ErrUnreadable) {
		return l.scrubUnreadable(r.seg, res.Op, err)
	}
	if err != nil {
		return nil, err
	}
	l.stats.Scrubbed += uint64(res.Op.N)
	switch off := res.Op.Off; off {
	case 0:
		h, ok := parseHeader(res.Data)
		if !ok || h.seq != r.seg.seq || h.base != r.seg.base || h.version != r.seg.version {
			return nil, l.spoil(r.seg, off, "header", errOther)
		}
	case r.seg.sealAt:
		var rec Record
		if _, err := parseRecord(res.Data, r.seg.seed, &rec); err != nil || rec.Type != RecordSeal || rec.LSN != r.seg.base+LSN(off) {
			return nil, l.spoil(r.seg, off, "seal", errOther)
		}
	default:
		return l.scrubItems(r.seg, res), nil
	}
	return nil, nil
}

// scrubUnreadable finds out what it is that can't be read.
func (l *Log) scrubUnreadable(seg *segment, op Op, why error) ([]*Damage, error) {
	switch op.Off {
	case 0:
		return nil, l.spoil(seg, op.Off, "header", why)
	case seg.sealAt:
		return nil, l.spoil(seg, op.Off, "seal", why)
	}
	s := &l.scrub
	if op.Off >= s.narrow {
		s.from, s.narrow = op.Off, op.Off+op.N
		return nil, nil
	}
	var damages []*Damage
	for _, it := range seg.items(op.Off, op.N) {
		if it.at.end() <= op.Off+op.N {
			damages = append(damages, &Damage{it.group.id, it.index, it.checkpoint != nil, op.File, int64(it.at.off), why})
		}
	}
	return damages, nil
}

func (l *Log) scrubItems(seg *segment, res Result) (damages []*Damage) {
	for _, it := range seg.items(res.Op.Off, res.Op.N) {
		if it.at.end() > res.Op.Off+res.Op.N {
			break
		}
		if _, damage := l.verifyItem(seg, it, res); damage != nil {
			damages = append(damages, damage)
		}
	}
	return damages
}

// spoil has a segment emptied and says why.
func (l *Log) spoil(seg *segment, off int64, what string, why error) error {
	seg.spoiled, l.move.look = true, true
	return fmt.Errorf("%w: %s, offset %d: the %s of segment %d is not what was written (%v). No entry is lost: "+
		"the log copies what is in the segment and then gives it up; don't restart the broker before that, and see to the disk",
		ErrCorrupt, seg.slot.name, off, what, seg.seq, why)
}

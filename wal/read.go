// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"errors"
	"fmt"
	"io"
	"sort"
)

// ErrMissing is wrapped by the errors that say: the log doesn't hold this entry or checkpoint, because it was
// released or replaced, was never written or isn't durable yet.
var ErrMissing = errors.New("not in the log")

// Term returns the term of entry i, for First-1 <= i <= Last, from memory.
func (l *Log) Term(g GroupID, i uint64) (uint64, bool) {
	if gr := l.groups[g]; gr != nil {
		return gr.term(i)
	}
	return 0, false
}

// Read returns an OpRead for entry lo and as many of the entries after it, below hi, as lie
// beside it in one segment and within maxBytes (always at least entry lo). The entries must be
// durable. The file stays what it is until the Result was given to Entries, which therefore has
// to happen once for every Read.
func (l *Log) Read(g GroupID, lo, hi uint64, maxBytes int64) (Op, error) {
	gr := l.groups[g]
	if gr == nil || lo >= hi {
		return Op{}, fmt.Errorf("group %d, entries %d to %d: %w", g, lo, hi, ErrMissing)
	}
	r, k, ok := gr.locate(lo)
	if !ok {
		return Op{}, fmt.Errorf("group %d, entry %d: %w", g, lo, ErrMissing)
	}
	if r.seg.base+LSN(r.at[k].end()) > l.durable {
		return Op{}, fmt.Errorf("group %d, entry %d is not durable yet: %w", g, lo, ErrMissing)
	}
	off := int64(r.at[k].off)
	limit := min(off+maxBytes, int64(l.durable-r.seg.base))
	rest := r.at[k : k+int(min(hi-lo, uint64(len(r.at)-k)))]
	n := sort.Search(len(rest), func(i int) bool { return rest[i].end() > limit })
	return l.read(r.seg, off, rest[max(n, 1)-1].end()-off), nil
}

// read returns an OpRead of a segment, whose file isn't used for anything else until finishRead.
func (l *Log) read(seg *segment, off, n int64) Op {
	op := l.op(OpRead, seg.slot.name)
	op.Off, op.N = off, n
	seg.readers++
	l.reads[op.ID] = seg
	return op
}

// finishRead takes the result of a read and says which segment was read. It fails if the disk
// did.
func (l *Log) finishRead(res *Result) (*segment, error) {
	seg := l.reads[res.Op.ID]
	if seg == nil {
		panic(fmt.Sprintf("wal: result of read %d was used before, or isn't from this log", res.Op.ID))
	}
	delete(l.reads, res.Op.ID)
	seg.readers--
	l.reclaim()
	if res.Err == nil && int64(len(res.Data)) != res.Op.N {
		res.Err = io.ErrUnexpectedEOF
	}
	if res.Err != nil {
		return nil, fmt.Errorf("read of %s at offset %d: %w", res.Op.File, res.Op.Off, res.Err)
	}
	return seg, nil
}

// Entries parses and verifies the result of a Read: every entry of the group in it that starts at
// lo and is consecutive. It fails with ErrCorrupt if a checksum, position, group, index or term
// differs from what was written, and with ErrMissing if entry lo was released or replaced since
// the Read. The entries' Data points into res.Data.
func (l *Log) Entries(g GroupID, lo uint64, res Result) ([]Entry, error) {
	seg, err := l.finishRead(&res)
	if err != nil {
		return nil, err
	}
	gr := l.groups[g]
	if gr == nil {
		return nil, fmt.Errorf("group %d, entry %d: %w", g, lo, ErrMissing)
	}
	r, k, ok := gr.locate(lo)
	if !ok || r.seg != seg || int64(r.at[k].off) != res.Op.Off {
		return nil, fmt.Errorf("group %d, entry %d was released or replaced: %w", g, lo, ErrMissing)
	}
	end := res.Op.Off + res.Op.N
	n := sort.Search(len(r.at)-k, func(i int) bool { return r.at[k+i].end() > end })
	entries := make([]Entry, 0, n)
	for i, at := range r.at[k : k+n] {
		e, err := gr.entry(lo+uint64(i), seg, at, res)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// entry parses one entry out of the result of a read and compares it to the index.
func (g *group) entry(index uint64, seg *segment, at place, res Result) (Entry, error) {
	var rec Record
	b := res.Data[int64(at.off)-res.Op.Off:][:at.size]
	term, _ := g.term(index)
	n, err := parseRecord(b, &rec)
	switch {
	case err != nil:
	case n != len(b) || rec.Type != RecordEntry || rec.LSN != seg.base+LSN(at.off):
		err = errors.New("another record than was written here")
	case rec.Group != g.id || rec.Entry.Index != index || rec.Entry.Term != term:
		err = fmt.Errorf("holds entry %d of term %d of group %d", rec.Entry.Index, rec.Entry.Term, rec.Group)
	default:
		return rec.Entry, nil
	}
	return Entry{}, corrupt(res.Op.File, int64(at.off), fmt.Errorf("entry %d of group %d: %w", index, g.id, err))
}

// Address returns where entry i is in the life of the log: a position that belongs to this copy of
// the entry alone, so it is the key to cache by. False if the entry isn't in the log.
func (l *Log) Address(g GroupID, i uint64) (LSN, bool) {
	if gr := l.groups[g]; gr != nil {
		if r, k, ok := gr.locate(i); ok {
			return r.seg.base + LSN(r.at[k].off), true
		}
	}
	return 0, false
}

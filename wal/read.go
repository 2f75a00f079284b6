// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
)

// ErrMissing is wrapped by the errors that say: the log doesn't hold this entry or checkpoint,
// because it was released or replaced, was never written or isn't durable yet.
var ErrMissing = errors.New("not in the log")

// Damage is the error, found with errors.As, that says: this entry or checkpoint is not what was
// written. It wraps ErrCorrupt.
type Damage struct {
	Group      GroupID
	Index      uint64
	Checkpoint bool // the checkpoint at Index, not the entry
	File       string
	Off        int64 // of its record, in bytes
	Why        error
}

func (d *Damage) Error() string {
	what := "entry"
	if d.Checkpoint {
		what = "checkpoint at entry"
	}
	return fmt.Sprintf("%v: %s, offset %d: %s %d of group %d: %v. This replica of the group can't be trusted any more: "+
		"it has to be dropped and copied anew from the others", ErrCorrupt, d.File, d.Off, what, d.Index, d.Group, d.Why)
}

func (d *Damage) Unwrap() error { return ErrCorrupt }

// reading is a read under way: what it should bring. A later change of the index doesn't matter to
// it, as long as the entries are still those.
type reading struct {
	seg *segment
	// Entries from lo on, all of one term. They are looked for where they were when the read began.
	group    *group
	lo, term uint64
	parts    []part
	until    LSN // not 0: the first have other data once this is durable
	// A checkpoint, or a piece of one.
	checkpoint *CheckpointRead
}

// part is one record of a read, with the entries from first to last that are asked for.
type part struct {
	first, last uint64
	packed      bool
	at          place
	from        int64 // where it is in what was read, in bytes
}

// Term returns the term of entry i, for First-1 <= i <= Last, from memory.
func (l *Log) Term(g GroupID, i uint64) (uint64, bool) {
	if gr := l.groups[g]; gr != nil {
		return gr.term(i)
	}
	return 0, false
}

// Read returns an OpRead for entry lo and as many of the entries after it, below hi, as are in the same
// segment, have the same term and fit maxBytes (always at least entry lo). What lies between them isn't read,
// see scatter. The
// entries must be durable. The file stays what it is until the Result was given to Entries, which
// therefore has to happen once for every Read.
func (l *Log) Read(g GroupID, lo, hi uint64, maxBytes int64) (Op, error) {
	gr := l.groups[g]
	if gr == nil || lo >= hi {
		return Op{}, fmt.Errorf("group %d, entries %d to %d: %w", g, lo, hi, ErrMissing)
	}
	r, _, ok := gr.locate(lo)
	if !ok {
		return Op{}, fmt.Errorf("group %d, entry %d: %w", g, lo, ErrMissing)
	}
	from, first, until, ok := l.readable(lo, r)
	if !ok {
		return Op{}, fmt.Errorf("group %d, entry %d is not durable yet: %w", g, lo, ErrMissing)
	}
	s := scatter{max: maxBytes, through: l.opt.ReadThrough}
	s.add(first)
	if from == r.seg && first.at == r.place(lo) {
		l.beside(gr, &s, hi, from)
	}
	op := l.read(OpRead, int64(first.at.off), s.n, &reading{
		seg: from, group: gr, lo: lo, term: r.term, parts: s.parts, until: until,
	})
	if len(s.stretches) > 1 {
		op.Stretches = s.stretches
	}
	op.Seed, op.Sums = from.seed, make([]Stretch, len(s.parts))
	for k, p := range s.parts {
		op.Sums[k] = Stretch{p.from + sumFrom, int64(p.at.size) - sumFrom}
	}
	return op, nil
}

// partAt returns the record that entry i is in, with the entries from it on.
func (r *run) partAt(i uint64) part {
	if r.packed > 0 {
		return part{first: i, last: r.end() - 1, packed: true, at: r.at[0]}
	}
	return part{first: i, last: i, at: r.place(i)}
}

// readable returns where entry i is read: where it is, if it is durable there, or the durable place that it was
// copied from. If that has other data, it is right until a position is durable.
func (l *Log) readable(i uint64, r *run) (seg *segment, p part, until LSN, ok bool) {
	seg, p = r.seg, r.partAt(i)
	for !l.isDurable(seg, p.at) {
		o, known := l.copies.from[seg.lsn(p.at)]
		if !known {
			return nil, p, 0, false
		}
		if o.other {
			until = seg.base + LSN(p.at.end())
		}
		if seg, p.at = o.seg, o.at; o.was != nil {
			k := sort.Search(len(o.was), func(k int) bool { return o.was[k].end() > i })
			seg, p = o.was[k].seg, o.was[k].partAt(i)
		}
	}
	return seg, p, until, true
}

// isDurable says that a record survives a power loss.
func (l *Log) isDurable(seg *segment, at place) bool { return seg.base+LSN(at.end()) <= l.durable }

// read returns a read of a segment, whose file isn't used for anything else until finishRead.
func (l *Log) read(kind OpKind, off, n int64, r *reading) Op {
	op := l.op(kind, r.seg.slot.name)
	op.Off, op.N = off, n
	r.seg.readers++
	l.reads[op.ID] = r
	return op
}

// finishRead takes the result of a read and says which it was. It fails if the disk did, with ErrUnreadable or ErrReadFailed.
func (l *Log) finishRead(res *Result) (*reading, error) {
	r := l.reads[res.Op.ID]
	if r == nil {
		panic(fmt.Sprintf("wal: result of read %d was used before, or isn't from this log", res.Op.ID))
	}
	delete(l.reads, res.Op.ID)
	r.seg.readers--
	l.reclaim()
	if res.Err == nil && int64(len(res.Data)) != res.Op.N {
		res.Err = io.ErrUnexpectedEOF
	}
	switch err := res.Err; {
	case err == nil:
		return r, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // somebody has cut the file
		return r, fmt.Errorf("%w: %s at offset %d: %w", ErrUnreadable, res.Op.File, res.Op.Off, err)
	case errors.Is(err, ErrUnreadable):
		return r, fmt.Errorf("%s at offset %d: %w", res.Op.File, res.Op.Off, err)
	default:
		return r, fmt.Errorf("%w: %s at offset %d: %w", ErrReadFailed, res.Op.File, res.Op.Off, err)
	}
}

// Entries parses and verifies the result of a Read: the entries of group g from lo on that were
// asked for and are still in the log. It fails with ErrCorrupt (see Damage) if a checksum, position,
// group, index or term differs from what was written, and with ErrMissing if entry lo was released
// or replaced since the Read. ErrUnreadable says that the disk can't read some of what was read together: read the entries
// one by one to find out which. The entries' Data points into res.Data.
func (l *Log) Entries(g GroupID, lo uint64, res Result) ([]Entry, error) {
	r, err := l.finishRead(&res)
	if errors.Is(err, ErrUnreadable) && len(r.parts) == 1 && l.current(r, lo) {
		return nil, &Damage{Group: g, Index: lo, File: res.Op.File, Off: res.Op.Off, Why: err}
	}
	if err != nil {
		return nil, err
	}
	if r.group == nil || r.group.id != g || r.lo != lo {
		panic(fmt.Sprintf("wal: read %d is not one of group %d, entry %d", res.Op.ID, g, lo))
	}
	entries := make([]Entry, 0, len(r.parts))
	for k, p := range r.parts {
		if !l.current(r, p.first) {
			break
		}
		last := p.last
		if !p.packed {
			last = 0
		}
		rec, err := r.seg.verifySummed(p.at, res.Data[p.from:][:p.at.size], r.sum(k, &res))
		if err == nil && (rec.Group != g || !rec.holds(p.first, last, r.term)) {
			err = errOther
		}
		if err != nil {
			return nil, &Damage{Group: g, Index: p.first, File: res.Op.File, Off: int64(p.at.off), Why: err}
		}
		entries = append(entries, rec.Entry)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("group %d, entry %d was released or replaced: %w", g, lo, ErrMissing)
	}
	return entries, nil
}

// current says that entry i is still the one that was to be read. Raft never writes two entries with
// the same index and term in one life of a group; Replace does, and tells the reads under way.
func (l *Log) current(r *reading, i uint64) bool {
	g := r.group
	if l.groups[g.id] != g || i < g.state.First || r.until > 0 && r.until <= l.durable {
		return false
	}
	term, ok := g.term(i)
	return ok && term == r.term
}

var errOther = errors.New("another record than was written here")

// verify parses b, what was read at a place of the segment, as the record that is there.
func (s *segment) verify(at place, b []byte) (rec Record, err error) {
	n, err := parseRecord(b, s.seed, &rec)
	if err == nil && (n != len(b) || rec.LSN != s.lsn(at)) {
		err = errOther
	}
	return rec, err
}

// verifySummed does the same where the checksum of b is known: that of all after its own checksum.
func (s *segment) verifySummed(at place, b []byte, sum uint32) (rec Record, err error) {
	n, ok := sizeOfRecord(b)
	if !ok || sum != binary.LittleEndian.Uint32(b) {
		return rec, errNoRecord
	}
	n, err = parseSized(b, n, &rec)
	if err == nil && (n != len(b) || rec.LSN != s.lsn(at)) {
		err = errOther
	}
	return rec, err
}

// sum is the checksum of a record that was read.
func (r *reading) sum(k int, res *Result) uint32 {
	if len(res.Sums) == len(r.parts) {
		return res.Sums[k]
	}
	p := r.parts[k] // the world didn't compute them
	return crc32.Update(r.seg.seed, castagnoli, res.Data[p.from:][sumFrom:p.at.size])
}

// holds says that a record is that of an entry, or of packed entries from it to the last.
func (r *Record) holds(index, last, term uint64) bool {
	if last > 0 {
		return r.Type == RecordPacked && r.Entry.Index <= index && r.Entry.Last == last && r.Entry.Term == term
	}
	return (r.Type == RecordEntry || r.Type == RecordMoved) && r.Entry.Index == index && r.Entry.Term == term
}

func (r *Record) isCheckpoint() bool { return r.Type == RecordCheckpoint || r.Type == RecordInstall }

// Address returns where entry i is read in the life of the log: a position that belongs to this copy
// of the entry alone, so it is the key to cache by. It changes when the log moves the entry, and when
// the entry is replaced. False if the entry isn't in the log.
func (l *Log) Address(g GroupID, i uint64) (LSN, bool) {
	gr := l.groups[g]
	if gr == nil {
		return 0, false
	}
	r, _, ok := gr.locate(i)
	if !ok {
		return 0, false
	}
	if seg, p, _, ok := l.readable(i, r); ok {
		return seg.lsn(p.at), true
	}
	return r.seg.lsn(r.place(i)), true
}

// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Replace replaces the data of a committed, durable entry; its index, term and kind stay. It is for callers
// whose entries may shrink without a change of meaning, as in Kafka's log compaction. It is written as a move
// is: until the new record is durable, reads return the old one, and a crash leaves either. If a read under way
// has the old data when the new record becomes durable, it fails with ErrMissing.
func (l *Log) Replace(g GroupID, e Entry) {
	gr := l.groups[g]
	if gr == nil {
		panic(fmt.Sprintf("wal: group %d: it has no entry %d to replace", g, e.Index))
	}
	r, _, ok := gr.locate(e.Index)
	if !ok || e.Index > gr.state.Commit || e.Term != r.term || r.packed > 0 {
		panic(fmt.Sprintf("wal: group %d: entry %d of term %d replaces none that is committed (commit index %d) and not packed", g, e.Index, e.Term, gr.state.Commit))
	}
	if _, _, _, ok := l.readable(e.Index, r); !ok {
		panic(fmt.Sprintf("wal: group %d: entry %d is replaced before it is durable", g, e.Index))
	}
	l.copyEntry(gr, e, origin{seg: r.seg, at: r.place(e.Index), other: true})
	l.outdate(gr, e.Index, e.Index)
	l.retire()
}

// Pack replaces the records of the entries from e.Index to e.Last by one, whose Data is all that the caller needs of
// them. The entries must be committed, durable, and all of one term and kind 0. Entries that are packed already are
// packed again as a whole or not at all. Otherwise Pack is like Replace. Reads return the record as one Entry; it may
// also cover entries below the group's first.
func (l *Log) Pack(g GroupID, e Entry) {
	gr := l.groups[g]
	if gr == nil || e.Index < gr.state.First || e.Index >= e.Last || e.Last > gr.state.Commit {
		panic(fmt.Sprintf("wal: group %d: entries %d to %d can't be packed, they aren't all committed", g, e.Index, e.Last))
	}
	l.copyEntry(gr, e, origin{other: true, was: l.packable(gr, &e)})
	l.outdate(gr, e.Index, e.Last)
	l.retire()
}

// packable returns where entries are that are to be packed.
func (l *Log) packable(g *group, e *Entry) (was []run) {
	for i := e.Index; i <= e.Last; {
		r, _, _ := g.locate(i)
		end := min(r.end(), e.Last+1)
		if r.term != e.Term || r.packed > 0 && (i != r.first || end != r.end()) {
			panic(fmt.Sprintf("wal: group %d: entries %d to %d can't be packed: entry %d has term %d, or is packed with others", g.id, e.Index, e.Last, i, r.term))
		}
		for k := i; k < end; k++ {
			if _, _, _, ok := l.readable(k, r); !ok {
				panic(fmt.Sprintf("wal: group %d: entry %d is packed before it is durable", g.id, k))
			}
		}
		was = append(was, r.part(i, end))
		i = end
	}
	return was
}

// putPacked buffers packed entries and returns their place in the current segment.
func (l *Log) putPacked(g GroupID, e *Entry) place {
	p := l.add(RecordPacked, 0, g, packedHead+len(e.Data))
	binary.LittleEndian.PutUint64(p, e.Index)
	binary.LittleEndian.PutUint64(p[8:], e.Last)
	binary.LittleEndian.PutUint64(p[16:], e.Term)
	copy(p[packedHead:], e.Data)
	size := uint32(recordBytes(len(p)))
	return place{uint32(l.cur.end) - size, size}
}

// Packed returns the bounds of the record that entry i is packed in; false if it isn't.
func (l *Log) Packed(g GroupID, i uint64) (first, last uint64, ok bool) {
	if gr := l.groups[g]; gr != nil {
		if r, _, there := gr.locate(i); there && r.packed > 0 {
			return r.first, r.end() - 1, true
		}
	}
	return 0, 0, false
}

// Stored returns how many records a group's entries and checkpoints are in, and their bytes.
func (l *Log) Stored(g GroupID) (records int, bytes int64) {
	gr := l.groups[g]
	if gr == nil {
		return 0, 0
	}
	for i := range gr.runs {
		records += len(gr.runs[i].at)
		bytes += gr.runs[i].bytes()
	}
	for i := range gr.checkpoints {
		for _, p := range gr.checkpoints[i].pieces {
			records++
			bytes += int64(p.at.size)
		}
	}
	return records, bytes
}

// outdate cuts the entries from first to last, and what follows them, out of the reads under way.
func (l *Log) outdate(g *group, first, last uint64) {
	//det:ok order does not matter because each read is changed for itself
	for _, r := range l.reads {
		if r.group != g {
			continue
		}
		if k := slices.IndexFunc(r.parts, func(p part) bool { return p.last >= first && p.first <= last }); k >= 0 {
			r.parts = r.parts[:k]
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"slices"
	"testing"
)

// packable makes a log with entries of group 1, all durable and committed.
func packable(t *testing.T, fs *disk, opt Options, entries int) *Log {
	t.Helper()
	l, _ := mustOpen(t, fs, opt)
	committed(l, 1, uint64(entries))
	mustFlush(t, l, fs)
	return l
}

// packRange packs entries as they are.
func packRange(t *testing.T, l *Log, fs *disk, first, last uint64) {
	t.Helper()
	m, err := load(l, fs)
	if err != nil {
		t.Fatal(err)
	}
	from := m[1].State.First
	l.Pack(1, packed(m[1].Entries[first-from:last+1-from]))
}

// Packed entries are one record, and read as they were: at once, when the record is durable, and after a start. Those that
// are packed can be packed with others, and the log may begin within them.
func TestPack(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 16 << 10}
	l := packable(t, fs, opt, 60)
	want, err := load(l, fs)
	if err != nil {
		t.Fatal(err)
	}
	check := func(records int) {
		t.Helper()
		got, err := load(l, fs)
		if err != nil {
			t.Fatal(err)
		}
		if !same(want, got) {
			t.Fatal(diff(want, got))
		}
		if n, bytes := l.Stored(1); n != records || bytes < int64(records*recordHead) {
			t.Errorf("%d records of %d bytes, not %d", n, bytes, records)
		}
	}
	packRange(t, l, fs, 10, 29)
	check(41)
	mustFlush(t, l, fs)
	check(41)
	packRange(t, l, fs, 10, 40)
	check(30)
	mustFlush(t, l, fs)
	l, _ = mustOpen(t, fs, opt)
	check(30)
	want = want.release(1, 20)
	l.Release(1, 20)
	check(21)
	mustFlush(t, l, fs)
	packRange(t, l, fs, 20, 60)
	mustFlush(t, l, fs)
	l, _ = mustOpen(t, fs, opt)
	check(1)
	if first, last, ok := l.Packed(1, 33); first != 20 || last != 60 || !ok {
		t.Error(first, last, ok)
	}
}

// A segment is emptied of packed entries as of others, also when the log begins within them.
func TestPackedEntriesMove(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 16 << 10}
	l := packable(t, fs, opt, 60)
	packRange(t, l, fs, 1, 60)
	mustFlush(t, l, fs)
	l.Release(1, 31)
	in := l.groups[1].runs[0].seg.seq
	for i := uint64(1); l.cur.seq < in+moveAge+3; i++ {
		l.Append(2, []Entry{entry(i, 1, 1000)})
		l.SetCommit(2, i)
		l.Release(2, i)
		mustFlush(t, l, fs)
	}
	for range 2 {
		if seg := l.groups[1].runs[0].seg.seq; seg == in || l.Stats().Segments > 4 {
			t.Fatalf("packed entries are in segment %d of %d", seg, l.cur.seq)
		}
		m, err := load(l, fs)
		if err != nil || len(m[1].Entries) != 30 || m[1].Entries[0].Index != 31 {
			t.Fatal(m[1].Entries, err)
		}
		l, _ = mustOpen(t, fs, opt)
	}
}

// A log of the format before is read, and what is written goes to segments of the new one.
func TestFormatBeforePackedEntries(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4096}
	mustOpen(t, fs, opt)
	f := fs.names[slotName(1)]
	h, _ := parseHeader(f.data)
	h.version = 2
	copy(f.data, appendHeader(nil, h))
	l, _ := mustOpen(t, fs, opt)
	l.cur.unowned = false // as the release before
	committed(l, 1, 4)
	mustFlush(t, l, fs)
	want, err := load(l, fs)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint32{2, formatVersion, formatVersion} {
		l, _ = mustOpen(t, fs, opt)
		got, err := load(l, fs)
		if err != nil || !same(want, got) {
			t.Fatal(diff(want, got), err)
		}
		if l.cur.version != version || l.segs[0].version != 2 && l.Stats().Recycled == 0 {
			t.Fatalf("version %d", l.cur.version)
		}
		packRange(t, l, fs, 2, 3)
		mustFlush(t, l, fs)
	}
	if !slices.ContainsFunc(l.segs, func(s *segment) bool { return s.version == 2 }) {
		t.Error("nothing is left in a segment of the old format")
	}
}

func TestOpenRefusesPackedEntries(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(l *Log)
		want string // in the error
	}{
		"of nobody":         {forge(99, RecordPacked, 1, 2, 1), "packed entries 1 to 2"},
		"not committed":     {forge(1, RecordPacked, 2, 3, 1), "packed entries 2 to 3"},
		"with another term": {forge(1, RecordPacked, 1, 2, 3), "falls from 3 to 2"},
		"backwards":         {forge(1, RecordPacked, 2, 1, 1), "impossible"},
		"of wrong length":   {forge(1, RecordPacked, 1, 2), "impossible"},
	} {
		t.Run(name, func(t *testing.T) { checkForged(t, c.do, c.want) })
	}
}

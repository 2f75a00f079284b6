// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"errors"
	"testing"
)

// An entry that was replaced is read with its new data, now and after a crash, and the segment that
// held nothing else of use is free.
func TestReplace(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 16 << 10}
	l, _ := mustOpen(t, fs, opt)
	for i := uint64(1); i <= 20; i++ {
		l.Append(1, []Entry{entry(i, 1, 5000)})
	}
	l.SetCommit(1, 20)
	mustFlush(t, l, fs)
	before := l.Stats()
	for i := uint64(1); i <= 12; i++ {
		l.Replace(1, Entry{Index: i, Term: 1, Data: []byte{byte(i)}})
	}
	check := func() {
		t.Helper()
		for i := uint64(1); i <= 20; i++ {
			op, err := l.Read(1, i, i+1, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			got, err := l.Entries(1, i, Do(fs, op))
			if err != nil || len(got) != 1 {
				t.Fatalf("entry %d: %v", i, err)
			}
			if small := len(got[0].Data) == 1; small != (i <= 12) {
				t.Errorf("entry %d has %d bytes", i, len(got[0].Data))
			}
		}
	}
	mustFlush(t, l, fs)
	check()
	l.Append(1, []Entry{entry(21, 1, 10)}) // what frees a segment has to be durable itself
	mustFlush(t, l, fs)
	if after := l.Stats(); after.Recycled < before.Recycled+2 {
		t.Errorf("%d segments were freed", after.Recycled-before.Recycled)
	}
	l, _ = mustOpen(t, fs, opt)
	check()
}

// An entry is replaced twice before it is durable, and in between the segment that it came from is
// given up and its file used again. Reads always find the newest copy that is durable.
func TestReplaceTwice(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096, FlushBytes: 1})
	l.Append(1, []Entry{entry(1, 1, 3000)})
	l.SetCommit(1, 1)
	for i := uint64(1); l.cur.seq < 2; i++ {
		l.Append(2, []Entry{entry(i, 1, 1000)})
	}
	mustFlush(t, l, fs)
	l.Replace(1, Entry{Index: 1, Term: 1, Data: []byte("first")})
	for i := uint64(2); l.cur.seq < 4; i++ {
		l.Append(2, []Entry{entry(i, 1, 1000)})
	}
	l.Replace(1, Entry{Index: 1, Term: 1, Data: []byte("second")})
	seen := map[string]int{}
	for {
		addr, _ := l.Address(1, 1)
		op, err := l.Read(1, 1, 2, 1)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := l.Entries(1, 1, Do(fs, op))
		if err != nil {
			t.Fatal(err)
		}
		if addr != LSN(op.Off)+baseOf(l, op.File) {
			t.Fatalf("read at %d of %s, address %d", op.Off, op.File, addr)
		}
		seen[string(entries[0].Data[:min(6, len(entries[0].Data))])]++
		if l.Durable() == l.End() {
			break
		}
		l.RequestSync()
		op, _ = l.Next()
		if err := l.Done(Do(fs, op)); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 3 || seen["first"] < 3 || seen["second"] != 1 || l.Stats().Recycled == 0 || len(l.copies.from) != 0 {
		t.Fatal(seen, l.Stats())
	}
}

// baseOf is the position of the first byte of a file.
func baseOf(l *Log, file string) LSN {
	for _, s := range append(l.segs, l.retired...) {
		if s.slot.name == file {
			return s.base
		}
	}
	panic("no segment in " + file)
}

// A read that began before an entry was replaced doesn't bring the old data when the new counts.
func TestReplaceDuringRead(t *testing.T) {
	for _, late := range []bool{false, true} { // the read began before, or after Replace but before it was durable
		fs := newDisk()
		l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
		committed(l, 1, 3)
		mustFlush(t, l, fs)
		replace := func() { l.Replace(1, Entry{Index: 2, Term: 1, Data: []byte("new")}) }
		if late {
			replace()
		}
		all, err := l.Read(1, 1, 4, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		one, err := l.Read(1, 2, 4, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if !late {
			replace()
		}
		mustFlush(t, l, fs)
		if entries, err := l.Entries(1, 1, Do(fs, all)); err != nil || len(entries) != 1 {
			t.Fatal(entries, err)
		}
		if _, err := l.Entries(1, 2, Do(fs, one)); !errors.Is(err, ErrMissing) {
			t.Fatal(err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package wal

import "testing"

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

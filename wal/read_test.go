// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"errors"
	"testing"
)

// A bit that changed on the disk is found whoever computes the checksums: the world, right after it has read, or a log whose
// world doesn't. What lies before the damage can be read.
func TestReadFindsEachDamage(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 1 << 16, ReadThrough: 100})
	const n = 6
	for i := uint64(1); i <= n; i++ {
		l.Append(1, []Entry{entry(i, 1, 50)})
		l.Append(2, []Entry{entry(i, 1, int(i)*60)}) // some are read through
	}
	mustFlush(t, l, fs)
	for i := uint64(1); i <= n; i++ {
		_, p, _, ok := l.readable(i, &l.groups[1].runs[0])
		if !ok {
			t.Fatal(i)
		}
		for off := range int64(p.at.size) {
			for _, summed := range []bool{true, false} {
				checkDamage(t, l, fs, i, int64(p.at.off)+off, summed)
			}
		}
	}
}

// checkDamage reads all entries of group 1 while a byte of entry i is another one.
func checkDamage(t *testing.T, l *Log, fs FS, i uint64, off int64, summed bool) {
	t.Helper()
	op, err := l.Read(1, 1, l.groups[1].state.Last+1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	flip := func() {
		f, err := fs.Open(op.File)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		f.ReadAt(b[:], off)
		b[0] ^= 0x10
		f.WriteAt(b[:], off)
	}
	flip()
	res := Do(fs, op)
	flip()
	if len(res.Sums) != len(op.Sums) || len(op.Sums) != 6 {
		t.Fatalf("%d checksums of %d records", len(res.Sums), len(op.Sums))
	}
	if !summed {
		res.Sums = nil
	}
	_, err = l.Entries(1, 1, res)
	damage, ok := errors.AsType[*Damage](err)
	if !ok || damage.Index != i {
		t.Fatalf("a changed byte at offset %d, in entry %d: %v", off, i, err)
	}
}

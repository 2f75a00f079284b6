// SPDX-License-Identifier: Apache-2.0

package wal

import "testing"

// takeAll takes writes and forgets them, so that only the log's own work is measured.
func takeAll(b *testing.B, l *Log) int64 {
	l.RequestSync()
	var n int64
	for {
		op, ok := l.Next()
		if !ok {
			return n
		}
		n += int64(len(op.Data))
		if err := l.Done(Result{Op: op}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppend is one group commit of 64 entries of 256 bytes: encode, index, checksum, hand
// out, be told. No disk is involved.
func BenchmarkAppend(b *testing.B) {
	l, _ := mustOpen(b, newDisk(), Options{})
	entries := make([]Entry, 64)
	for i := range entries {
		entries[i] = entry(uint64(i+1), 1, 256)
	}
	takeAll(b, l)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		l.Append(1, entries)
		b.SetBytes(takeAll(b, l))
		last := entries[63].Index
		l.Release(1, max(1, last-min(last, 1000)))
		for i := range entries {
			entries[i].Index += 64
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package wal

import "testing"

// TestTail goes over runs of several terms, by number and by bytes.
func TestTail(t *testing.T) {
	l, _ := mustOpen(t, newDisk(), Options{})
	if first := l.Tail(7, 10, 1<<20); first != 1 {
		t.Errorf("of a group without entries the tail begins at %d", first)
	}
	for i := uint64(1); i <= 10; i++ {
		l.Append(7, []Entry{{Index: i, Term: 1 + i/4, Data: make([]byte, 40)}})
	}
	each := int64(recordBytes(entryHead + 40))
	for _, c := range []struct {
		entries uint64
		bytes   int64
		first   uint64
	}{{3, 1 << 20, 8}, {100, 1 << 20, 1}, {100, 5 * each, 6}, {100, 5*each - 1, 7}, {100, each - 1, 11}, {0, 1 << 20, 11}} {
		if first := l.Tail(7, c.entries, c.bytes); first != c.first {
			t.Errorf("the newest %d entries of %d bytes begin at %d, not %d", c.entries, c.bytes, c.first, first)
		}
	}
}

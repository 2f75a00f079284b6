// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"errors"
	"testing"
)

// TestOwner opens logs under their own name, another one, and none, as releases did that knew no owners.
func TestOwner(t *testing.T) {
	mine, other := Owner{1}, Owner{2}
	write := func(disk *disk, owner Owner) {
		t.Helper()
		l, _ := mustOpen(t, disk, Options{SegmentBytes: 8 << 10, Owner: owner})
		s, _ := l.State(1)
		l.Append(1, []Entry{entry(max(s.Last, 0)+1, 1, 1000)})
		mustFlush(t, l, disk)
	}
	refused := func(what string, disk *disk) {
		t.Helper()
		_, _, err := Open(disk, Options{SegmentBytes: 8 << 10, Owner: mine})
		if e, ok := errors.AsType[*ForeignError](err); !ok || e.Owner != other {
			t.Errorf("%s: %v, want a ForeignError", what, err)
		}
	}
	own, foreign, old := newDisk(), newDisk(), newDisk()
	for range 20 {
		write(own, mine)
		write(foreign, other)
	}
	refused("another owner's log", foreign)
	write(old, Owner{})
	write(old, other)
	refused("a log without an owner that another owner has written to since", old)

	l, _ := mustOpen(t, own, Options{SegmentBytes: 8 << 10, Owner: mine})
	if m := mustLoad(t, l, own); len(m) == 0 || l.cur.seq < 2 {
		t.Errorf("segment %d, groups %v", l.cur.seq, m)
	}
	oldest := l.segs[0].slot.name
	own.names[oldest] = foreign.names[oldest]
	refused("one segment of another owner", own)
}

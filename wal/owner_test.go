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

// TestFormatBeforeSeeds reads a log of the format whose checksums have no seed, and goes on in the new one.
func TestFormatBeforeSeeds(t *testing.T) {
	disk := newDisk()
	opt := Options{SegmentBytes: 4 << 10, Owner: Owner{1}}
	l, _ := mustOpen(t, disk, Options{SegmentBytes: 4 << 10}) // without an owner there are none either
	l.Append(1, []Entry{entry(1, 1, 100), entry(2, 1, 100)})
	mustFlush(t, l, disk)
	f := disk.names[slotName(1)]
	h, _ := parseHeader(f.data)
	h.version, h.owner = 4, opt.Owner
	copy(f.data, appendHeader(nil, h))
	for n := uint64(3); n < 6; n++ {
		l, _ = mustOpen(t, disk, opt)
		l.Append(1, []Entry{entry(n, 1, 100)})
		mustFlush(t, l, disk)
		if l.segs[0].version != 4 || l.segs[0].seed != 0 || l.cur.version != formatVersion || l.cur.seed == 0 {
			t.Fatalf("segments of versions %d and %d with seeds %x and %x", l.segs[0].version, l.cur.version, l.segs[0].seed, l.cur.seed)
		}
		if m := mustLoad(t, l, disk); len(m) != 1 {
			t.Fatalf("groups %v", m)
		}
	}
}

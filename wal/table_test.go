// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"errors"
	"testing"
)

// Open reads of a segment that ended only its two ends, however large it is.
func TestOpenReadsOnlyTheEndsOfSegments(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 1 << 20}
	l, _ := mustOpen(t, fs, opt)
	for i := uint64(1); i <= 20_000; i += 10 {
		for g := range GroupID(3) {
			l.Append(g, []Entry{entry(i, 1, 300)})
			for k := i + 1; k < i+10; k++ {
				l.Append(g, []Entry{entry(k, 1, 100)})
			}
		}
		mustFlush(t, l, fs)
	}
	before, segments := l.Stats(), int64(len(l.segs))
	for len(l.free) > 0 { // free files are read whole
		delete(fs.names, l.free[0].name)
		l.free = l.free[1:]
	}
	fs.bytesRead = 0
	l, report := mustOpen(t, fs, opt)
	if report.Entries != 60_000 || l.Stats().Segments != before.Segments || segments < 8 {
		t.Fatalf("%+v", report)
	}
	if most := opt.SegmentBytes + segments*2*sealGuess; fs.bytesRead > most {
		t.Fatalf("Open read %d bytes of %d segments", fs.bytesRead, segments)
	}
	table := int64(len(appendTable(nil, l.segs[0])))
	if perEntry := float64(table) / float64(l.segs[0].live/150); perEntry > 4 {
		t.Fatalf("a table has %.1f bytes per entry", perEntry)
	}
}

// The bound that decides when a segment is full holds, whatever happens in the segment.
func TestTableStaysBelowItsBound(t *testing.T) {
	for seed := range uint64(8) {
		w := newWorld(t, seed, 10, Options{SegmentBytes: 1 << 20, FlushBytes: 1 << 20})
		w.log, _ = mustOpen(t, w.fs, w.opt)
		for range 2000 {
			w.act()
			if n := len(appendTable(nil, w.log.cur)); n > w.log.cur.table+10 {
				t.Fatalf("%d bytes, not %d", n, w.log.cur.table)
			}
		}
	}
}

// A table is longer than what Open reads at first.
func TestLongTable(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4 << 20}
	l, _ := mustOpen(t, fs, opt)
	i := uint64(0)
	for len(l.segs) < 3 {
		for range 1000 {
			i++
			l.Append(GroupID(i%2), []Entry{{Index: (i + 1) / 2, Term: 1}})
		}
		mustFlush(t, l, fs)
	}
	if n := l.segs[0].end - l.segs[0].sealAt; n < 2*sealGuess {
		t.Fatalf("a seal of %d bytes", n)
	}
	l, report := mustOpen(t, fs, opt)
	if report.Entries != int64(i) {
		t.Fatalf("%d entries of %d", report.Entries, i)
	}
	if _, ok := l.Term(1, i/2); !ok {
		t.Fatal("the last entry is gone")
	}
}

// A segment has ended, and of the next one only a part was written. Each Open that follows goes on
// behind the seal and leaves what is there alone, also if it needs a new file and gets none.
func TestOpenBehindASeal(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4096}
	l, _ := mustOpen(t, fs, opt)
	m := model{}
	for i := uint64(1); i <= 2; i++ {
		l.Append(1, []Entry{entry(i, 1, 2500)})
		m = m.append(1, entry(i, 1, 2500))
	}
	if err := l.Done(Do(fs, nextWrite(t, l, fs))); err != nil { // up to the seal
		t.Fatal(err)
	}
	m[1] = modelGroup{State: State{First: 1, Last: 1, LastTerm: 1}, Entries: m[1].Entries[:1]}
	first, sealAt := l.segs[0].slot.name, l.segs[0].sealAt
	op := nextWrite(t, l, fs)
	dropped := op.File
	tear(fs, op, func(i int) bool { return i < 100 })
	whole := append([]byte(nil), fs.names[first].data...)

	for n := range 4 {
		var report Report
		l, report = mustOpen(t, fs, opt)
		if d := diff(m, mustLoad(t, l, fs)); d != "" {
			t.Fatal(d)
		}
		if (report.CutBytes > 0) != (n == 0) || report.Segments != 1 || int(report.Epoch) != n+2 {
			t.Fatalf("%+v", report)
		}
		if l.Durable() != l.End() || l.Stats().Segment != 1 {
			t.Fatalf("%+v", l.Stats())
		}
		end := sealAt + int64(recordBytes(int(binary.LittleEndian.Uint32(whole[sealAt+4:]))))
		if string(fs.names[first].data[:end]) != string(whole[:end]) {
			t.Fatal("Open wrote over records")
		}
		if h, ok := parseHeader(fs.names[dropped].data); !ok || h.seq != 2 {
			t.Fatalf("%+v", h)
		}
		fs.powerLoss()
	}

	l.free = nil // the dropped file stays: now there are two segments 2
	for i := uint64(2); i <= 4; i++ {
		l.Append(1, []Entry{entry(i, 1, 2500)})
		m = m.append(1, entry(i, 1, 2500))
		mustFlush(t, l, fs)
		l, _ = mustOpen(t, fs, opt)
		if d := diff(m, mustLoad(t, l, fs)); d != "" {
			t.Fatal(d)
		}
		if l.segs[0].sealAt != sealAt {
			t.Fatal("the segment ended twice")
		}
		if h, _ := parseHeader(fs.names[dropped].data); i == 2 && (h.seq != 2 || l.segs[1].seq != 2 || l.segs[1].slot.name == dropped) {
			t.Fatal("the file of the dropped segment was used")
		}
	}
}

// The same number in two files is a crash only if the later one began behind an open record.
func TestSegmentTwice(t *testing.T) {
	fs := threeSegments(t)
	h, _ := parseHeader(fs.names["0002.wal"].data)
	h.base += recordHead
	data := appendHeader(nil, h)
	fs.names["0009.wal"] = &inode{data, data, map[int]bool{}}
	checkRefusal(t, fs, "segment 2 is in 0002.wal, too")
}

func FuzzTable(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{1, 7, 1, 11, 4, 1, 0x21, 0x8b, 3, 2, 10, 4, 5, 0x19, 11, 4, 0, 0xb2, 3})
	f.Add([]byte{2, 7, 2, 11, 4, 1, 30, 8, 12, 4, 2, 40, 8, 0, 8, 0, 9, 0, 1, 10, 4, 5, 0x19})
	f.Fuzz(func(t *testing.T, table []byte) {
		l, _ := mustOpen(t, newDisk(), Options{SegmentBytes: 4096})
		seg := &segment{seq: 7, sealAt: 1 << 16}
		if err := l.readTable(seg, table); err != nil {
			if !errors.Is(err, errTable) {
				t.Fatal(err)
			}
			return
		}
		for _, g := range l.order {
			for i, r := range g.runs {
				if len(r.at) == 0 || i > 0 && g.runs[i-1].end() > r.first {
					t.Fatalf("group %d: %+v", g.id, g.runs)
				}
				for _, at := range r.at {
					if at.end() > seg.sealAt || int(at.size) < recordBytes(entryHead) {
						t.Fatalf("entry at %+v", at)
					}
				}
			}
		}
	})
}

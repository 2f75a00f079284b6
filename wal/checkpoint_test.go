// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// committed appends entries of term 1 up to an index and commits them.
func committed(l *Log, g GroupID, last uint64) {
	s, _ := l.State(g)
	for i := s.Last + 1; i <= last; i++ {
		l.Append(g, []Entry{entry(i, 1, 10)})
	}
	l.SetCommit(g, last)
}

// nextRead begins to read a checkpoint.
func nextRead(t *testing.T, l *Log, g GroupID, index uint64) (*CheckpointRead, Op) {
	t.Helper()
	r, err := l.ReadCheckpoint(g, index)
	if err != nil {
		t.Fatal(err)
	}
	op, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	return r, op
}

func readCheckpoint(t *testing.T, l *Log, fs FS, g GroupID, index uint64) []byte {
	t.Helper()
	data, err := checkpointData(l, fs, g, index)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCheckpointsOfAGroup(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	l.AddCheckpoint(5, Checkpoint{0, 0, []byte("empty group")})
	committed(l, 1, 9)
	l.AddCheckpoint(1, Checkpoint{7, 1, []byte("seven")})
	l.AddCheckpoint(1, Checkpoint{2, 1, []byte("two")})
	l.AddCheckpoint(1, Checkpoint{9, 1, nil})
	l.AddCheckpoint(1, Checkpoint{4, 1, []byte("four")})
	l.AddCheckpoint(1, Checkpoint{7, 1, []byte("seven again")})
	l.DropCheckpoint(1, 4)
	l.DropCheckpoint(1, 4)
	l.DropCheckpoint(3, 4)
	want := []CheckpointInfo{{2, 1, 3}, {7, 1, 11}, {9, 1, 0}}
	check := func(l *Log) {
		t.Helper()
		if d := cmp.Diff(want, l.Checkpoints(1)); d != "" {
			t.Fatal(d)
		}
		if l.Checkpoints(99) != nil {
			t.Fatal("checkpoints of no group")
		}
		if got := readCheckpoint(t, l, fs, 1, 7); string(got) != "seven again" {
			t.Fatalf("%q", got)
		}
		if got := readCheckpoint(t, l, fs, 1, 9); len(got) != 0 {
			t.Fatalf("%q", got)
		}
		if got := readCheckpoint(t, l, fs, 5, 0); string(got) != "empty group" {
			t.Fatalf("%q", got)
		}
	}
	if _, err := l.ReadCheckpoint(1, 7); !errors.Is(err, ErrMissing) {
		t.Fatalf("read of what isn't durable: %v", err)
	}
	mustFlush(t, l, fs)
	check(l)
	for _, missing := range []uint64{4, 5, 100} {
		if _, err := l.ReadCheckpoint(1, missing); !errors.Is(err, ErrMissing) {
			t.Fatal(err)
		}
	}
	l, _ = mustOpen(t, fs, Options{SegmentBytes: 4096})
	check(l)
}

// A release keeps the checkpoint that the first entry continues, and those above.
func TestReleaseDropsOlderCheckpoints(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	committed(l, 1, 9)
	for i := uint64(3); i <= 7; i++ {
		l.AddCheckpoint(1, Checkpoint{i, 1, nil})
	}
	l.Release(1, 6)
	want := []CheckpointInfo{{5, 1, 0}, {6, 1, 0}, {7, 1, 0}}
	for range 2 {
		if d := cmp.Diff(want, l.Checkpoints(1)); d != "" {
			t.Fatal(d)
		}
		mustFlush(t, l, fs)
		l, _ = mustOpen(t, fs, Options{SegmentBytes: 4096})
	}
}

// A checkpoint keeps its segment, and nothing else does.
func TestCheckpointKeepsItsSegment(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4096}
	l, _ := mustOpen(t, fs, opt)
	committed(l, 7, 1)
	l.AddCheckpoint(7, Checkpoint{1, 1, []byte("the only live thing here")})
	l.Release(7, 2)
	churn := func() { // a few segments, not so many that the first is emptied
		s, _ := l.State(1)
		for i := s.Last + 1; i < s.Last+20; i++ {
			l.Append(1, []Entry{entry(i, 1, 500)})
			l.Release(1, i)
			mustFlush(t, l, fs)
		}
	}
	churn()
	if n := l.segs[0].seq; n != 1 {
		t.Fatalf("the oldest segment is %d", n)
	}
	l, _ = mustOpen(t, fs, opt)
	if got := readCheckpoint(t, l, fs, 7, 1); string(got) != "the only live thing here" {
		t.Fatalf("%q", got)
	}
	l.DropCheckpoint(7, 1)
	churn()
	if n := l.segs[0].seq; n < 4 {
		t.Fatalf("the oldest segment is %d", n)
	}
}

// The record that dropped or replaced a checkpoint goes with its segment, and the checkpoint is
// still in an older one that lives on for another reason. It must not come back.
func TestGhostOfACheckpoint(t *testing.T) {
	for name, kill := range map[string]func(l *Log){
		"dropped":   func(l *Log) { l.DropCheckpoint(1, 5) },
		"released":  func(l *Log) { l.Release(1, 8) },
		"installed": func(l *Log) { l.Install(1, Checkpoint{20, 3, []byte("new")}) },
		"removed":   func(l *Log) { l.RemoveGroup(1) },
		"removed and made again": func(l *Log) {
			l.RemoveGroup(1)
			committed(l, 1, 6)
		},
		"replaced": func(l *Log) { l.AddCheckpoint(1, Checkpoint{5, 1, []byte("young")}) },
	} {
		t.Run(name, func(t *testing.T) {
			fs := newDisk()
			opt := Options{SegmentBytes: 4096}
			l, _ := mustOpen(t, fs, opt)
			l.Append(2, []Entry{entry(1, 1, 500)}) // keeps segment 1 for ever
			committed(l, 1, 9)
			l.AddCheckpoint(1, Checkpoint{5, 1, []byte("old")})
			l.Append(3, []Entry{entry(1, 1, 3500)}) // the second segment
			kill(l)
			mustFlush(t, l, fs)
			want := mustLoad(t, l, fs)
			for i := uint64(2); i < 9; i++ {
				l.Append(3, []Entry{entry(i, 1, 3000)})
				l.Release(3, i)
				mustFlush(t, l, fs)
			}
			if l.segs[0].seq != 1 {
				t.Fatal("segment 1 is gone")
			}
			gone := l.segs[1].seq > 2
			if name != "replaced" && name != "installed" && name != "removed and made again" && !gone {
				t.Fatal("the second segment lives on")
			}
			l, _ = mustOpen(t, fs, opt)
			got := mustLoad(t, l, fs)
			delete(want, 3)
			delete(got, 3)
			if d := diff(want, got); d != "" {
				t.Fatal(d)
			}
		})
	}
}

// Whatever part of an Install reaches the disk, the group is what it was before, or begins at the
// checkpoint.
func TestInstallIsAtomic(t *testing.T) {
	build := func() (*disk, *Log, Op) {
		fs := newDisk()
		l, _ := mustOpen(t, fs, Options{SegmentBytes: 8192})
		committed(l, 1, 9)
		l.AddCheckpoint(1, Checkpoint{4, 1, []byte("own")})
		mustFlush(t, l, fs)
		l.Install(1, Checkpoint{30, 2, bytes.Repeat([]byte("received"), 300)})
		return fs, l, nextWrite(t, l, fs)
	}
	fs, before, op := build()
	old := model{}
	for i := uint64(1); i <= 9; i++ {
		old = old.append(1, entry(i, 1, 10))
	}
	old = old.commit(1, 9).checkpoint(1, Checkpoint{4, 1, []byte("own")})
	installed := old.install(1, Checkpoint{30, 2, bytes.Repeat([]byte("received"), 300)})
	sectors := (int(op.Off)+len(op.Data)-1)/sectorBytes - int(op.Off)/sectorBytes + 1
	seen := map[bool]int{}
	for mask := range 1 << sectors {
		image := fs.clone()
		tear(image, op, func(i int) bool {
			return mask>>((int(op.Off)+i)/sectorBytes-int(op.Off)/sectorBytes)&1 == 1
		})
		l, _ := mustOpen(t, image, before.opt)
		m := mustLoad(t, l, image)
		if !same(m, old) && !same(m, installed) {
			t.Fatalf("sectors %b: %s", mask, diff(old, m))
		}
		seen[same(m, installed)]++
	}
	if seen[true] != 1 || seen[false] != 1<<sectors-1 {
		t.Fatal(seen)
	}
}

// A checkpoint larger than a segment gets a segment of its own, which is removed afterwards.
func TestLargeCheckpoint(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4096, FlushBytes: 1000}
	l, _ := mustOpen(t, fs, opt)
	committed(l, 1, 3)
	data := bytes.Repeat([]byte("0123456"), 5<<20/7)
	l.AddCheckpoint(1, Checkpoint{2, 1, data})
	committed(l, 1, 6)
	mustFlush(t, l, fs)
	l, _ = mustOpen(t, fs, opt)
	if !bytes.Equal(readCheckpoint(t, l, fs, 1, 2), data) {
		t.Fatal("other data")
	}
	l.AddCheckpoint(1, Checkpoint{5, 1, nil})
	l.DropCheckpoint(1, 2)
	mustFlush(t, l, fs)
	for name, f := range fs.names {
		if len(f.data) > 2*4096 {
			t.Fatalf("%s still has %d bytes", name, len(f.data))
		}
	}
}

func TestCheckpointReplacedOrDroppedDuringRead(t *testing.T) {
	for name, change := range map[string]func(l *Log){
		"replaced": func(l *Log) { l.AddCheckpoint(1, Checkpoint{2, 1, []byte("young")}) },
		"dropped":  func(l *Log) { l.DropCheckpoint(1, 2) },
		"removed":  func(l *Log) { l.RemoveGroup(1) },
	} {
		t.Run(name, func(t *testing.T) {
			fs := newDisk()
			l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
			committed(l, 1, 3)
			l.AddCheckpoint(1, Checkpoint{2, 1, []byte("old")})
			mustFlush(t, l, fs)
			r, op := nextRead(t, l, 1, 2)
			change(l)
			if _, err := r.Take(Do(fs, op)); !errors.Is(err, ErrMissing) {
				t.Fatal(err)
			}
		})
	}
}

func TestReadNoticesRotOfACheckpoint(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	committed(l, 1, 3)
	l.AddCheckpoint(1, Checkpoint{2, 1, []byte("some state")})
	mustFlush(t, l, fs)
	_, op := nextRead(t, l, 1, 2)
	res := Do(fs, op)
	for i := range res.Data {
		r, op := nextRead(t, l, 1, 2)
		bad := Result{Op: op, Data: bytes.Clone(res.Data)}
		bad.Data[i] ^= 4
		_, err := r.Take(bad)
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), op.File) || !strings.Contains(err.Error(), "checkpoint at entry 2 of group 1") {
			t.Fatal(err)
		}
	}
}

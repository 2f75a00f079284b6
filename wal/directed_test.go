// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// nextWrite returns the next OpWrite and carries out everything else.
func nextWrite(t *testing.T, l *Log, fs FS) Op {
	t.Helper()
	l.RequestSync()
	for {
		op, ok := l.Next()
		if !ok {
			t.Fatal("no write to come")
		}
		if op.Kind == OpWrite {
			return op
		}
		if err := l.Done(Do(fs, op)); err != nil {
			t.Fatal(err)
		}
	}
}

// tear writes only some bytes of an OpWrite: those for which keep says so, by offset in its data.
func tear(d *disk, op Op, keep func(i int) bool) {
	f := d.names[op.File]
	for i, b := range op.Data {
		if keep(i) {
			f.data = put(f.data, []byte{b}, op.Off+int64(i))
			f.stable = put(f.stable, []byte{b}, op.Off+int64(i))
		}
	}
}

// The second record of a torn flush stays whole behind the cut. The next life of the log writes
// exactly up to it and stops: it must not come back as the continuation.
func TestGhostBehindTheCut(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	l.Append(1, []Entry{entry(1, 1, 504), entry(2, 1, 24)})
	op := nextWrite(t, l, fs)
	first := recordBytes(entryHead + 504)
	tear(fs, op, func(i int) bool { return i >= first })

	l, report := mustOpen(t, fs, Options{SegmentBytes: 4096})
	if report.CutBytes != int64(len(op.Data)) || report.CutFile != op.File || report.CutOffset != op.Off {
		t.Fatalf("%+v", report)
	}
	want := entry(1, 7, 504-recordHead) // with the open record as long as what was torn
	l.Append(1, []Entry{want})
	mustFlush(t, l, fs)

	l, report = mustOpen(t, fs, Options{SegmentBytes: 4096})
	if report.CutBytes != 0 {
		t.Fatalf("%+v", report)
	}
	if d := diff(model{}.append(1, want), mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
}

// A segment whose beginning is torn is dropped for good, and its number is used again in another
// file.
func TestTornBeginningOfSegment(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4096}
	l, _ := mustOpen(t, fs, opt)
	m := model{}
	for g := range GroupID(12) {
		l.SetVote(g, 1, 2)
		m = m.vote(g, 1, 2)
	}
	l.Append(1, []Entry{entry(1, 1, 2000)})
	m = m.append(1, entry(1, 1, 2000))
	mustFlush(t, l, fs)
	l.Append(1, []Entry{entry(2, 1, 2000)})
	seal := nextWrite(t, l, fs)
	if err := l.Done(Do(fs, seal)); err != nil {
		t.Fatal(err)
	}
	op := nextWrite(t, l, fs)
	if op.Off != 0 {
		t.Fatal("not the beginning of a segment")
	}
	tear(fs, op, func(i int) bool { return i < 512 })

	for range 3 {
		var report Report
		l, report = mustOpen(t, fs, opt)
		if report.Segments != 1 {
			t.Fatalf("%+v", report)
		}
		if d := diff(m, mustLoad(t, l, fs)); d != "" {
			t.Fatal(d)
		}
		fs.powerLoss()
	}
	for i := uint64(2); i < 9; i++ {
		l.Append(1, []Entry{entry(i, 1, 2000)})
		m = m.append(1, entry(i, 1, 2000))
		mustFlush(t, l, fs)
	}
	l, _ = mustOpen(t, fs, opt)
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
}

// The process dies after a file was made and before the directory was synced. The next one uses
// the file, and then the power fails.
func TestOpenSyncsTheNamesItFinds(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4096}
	l, _ := mustOpen(t, fs, opt)
	op, _ := l.Next()
	if op.Kind != OpPrepare {
		t.Fatal(op.Kind)
	}
	fs.fuse = 3 // create, write, sync, dead
	if res := Do(fs, op); !errors.Is(res.Err, errCrashed) {
		t.Fatal(res.Err)
	}
	fs.restart()

	l, _ = mustOpen(t, fs, opt)
	l.Append(1, []Entry{entry(1, 1, 3000), entry(2, 1, 3000)})
	for l.Durable() < l.End() {
		l.RequestSync()
		op, _ := l.Next()
		if op.Kind != OpWrite {
			t.Fatalf("%v where the file that is there should do", op.Kind)
		}
		if err := l.Done(Do(fs, op)); err != nil {
			t.Fatal(err)
		}
	}
	fs.powerLoss()
	l, _ = mustOpen(t, fs, opt)
	if s, _ := l.State(1); s.Last != 2 {
		t.Fatalf("%+v", s)
	}
}

// After a failed sync the kernel may show pages that it never wrote and takes for clean. A log
// that was opened on them has to be durable all the same.
func TestOpenWritesAgainWhatAFailedSyncLeft(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	l.Append(1, []Entry{entry(1, 1, 1500)})
	op := nextWrite(t, l, fs)
	fs.failSync = true
	if err := l.Done(Do(fs, op)); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	fs.failSync = false
	fs.restart()
	l, _ = mustOpen(t, fs, Options{SegmentBytes: 4096})
	if s, _ := l.State(1); s.Last != 1 {
		t.Fatalf("%+v", s)
	}
	fs.powerLoss()
	l, _ = mustOpen(t, fs, Options{SegmentBytes: 4096})
	if s, _ := l.State(1); s.Last != 1 {
		t.Fatalf("what Open had found is gone: %+v", s)
	}
}

// A read is under way while everything in its segment is released. The file must stay what it is.
func TestFileIsNotReusedWhileItIsRead(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	l.Append(1, []Entry{entry(1, 1, 1000)})
	mustFlush(t, l, fs)
	read, err := l.Read(1, 1, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(2); i < 30; i++ {
		l.Append(1, []Entry{entry(i, 1, 1000)})
		l.Release(1, i)
		l.RequestSync()
		for op, ok := l.Next(); ok; op, ok = l.Next() {
			if op.File == read.File && (op.Kind == OpRemove || op.Kind == OpWrite && op.Off == 0) {
				t.Fatalf("%v of %s while it is read", op.Kind, op.File)
			}
			if err := l.Done(Do(fs, op)); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := l.Stats().Recycled
	if _, err := l.Entries(1, 1, Do(fs, read)); !errors.Is(err, ErrMissing) {
		t.Fatal(err)
	}
	if after := l.Stats().Recycled; after != before+1 {
		t.Fatalf("%d segments recycled, %d before", after, before)
	}
}

// Rot under a read is an error that names the place, never another entry and never nothing.
func TestReadNoticesRot(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	l.Append(1, []Entry{entry(1, 1, 100), entry(2, 1, 100)})
	mustFlush(t, l, fs)
	op, err := l.Read(1, 1, 3, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open(op.File)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte{1}, op.Off+op.N-1) // padding, which was 0
	_, err = l.Entries(1, 1, Do(fs, op))
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), op.File) || !strings.Contains(err.Error(), "entry 2 of group 1") {
		t.Fatal(err)
	}
}

// A group's entries are read without those of others between them, however many there are.
func TestReadLeavesOutOthers(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 1 << 22, ReadThrough: 1000})
	const n = maxStretches + 10
	for i := uint64(1); i <= n; i++ {
		others := 5000
		if i%2 == 0 {
			others = 500
		}
		l.Append(1, []Entry{entry(i, 1, 100)})
		l.Append(2, []Entry{entry(i, 1, others)})
		mustFlush(t, l, fs)
	}
	for _, c := range []struct {
		max    int64
		length int // entries
	}{{1, 1}, {1 << 11, 5}, {1 << 22, n}} {
		op, err := l.Read(1, 1, n+1, c.max)
		if err != nil {
			t.Fatal(err)
		}
		res := Do(fs, op)
		ents, err := l.Entries(1, 1, res)
		if err != nil || len(ents) != c.length {
			t.Fatalf("%d entries of at most %d bytes, not %d: %v", len(ents), c.max, c.length, err)
		}
		for i, e := range ents {
			if want := entry(uint64(i+1), 1, 100); e.Index != want.Index || !bytes.Equal(e.Data, want.Data) {
				t.Fatalf("%+v, not %+v", e, want)
			}
		}
		if most := int64(c.length) * 500; op.N > max(most, 300) || int64(len(res.Data)) != op.N || len(op.Stretches) > maxStretches {
			t.Fatalf("%d bytes in %d stretches for %d entries", op.N, len(op.Stretches), c.length)
		}
	}
}

// Segments stay within their size, unless one record alone is larger.
func TestWritesStayInTheSegment(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	for i := uint64(1); i < 200; i++ {
		size := int(i*37) % 1000
		if i == 100 {
			size = 10000
		}
		l.Append(1, []Entry{entry(i, 1, size)})
		l.RequestSync()
		for op, ok := l.Next(); ok; op, ok = l.Next() {
			if end := op.Off + int64(len(op.Data)); op.Kind == OpWrite && op.Off < 4096 && end > 4096 && size < 4096 {
				t.Fatalf("write up to offset %d", end)
			}
			if err := l.Done(Do(fs, op)); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustLoad(t, l, fs)
}

// Records wait until somebody asks, and one write is under way at a time.
func TestGroupCommit(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096, FlushBytes: 1000})
	mustFlush(t, l, fs)
	l.SetVote(1, 1, 1)
	if op, ok := l.Next(); ok {
		t.Fatalf("%v though nobody asked", op.Kind)
	}
	l.RequestSync()
	one, ok := l.Next()
	if !ok || one.Kind != OpWrite {
		t.Fatal(one.Kind)
	}
	before := l.Durable()
	for i := range uint64(3) {
		l.Append(GroupID(i), []Entry{entry(1, 1, 400)})
	}
	l.RequestSync()
	if op, ok := l.Next(); ok {
		t.Fatalf("%v while a write is under way", op.Kind)
	}
	if l.Durable() != before {
		t.Fatal("durable before the sync")
	}
	var sizes []int
	for op, ok := one, true; ok; op, ok = l.Next() {
		sizes = append(sizes, len(op.Data))
		if err := l.Done(Do(fs, op)); err != nil {
			t.Fatal(err)
		}
	}
	if len(sizes) != 3 || sizes[1] != 2*recordBytes(entryHead+400) || l.Durable() != l.End() {
		t.Fatalf("flushes of %v bytes", sizes)
	}
}

// What the caller must not do is told at once, not found on the disk later.
func TestBrokenRulesPanic(t *testing.T) {
	for name, f := range map[string]func(l *Log){
		"gap":             func(l *Log) { l.Append(1, []Entry{entry(5, 1, 1)}) },
		"gap within":      func(l *Log) { l.Append(1, []Entry{entry(4, 2, 1), entry(6, 2, 1)}) },
		"committed":       func(l *Log) { l.Append(1, []Entry{entry(2, 3, 1)}) },
		"term falls":      func(l *Log) { l.Append(1, []Entry{entry(4, 1, 1)}) },
		"replaced falls":  func(l *Log) { l.Append(1, []Entry{entry(3, 0, 1)}) },
		"new group":       func(l *Log) { l.Append(2, []Entry{entry(2, 1, 1)}) },
		"commit too far":  func(l *Log) { l.SetCommit(1, 4) },
		"commit back":     func(l *Log) { l.SetCommit(1, 1) },
		"term back":       func(l *Log) { l.SetVote(1, 1, 0) },
		"second vote":     func(l *Log) { l.SetVote(1, 2, 9) },
		"release too far": func(l *Log) { l.Release(1, 5) },
		"install back":    func(l *Log) { l.Install(1, Checkpoint{Index: 1, Term: 1}) },
		"checkpoint early": func(l *Log) {
			l.Release(1, 3)
			l.AddCheckpoint(1, Checkpoint{Index: 1, Term: 1})
		},
		"checkpoint of what is not committed": func(l *Log) { l.AddCheckpoint(1, Checkpoint{Index: 3, Term: 2}) },
		"checkpoint's term":                   func(l *Log) { l.AddCheckpoint(1, Checkpoint{Index: 2, Term: 2}) },
		"checkpoint of nobody":                func(l *Log) { l.AddCheckpoint(2, Checkpoint{Index: 1, Term: 1}) },
		"result unknown":                      func(l *Log) { _, _ = l.Entries(1, 1, Result{}) },
		"result used twice": func(l *Log) {
			op, _ := l.Read(1, 1, 2, 1)
			_, _ = l.Entries(1, 1, Result{Op: op, Err: errDisk})
			_, _ = l.Entries(1, 1, Result{Op: op, Err: errDisk})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := mustOpen(t, newDisk(), Options{SegmentBytes: 4096})
			l.Append(1, []Entry{entry(1, 1, 1), entry(2, 1, 1), entry(3, 2, 1)})
			l.SetCommit(1, 2)
			l.SetVote(1, 2, 3)
			defer func() {
				if recover() == nil {
					t.Fatal("no panic")
				}
			}()
			f(l)
		})
	}
}

func TestForeignFileAndNewerFormat(t *testing.T) {
	fs := newDisk()
	mustOpen(t, fs, Options{SegmentBytes: 4096})
	f := fs.names[slotName(1)]
	h, _ := parseHeader(f.data)
	h.version++
	copy(f.data, appendHeader(nil, h))
	if _, _, err := Open(fs, Options{SegmentBytes: 4096}); err == nil || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), fmt.Sprintf("format %d", h.version)) {
		t.Fatal(err)
	}
	fs = newDisk()
	if _, err := fs.Create("notes.txt"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(fs, Options{}); err == nil || !strings.Contains(err.Error(), "notes.txt") {
		t.Fatal(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func mustOpen(t rapid.TB, fs FS, opt Options) (*Log, Report) {
	t.Helper()
	l, report, err := Open(fs, opt)
	if err != nil {
		t.Fatal(err)
	}
	return l, report
}

func mustFlush(t rapid.TB, l *Log, fs FS) {
	t.Helper()
	if err := flush(l, fs); err != nil {
		t.Fatal(err)
	}
	if l.Durable() != l.End() {
		t.Fatalf("durable %d of %d after a flush", l.Durable(), l.End())
	}
}

func mustLoad(t rapid.TB, l *Log, fs FS) model {
	t.Helper()
	m, err := load(l, fs)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func entry(index, term uint64, size int) Entry {
	return Entry{Index: index, Term: term, Kind: 1, Data: bytes.Repeat([]byte{byte(index), byte(term), 7}, size)[:size]}
}

func TestWriteStopOpen(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	m := model{}
	for i := range uint64(50) {
		for _, g := range []GroupID{3, 1} {
			e := entry(i+1, 1+i/10, int(i*7))
			l.Append(g, []Entry{e})
			m = m.append(g, e)
		}
	}
	l.SetVote(3, 9, 2)
	l.SetCommit(3, 45)
	m = m.vote(3, 9, 2).commit(3, 45)
	mustFlush(t, l, fs)
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
	if s := l.Stats(); s.Segments < 5 {
		t.Fatalf("only %d segments", s.Segments)
	}
	fs.powerLoss()
	l, report := mustOpen(t, fs, Options{SegmentBytes: 4096})
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
	if report.Entries != 100 || report.CutBytes != 0 || report.Epoch != 2 {
		t.Fatalf("%+v", report)
	}
}

func TestReleasedSegmentsAreRecycled(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	m := model{}
	l.Append(7, []Entry{entry(1, 1, 100)}) // stays for ever, in segment 1
	m = m.append(7, entry(1, 1, 100))
	for i := uint64(1); i <= 400; i++ {
		e := entry(i, 1, 200)
		l.Append(1, []Entry{e})
		m = m.append(1, e)
		if i > 20 {
			l.Release(1, i-20)
			m = m.release(1, i-20)
		}
		mustFlush(t, l, fs)
	}
	s := l.Stats()
	if s.Segments > 6 || s.Prepared > 6 || s.Recycled < 15 {
		t.Fatalf("%+v", s)
	}
	l, _ = mustOpen(t, fs, Options{SegmentBytes: 4096})
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
	if got := l.Stats().Segments; got != s.Segments {
		t.Fatalf("%d segments, %d before", got, s.Segments)
	}
}

func TestFailedSyncEndsTheLog(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
	l.Append(1, []Entry{entry(1, 1, 100)})
	fs.failSync = true
	err := flush(l, fs)
	if !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	l.Append(1, []Entry{entry(2, 1, 100)})
	l.RequestSync()
	if op, ok := l.Next(); ok {
		t.Fatalf("%v after a failed sync", op.Kind)
	}
	fs.failSync = false
	if err := l.Done(Result{Op: Op{Kind: OpWrite}}); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"errors"
	"testing"
)

// fillUp appends to group 1 until the log says that the disk is full.
func fillUp(t *testing.T, l *Log, fs FS, m model) model {
	t.Helper()
	for !l.Full() {
		s, _ := l.State(1)
		e := entry(s.Last+1, 1, 1000)
		l.Append(1, []Entry{e})
		m = m.append(1, e)
		mustFlush(t, l, fs)
	}
	return m
}

// prepares counts the preparations that a log asks for, and carries out everything.
func prepares(t *testing.T, l *Log, fs FS) (n int) {
	t.Helper()
	for {
		op, ok := l.Next()
		if !ok {
			return n
		}
		if op.Kind == OpPrepare {
			n++
		}
		if err := l.Done(Do(fs, op)); err != nil {
			t.Fatal(err)
		}
	}
}

// On a full disk the log says so while there is still room for more than a segment, reads go on, and
// it goes on when there is space again.
func TestFullDisk(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 16 << 10}
	l, _ := mustOpen(t, fs, opt)
	fs.room = 100_000
	m := fillUp(t, l, fs, model{})
	files := len(fs.names)
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
	for i := uint64(1); i < 300; i++ { // what must be written still can be
		l.SetVote(1, i, 1)
		m = m.vote(1, i, 1)
		mustFlush(t, l, fs)
	}
	if n := prepares(t, l, fs); n != 0 {
		t.Fatalf("%d preparations without Retry", n)
	}
	for range 3 {
		l.Retry(false)
		if n := prepares(t, l, fs); n != 1 || !l.Full() {
			t.Fatalf("%d preparations after Retry", n)
		}
	}
	if len(fs.names) != files {
		t.Fatal("failed preparations left files")
	}
	fs.room = -1
	if prepares(t, l, fs) != 0 || !l.Full() {
		t.Fatal("the log asks the disk all the time")
	}
	l.Retry(false)
	if n := prepares(t, l, fs); n < 1 || l.Full() {
		t.Fatal("still full")
	}
	e := entry(m[1].State.Last+1, 1, 5000)
	l.Append(1, []Entry{e})
	mustFlush(t, l, fs)
	fs.powerLoss()
	l, _ = mustOpen(t, fs, opt)
	if d := diff(m.append(1, e), mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
}

// What the log releases while the disk is full ends that.
func TestReleaseOnAFullDisk(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 16 << 10})
	fs.room = 100_000
	m := fillUp(t, l, fs, model{})
	l.Release(1, m[1].State.Last-3)
	m = m.release(1, m[1].State.Last-3)
	mustFlush(t, l, fs)
	if l.Full() {
		t.Fatalf("%+v", l.Stats())
	}
	m = fillUp(t, l, fs, m)
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
}

// Where every segment has a few records that stay, nothing becomes free before some segments are emptied.
func TestSegmentsAreEmptiedOnAFullDisk(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 16 << 10})
	fs.room = 60_000
	m := model{}
	for i := 0; !l.Full(); i++ {
		g := GroupID(1)
		if i%4 == 0 {
			g = 2
		}
		s, _ := l.State(g)
		e := entry(s.Last+1, 1, 1000)
		l.Append(g, []Entry{e})
		m = m.append(g, e)
		mustFlush(t, l, fs)
	}
	l.Release(1, m[1].State.Last)
	m = m.release(1, m[1].State.Last)
	for range 5 { // the next piece moves when the last one is durable
		mustFlush(t, l, fs)
	}
	if l.Full() {
		t.Errorf("%+v", l.Stats())
	}
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
}

// fillMixed fills the disk with entries of groups 1 and 2, of which two of five are group 1's.
func fillMixed(t *testing.T, l *Log, fs *disk) model {
	t.Helper()
	fs.room = 200_000
	m := model{}
	for i := 0; !l.Full(); i++ {
		g := GroupID(2)
		if i%5 < 2 {
			g = 1
		}
		s, _ := l.State(g)
		e := entry(s.Last+1, 1, 700)
		l.Append(g, []Entry{e})
		m = m.append(g, e)
		mustFlush(t, l, fs)
	}
	return m
}

// Two fifths of each segment are released. While records are refused that is worth moving the rest, otherwise not.
func TestDenseSegmentsAreEmptiedWhenRecordsAreRefused(t *testing.T) {
	for _, refusing := range []bool{false, true} {
		fs := newDisk()
		l, _ := mustOpen(t, fs, Options{SegmentBytes: 16 << 10})
		m := fillMixed(t, l, fs)
		l.Release(1, m[1].State.Last+1)
		m = m.release(1, m[1].State.Last+1)
		mustFlush(t, l, fs)
		for range 20 {
			l.Retry(refusing)
			mustFlush(t, l, fs)
		}
		room := l.Room()
		if goesOn := room.Left() > 2*l.SegmentBytes(); goesOn != refusing {
			t.Errorf("refusing records: %v, %d bytes are left, %+v", refusing, room.Left(), l.Stats())
		}
		moved := l.Stats().Moved
		for range 20 {
			l.Retry(refusing)
			mustFlush(t, l, fs)
		}
		if got := l.Stats().Moved; got != moved {
			t.Errorf("%d bytes were moved, and then %d more, though nothing changed", moved, got-moved)
		}
		if d := diff(m, mustLoad(t, l, fs)); d != "" {
			t.Fatal(d)
		}
	}
}

// Even if hardly anything is left of the reserve, segments in which hardly anything is live become free.
func TestSegmentsAreEmptiedIntoTheLastRoom(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 16 << 10})
	fs.room = 60_000
	for room := l.Room(); room.Left() > l.SegmentBytes()/4; room = l.Room() { // ignores Full
		for g, size := range []int{2000, 8} {
			s, _ := l.State(GroupID(g + 1))
			l.Append(GroupID(g+1), []Entry{entry(s.Last+1, 1, size)})
		}
		mustFlush(t, l, fs)
	}
	s, _ := l.State(1)
	l.Release(1, s.Last+1)
	for range 20 {
		l.Retry(true)
		mustFlush(t, l, fs)
	}
	if l.Full() || l.Stats().Moved == 0 {
		t.Errorf("%+v", l.Stats())
	}
}

// A broker whose disk is full can be started again and again, and serves what it has.
func TestOpenOnAFullDisk(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 16 << 10}
	l, _ := mustOpen(t, fs, opt)
	fs.room = 60_000
	m := fillUp(t, l, fs, model{})
	for l.Durable() == l.End() { // ignores Full, until the segment has ended and there is no file for the next
		s, _ := l.State(1)
		l.Append(1, []Entry{entry(s.Last+1, 1, 1000)})
		m = m.append(1, entry(s.Last+1, 1, 1000))
		if err := flush(l, fs); err != nil {
			t.Fatal(err)
		}
	}
	m[1] = modelGroup{State{First: 1, Last: m[1].State.Last - 1, LastTerm: 1}, m[1].Entries[:len(m[1].Entries)-1], nil}
	fs.room = 0
	for range 20 {
		fs.powerLoss()
		l, _ = mustOpen(t, fs, opt)
		if d := diff(m, mustLoad(t, l, fs)); d != "" {
			t.Fatal(d)
		}
		if prepares(t, l, fs) != 1 || !l.Full() || !l.cur.sealed() {
			t.Fatal("not full")
		}
	}
	fs.room = -1
	l.Retry(false)
	prepares(t, l, fs)
	e := entry(m[1].State.Last+1, 2, 1000)
	l.Append(1, []Entry{e})
	mustFlush(t, l, fs)
	l, _ = mustOpen(t, fs, opt)
	if d := diff(m.append(1, e), mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
}

// An empty directory on a full disk is no place for a log.
func TestFirstOpenOnAFullDisk(t *testing.T) {
	fs := newDisk()
	fs.room = 1000
	if _, _, err := Open(fs, Options{SegmentBytes: 16 << 10}); !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	if len(fs.names) != 0 {
		t.Fatal("a file is left")
	}
	fs.room = -1
	mustOpen(t, fs, Options{SegmentBytes: 16 << 10})
}

// A record larger than a segment waits for a file of its size, so that its write needs no space.
func TestLargeRecordOnAFullDisk(t *testing.T) {
	for _, empty := range []bool{false, true} {
		largeRecordOnAFullDisk(t, empty)
	}
}

func largeRecordOnAFullDisk(t *testing.T, empty bool) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4096}
	l, _ := mustOpen(t, fs, opt)
	committed(l, 1, 1)
	mustFlush(t, l, fs)
	if empty {
		l.roll() // as if a manifest hadn't fit: now the segment has its file, and nothing in it
		mustFlush(t, l, fs)
	}
	fs.room = 0
	c := Checkpoint{1, 1, bytes.Repeat([]byte("state"), 10_000)}
	l.AddCheckpoint(1, c)
	if err := flush(l, fs); err != nil {
		t.Fatal(err)
	}
	if !l.Full() || l.Durable() == l.End() {
		t.Fatal("it was written")
	}
	fs.room = -1
	l.Retry(false)
	for l.Durable() < l.End() {
		op := nextWrite(t, l, fs)
		if size := len(fs.names[op.File].data); op.Off+int64(len(op.Data)) > int64(size) {
			t.Fatalf("write up to %d of %d bytes", op.Off+int64(len(op.Data)), size)
		}
		if err := l.Done(Do(fs, op)); err != nil {
			t.Fatal(err)
		}
	}
	committed(l, 1, 2)
	mustFlush(t, l, fs)
	l, _ = mustOpen(t, fs, opt)
	if !bytes.Equal(readCheckpoint(t, l, fs, 1, 1), c.Data) {
		t.Fatal("other data")
	}
}

// Any other error of a preparation ends the log, and so does a full disk where a write needs no space.
func TestOtherErrorsEndTheLog(t *testing.T) {
	for _, kind := range []OpKind{OpPrepare, OpWrite, OpRemove} {
		l, _ := mustOpen(t, newDisk(), Options{SegmentBytes: 4096})
		err := errDisk
		if kind != OpPrepare {
			err = ErrNoSpace
		}
		if got := l.Done(Result{Op: Op{Kind: kind}, Err: err}); !errors.Is(got, err) {
			t.Fatal(kind, got)
		}
		if op, ok := l.Next(); ok {
			t.Fatal(op.Kind)
		}
	}
}

// Segments that become free while a preparation is under way make its failure meaningless.
func TestReleaseDuringAPreparation(t *testing.T) {
	l, _ := mustOpen(t, newDisk(), Options{SegmentBytes: 16 << 10})
	op, ok := l.Next()
	if !ok || op.Kind != OpPrepare {
		t.Fatalf("%v, not a preparation", op.Kind)
	}
	for range minFree {
		l.addSlot(slot{"free", 16 << 10})
	}
	if err := l.Done(Result{Op: op, Err: ErrNoSpace}); err != nil || l.Full() {
		t.Fatalf("%v, full: %v", err, l.Full())
	}
}

// syncSizes is a disk that knows how much was written to each file since its last sync, and how much that was at most.
type syncSizes struct {
	FS
	most int
}

type sizedFile struct {
	File
	fs      *syncSizes
	written int
}

func (d *syncSizes) Create(name string) (File, error) {
	f, err := d.FS.Create(name)
	return &sizedFile{File: f, fs: d}, err
}

func (f *sizedFile) WriteAt(p []byte, off int64) (int, error) {
	f.written += len(p)
	f.fs.most = max(f.fs.most, f.written)
	return f.File.WriteAt(p, off)
}

func (f *sizedFile) Sync() error {
	f.written = 0
	return f.File.Sync()
}

// No sync of a preparation covers much: group commits beside it wait as long as it takes.
func TestAFileIsPreparedInPieces(t *testing.T) {
	fs := &syncSizes{FS: newDisk()}
	const size = 3<<20 + 5000
	if err := Do(fs, Op{Kind: OpPrepare, File: "file", N: size}).Err; err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open("file")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Size(); err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if fs.most > 512<<10 {
		t.Errorf("one sync covered %d bytes", fs.most)
	}
}

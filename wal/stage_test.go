// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// stageAll puts a checkpoint into the log in pieces and returns how many writes that took.
func stageAll(t *testing.T, l *Log, fs FS, g GroupID, c Checkpoint) (writes int) {
	t.Helper()
	l.Stage(g, c)
	for !l.Staged(g) {
		op, ok := l.Next()
		if !ok {
			t.Fatal("nothing to do")
		}
		if op.Kind == OpWrite {
			writes++
		}
		if err := l.Done(Do(fs, op)); err != nil {
			t.Fatal(err)
		}
	}
	return writes
}

// countPieces says what of checkpoints a write has.
func countPieces(t *testing.T, op Op) (pieces, bytes int) {
	t.Helper()
	if err := Walk(op.Data, func(r *Record) {
		if r.Type == RecordPiece {
			pieces++
			bytes += len(r.Checkpoint.Data)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return pieces, bytes
}

var someState = bytes.Repeat([]byte("0123456"), 5<<20/7)

// A write has one piece of a large checkpoint, whoever else waits for it; and nothing is a checkpoint before all are there.
func TestLargeCheckpointIsWrittenInPieces(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4 << 20}
	l, _ := mustOpen(t, fs, opt)
	committed(l, 1, 3)
	l.AddCheckpoint(1, Checkpoint{1, 1, []byte("before")})
	mustFlush(t, l, fs)
	if l.Large(256<<10) || !l.Large(256<<10+1) {
		t.Fatal("256 KiB are a piece")
	}
	c, all := Checkpoint{2, 1, bytes.Clone(someState)}, 0
	l.Stage(1, c)
	for i := uint64(4); !l.Staged(1); i++ {
		l.Append(1, []Entry{entry(i, 1, 100)})
		op := nextWrite(t, l, fs)
		n, bytes := countPieces(t, op)
		if n > 1 || bytes > 256<<10 || len(op.Data) > 300<<10 {
			t.Fatalf("%d pieces, %d bytes, in a write of %d", n, bytes, len(op.Data))
		}
		all += bytes
		if err := l.Done(Do(fs, op)); err != nil {
			t.Fatal(err)
		}
		if n == 1 && l.Durable() < l.End() {
			t.Fatalf("entry %d has to wait", i)
		}
	}
	if all != len(someState) || len(l.Checkpoints(1)) != 1 {
		t.Fatalf("%d bytes, %v", all, l.Checkpoints(1))
	}
	before := fs.clone()
	l.AddCheckpoint(1, c)
	if _, err := l.ReadCheckpoint(1, 2); !errors.Is(err, ErrMissing) {
		t.Fatal("it is read though it isn't durable")
	}
	l.Release(1, 3)
	mustFlush(t, l, fs)
	for _, d := range []*disk{fs, fs.clone()} {
		if !bytes.Equal(readCheckpoint(t, l, d, 1, 2), someState) {
			t.Fatal("other data")
		}
		l, _ = mustOpen(t, d, opt)
	}
	l, _ = mustOpen(t, before, opt)
	if got := l.Checkpoints(1); len(got) != 1 || string(readCheckpoint(t, l, before, 1, 1)) != "before" {
		t.Fatalf("before all of it was there: %v", got)
	}
	checkForgotten(t, l, before)
}

// checkForgotten checks that pieces that were staged before a crash keep no segment.
func checkForgotten(t *testing.T, l *Log, before *disk) {
	t.Helper()
	committed(l, 1, 40)
	stageAll(t, l, before, 1, Checkpoint{30, 1, someState[:1<<20]})
	l.AddCheckpoint(1, Checkpoint{30, 1, someState[:1<<20]})
	l.Release(1, 31)
	for range 20 {
		l.Append(2, []Entry{entry(l.group(2).Last+1, 1, 1<<20)})
		l.SetCommit(2, l.group(2).Last)
		l.Release(2, l.group(2).Last+1)
		mustFlush(t, l, before)
	}
	if n := len(l.segs); n > 4 {
		t.Errorf("%d segments are left", n)
	}
	if !bytes.Equal(readCheckpoint(t, l, before, 1, 30), someState[:1<<20]) {
		t.Error("other data")
	}
}

func (l *Log) group(g GroupID) State {
	s, _ := l.State(g)
	return s
}

// What is staged can end in four ways, and in each the next start finds what the log had.
func TestStagedCheckpointEnds(t *testing.T) {
	c := Checkpoint{2, 1, someState[:2000]}
	for name, end := range map[string]func(l *Log){
		"checkpoint":    func(l *Log) { l.AddCheckpoint(1, c) },
		"install":       func(l *Log) { l.Install(1, Checkpoint{9, 1, c.Data}) },
		"given up":      func(l *Log) { l.Unstage(1) },
		"another":       func(l *Log) { l.Stage(1, Checkpoint{1, 1, someState[:3000]}) },
		"other install": func(l *Log) { l.Install(1, Checkpoint{8, 1, []byte("small")}) },
		"removed":       func(l *Log) { l.RemoveGroup(1) },
		"left":          func(*Log) {},
	} {
		t.Run(name, func(t *testing.T) {
			fs := newDisk()
			opt := Options{SegmentBytes: 4096, PieceBytes: 100}
			l, _ := mustOpen(t, fs, opt)
			l.Append(2, []Entry{entry(1, 1, 10)})
			committed(l, 1, 3)
			staged := c
			if name == "install" {
				staged.Index = 9
			}
			if n := stageAll(t, l, fs, 1, staged); n < 19 {
				t.Fatalf("%d writes", n)
			}
			end(l)
			for range 9 {
				l.Append(2, []Entry{entry(l.group(2).Last+1, 1, 1000)})
			}
			mustFlush(t, l, fs)
			want := mustLoad(t, l, fs)
			for range 2 {
				l, _ = mustOpen(t, fs, opt)
				if got := mustLoad(t, l, fs); !same(want, got) {
					t.Fatal(diff(want, got))
				}
				for _, g := range l.order {
					if len(g.staged) > 0 {
						t.Fatal("it is still staged")
					}
				}
			}
		})
	}
}

// A start in the middle of a stage gives it up; the next one has nothing to do with it.
func TestStagedAgainAfterAStart(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4096, PieceBytes: 100}
	l, _ := mustOpen(t, fs, opt)
	committed(l, 1, 3)
	stageAll(t, l, fs, 1, Checkpoint{2, 1, someState[:5000]})
	for n := range 3 {
		l, _ = mustOpen(t, fs, opt)
		if l.Staged(1) {
			t.Fatal("it is still staged")
		}
		c := Checkpoint{2, 1, someState[n+1 : 4000]}
		stageAll(t, l, fs, 1, c)
		if n == 1 {
			l.AddCheckpoint(1, c)
		}
		mustFlush(t, l, fs)
	}
	l, _ = mustOpen(t, fs, opt)
	if !bytes.Equal(readCheckpoint(t, l, fs, 1, 2), someState[2:4000]) {
		t.Error("other data")
	}
}

// A checkpoint in pieces is moved out of old segments piece by piece, and stays what it is.
func TestPiecesAreMoved(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 16 << 10, PieceBytes: 200, ReadBytes: 500}
	l, _ := mustOpen(t, fs, opt)
	committed(l, 1, 3)
	c := Checkpoint{2, 1, someState[:1000]}
	stageAll(t, l, fs, 1, c)
	l.AddCheckpoint(1, c)
	for i := uint64(1); i < 200; i++ {
		l.Append(2, []Entry{entry(i, 1, 1000)})
		l.SetCommit(2, i)
		l.Release(2, i)
		l.RequestSync()
		for {
			op, ok := l.Next()
			if !ok {
				break
			}
			if op.Kind == OpWrite {
				if _, bytes := countPieces(t, op); bytes > 500 && l.Stats().Moved > 0 {
					t.Fatalf("%d bytes were moved at once", bytes)
				}
			}
			if err := l.Done(Do(fs, op)); err != nil {
				t.Fatal(err)
			}
		}
		if i%20 == 0 {
			l, _ = mustOpen(t, fs, opt)
		}
		if !bytes.Equal(readCheckpoint(t, l, fs, 1, 2), c.Data) {
			t.Fatal("other data")
		}
	}
	if l.segs[0].seq < 3 {
		t.Error("it wasn't moved")
	}
}

// A piece that rots is damage of the checkpoint.
func TestRotOfAPiece(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 1 << 20, PieceBytes: 1000})
	committed(l, 1, 3)
	c := Checkpoint{2, 1, someState[:5000]}
	stageAll(t, l, fs, 1, c)
	l.AddCheckpoint(1, c)
	mustFlush(t, l, fs)
	p := l.groups[1].checkpoints[0].pieces[3]
	fs.names[p.seg.slot.name].data[p.at.off+500] ^= 1
	_, err := checkpointData(l, fs, 1, 2)
	var d *Damage
	if !errors.As(err, &d) || !d.Checkpoint || d.Index != 2 || d.Off != int64(p.at.off) {
		t.Fatal(err)
	}
}

// A log of the format before checkpoints in pieces is read, and pieces go to segments of the new one.
func TestFormatBeforePieces(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 4096, PieceBytes: 100}
	mustOpen(t, fs, opt)
	f := fs.names[slotName(1)]
	h, _ := parseHeader(f.data)
	h.version = 3
	copy(f.data, appendHeader(nil, h))
	l, _ := mustOpen(t, fs, opt)
	l.cur.unowned = false // as the release before
	committed(l, 1, 4)
	l.AddCheckpoint(1, Checkpoint{2, 1, []byte("old")})
	l.putSeal()
	mustFlush(t, l, fs)
	for _, d := range []*disk{fs, fs.clone()} {
		l, _ = mustOpen(t, d, opt)
		if l.segs[0].version != 3 || string(readCheckpoint(t, l, d, 1, 2)) != "old" {
			t.Fatalf("version %d", l.segs[0].version)
		}
	}
	l, _ = mustOpen(t, fs, opt)
	c := Checkpoint{3, 1, someState[:900]}
	stageAll(t, l, fs, 1, c)
	l.AddCheckpoint(1, c)
	mustFlush(t, l, fs)
	l, _ = mustOpen(t, fs, opt)
	if l.cur.version != formatVersion || !bytes.Equal(readCheckpoint(t, l, fs, 1, 3), c.Data) || string(readCheckpoint(t, l, fs, 1, 2)) != "old" {
		t.Errorf("version %d, %v", l.cur.version, l.Checkpoints(1))
	}
}

// When the disk is full, pieces wait before the last quarter of the reserve.
func TestPiecesLeaveTheReserve(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 16 << 10, PieceBytes: 500}
	l, _ := mustOpen(t, fs, opt)
	committed(l, 1, 3)
	mustFlush(t, l, fs)
	fs.room = 0
	l.Stage(1, Checkpoint{2, 1, someState[:200_000]})
	mustFlush(t, l, fs)
	if r := l.Room(); l.Staged(1) || r.Left() < opt.SegmentBytes/4 || r.Left() > opt.SegmentBytes/4+1000 {
		t.Fatalf("%d bytes are left", r.Left())
	}
	l.SetVote(1, 9, 1)
	mustFlush(t, l, fs)
	fs.room = -1
	l.Retry(false)
	mustFlush(t, l, fs)
	if !l.Staged(1) {
		t.Error("it didn't go on")
	}
}

func TestOpenRefusesPieces(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(l *Log)
		want string
	}{
		"piece of wrong length":     {forge(1, RecordPiece, 1, 1, 8, 0), "impossible"},
		"piece of a later one":      {forge(1, RecordPiece, 1, 1, 1<<40, 0, 2), "impossible"},
		"one piece of one":          {forge(1, RecordPiece, 1, 1, 8, 0, 1), "impossible"},
		"piece after the last":      {forge(1, RecordPiece, 1, 1, 8, 2, 2), "impossible"},
		"too many pieces":           {forge(1, RecordPiece, 1, 1, 8, 2, 1<<40), "impossible"},
		"pieces of different terms": {both(forge(1, RecordPiece, 1, 1, 8, 0, 2), forge(1, RecordPiece, 1, 2, 8, 1, 2)), "contradicts"},
		"pieces of other numbers":   {both(forge(1, RecordPiece, 1, 1, 8, 0, 2), forge(1, RecordPiece, 1, 1, 8, 1, 3)), "contradicts"},
		"end of wrong length":       {forge(1, RecordEnd, 1, 1, 8), "impossible"},
		"unknown end":               {forge(1, RecordEnd, 1, 1, 8, 3), "impossible"},
		"end of nobody's":           {forge(99, RecordEnd, 1, 1, 8, 1), "contradicts"},
		"end without pieces":        {forge(1, RecordEnd, 1, 1, 8, 1), "checkpoint at entry 1 is missing"},
		"end without a piece":       {both(forge(1, RecordPiece, 1, 1, 8, 0, 2), forge(1, RecordEnd, 1, 1, 8, 1)), "checkpoint at entry 1 is missing"},
		"end is not committed":      {forge(1, RecordEnd, 3, 2, 8, 1), "contradicts"},
		"end of another entry":      {both(forge(1, RecordPiece, 1, 1, 8, 0, 2), forge(1, RecordEnd, 2, 1, 8, 1)), "contradicts"},
		"install drops committed":   {forge(1, RecordEnd, 1, 1, 8, 2), "contradicts"},
	} {
		t.Run(name, func(t *testing.T) { checkForged(t, c.do, c.want) })
	}
}

func both(a, b func(l *Log)) func(l *Log) {
	return func(l *Log) {
		a(l)
		b(l)
	}
}

func TestStageRefusesSmallOnes(t *testing.T) {
	l, _ := mustOpen(t, newDisk(), Options{SegmentBytes: 4096})
	defer func() {
		if r, _ := recover().(string); !strings.Contains(r, "can't be staged") {
			t.Fatal(r)
		}
	}()
	l.Stage(1, Checkpoint{1, 1, []byte("small")})
}

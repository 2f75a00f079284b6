// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"bytes"
	"errors"
	"testing"
)

// idleLog has a few records of idle groups in segment 1, which is old and otherwise dead: it is about
// to be emptied.
func idleLog(t *testing.T, opt Options) (*disk, *Log, model) {
	t.Helper()
	fs := newDisk()
	l, _ := mustOpen(t, fs, opt)
	m := model{}
	add := func(g GroupID, e Entry) {
		l.Append(g, []Entry{e})
		m = m.append(g, e)
	}
	add(2, entry(1, 1, 50))
	add(1, entry(1, 1, 13000))
	add(2, entry(2, 1, 50))
	add(2, entry(3, 3, 50))
	c := Checkpoint{0, 0, []byte("idle")}
	l.AddCheckpoint(3, c)
	m = m.checkpoint(3, c)
	for i := uint64(2); l.cur.seq < 1+moveAge; i++ {
		add(1, entry(i, 1, 13000))
	}
	mustFlush(t, l, fs)
	l.Release(1, 2)
	m = m.release(1, 2)
	return fs, l, m
}

var idleOptions = Options{SegmentBytes: 16 << 10}

// nextMove returns the next OpMove, and fails if the log wants to write before it.
func nextMove(t *testing.T, l *Log, fs FS) Op {
	t.Helper()
	for {
		op, ok := l.Next()
		switch {
		case !ok || op.Kind == OpWrite:
			t.Fatalf("%v", op.Kind)
		case op.Kind == OpMove:
			return op
		}
		if err := l.Done(Do(fs, op)); err != nil {
			t.Fatal(err)
		}
	}
}

// Groups that write nothing for long don't keep the segments of those that do.
func TestIdleGroupsDoNotPinSegments(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 16 << 10, ReadBytes: 300}
	l, _ := mustOpen(t, fs, opt)
	m := model{}
	next := uint64(1)
	for idle := GroupID(2); idle < 30; idle++ {
		l.Append(idle, []Entry{entry(1, 1, 100), entry(2, 2, 30)})
		m = m.append(idle, entry(1, 1, 100)).append(idle, entry(2, 2, 30))
		l.SetCommit(idle, 1)
		l.AddCheckpoint(idle, Checkpoint{1, 1, []byte("state")})
		m = m.commit(idle, 1).checkpoint(idle, Checkpoint{1, 1, []byte("state")})
		for range 30 {
			l.Append(1, []Entry{entry(next, 1, 1000)})
			l.Release(1, max(1, next-min(next, 5)))
			next++
			mustFlush(t, l, fs)
		}
	}
	for range 2 {
		s := l.Stats()
		if s.Segments > 12 {
			t.Fatalf("%+v", s)
		}
		got := mustLoad(t, l, fs)
		delete(got, 1)
		if d := diff(m, got); d != "" {
			t.Fatal(d)
		}
		fs.powerLoss()
		l, _ = mustOpen(t, fs, opt)
	}
}

// A moved copy counts from the moment that it is in the log, but as long as it isn't durable the old
// one is read.
func TestReadDuringMove(t *testing.T) {
	fs, l, m := idleLog(t, idleOptions)
	old, _ := l.Address(2, 1)
	before, err := l.Read(2, 1, 3, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	state, read := nextRead(t, l, 3, 0)
	if err := l.Done(Do(fs, nextMove(t, l, fs))); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Take(Do(fs, read)); err != nil || string(state.Data()) != "idle" {
		t.Fatalf("%q %v", state.Data(), err)
	}
	if r := l.groups[2].runs[0]; r.seg.seq == 1 || l.isDurable(r.seg, r.at[0]) {
		t.Fatal("the entry was not moved, or is durable")
	}
	if now, _ := l.Address(2, 1); now != old {
		t.Fatal("the copy is taken for durable")
	}
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
	if entries, err := l.Entries(2, 1, Do(fs, before)); err != nil || len(entries) != 2 {
		t.Fatal(entries, err)
	}
	during, read := nextRead(t, l, 3, 0)
	if read.File != "0001.wal" {
		t.Fatal(read.File)
	}
	mustFlush(t, l, fs)
	if _, err := during.Take(Do(fs, read)); err != nil || string(during.Data()) != "idle" {
		t.Fatalf("%q %v", during.Data(), err)
	}
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
	mustFlush(t, l, fs)
	if l.segs[0].seq == 1 || len(l.copies.from)+len(l.copies.order) > 0 {
		t.Fatal("the segment is still there")
	}
}

// A write was under way when a piece was moved; when it is done, the copy still isn't durable.
func TestMoveDuringWrite(t *testing.T) {
	fs, l, m := idleLog(t, idleOptions)
	move := nextMove(t, l, fs)
	l.SetVote(1, 5, 1)
	m = m.vote(1, 5, 1)
	write := nextWrite(t, l, fs)
	if err := l.Done(Do(fs, move)); err != nil {
		t.Fatal(err)
	}
	if err := l.Done(Do(fs, write)); err != nil {
		t.Fatal(err)
	}
	if r := l.groups[2].runs[0]; r.seg.seq == 1 || l.isDurable(r.seg, r.at[0]) {
		t.Fatal("the entry was not moved, or is durable")
	}
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
}

// What died while it was read to be moved is not moved.
func TestDeadWhileItIsMoved(t *testing.T) {
	for name, kill := range map[string]func(l *Log, m model) model{
		"released": func(l *Log, m model) model {
			l.Release(2, 3)
			return m.release(2, 3)
		},
		"replaced": func(l *Log, m model) model {
			l.Append(2, []Entry{entry(2, 7, 80)})
			return m.append(2, entry(2, 7, 80))
		},
		"installed": func(l *Log, m model) model {
			c := Checkpoint{5, 3, []byte("new")}
			l.Install(2, c)
			return m.install(2, c)
		},
		"checkpoint replaced": func(l *Log, m model) model {
			c := Checkpoint{0, 0, []byte("new")}
			l.AddCheckpoint(3, c)
			return m.checkpoint(3, c)
		},
		"removed": func(l *Log, m model) model {
			l.RemoveGroup(2)
			l.RemoveGroup(3)
			return m.remove(2).remove(3)
		},
		"removed and made again": func(l *Log, m model) model {
			l.RemoveGroup(2)
			l.Append(2, []Entry{entry(1, 1, 90)})
			return m.remove(2).append(2, entry(1, 1, 90))
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs, l, m := idleLog(t, idleOptions)
			res := Do(fs, nextMove(t, l, fs))
			m = kill(l, m)
			if err := l.Done(res); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				mustFlush(t, l, fs)
				if d := diff(m, mustLoad(t, l, fs)); d != "" {
					t.Fatal(d)
				}
				if l.segs[0].seq == 1 {
					t.Fatal("the segment is still there")
				}
				l, _ = mustOpen(t, fs, idleOptions)
			}
		})
	}
}

// A moved entry is replaced like any other, also if the log is opened in between.
func TestReplacedAfterMove(t *testing.T) {
	fs, l, m := idleLog(t, idleOptions)
	if err := l.Done(Do(fs, nextMove(t, l, fs))); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		e := entry(3-i, 9+i, 20)
		l.Append(2, []Entry{e})
		m = m.append(2, e)
		mustFlush(t, l, fs)
		l, _ = mustOpen(t, fs, idleOptions)
		if d := diff(m, mustLoad(t, l, fs)); d != "" {
			t.Fatal(d)
		}
	}
}

// One piece at a time, and the next one only when the last is durable. Nobody waits for a move, so
// it asks for no flush.
func TestMovesAreQuiet(t *testing.T) {
	opt := idleOptions
	opt.ReadBytes = 1
	fs, l, m := idleLog(t, opt)
	for pieces := 1; ; pieces++ {
		op := nextMove(t, l, fs)
		if op, ok := l.Next(); ok {
			t.Fatalf("%v while a piece is read", op.Kind)
		}
		if err := l.Done(Do(fs, op)); err != nil {
			t.Fatal(err)
		}
		if op, ok := l.Next(); ok {
			t.Fatalf("%v though nobody asked", op.Kind)
		}
		if l.segs[0].seq > 1 {
			if pieces != 4 {
				t.Fatalf("%d pieces", pieces)
			}
			break
		}
		for l.Durable() < l.End() {
			if err := l.Done(Do(fs, nextWrite(t, l, fs))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
}

// If segments hold little beside their beginnings, moving fills as many as it empties. The log must not
// do that for ever.
func TestMovesComeToRest(t *testing.T) {
	for groups := GroupID(4); groups < 40; groups++ {
		fs := newDisk()
		l, _ := mustOpen(t, fs, Options{SegmentBytes: 4096})
		for i := uint64(1); i < 60; i++ {
			l.Append(1, []Entry{entry(i, 1, 1000)})
			l.Release(1, i)
			if g := 2 + GroupID(i); g < groups {
				l.Append(g, []Entry{entry(1, 1, 20)})
			}
		}
		for n := 0; ; n++ {
			l.RequestSync()
			op, ok := l.Next()
			if !ok {
				break
			}
			if err := l.Done(Do(fs, op)); err != nil {
				t.Fatal(err)
			}
			if n > 1000 {
				t.Fatalf("%d groups: the log never comes to rest: %+v", groups, l.Stats())
			}
		}
	}
}

// What is damaged isn't moved and isn't lost from sight: it stays, is reported once, and when its
// group is removed the segment goes.
func TestDamageIsNotMoved(t *testing.T) {
	fs, l, m := idleLog(t, idleOptions)
	at := l.groups[2].runs[0].at[1]
	fs.names["0001.wal"].data[at.off+60] ^= 1
	if err := l.Done(Do(fs, nextMove(t, l, fs))); err != nil {
		t.Fatal(err)
	}
	damages := l.Damages()
	if len(damages) != 1 || damages[0].Group != 2 || damages[0].Index != 2 || damages[0].Checkpoint || damages[0].File != "0001.wal" || damages[0].Off != int64(at.off) {
		t.Fatalf("%+v", damages)
	}
	if !errors.Is(damages[0], ErrCorrupt) || len(l.Damages()) != 0 {
		t.Fatal(damages[0])
	}
	mustFlush(t, l, fs)
	if op, ok := l.Next(); ok || l.segs[0].seq != 1 {
		t.Fatal(op.Kind, "the segment is gone")
	}
	op, err := l.Read(2, 2, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Entries(2, 2, Do(fs, op)); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	l.RemoveGroup(2)
	mustFlush(t, l, fs)
	if l.segs[0].seq == 1 {
		t.Fatal("the segment is still there")
	}
	if d := diff(m.remove(2), mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
}

// A disk that can't read isn't the end of the log: nothing was written.
func TestMoveThatCannotRead(t *testing.T) {
	fs, l, m := idleLog(t, idleOptions)
	op := nextMove(t, l, fs)
	if err := l.Done(Result{Op: op, Err: errDisk}); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, l, fs)
	if d := diff(m, mustLoad(t, l, fs)); d != "" {
		t.Fatal(d)
	}
	if len(l.Damages()) > 0 || l.segs[0].seq != 1 {
		t.Fatal("nothing is known to be damaged")
	}
	again, _ := mustOpen(t, fs.clone(), idleOptions) // tries again
	mustFlush(t, again, fs.clone())
	l.Release(2, 2) // tries again, too
	mustFlush(t, l, fs)
	if l.segs[0].seq == 1 || again.segs[0].seq == 1 {
		t.Fatal("the segment is still there")
	}
}

// The index of an old segment is split by moves of some of its entries and truncation of others.
func TestOverlay(t *testing.T) {
	l := &Log{}
	old, mid, young := &segment{seq: 1}, &segment{seq: 2}, &segment{seq: 3}
	at := func(n, off int) (p []place) {
		for range n {
			p = append(p, place{uint32(off), 64})
			off += 64
		}
		return p
	}
	g := &group{}
	l.overlay(g, run{old, 1, 1, at(10, 64), 0})
	l.overlay(g, run{mid, 20, 2, at(3, 64), 0})  // leaves a gap
	l.overlay(g, run{young, 4, 1, at(2, 64), 0}) // splits
	l.overlay(g, run{young, 6, 1, at(1, 640), 0})
	l.overlay(g, run{young, 9, 3, at(12, 6400), 0}) // over three runs' ends and the gap
	type row struct{ seq, first, term, n uint64 }
	var got []row
	for _, r := range g.runs {
		got = append(got, row{r.seg.seq, r.first, r.term, uint64(len(r.at))})
	}
	want := []row{{1, 1, 1, 3}, {3, 4, 1, 3}, {1, 7, 1, 2}, {3, 9, 3, 12}, {2, 21, 2, 2}}
	if len(got) != len(want) {
		t.Fatal(got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatal(got)
		}
	}
	if old.live != 5*64 || mid.live != 2*64 || young.live != 15*64 {
		t.Fatal(old.live, mid.live, young.live)
	}
	if !bytes.Equal([]byte{byte(g.runs[2].at[0].off / 64)}, []byte{7}) {
		t.Fatal(g.runs[2].at)
	}
}

// Entries that were moved one by one take no more of a table than those that were appended so.
func TestTableOfMovedEntries(t *testing.T) {
	fs := newDisk()
	l, _ := mustOpen(t, fs, Options{SegmentBytes: 16 << 10})
	for i := range uint64(25) {
		l.Append(1, []Entry{entry(i+1, 1, 10)})
	}
	was := l.cur.table
	mustFlush(t, l, fs)
	for s := l.cur; s.live > 0 && l.cur.seq < 20; {
		g := GroupID(2)
		st, _ := l.State(g)
		l.Append(g, []Entry{entry(st.Last+1, 1, 1000)})
		l.Release(g, st.Last+1)
		mustFlush(t, l, fs)
	}
	moved := l.groups[1].runs[0].seg
	if moved != l.cur {
		t.Fatal("the entries lie in a segment that has ended")
	}
	if moved.table > was+2*(groupCost+runCost+20) {
		t.Errorf("the table takes %d bytes, and %d before", moved.table, was)
	}
}

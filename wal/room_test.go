// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"testing"

	"pgregory.net/rapid"
)

// What Room has taken is written although no file can be made any more, whatever the sizes are and however they are
// divided over segments.
func TestRoomIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := newDisk()
		opt := Options{SegmentBytes: rapid.SampledFrom([]int64{4096, 5000, 16384}).Draw(t, "segment"), PieceBytes: 300}
		l, _ := mustOpen(t, fs, opt)
		groups := rapid.IntRange(1, 20).Draw(t, "groups")
		for g := range groups {
			committed(l, GroupID(g+1), 1)
		}
		mustFlush(t, l, fs)
		fs.room = 0
		for range rapid.IntRange(1, 10).Draw(t, "rounds") {
			room, took, moved := l.Room(), 0, l.Stats().Moved
			for range rapid.IntRange(1, 20).Draw(t, "records") {
				g, size := GroupID(rapid.IntRange(1, groups).Draw(t, "group")), rapid.IntRange(0, int(opt.SegmentBytes)).Draw(t, "size")
				leave := rapid.Int64Range(0, opt.SegmentBytes).Draw(t, "leave")
				switch before := room; {
				case !room.Take(size, leave):
					if room != before {
						t.Fatal("room was taken although there is none")
					}
				case room.Left() < leave || room.Left() >= before.Left():
					t.Fatalf("%d bytes are left of %d after %d", room.Left(), before.Left(), size)
				default:
					s, _ := l.State(g)
					l.Append(g, []Entry{entry(s.Last+1, 1, size)})
					took++
				}
			}
			if err := flush(l, fs); err != nil {
				t.Fatal(err)
			}
			if l.Durable() != l.End() {
				t.Fatalf("%d records were taken, and %d bytes wait for a file", took, l.End()-l.Durable())
			}
			if left := l.Room(); left.Left() < room.Left() && l.Stats().Moved == moved {
				t.Fatalf("%d bytes are left, not %d", left.Left(), room.Left())
			}
		}
	})
}

// On a full disk segments are emptied into what room there is, and nothing that is written then waits for a file, however
// much is live where. And moves come to an end.
func TestMovesLeaveNothingWithoutAFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := newDisk()
		opt := Options{SegmentBytes: rapid.SampledFrom([]int64{5000, 16384}).Draw(t, "segment"), PieceBytes: 300, ReadBytes: 2000}
		l, _ := mustOpen(t, fs, opt)
		groups := rapid.IntRange(1, 8).Draw(t, "groups")
		fs.room = rapid.IntRange(0, 10*int(opt.SegmentBytes)).Draw(t, "room")
		for range rapid.IntRange(1, 60).Draw(t, "rounds") {
			g := GroupID(rapid.IntRange(1, groups).Draw(t, "group"))
			s, _ := l.State(g)
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				if room := l.Room(); s.Last > 0 && room.Left() > opt.SegmentBytes/8 {
					l.Release(g, rapid.Uint64Range(s.First, s.Last+1).Draw(t, "release"))
				}
			case 1:
				l.Retry(rapid.Bool().Draw(t, "refusing"))
			default:
				size := rapid.IntRange(0, int(opt.SegmentBytes)/2).Draw(t, "size")
				for room := l.Room(); room.Take(size, opt.SegmentBytes/4); room = l.Room() {
					s, _ = l.State(g)
					l.Append(g, []Entry{entry(s.Last+1, 1, size)})
					if rapid.Bool().Draw(t, "enough") {
						break
					}
				}
			}
			l.RequestSync()
			for n := 0; ; n++ {
				op, ok := l.Next()
				if !ok {
					break
				}
				if err := l.Done(Do(fs, op)); err != nil || n > 2000 {
					t.Fatalf("after %d operations: %v", n, err)
				}
				l.RequestSync() // moves append more
			}
			if l.Durable() != l.End() {
				t.Fatalf("%d bytes wait for a file", l.End()-l.Durable())
			}
		}
	})
}

// A large checkpoint takes the room of its pieces: it needn't fit a segment.
func TestRoomOfPieces(t *testing.T) {
	fs := newDisk()
	opt := Options{SegmentBytes: 16 << 10, PieceBytes: 500}
	l, _ := mustOpen(t, fs, opt)
	committed(l, 1, 3)
	mustFlush(t, l, fs)
	fs.room = 0
	l.Retry(false)
	mustFlush(t, l, fs)
	room := l.Room()
	if room.Take(20_000, 0) {
		t.Error("a record larger than a segment has room")
	}
	c := Checkpoint{2, 1, someState[:20_000]}
	if !room.TakeCheckpoint(len(c.Data), opt.SegmentBytes/4) {
		t.Fatal("no room for pieces")
	}
	if left := room.Left(); room.TakeCheckpoint(len(c.Data), opt.SegmentBytes/4) || room.Left() != left {
		t.Error("room for two")
	}
	stageAll(t, l, fs, 1, c)
	l.AddCheckpoint(1, c)
	mustFlush(t, l, fs)
	if left := l.Room(); left.Left() < room.Left() {
		t.Errorf("%d bytes are left, not %d", left.Left(), room.Left())
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"strings"
	"testing"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"

	"chronik/wal"
)

const unlimited = 1 << 62

// tiers is a group whose entries 1 to last are in the log, and the newest hot of them in memory.
type tiers struct {
	*one
	view *logView
	last uint64
}

func newTiers(t *testing.T, records int, change func(*Config)) *tiers {
	o := newOne(t, func(c *Config) {
		c.HotEntries, c.CheckpointEntries = 10, 1<<30
		if change != nil {
			change(c)
		}
	})
	o.create("t")
	for i := range records {
		if _, e := o.produce("t", plain(strings.Repeat("x", i))); e != "NONE" {
			t.Fatal(e)
		}
	}
	v := &o.node.groups[1].view
	last, _ := v.LastIndex()
	if hot := uint64(len(v.hot)); hot != 10 || hot >= last {
		t.Fatalf("%d hot entries of %d", hot, last)
	}
	return &tiers{o, v, last}
}

// read asks as raft does: after a miss it asks for a snapshot, and must hear that there is none now; then
// it asks again when the read is done.
func (s *tiers) read(lo, hi, maxSize uint64) (ents []*pb.Entry, misses int) {
	s.t.Helper()
	for ; misses < 100; misses++ {
		ents, err := s.view.Entries(lo, hi, maxSize)
		if err == nil {
			s.check(ents, lo, hi, maxSize)
			return ents, misses
		}
		if !errors.Is(err, raft.ErrCompacted) {
			s.t.Fatal(err)
		}
		if _, err := s.view.Snapshot(); !errors.Is(err, raft.ErrSnapshotTemporarilyUnavailable) {
			s.t.Fatalf("after a miss: %v", err)
		}
		s.now = s.now.Add(1e9) // whatever the pace of catching up
		s.step(Input{})
	}
	s.t.Fatalf("entries %d to %d never come", lo, hi)
	return nil, 0
}

// check holds an answer against what it may be: the entries from lo on, at least one, no more than
// asked for and no more bytes than allowed, but for the first.
func (s *tiers) check(ents []*pb.Entry, lo, hi, maxSize uint64) {
	s.t.Helper()
	if len(ents) == 0 || uint64(len(ents)) > hi-lo {
		s.t.Fatalf("%d entries for %d to %d", len(ents), lo, hi)
	}
	size := uint64(0)
	for i, e := range ents {
		if term, err := s.view.Term(e.GetIndex()); err != nil || e.GetIndex() != lo+uint64(i) || e.GetTerm() != term {
			s.t.Fatalf("entry %d of term %d in the place of %d of term %d, %v", e.GetIndex(), e.GetTerm(), lo+uint64(i), term, err)
		}
		if size += uint64(entryBytes(e)); i > 0 && size > maxSize {
			s.t.Fatalf("%d bytes, allowed are %d", size, maxSize)
		}
	}
}

func TestEntriesInMemory(t *testing.T) {
	s := newTiers(t, 50, nil)
	ents, misses := s.read(s.last-9, s.last+1, unlimited)
	if len(ents) != 10 || misses != 0 || s.events[EventColdRead] != 0 {
		t.Fatalf("%d entries after %d misses", len(ents), misses)
	}
}

func TestEntriesCold(t *testing.T) {
	s := newTiers(t, 50, nil)
	ents, misses := s.read(5, 20, unlimited)
	if len(ents) != 15 || misses != 1 {
		t.Fatalf("%d entries after %d misses", len(ents), misses)
	}
	if ents, misses := s.read(10, 12, unlimited); len(ents) != 2 || misses != 0 {
		t.Fatalf("read a second time: %d entries after %d misses", len(ents), misses)
	}
}

// Raft asks once more for what is missing behind the part that it gets.
func TestEntriesPartialOverlapOfColdAndMemory(t *testing.T) {
	s := newTiers(t, 50, nil)
	lo := s.last - 14
	ents, misses := s.read(lo, s.last+1, unlimited)
	if len(ents) != 5 || misses != 1 {
		t.Fatalf("%d entries after %d misses", len(ents), misses)
	}
	if ents, misses := s.read(lo+5, s.last+1, unlimited); len(ents) != 10 || misses != 0 {
		t.Fatalf("%d entries after %d misses", len(ents), misses)
	}
}

// An empty answer would leave a follower waiting for ever: what isn't there is an error.
func TestEntriesOfAMissingRangeAreAnError(t *testing.T) {
	s := newTiers(t, 50, nil)
	if ents, err := s.view.Entries(s.last, s.last+2, unlimited); !errors.Is(err, raft.ErrUnavailable) {
		t.Fatalf("beyond the end: %d entries, %v", len(ents), err)
	}
	s.node.log.Release(1, 20)
	s.step(Input{})
	if ents, err := s.view.Entries(19, 30, unlimited); !errors.Is(err, raft.ErrCompacted) {
		t.Fatalf("below the start: %d entries, %v", len(ents), err)
	}
	s.read(20, 30, unlimited)
}

func TestEntriesSizeLimit(t *testing.T) {
	s := newTiers(t, 50, nil)
	for _, lo := range []uint64{5, s.last - 5} {
		if ents, _ := s.read(lo, lo+5, 0); len(ents) != 1 {
			t.Errorf("from %d with no bytes allowed: %d entries, want the first alone", lo, len(ents))
		}
		three := uint64(0)
		for i := range uint64(3) {
			ents, _ := s.read(lo+i, lo+i+1, 0)
			three += uint64(entryBytes(ents[0]))
		}
		for max, want := range map[uint64]int{three: 3, three - 1: 2} {
			if ents, _ := s.read(lo, lo+5, max); len(ents) != want {
				t.Errorf("from %d with %d bytes allowed: %d entries, want %d", lo, max, len(ents), want)
			}
		}
	}
}

// Whatever a cache and a read hold, in the end raft gets every range that is there, and the answers are
// right on the way.
func TestEntriesOfAnyRange(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newTiers(t, rapid.IntRange(20, 60).Draw(rt, "records"), func(c *Config) {
			c.HotEntries = 10
			c.CacheBytes = rapid.Int64Range(1, 3000).Draw(rt, "cache")
			c.ColdReadBytes = rapid.Int64Range(1, 3000).Draw(rt, "read")
			c.Log = wal.Options{SegmentBytes: rapid.Int64Range(4096, 20_000).Draw(rt, "segment")}
			c.CheckpointEntries, c.RetainEntries = rapid.IntRange(1, 100).Draw(rt, "checkpoint"), rapid.IntRange(1, 100).Draw(rt, "retain")
		})
		for range 20 {
			st, _ := s.node.log.State(1)
			lo := rapid.Uint64Range(st.First, s.last).Draw(rt, "lo")
			hi := rapid.Uint64Range(lo+1, s.last+1).Draw(rt, "hi")
			maxSize := rapid.Uint64Range(0, 3000).Draw(rt, "max size")
			for lo < hi {
				ents, _ := s.read(lo, hi, maxSize)
				lo += uint64(len(ents))
			}
		}
	})
}

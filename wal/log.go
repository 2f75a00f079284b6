// SPDX-License-Identifier: Apache-2.0

package wal

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// GroupID names one of the many logs (raft groups) that share a Log.
type GroupID uint64

// LSN is a byte position in the life of a Log. It only grows; a restart continues it.
type LSN uint64

// EntryKind is opaque to the log and kept with each entry (raft's entry type).
type EntryKind uint8

// Entry is one entry of one group's log.
type Entry struct {
	Index uint64
	Term  uint64
	Kind  EntryKind
	Data  []byte // at most MaxEntryBytes
	Last  uint64 // not 0: Data stands for the entries from Index to Last, see Pack
}

// State is what a Log knows of one group, durable or about to be.
//
// Always First-1 <= Commit <= Last: an entry is released only after it was committed.
type State struct {
	Term   uint64 // raft's HardState
	Vote   uint64
	Commit uint64

	First    uint64 // first entry that is still there; Last+1 if there is none
	PrevTerm uint64 // term of entry First-1
	Last     uint64 // First-1 if there is none
	LastTerm uint64
}

// Options bound a Log. Zero means the default.
type Options struct {
	SegmentBytes int64 // size of a segment file; default 64 MiB, 4 KiB to 1 GiB
	// FlushBytes bounds one group commit; default 4 MiB. One record, or the beginning of a
	// segment with the states of all groups, is written at once however large it is.
	FlushBytes int
	// ReadBytes bounds a read that the log does for itself, to move or to scrub; default 1 MiB. One
	// record is read at once however large it is.
	ReadBytes int64
	// ReadThrough is up to how many bytes between two records a read brings with them, because to copy them costs less than
	// another system call; default 4 KiB.
	ReadThrough int64
	// PieceBytes bounds what a flush takes of a staged checkpoint; default 256 KiB. Less is taken if segments are
	// small, and more of one that would have more than 256 pieces.
	PieceBytes int
	// Owner says whose log this is; opaque to the log, all zeros for nobody's. It stands in the header of each
	// segment, and Open refuses a file with another one, see ForeignError.
	Owner Owner
	// Scratch keeps the memory that Open reads files into for the next Open, if it isn't nil: for a process that opens many
	// logs, one after the other.
	Scratch *Scratch
}

// Scratch is memory of an Open that has ended.
type Scratch struct{ last, other []byte }

func (o *Options) validate() error {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.FlushBytes == 0 {
		o.FlushBytes = 4 << 20
	}
	if o.ReadBytes == 0 {
		o.ReadBytes = 1 << 20
	}
	if o.ReadThrough == 0 {
		o.ReadThrough = 4 << 10
	}
	if o.PieceBytes == 0 {
		o.PieceBytes = 256 << 10
	}
	if o.PieceBytes < 0 || o.PieceBytes > MaxEntryBytes {
		return fmt.Errorf("a piece of %d bytes of a checkpoint is out of range; use 1 to %d", o.PieceBytes, MaxEntryBytes)
	}
	if o.SegmentBytes < 4<<10 || o.SegmentBytes > 1<<30 {
		return fmt.Errorf("a log segment of %d bytes is out of range; use 4096 to %d", o.SegmentBytes, 1<<30)
	}
	if o.FlushBytes < 0 || o.FlushBytes > 1<<30 {
		return fmt.Errorf("a log flush of %d bytes is out of range; use 1 to %d", o.FlushBytes, 1<<30)
	}
	if o.ReadBytes < 0 || o.ReadBytes > 1<<30 {
		return fmt.Errorf("a read of %d bytes is out of range; use 1 to %d", o.ReadBytes, 1<<30)
	}
	if o.ReadThrough < 0 || o.ReadThrough > 1<<30 {
		return fmt.Errorf("%d bytes to read through between two records are out of range; use 1 to %d", o.ReadThrough, 1<<30)
	}
	return nil
}

// Log is one broker's write-ahead log, shared by all its groups. It decides what is written where
// and does no I/O itself after Open: Next says what to do, Done is told what came of it.
//
// Its methods must not be called concurrently. They panic when the caller breaks a rule of raft
// that the log relies on, such as replacing a committed entry.
type Log struct {
	opt   Options
	epoch uint32

	groups map[GroupID]*group
	order  []*group // the same groups, in no order that means anything: adding and removing one costs the same however many there are

	segs    []*segment // part of the log, in order; the last one is cur
	cur     *segment   // where the next record goes
	dead    int        // how many of segs, cur excepted, hold no live entry
	retired []*segment // not part of the log any more, file not yet free

	chunks  []chunk  // buffered, in order; the last one is being filled
	spare   [][]byte // buffers to use again
	want    LSN      // Sync was asked for up to here
	durable LSN

	writing   *chunk // the OpWrite under way
	preparing bool   // an OpPrepare is under way
	full      bool   // the last one found no space, and another is wanted
	short     bool   // the last one found no space
	retry     bool   // it may be tried again
	refusing  bool   // the caller takes no records, see Retry
	asked     int64  // size of a file that is wanted for an entry that is to come, see Ask; 0: none
	removing  bool   // an OpRemove is under way
	nextSlot  int
	free      []slot // files to put new segments in
	surplus   []slot // files to remove
	reads     map[uint64]*reading
	copies    copies
	stages    []*stage // checkpoints of which pieces are still to be buffered
	pieceEnd  LSN      // when this is durable, the next piece is
	move      mover
	scrub     scrubber
	lastOp    uint64
	err       error // the log is dead
	stats     Stats
}

// Groups lists the groups that have any record, ascending.
func (l *Log) Groups() []GroupID {
	ids := make([]GroupID, len(l.order))
	for i, g := range l.order {
		ids[i] = g.id
	}
	slices.Sort(ids)
	return ids
}

// State returns what the log holds for a group; false if it has no record of it.
func (l *Log) State(g GroupID) (State, bool) {
	if gr := l.groups[g]; gr != nil {
		return gr.state, true
	}
	return State{First: 1}, false
}

// Append adds entries to a group's log. Their indexes are consecutive and start at most one past
// the group's last; entries from the first index on are replaced. A new group begins at index 1;
// see Install for one that begins elsewhere. Append copies the data.
func (l *Log) Append(g GroupID, entries []Entry) {
	gr := l.groups[g]
	for i := range entries {
		e := &entries[i]
		checkAppend(g, gr, e)
		if i > 0 && e.Index != entries[i-1].Index+1 {
			panic(fmt.Sprintf("wal: group %d: entry %d follows entry %d", g, e.Index, entries[i-1].Index))
		}
		at := l.putEntry(RecordEntry, g, e)
		if gr == nil {
			gr = l.ensure(g)
		}
		l.addEntry(gr, e.Index, e.Term, l.cur, at)
	}
	l.retire()
}

// putEntry buffers an entry and returns its place in the current segment.
func (l *Log) putEntry(t RecordType, g GroupID, e *Entry) place {
	p := l.add(t, e.Kind, g, entryHead+len(e.Data))
	binary.LittleEndian.PutUint64(p, e.Index)
	binary.LittleEndian.PutUint64(p[8:], e.Term)
	copy(p[entryHead:], e.Data)
	size := uint32(recordBytes(len(p)))
	return place{uint32(l.cur.end) - size, size}
}

// checkAppend panics if an entry can't be the group's next one, or a replacement. gr is nil if
// the group is new.
func checkAppend(g GroupID, gr *group, e *Entry) {
	s := &State{First: 1}
	if gr != nil {
		s = &gr.state
	}
	before := s.LastTerm
	if e.Index <= s.Last {
		before, _ = gr.term(e.Index - 1)
	}
	switch {
	case e.Index > s.Last+1:
		panic(fmt.Sprintf("wal: group %d: entry %d leaves a gap after entry %d", g, e.Index, s.Last))
	case e.Index <= s.Commit:
		panic(fmt.Sprintf("wal: group %d: entry %d replaces a committed entry (commit index %d)", g, e.Index, s.Commit))
	case e.Term < before:
		panic(fmt.Sprintf("wal: group %d: entry %d has term %d, the one before it %d", g, e.Index, e.Term, before))
	case len(e.Data) > MaxEntryBytes:
		panic(fmt.Sprintf("wal: group %d: entry %d has %d bytes", g, e.Index, len(e.Data)))
	}
}

// SetVote records the group's term and vote (0: none). The term never goes back, and a vote never
// changes within its term.
func (l *Log) SetVote(g GroupID, term, vote uint64) {
	s, ok := l.State(g)
	if ok && s.Term == term && s.Vote == vote {
		return
	}
	if term < s.Term || term == s.Term && s.Vote != 0 {
		panic(fmt.Sprintf("wal: group %d: term %d vote %d after term %d vote %d", g, term, vote, s.Term, s.Vote))
	}
	p := l.add(RecordVote, 0, g, 16)
	binary.LittleEndian.PutUint64(p, term)
	binary.LittleEndian.PutUint64(p[8:], vote)
	gr := l.ensure(g)
	gr.state.Term, gr.state.Vote = term, vote
}

// SetCommit records the group's commit index, which never goes back and is at most its last
// index.
func (l *Log) SetCommit(g GroupID, commit uint64) {
	s, _ := l.State(g)
	if s.Commit == commit {
		return
	}
	if commit < s.Commit || commit > s.Last {
		panic(fmt.Sprintf("wal: group %d: commit index %d after %d, last entry %d", g, commit, s.Commit, s.Last))
	}
	binary.LittleEndian.PutUint64(l.add(RecordCommit, 0, g, 8), commit)
	l.ensure(g).state.Commit = commit
}

// Release says that the group's entries below first are no longer needed, nor the checkpoints
// below first-1; first is at most one past the last entry. It is a promise that these entries are
// committed, so the commit index moves to first-1 if it is below.
func (l *Log) Release(g GroupID, first uint64) {
	s, ok := l.State(g)
	if !ok || first <= s.First {
		return
	}
	if first > s.Last+1 {
		panic(fmt.Sprintf("wal: group %d: release below %d, last entry %d", g, first, s.Last))
	}
	gr := l.groups[g]
	prevTerm, _ := gr.term(first - 1)
	p := l.add(RecordRelease, 0, g, 16)
	binary.LittleEndian.PutUint64(p, first)
	binary.LittleEndian.PutUint64(p[8:], prevTerm)
	l.release(gr, first, prevTerm)
	l.retire()
}

// RemoveGroup forgets a group and everything in it.
func (l *Log) RemoveGroup(g GroupID) {
	l.unqueue(g)
	if l.groups[g] == nil {
		return
	}
	l.add(RecordRemove, 0, g, 0)
	l.forget(g)
	l.retire()
}

// End returns the position after everything appended so far.
func (l *Log) End() LSN { return l.cur.base + LSN(l.cur.end) }

// Durable returns the position below which everything survives a power loss.
func (l *Log) Durable() LSN { return l.durable }

// RequestSync asks that everything appended so far becomes durable. Without it records wait for the next
// flush that somebody asks for.
func (l *Log) RequestSync() { l.want = l.End() }

// Stats counts what a Log does with its files.
type Stats struct {
	Segment  uint64 // sequence number of the segment that records go to
	Segments int    // segments that are part of the log
	Free     int    // files ready to become segments
	Recycled uint64 // segments that ended since Open because nothing in them was needed any more
	Prepared uint64 // files made since Open
	Removed  uint64 // files removed since Open
	Scrubbed uint64 // bytes verified by scrubs since Open
	Scrubs   uint64 // rounds of scrubs that ended since Open
	Moved    uint64 // bytes of entries and checkpoints appended again since Open, to free segments
}

// Stats returns counters for metrics and events.
func (l *Log) Stats() Stats {
	s := l.stats
	s.Segment, s.Segments, s.Free = l.cur.seq, len(l.segs), len(l.free)
	return s
}

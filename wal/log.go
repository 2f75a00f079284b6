// SPDX-License-Identifier: Apache-2.0

package wal

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
	Data  []byte
}

// State is what a Log knows of one group, durable or about to be.
type State struct {
	Term   uint64 // raft's HardState
	Vote   uint64
	Commit uint64

	First     uint64 // first entry that is still there; Last+1 if there is none
	PrevTerm  uint64 // term of entry First-1
	Last      uint64 // First-1 if there is none
	LastTerm  uint64
}

// Options bound a Log. Zero means the default.
type Options struct {
	SegmentBytes int64 // size of a segment file; default 64 MiB, least 4 KiB
	FlushBytes   int   // at most this much in one group commit; default 4 MiB, but always one record
}

// Report says what Open found.
type Report struct {
	Entries   int64 // entry records that are live
	CutBytes  int64 // bytes of a torn tail that were cut; 0 after a clean stop
	CutFile   string
	CutOffset int64
	Segments  int
}

// Log is one broker's write-ahead log, shared by all its groups. It decides what is written where
// and does no I/O itself after Open: Next says what to do, Done is told what came of it.
type Log struct{}

func Open(fs FS, opt Options) (*Log, Report, error) { panic("not yet") }

// Groups lists the groups that have any record, ascending.
func (l *Log) Groups() []GroupID { panic("not yet") }

// State returns what the log holds for a group; false if it has no record of it.
func (l *Log) State(g GroupID) (State, bool) { panic("not yet") }

// Append adds entries to a group's log. Their indexes are consecutive and start at most one past
// the group's last; entries from the first index on are replaced.
func (l *Log) Append(g GroupID, entries []Entry) { panic("not yet") }

// SetVote records the group's term and vote. It never goes back in term.
func (l *Log) SetVote(g GroupID, term, vote uint64) { panic("not yet") }

// SetCommit records the group's commit index, which must be at most its last index.
func (l *Log) SetCommit(g GroupID, commit uint64) { panic("not yet") }

// Release says that the group's entries below first are no longer needed.
func (l *Log) Release(g GroupID, first uint64) { panic("not yet") }

// RemoveGroup forgets a group and everything in it.
func (l *Log) RemoveGroup(g GroupID) { panic("not yet") }

// End returns the position after everything appended so far.
func (l *Log) End() LSN { panic("not yet") }

// Durable returns the position below which everything survives a power loss.
func (l *Log) Durable() LSN { panic("not yet") }

// Sync asks that everything appended so far becomes durable. Without it records wait for the next
// flush that somebody asks for.
func (l *Log) Sync() { panic("not yet") }

// Next returns an operation to carry out, until it returns false. The caller asks again after
// every append and every Done.
func (l *Log) Next() (Op, bool) { panic("not yet") }

// Done takes the result of a finished OpWrite, OpPrepare or OpRemove. An error is fatal: the log
// accepts nothing more, and the process has to end, because what is on the disk is now unknown.
func (l *Log) Done(res Result) error { panic("not yet") }

// Term returns the term of entry i, for First-1 <= i <= Last, from memory.
func (l *Log) Term(g GroupID, i uint64) (uint64, bool) { panic("not yet") }

// Read returns an OpRead for entry lo and as many of the entries after it, below hi, as lie
// beside it in one segment and within maxBytes (always at least entry lo). The entries must be
// durable.
func (l *Log) Read(g GroupID, lo, hi uint64, maxBytes int64) (Op, error) { panic("not yet") }

// Entries parses and verifies the result of a Read: every entry of the group in it that starts at
// lo and is consecutive. It fails with ErrCorrupt if a checksum, group, index or term differs from
// what was written.
func (l *Log) Entries(g GroupID, lo uint64, res Result) ([]Entry, error) { panic("not yet") }

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/node/step"
	"chronik/wal"
)

// logView shows raft one group's part of the log (raft.Storage): the newest entries from memory, older ones from
// the log's files through the cold reader. Terms and bounds come from the log's index and never cost I/O.
//
// Raft expects Entries to answer at once and has no error for "not now". So a read that misses memory starts an
// asynchronous read and returns ErrCompacted. Raft then asks for a snapshot in the same call, and gets
// ErrSnapshotTemporarilyUnavailable. On that it skips this send and leaves the follower's progress as it was.
// When the entries are in memory, group.kick makes raft try again.
type logView struct {
	group *group
	log   *wal.Log
	cold  *coldReader

	// hot are consecutive entries up to the last of the group.
	// Invariant: every entry above the applied index is in it. Raft reads those to apply them and to look for
	// configuration changes before it campaigns, and panics if they are missing. Only applied entries are sure
	// to be durable, so only those can be read back.
	hot      []*pb.Entry
	hotBytes int64
	missed   bool // Entries missed memory: the next Snapshot is only raft's reaction to that
	waits    bool // a follower waits until the rate limit lets it have old entries
}

var _ raft.Storage = (*logView)(nil)

// InitialState implements raft.Storage. Commit is at least the applied index (the commit floor, see pipeline):
// a commit record may reach the disk later than the checkpoint that was built with it.
func (v *logView) InitialState() (*pb.HardState, *pb.ConfState, error) {
	st, _ := v.log.State(v.group.id)
	commit := max(st.Commit, v.group.applied)
	hs := &pb.HardState{Term: &st.Term, Vote: &st.Vote, Commit: &commit}
	return hs, v.group.conf, nil
}

// FirstIndex implements raft.Storage.
func (v *logView) FirstIndex() (uint64, error) {
	st, ok := v.log.State(v.group.id)
	if !ok {
		return 1, nil
	}
	return st.First, nil
}

// LastIndex implements raft.Storage.
func (v *logView) LastIndex() (uint64, error) {
	st, _ := v.log.State(v.group.id)
	return st.Last, nil
}

// Term implements raft.Storage.
func (v *logView) Term(i uint64) (uint64, error) {
	if t, ok := v.log.Term(v.group.id, i); ok {
		return t, nil
	}
	if st, ok := v.log.State(v.group.id); ok && i < st.First {
		return 0, raft.ErrCompacted
	}
	if i == 0 {
		return 0, nil
	}
	return 0, raft.ErrUnavailable
}

// Entries implements raft.Storage. It may return fewer entries than asked for, but never none: raft takes an
// empty slice for "nothing to send", and the follower would wait for ever. A range that exists but isn't in
// memory is a miss, see logView.
func (v *logView) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	v.missed = false
	st, _ := v.log.State(v.group.id)
	if lo < st.First {
		return nil, raft.ErrCompacted
	}
	if hi > st.Last+1 {
		return nil, raft.ErrUnavailable
	}
	old := lo <= v.group.applied // for a follower that lags behind: a majority has these entries
	if old && !v.hasTurn() {
		v.missed = true
		return nil, raft.ErrCompacted
	}
	if lo >= v.hotFirst() {
		v.group.node.counters.hotHits++
		ents := limit(v.hot[lo-v.hotFirst():hi-v.hotFirst()], maxSize)
		if old {
			v.spend(ents)
		}
		return ents, nil
	}
	step.Assert(old, "entries above the applied index %d are in memory, asked for %d", v.group.applied, lo)
	if ents := v.cold.cached(v.group.id, lo, min(hi, v.hotFirst()), maxSize); len(ents) > 0 {
		v.group.node.counters.cacheHits++
		v.spend(ents)
		v.readAhead(lo + uint64(len(ents)))
		return ents, nil
	}
	v.cold.read(v.group.id, lo, v.group.upTo(lo, v.hotFirst()))
	v.missed = true
	return nil, raft.ErrCompacted
}

// readAhead starts the next read when a follower has got all that is cached, so that it needn't wait for a
// whole read each time.
func (v *logView) readAhead(next uint64) {
	if next < v.hotFirst() && v.cold.lookup(v.group.id, next) == nil {
		v.cold.read(v.group.id, next, v.group.upTo(next, v.hotFirst()))
	}
}

// Snapshot implements raft.Storage. Raft calls it after a miss of Entries, or because a follower needs entries
// that are no longer in the log. Only the second gets a checkpoint: the one after which the log begins.
func (v *logView) Snapshot() (*pb.Snapshot, error) {
	missed := v.missed
	v.missed = false
	if !missed {
		if s := v.group.snapshot(); s != nil {
			return s, nil
		}
	}
	return nil, raft.ErrSnapshotTemporarilyUnavailable
}

// hotFirst returns the index of the first entry in memory, one past the last if there is none.
func (v *logView) hotFirst() uint64 {
	if len(v.hot) > 0 {
		return v.hot[0].GetIndex()
	}
	last, _ := v.LastIndex()
	return last + 1
}

// append hands entries to the log and keeps them in memory. They replace all entries from their first index on:
// a leader of a later term may replace a follower's uncommitted entries.
func (v *logView) append(ents []*pb.Entry, records []wal.Entry) {
	first := ents[0].GetIndex()
	if len(v.hot) > 0 && first <= v.hot[len(v.hot)-1].GetIndex() {
		v.truncate(first)
	}
	if n := len(v.hot); n > 0 {
		step.Assert(v.hot[n-1].GetIndex()+1 == first, "hot entries are consecutive")
	}
	v.log.Append(v.group.id, records)
	v.hot = append(v.hot, ents...)
	for _, e := range ents {
		v.hotBytes += entryBytes(e)
	}
}

// truncate forgets hot entries from index first on.
func (v *logView) truncate(first uint64) {
	keep := len(v.hot)
	for keep > 0 && v.hot[keep-1].GetIndex() >= first {
		keep--
		v.hotBytes -= entryBytes(v.hot[keep])
		v.hot[keep] = nil
	}
	v.hot = v.hot[:keep]
}

// replace replaces an entry by another form of it (compaction), if it is in memory. It returns how many bytes that
// adds.
func (v *logView) replace(e *pb.Entry) int64 {
	old := v.entry(e.GetIndex())
	if old == nil {
		return 0
	}
	v.hot[e.GetIndex()-v.hotFirst()] = e
	diff := entryBytes(e) - entryBytes(old)
	v.hotBytes += diff
	return diff
}

// evict forgets the oldest hot entry and returns its bytes. It returns false if all must stay, see hot.
func (v *logView) evict() (int64, bool) {
	if len(v.hot) == 0 || v.hot[0].GetIndex() > v.group.applied {
		return 0, false
	}
	n := entryBytes(v.hot[0])
	v.hot[0] = nil
	v.hot = v.hot[1:]
	v.hotBytes -= n
	return n, true
}

// reset forgets everything, because a checkpoint has replaced the log.
func (v *logView) reset() { v.hot, v.hotBytes = nil, 0 }

// release forgets hot entries below first, which are no longer in the log.
func (v *logView) release(first uint64) {
	for len(v.hot) > 0 && v.hot[0].GetIndex() < first {
		v.evict()
	}
}

// entry returns a hot entry, or nil.
func (v *logView) entry(i uint64) *pb.Entry {
	if first := v.hotFirst(); i >= first && i-first < uint64(len(v.hot)) {
		return v.hot[i-first]
	}
	return nil
}

// limit returns the first of some entries, up to maxSize bytes, but at least one. It copies the slice: raft may append to what it gets, and
// keeps it in messages that may leave in a later step, while evict and truncate write into hot.
func limit(ents []*pb.Entry, maxSize uint64) []*pb.Entry {
	size := uint64(0)
	for i, e := range ents {
		size += uint64(entryBytes(e))
		if i > 0 && size > maxSize {
			return slices.Clone(ents[:i])
		}
	}
	return slices.Clone(ents)
}

// entryOverhead is about what raft's structures cost in addition to an entry's data.
const entryOverhead = 96

// entryBytes is the estimated size of an entry in memory and in a message.
func entryBytes(e *pb.Entry) int64 { return int64(len(e.GetData())) + entryOverhead }

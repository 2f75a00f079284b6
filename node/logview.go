// SPDX-License-Identifier: Apache-2.0

package node

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/node/step"
	"chronik/wal"
)

// logView is one group's part of the log as raft wants to see it (raft.Storage): the newest
// entries from memory, older ones from the log's files through the cold reader. Terms and bounds
// come from the log's index and never cost I/O.
//
// A read that misses memory starts an asynchronous read and answers ErrCompacted; the Snapshot call
// with which raft follows at once then answers ErrSnapshotTemporarilyUnavailable, upon which raft
// skips this send and changes nothing. When the block is there, group.kick makes raft try again.
type logView struct {
	group *group
	log   *wal.Log
	cold  *coldReader

	// hot are consecutive entries up to the last of the group.
	// Invariant: every entry above the applied index is in it (applied entries are durable).
	hot      []*pb.Entry
	hotBytes int64
	missed   bool // set by Entries, taken by Snapshot
	waits    bool // a follower waits for its turn to have old entries read
}

var _ raft.Storage = (*logView)(nil)

// InitialState implements raft.Storage. Commit is raised to the applied index (the commit floor):
// a commit record may reach the disk later than the state that was built with it.
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

// Entries implements raft.Storage. It never answers an empty slice: a range that exists but isn't
// in memory is a miss, see logView.
func (v *logView) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	v.missed = false
	st, _ := v.log.State(v.group.id)
	if lo < st.First {
		return nil, raft.ErrCompacted
	}
	if hi > st.Last+1 {
		return nil, raft.ErrUnavailable
	}
	old := lo <= v.group.applied // for a follower that is behind: the others have it already
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
	v.cold.read(v.group.id, lo, v.hotFirst())
	v.missed = true
	return nil, raft.ErrCompacted
}

// readAhead reads on when a follower has come to the end of what is cached.
func (v *logView) readAhead(next uint64) {
	if next < v.hotFirst() && v.cold.lookup(v.group.id, next) == nil {
		v.cold.read(v.group.id, next, v.hotFirst())
	}
}

// Snapshot implements raft.Storage. Raft asks after a miss, see above, or because a follower needs
// what is no longer in the log: then it gets the checkpoint after which the log begins.
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

// append hands entries to the log and keeps them in memory. They replace what is there from their
// first index on.
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

// replace puts another form of an entry in its place, if it is in memory, and returns by how many bytes that changes.
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

// evict forgets the oldest hot entry and returns its bytes, or false if all must stay.
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

// reset forgets everything: a checkpoint takes its place.
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

// limit cuts a slice of entries after maxSize bytes, but not before its first entry, and caps it so
// that appending to it copies.
func limit(ents []*pb.Entry, maxSize uint64) []*pb.Entry {
	size := uint64(0)
	for i, e := range ents {
		size += uint64(entryBytes(e))
		if i > 0 && size > maxSize {
			return ents[:i:i]
		}
	}
	return ents[:len(ents):len(ents)]
}

// entryOverhead is about what raft's structures cost beside an entry's data.
const entryOverhead = 96

// entryBytes is what an entry is taken to cost in memory and in a message.
func entryBytes(e *pb.Entry) int64 { return int64(len(e.GetData())) + entryOverhead }

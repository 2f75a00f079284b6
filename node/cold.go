// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/node/step"
	"chronik/wal"
)

// coldReader reads entries back from the log that are no longer in memory, for followers that lag behind and for
// consumers of old data. Reads are operations of the world, so nothing here waits.
//
// Entries that were read stay in one cache, see cold_cache.go.
type coldReader struct {
	reads     *reads
	done      func(coldRead, error) // called at the end of each read
	readBytes int64                 // in one operation
	coldCache

	pending map[uint64]coldRead   // by operation id
	reading map[coldRead]struct{} // the same, to start none twice

	forClients map[coldRead]bool // those of them that are for clients, see cold_wait.go
}

// coldRead names a read by its first entry.
type coldRead struct {
	group GroupID
	first uint64
}

func newColdReader(log *wal.Log, r *reads, done func(coldRead, error), readBytes, maxBytes int64) *coldReader {
	return &coldReader{
		reads: r, done: done, readBytes: readBytes,
		coldCache: coldCache{log: log, maxBytes: maxBytes, entries: make(map[coldKey]coldPlace)},
		pending:   make(map[uint64]coldRead),
		reading:   make(map[coldRead]struct{}),

		forClients: make(map[coldRead]bool),
	}
}

// read starts a read of entries from lo on, below hi. It returns false if one from lo is under way already.
func (c *coldReader) read(g GroupID, lo, hi uint64) bool {
	key := coldRead{g, lo}
	if _, ok := c.reading[key]; ok {
		return false
	}
	op, err := c.log.Read(g, lo, min(hi, lo+maxUnpacked), c.readBytes)
	step.Assert(err == nil, "entry %d of group %d is in the log and durable: %v", lo, g, err)
	c.reads.start(op, func(res wal.Result) { c.done(key, c.finish(key, res)) })
	c.pending[op.ID] = key
	c.reading[key] = struct{}{}
	return true
}

// finish takes the result of a read.
func (c *coldReader) finish(key coldRead, res wal.Result) error {
	delete(c.pending, res.Op.ID)
	delete(c.reading, key)
	ents, err := c.log.Entries(key.group, key.first, res)
	if err == nil {
		ents, err = unpacked(key.group, ents, key.first)
	}
	switch {
	case isMissing(err):
		return nil // replaced or released while it was read: whoever still wants it asks again
	case err != nil:
		return err
	}
	c.insert(key.group, ents, len(res.Data))
	return nil
}

// isMissing reports whether a read failed because its entries were replaced or released meanwhile.
func isMissing(err error) bool { return errors.Is(err, wal.ErrMissing) }

// toRaft converts an entry to raft's form. Both share the data.
func toRaft(e *wal.Entry) *pb.Entry {
	kind := pb.EntryType(e.Kind)
	return &pb.Entry{Term: &e.Term, Index: &e.Index, Type: &kind, Data: e.Data}
}

// toLog converts an entry to the log's form. Both share the data.
func toLog(e *pb.Entry) wal.Entry {
	return wal.Entry{Index: e.GetIndex(), Term: e.GetTerm(), Kind: wal.EntryKind(e.GetType()), Data: e.GetData()}
}

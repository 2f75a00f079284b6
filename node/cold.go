// SPDX-License-Identifier: Apache-2.0

package node

import (
	"container/list"
	"errors"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/node/step"
	"chronik/wal"
)

// coldReader reads entries that are no longer in memory back from the log, for followers that are
// behind and for consumers of old data. Reads are operations of the world: nothing here waits.
//
// What was read stays in one cache, bounded by bytes, oldest use first out. The key has the entry's
// address in the log and never its index alone: an index is written again after a truncation, an address
// is not.
type coldReader struct {
	log       *wal.Log
	reads     *reads
	done      func(coldRead, error) // is told of the end of each read
	readBytes int64                 // in one operation
	maxBytes  int64                 // of the cache

	bytes   int64
	entries map[coldKey]*list.Element // of *coldEntry
	recent  *list.List                // most recently used first

	pending map[uint64]coldRead   // by operation id
	reading map[coldRead]struct{} // the same, to start none twice

	forClients map[coldRead]bool // of them, see cold_wait.go
}

type coldEntry struct {
	key   coldKey
	entry *pb.Entry
}

// coldKey is the address of the record that an entry is in, and the entry's index, since packed ones share it.
type coldKey struct {
	addr  wal.LSN
	index uint64
}

// coldRead names a read by its first entry.
type coldRead struct {
	group GroupID
	first uint64
}

func newColdReader(log *wal.Log, r *reads, done func(coldRead, error), readBytes, maxBytes int64) *coldReader {
	return &coldReader{
		log: log, reads: r, done: done, readBytes: readBytes, maxBytes: maxBytes,
		entries: make(map[coldKey]*list.Element),
		recent:  list.New(),
		pending: make(map[uint64]coldRead),
		reading: make(map[coldRead]struct{}),

		forClients: make(map[coldRead]bool),
	}
}

// cached returns the entries from lo that are in the cache, up to hi and maxSize bytes: none if lo
// isn't there.
func (c *coldReader) cached(g GroupID, lo, hi, maxSize uint64) []*pb.Entry {
	var ents []*pb.Entry
	size := uint64(0)
	for i := lo; i < hi; i++ {
		e := c.lookup(g, i)
		if e == nil {
			break
		}
		size += uint64(entryBytes(e))
		if len(ents) > 0 && size > maxSize {
			break
		}
		ents = append(ents, e)
	}
	return ents
}

// lookup returns one entry from the cache, nil if it isn't there.
func (c *coldReader) lookup(g GroupID, i uint64) *pb.Entry {
	addr, ok := c.log.Address(g, i)
	if !ok {
		return nil
	}
	el, ok := c.entries[coldKey{addr, i}]
	if !ok {
		return nil
	}
	c.recent.MoveToFront(el)
	return el.Value.(*coldEntry).entry
}

// read starts a read of the entries from lo, below hi, and reports whether it did: not if it is under
// way.
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
		return nil // replaced or released while it was read: who still wants it asks again
	case err != nil:
		return err
	}
	for i := len(ents) - 1; i >= 0; i-- { // the first was asked for, so it must be the last to go
		c.insert(key.group, &ents[i], len(res.Data))
	}
	return nil
}

// insert puts an entry into the cache that was read with others, read bytes in all. It is copied, so that no
// read's buffer is kept alive by a small entry.
func (c *coldReader) insert(g GroupID, e *wal.Entry, read int) {
	addr, ok := c.log.Address(g, e.Index)
	k := coldKey{addr, e.Index}
	if !ok || c.entries[k] != nil {
		return
	}
	entry := toRaft(e)
	if len(e.Data) < read/2 {
		entry.Data = append([]byte(nil), e.Data...)
	}
	c.entries[k] = c.recent.PushFront(&coldEntry{k, entry})
	c.bytes += entryBytes(entry)
	for c.bytes > c.maxBytes && c.recent.Len() > 1 {
		old := c.recent.Remove(c.recent.Back()).(*coldEntry)
		delete(c.entries, old.key)
		c.bytes -= entryBytes(old.entry)
	}
}

// isMissing reports whether a read failed because what it read was replaced or released meanwhile.
func isMissing(err error) bool { return errors.Is(err, wal.ErrMissing) }

// toRaft makes raft's form of an entry, with the same data.
func toRaft(e *wal.Entry) *pb.Entry {
	kind := pb.EntryType(e.Kind)
	return &pb.Entry{Term: &e.Term, Index: &e.Index, Type: &kind, Data: e.Data}
}

// toLog makes the log's form of an entry, with the same data.
func toLog(e *pb.Entry) wal.Entry {
	return wal.Entry{Index: e.GetIndex(), Term: e.GetTerm(), Kind: wal.EntryKind(e.GetType()), Data: e.GetData()}
}

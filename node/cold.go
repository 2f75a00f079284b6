// SPDX-License-Identifier: Apache-2.0

package node

import (
	"container/list"
	"errors"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/node/step"
	"chronik/wal"
)

// coldReader reads entries back from the log that are no longer in memory, for followers that lag behind and for
// consumers of old data. Reads are operations of the world, so nothing here waits.
//
// Entries that were read stay in one cache, bounded by bytes; the least recently used go first. The key has the
// entry's address in the log and never its index alone. A truncation may write another entry at the same index,
// but never at the same address.
type coldReader struct {
	log       *wal.Log
	reads     *reads
	done      func(coldRead, error) // called at the end of each read
	readBytes int64                 // in one operation
	maxBytes  int64                 // of the cache

	bytes   int64
	entries map[coldKey]*list.Element // of *coldEntry
	recent  *list.List                // most recently used first

	pending map[uint64]coldRead   // by operation id
	reading map[coldRead]struct{} // the same, to start none twice

	forClients map[coldRead]bool // those of them that are for clients, see cold_wait.go
}

type coldEntry struct {
	key   coldKey
	entry *pb.Entry
}

// coldKey is the address of the record that an entry is in, and the entry's index, since packed entries share a record.
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

// cached returns consecutive entries from lo on that are in the cache, below hi and up to maxSize bytes. It returns
// none if lo isn't there.
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
	for i := len(ents) - 1; i >= 0; i-- { // the first one was asked for, so it must be evicted last
		c.insert(key.group, &ents[i], len(res.Data))
	}
	return nil
}

// insert puts an entry into the cache. It was read with others, read bytes in all. A small entry is copied, so that it
// doesn't keep the whole buffer of the read alive.
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

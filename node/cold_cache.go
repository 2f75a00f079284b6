// SPDX-License-Identifier: Apache-2.0

package node

import (
	"container/list"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/wal"
)

// coldCache holds entries that were read back from the log. What one read brought is one block: its entries lie where they
// were read to, and come and go together, so a record that goes from the disk to a client is copied to memory once. The cache is
// bounded by bytes; the blocks that weren't used for longest go first.
//
// The key has the entry's address in the log and never its index alone. A truncation may write another entry at the same
// index, but never at the same address.
type coldCache struct {
	log      *wal.Log
	maxBytes int64

	bytes   int64
	entries map[coldKey]coldPlace
	recent  list.List // of *coldBlock, the one that was used last first
}

// coldKey is the address of the record that an entry is in, and the entry's index, since packed entries share a record.
type coldKey struct {
	addr  wal.LSN
	index uint64
}

// coldPlace is where an entry is in the cache.
type coldPlace struct {
	block *list.Element
	entry *pb.Entry
}

// coldBlock is what one read brought.
type coldBlock struct {
	keys  []coldKey
	bytes int64 // of memory: what was read, or the entries' data if that was copied, and what entries cost beside it
}

// cached returns consecutive entries from lo on that are in the cache, below hi and up to maxSize bytes. It returns
// none if lo isn't there.
func (c *coldCache) cached(g GroupID, lo, hi, maxSize uint64) []*pb.Entry {
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
func (c *coldCache) lookup(g GroupID, i uint64) *pb.Entry {
	addr, ok := c.log.Address(g, i)
	if !ok {
		return nil
	}
	at, ok := c.entries[coldKey{addr, i}]
	if !ok {
		return nil
	}
	c.recent.MoveToFront(at.block)
	return at.entry
}

// insert puts entries into the cache that were read together, read bytes in all. Their data lies within these bytes, unless
// they were packed. Of more than the cache may hold it keeps the first, one at least. What is there already belongs to this block from now on: the one that had it may go.
func (c *coldCache) insert(g GroupID, ents []wal.Entry, read int) {
	b := &coldBlock{keys: make([]coldKey, 0, len(ents))}
	kept, data, whole := ents[:0], 0, true
	for i := range ents {
		addr, ok := c.log.Address(g, ents[i].Index)
		if !ok {
			continue
		}
		if more := data + len(ents[i].Data) + (len(kept)+1)*entryOverhead; len(kept) > 0 && int64(more) > c.maxBytes {
			whole = false // the reader comes for the first of them
			break
		}
		b.keys, kept = append(b.keys, coldKey{addr, ents[i].Index}), append(kept, ents[i])
		data += len(ents[i].Data)
	}
	if len(kept) == 0 {
		return
	}
	whole = whole && int64(read+len(kept)*entryOverhead) <= c.maxBytes
	if !whole || data < read/2 { // there is no room for the rest, or it is mostly others' records: don't keep it
		compact(kept, data)
		read = 0
	}
	b.bytes = int64(max(read, data) + len(kept)*entryOverhead)
	place, all, kinds := c.recent.PushFront(b), make([]pb.Entry, len(kept)), make([]pb.EntryType, len(kept))
	for i := range kept {
		e := &kept[i]
		kinds[i] = pb.EntryType(e.Kind)
		all[i].Term, all[i].Index, all[i].Type, all[i].Data = &e.Term, &e.Index, &kinds[i], e.Data
		c.entries[b.keys[i]] = coldPlace{place, &all[i]}
	}
	for c.bytes += b.bytes; c.bytes > c.maxBytes && c.recent.Len() > 1; {
		c.evict(c.recent.Back())
	}
}

// evict lets a block go.
func (c *coldCache) evict(place *list.Element) {
	old := c.recent.Remove(place).(*coldBlock)
	for _, k := range old.keys {
		if c.entries[k].block == place {
			delete(c.entries, k)
		}
	}
	c.bytes -= old.bytes
}

// compact copies the data of entries into memory of its own, size bytes in all.
func compact(ents []wal.Entry, size int) {
	all := make([]byte, 0, size)
	for i := range ents {
		from := len(all)
		all = append(all, ents[i].Data...)
		ents[i].Data = all[from:len(all):len(all)]
	}
}

// check compares the cache with what it counts.
func (c *coldCache) check() error {
	bytes, count := int64(0), 0
	for e := c.recent.Front(); e != nil; e = e.Next() {
		b := e.Value.(*coldBlock)
		bytes += b.bytes
		for _, k := range b.keys {
			at := c.entries[k]
			if at.block == e && at.entry.GetIndex() != k.index {
				return fmt.Errorf("entry %d is in the cache, and is found in place of %d", at.entry.GetIndex(), k.index)
			}
			count += btoi(at.block == e)
		}
	}
	if bytes > c.maxBytes && (c.recent.Len() > 1 || len(c.entries) > 1) {
		return fmt.Errorf("the cache has %d bytes of %d", bytes, c.maxBytes)
	}
	if err := differ("entries in the cache", int64(len(c.entries)), int64(count)); err != nil {
		return err
	}
	return differ("bytes in the cache", c.bytes, bytes)
}

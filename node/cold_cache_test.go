// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"chronik/wal"
)

// coldLog is a log with entries of two groups, one after the other, of some bytes each.
func coldLog(t rapid.TB, entries int, mine, others int) (*wal.Log, memDir) {
	dir := memDir{}
	log, _, err := wal.Open(dir, wal.Options{SegmentBytes: 256 << 10, ReadThrough: int64(others) + 200})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(entries) {
		log.Append(1, []wal.Entry{{Index: i + 1, Term: 1, Data: coldData(i+1, mine)}})
		log.Append(2, []wal.Entry{{Index: i + 1, Term: 1, Data: make([]byte, others)}})
	}
	log.RequestSync()
	for op, ok := log.Next(); ok; op, ok = log.Next() {
		if err := log.Done(wal.Do(dir, op)); err != nil {
			t.Fatal(err)
		}
	}
	return log, dir
}

func coldData(index uint64, size int) []byte {
	return bytes.Repeat([]byte{byte(index)}, size)
}

func newColdCache(log *wal.Log, maxBytes int64) *coldCache {
	return &coldCache{log: log, maxBytes: maxBytes, entries: make(map[coldKey]coldPlace)}
}

// readInto reads entries from an index on into the cache, and returns how many came.
func (c *coldCache) readInto(t rapid.TB, dir wal.FS, from, to uint64, bytes int64) int {
	op, err := c.log.Read(1, from, to, bytes)
	if err != nil {
		t.Fatal(err)
	}
	res := wal.Do(dir, op)
	ents, err := c.log.Entries(1, from, res)
	if err != nil {
		t.Fatal(err)
	}
	n := len(ents)
	c.insert(1, ents, len(res.Data))
	return n
}

// Whatever is read in whatever order: what is found is what was written, what was read last is there, and the cache is no larger
// than it may be, unless the last read alone is.
func TestColdCacheKeepsWhatWasReadLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const entries = 40
		mine, others := rapid.IntRange(1, 600).Draw(t, "mine"), rapid.IntRange(1, 600).Draw(t, "others")
		log, dir := coldLog(t, entries, mine, others)
		c := newColdCache(log, rapid.Int64Range(1, 20_000).Draw(t, "cache"))
		for range rapid.IntRange(1, 20).Draw(t, "reads") {
			from := rapid.Uint64Range(1, entries).Draw(t, "from")
			n := c.readInto(t, dir, from, entries+1, rapid.Int64Range(1, 10_000).Draw(t, "bytes"))
			if err := c.check(); err != nil {
				t.Fatal(err)
			}
			for i := range uint64(entries) {
				if e := c.lookup(1, i+1); e != nil && (e.GetIndex() != i+1 || e.GetTerm() != 1 || !bytes.Equal(e.GetData(), coldData(i+1, mine))) {
					t.Fatalf("entry %d is found as %v", i+1, e)
				}
			}
			if n == 0 || c.lookup(1, from) == nil {
				t.Fatalf("entry %d was read and isn't there", from)
			}
		}
	})
}

// What lies between the entries of a read isn't kept if it is more than they are, and nothing is copied if it is less.
func TestColdCacheCountsWhatItHolds(t *testing.T) {
	for _, c := range []struct {
		mine, others int
		copied       bool
	}{{1000, 100, false}, {100, 1000, true}} {
		t.Run(fmt.Sprintf("%d beside %d", c.mine, c.others), func(t *testing.T) {
			log, dir := coldLog(t, 10, c.mine, c.others)
			cache := newColdCache(log, 1<<20)
			op, err := log.Read(1, 1, 11, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			res := wal.Do(dir, op)
			ents, err := log.Entries(1, 1, res)
			if err != nil || len(ents) != 10 {
				t.Fatalf("%d entries, %v", len(ents), err)
			}
			before := &ents[3].Data[0]
			cache.insert(1, ents, len(res.Data))
			want := int64(len(res.Data) + 10*entryOverhead)
			if c.copied {
				want = int64(10*c.mine + 10*entryOverhead)
			}
			if cache.bytes != want {
				t.Errorf("the cache counts %d bytes, want %d", cache.bytes, want)
			}
			if same := before == &cache.lookup(1, 4).Data[0]; same == c.copied {
				t.Errorf("the entries lie where they were read to: %v", same)
			}
		})
	}
}

// A read that was evicted leaves nothing.
func TestColdCacheForgetsAWholeRead(t *testing.T) {
	log, dir := coldLog(t, 20, 500, 10)
	c := newColdCache(log, 6000)
	c.readInto(t, dir, 1, 11, 1<<20)
	c.readInto(t, dir, 11, 21, 1<<20)
	if c.lookup(1, 1) != nil || c.lookup(1, 10) != nil || c.lookup(1, 11) == nil || c.lookup(1, 20) == nil || c.recent.Len() != 1 {
		t.Errorf("%d reads are kept", c.recent.Len())
	}
}

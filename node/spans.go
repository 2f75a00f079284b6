// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"sort"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/kafka"
	"chronik/node/step"
)

// spans is a partition's index from offsets to entries. It is sparse, as Kafka's own (one place per
// 64 KiB or 64 batches), so that a partition of many gigabytes costs little memory; from a place on
// the entries themselves say how many offsets they take.
type spans []span

// span is a row of entries up to the next span.
type span struct {
	base   int64  // offset of its first record
	index  uint64 // of its first entry
	bytes  int64  // of the batches in it
	count  int32  // of the batches in it
	newest int64  // largest timestamp that producers gave its records, in ms
	// appended is when its newest batch was appended, by the leader's clock of then in ms; 0: unknown.
	appended int64
	seen     Time // when this process applied its newest batch, or read it from a checkpoint
	// refused are entries with data that take no offsets: duplicate batches, batches out of sequence, and batches and
	// commands that this release can't read. Only apply can tell, so it is noted.
	refused []uint64
	closed  bool // the next batch begins a new span
	empty   bool // compaction has left no record in it
}

const (
	spanBytes   = 64 << 10
	spanBatches = 64
)

// add notes a batch that was given offsets.
func (s *spans) add(index uint64, base int64, b *kafka.Batch, appended int64, now Time) {
	n := len(*s)
	if n == 0 || (*s)[n-1].closed || (*s)[n-1].bytes >= spanBytes || (*s)[n-1].count >= spanBatches {
		*s = append(*s, span{base: base, index: index, newest: b.Newest()})
		n++
	}
	last := &(*s)[n-1]
	last.bytes += int64(b.Size())
	last.count++
	last.newest = max(last.newest, b.Newest())
	last.appended, last.seen = appended, now
}

// refuse notes a batch that takes no offsets, at the offset that the next one gets.
func (s *spans) refuse(index uint64, base int64) {
	n := len(*s)
	if n == 0 {
		return // entries before the first span are never looked at
	}
	if (*s)[n-1].closed {
		before := (*s)[n-1]
		*s = append(*s, span{base: base, index: index, newest: -1, appended: before.appended, seen: before.seen})
		n++
	}
	(*s)[n-1].refused = append((*s)[n-1].refused, index)
}

// trim forgets spans that lie below the log's start as a whole.
func (s *spans) trim(start int64) {
	for len(*s) > 1 && (*s)[1].base <= start {
		*s = (*s)[1:]
	}
}

// newestBelow returns the largest timestamp of a span that is less than a limit, -1 if there is none.
func (p *records) newestBelow(limit int64) int64 {
	newest := int64(-1)
	for i := range p.spans {
		if n := p.spans[i].newest; n < limit {
			newest = max(newest, n)
		}
	}
	return newest
}

// places returns how many spans there are.
func (p *records) places() int { return len(p.spans) }

// at returns the position of the span that holds an offset, or would hold it.
func (s spans) at(offset int64) int {
	i := sort.Search(len(s), func(i int) bool { return s[i].base > offset })
	return max(i-1, 0)
}

// cursor stands before an entry of a partition, and knows the offset of the next batch. It stays
// valid while the partition changes.
type cursor struct {
	index uint64
	base  int64
}

// seek returns a cursor that stands before the batch that holds an offset, or earlier.
func (p *records) seek(offset int64) cursor {
	if len(p.spans) == 0 {
		return cursor{base: p.highWatermark}
	}
	at := &p.spans[p.spans.at(offset)]
	return cursor{at.index, at.base}
}

// seekTime returns a cursor that stands before the first record that is as new as a timestamp, or earlier; false if there
// is none.
func (p *records) seekTime(timestamp int64) (cursor, bool) {
	i := slices.IndexFunc(p.spans, func(s span) bool { return s.newest >= timestamp })
	if i < 0 {
		return cursor{}, false
	}
	return p.seek(max(p.spans[i].base, p.start)), true
}

// take moves the cursor past an entry, which must be the one that it stands before. It returns the
// batch in it and its offset; ok is false if the entry takes no offsets.
func (p *records) take(c *cursor, e *pb.Entry) (b kafka.Batch, base int64, ok bool) {
	step.Assert(e.GetIndex() == c.index, "a cursor sees every entry in turn: %d, not %d", c.index, e.GetIndex())
	c.index++
	if !isBatch(e) || p.spans.refused(e.GetIndex()) {
		return kafka.Batch{}, 0, false
	}
	b, err := kafka.ParseBatch(e.Data)
	step.Assert(err == nil, "every entry of a partition is a checked batch: %v", err)
	base = c.base
	c.base += b.Offsets()
	return b, base, true
}

// refused reports whether an entry holds a batch that takes no offsets.
func (s spans) refused(index uint64) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].index > index })
	return i > 0 && slices.Contains(s[i-1].refused, index)
}

// isBatch tells record batches from raft's own entries, which are empty, and from commands: a batch
// begins with the time of appending, whose first byte is 0, a command with its kind.
func isBatch(e *pb.Entry) bool {
	return e.GetType() == pb.EntryNormal && len(e.Data) > 0 && e.Data[0] == 0
}

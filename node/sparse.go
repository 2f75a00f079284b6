// SPDX-License-Identifier: Apache-2.0

package node

import "sort"

// Where compaction has left no record in a whole span, its entries stay in the log, since raft counts them, but
// nobody reads them any more: a cursor that comes to such a span goes on behind it. So the updates of years cost
// neither readers from the start nor the next passes of compaction.

// survey is what the second pass of compaction has seen of the span that it is in.
type survey struct {
	span    uint64 // its first entry
	bytes   int64
	records bool
}

// note takes the entry before the compactor's cursor, as it is left: the bytes of its batch, and whether records are in it.
// At the end of a span the index learns what the span has come to.
func (c *compactor) note(bytes int, records bool) {
	if !c.second {
		return
	}
	s := c.part.spans
	i := s.holding(c.cur.index - 1)
	if i < 0 {
		return // the log's start has moved on
	}
	if s[i].index == c.cur.index-1 {
		c.seen = survey{span: s[i].index}
	}
	c.seen.bytes += int64(bytes)
	c.seen.records = c.seen.records || records
	if c.seen.span == s[i].index && i+1 < len(s) && s[i+1].index == c.cur.index {
		s[i].bytes, s[i].empty = c.seen.bytes, !c.seen.records
	}
}

// holding returns the position of the span that an entry lies in, -1 if it lies before the first.
func (s spans) holding(index uint64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].index > index }) - 1
}

// skip moves a cursor that stands before spans without records behind them.
func (p *partition) skip(c *cursor) {
	i := p.spans.holding(c.index)
	if i < 0 || p.spans[i].index != c.index {
		return
	}
	for ; i+1 < len(p.spans) && p.spans[i].empty; i++ {
		*c = cursor{p.spans[i+1].index, p.spans[i+1].base}
	}
}

// worthReading returns the entry up to which a read from an entry on, of so many bytes at most, is of use: the next
// span without records, or the limit.
func (p *partition) worthReading(index, limit uint64, bytes int64) uint64 {
	for i := max(p.spans.holding(index), 0); i+1 < len(p.spans) && bytes > 0; i++ {
		if s := &p.spans[i]; s.empty && s.index > index {
			return min(limit, s.index)
		}
		bytes -= p.spans[i].bytes
	}
	return limit
}

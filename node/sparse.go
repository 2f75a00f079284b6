// SPDX-License-Identifier: Apache-2.0

package node

import (
	"sort"

	"chronik/wal"
)

// If compaction has left no record in a whole span, its entries stay in the log, since raft counts them. But nobody
// reads them any more: a cursor skips such a span. So years of updates cost neither readers from the start nor later
// passes of compaction.

// survey is what the second pass of compaction has seen of the span that it is in.
type survey struct {
	span    uint64 // its first entry
	bytes   int64
	records bool
}

// note takes the entry before a cursor, as compaction's second pass has left it: the bytes of its batch, and whether
// records are in it. At the end of a span the index gets the sums.
func (s spans) note(cur uint64, seen *survey, bytes int, records bool) {
	i := s.holding(cur - 1)
	if i < 0 {
		return // the log's start has moved on
	}
	if s[i].index == cur-1 {
		*seen = survey{span: s[i].index}
	}
	seen.bytes += int64(bytes)
	seen.records = seen.records || records
	if seen.span == s[i].index && i+1 < len(s) && s[i+1].index == cur {
		s[i].bytes, s[i].empty = seen.bytes, !seen.records
	}
}

// lookAgain takes back that nothing is left in the spans of voids that don't come into the log.
func (s spans) lookAgain(voids []wal.Entry) {
	for i := range voids {
		if k := s.holding(voids[i].Index); k >= 0 {
			s[k].empty = false
		}
	}
}

// holding returns the position of the span that an entry lies in, -1 if it lies before the first.
func (s spans) holding(index uint64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].index > index }) - 1
}

// skip moves a cursor past spans without records, but not to an end, and reports whether there was one.
func (p *records) skip(c *cursor, end int64) (skipped bool) {
	i := p.spans.holding(c.index)
	if i < 0 || p.spans[i].index != c.index {
		return false
	}
	for ; i+1 < len(p.spans) && p.spans[i].empty && p.spans[i+1].base < end; i++ {
		*c, skipped = cursor{p.spans[i+1].index, p.spans[i+1].base}, true
	}
	return skipped
}

// worthReading returns the entry up to which a read from an entry on, of so many bytes at most, is of use: the next
// span without records, or the limit.
func (p *records) worthReading(index, limit uint64, bytes int64) uint64 {
	for i := max(p.spans.holding(index), 0); i+1 < len(p.spans) && bytes > 0; i++ {
		if at := &p.spans[i]; at.empty && at.index > index {
			return min(limit, at.index)
		}
		bytes -= p.spans[i].bytes
	}
	return limit
}

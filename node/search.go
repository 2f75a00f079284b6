// SPDX-License-Identifier: Apache-2.0

package node

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// search looks for the first record of a partition that is as new as a timestamp, on behalf of ListOffsets.
// Entries that aren't in memory are read first, and compressed ones are opened by a task. Searches take turns:
// what one holds meanwhile is one entry.
type search struct {
	node      *Node
	list      *listOffsets
	part      *partition
	timestamp int64
	largest   bool  // the newest record of all is looked for
	above     int64 // largest: no record is as new as this; 0: nothing is known yet
	misses    int   // largest: so many times no record was as new
	out       *kmsg.ListOffsetsResponseTopicPartition
	reader    entryWait
}

// listByTime answers the first record that is as new as a timestamp, or the newest of all.
func (n *Node) listByTime(l *listOffsets, p *partition, timestamp int64, out *kmsg.ListOffsetsResponseTopicPartition) {
	s := &search{node: n, list: l, part: p, timestamp: timestamp, largest: timestamp == timestampMax, out: out}
	n.tasks.finds.take(l.request.conn, s.begin)
}

// end ends the search; its answer is in out. What the client may not read yet it isn't told of, as in Kafka.
func (s *search) end() {
	s.node.tasks.finds.give()
	if !s.list.request.settled {
		if end, _ := s.part.endFor(s.list.level); s.out.Offset >= end {
			s.out.Offset, s.out.Timestamp, s.out.LeaderEpoch = -1, -1, -1
		}
		s.list.done()
	}
}

func (s *search) fail(e *kerr.Error) {
	s.out.ErrorCode = e.Code
	s.end()
}

func (s *search) begin() {
	p := s.part
	if s.list.request.settled || p.places() == 0 || p.logStart() >= p.highWatermark { // all records may be deleted, and their entries gone
		s.end()
		return
	}
	s.node.out.Work.Parts += p.places() / 64
	if s.largest {
		if s.above == 0 {
			s.above = p.newestBelow(math.MaxInt64) + 1
		}
		if s.timestamp = p.newestBelow(s.above); s.misses == mostMisses {
			s.timestamp = -1 // any record, then those that are newer
		}
	}
	c, ok := p.seekTime(s.timestamp)
	if !ok {
		s.end()
		return
	}
	s.from(c)
}

// mostMisses bounds how often the whole partition is looked through in vain.
const mostMisses = 3

// lower goes on with the next smaller time that a span may have, if the newest of all is looked for and there is none as new as
// the last one: records that were deleted or compacted still count in the times of their spans.
func (s *search) lower() {
	if s.largest && s.out.Offset < 0 && s.timestamp >= 0 && s.out.ErrorCode == 0 {
		s.above = s.timestamp
		s.misses++
		s.begin()
		return
	}
	s.end()
}

// higher says whether a newer record than the one that was found may come after it.
func (s *search) higher() bool {
	if !s.largest || s.out.Timestamp+1 >= s.above {
		return false
	}
	s.timestamp = s.out.Timestamp + 1
	return true
}

// from looks for the record from a cursor on.
func (s *search) from(c cursor) {
	p, n := s.part, s.node
	for c.base < p.highWatermark {
		at := c
		s.reader = entryWait{request: s.list.request, again: func() { s.again(at) }}
		e, err := n.entry(p, c.index, &s.reader)
		if err != nil {
			s.out.ErrorCode = s.list.request.code(err)
			break
		}
		if e == nil {
			return
		}
		b, base, ok := p.take(&c, e)
		if !ok || base+b.Offsets() <= p.logStart() || b.Newest() < s.timestamp {
			continue
		}
		task := Task{Kind: TaskFind, Batch: e.Data, Limit: n.storedLimit(p), Since: s.timestamp, From: p.logStart() - base}
		found := func(res TaskResult) bool { return s.found(b, base, leaderEpoch(e.GetTerm()), res) }
		if b.Codec() != kafka.CodecNone || !n.inline(len(e.Data)) {
			n.start(task, func(res TaskResult) {
				switch {
				case !found(res):
					s.again(c)
				case s.higher():
					s.again(at)
				default:
					s.end()
				}
			})
			return
		}
		if found(task.Do()) {
			if s.higher() {
				c = at
				continue
			}
			break
		}
	}
	s.lower()
}

// found takes what was found in a batch, and says whether that is the answer. A batch that can't be
// unfolded is one that an older version took: then the answer is its first record, which is never past the one
// looked for, with the batch's largest timestamp.
func (s *search) found(b kafka.Batch, base int64, epoch int32, res TaskResult) bool {
	start := s.part.logStart()
	switch {
	case s.list.request.over(): // its answer may be with a task by now
		return true
	case res.Err != nil:
		s.out.Offset, s.out.Timestamp = max(base, start), b.Newest()
	case res.At < 0 || base+res.At < start: // or the log's start has moved on
		return false
	default:
		s.out.Offset, s.out.Timestamp = base+res.At, res.Time
	}
	s.out.LeaderEpoch = epoch
	return true
}

// again goes on after a read or a task, unless the world has changed in the meantime.
func (s *search) again(c cursor) {
	first, _ := s.part.group.view.FirstIndex()
	switch {
	case s.list.request.over():
		s.end()
	case !s.part.leads():
		s.fail(kerr.NotLeaderForPartition)
	case c.index < first:
		s.begin()
	default:
		s.from(c)
	}
}

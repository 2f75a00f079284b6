// SPDX-License-Identifier: Apache-2.0

package node

import (
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// Special timestamps of ListOffsets.
const (
	timestampLatest   = -1
	timestampEarliest = -2
	timestampMax      = -3 // v7: the record with the largest timestamp (KIP-734)
	timestampLocal    = -4 // v8: the first that isn't in tiered storage only (KIP-405): as earliest
	timestampTiered   = -5 // v9: the last in tiered storage (KIP-1005): there is none
	timestampPending  = -6 // v11: the first that tiered storage still waits for (KIP-1023): there is none
)

// ListOffsets, versions 1 to 11.
//
//	v2  isolation level: there are no transactions, so both levels see the same
//	v4  current leader epoch, and the leader epoch of the record that is answered
//	v5  OFFSET_NOT_AVAILABLE while a new leader doesn't know its high watermark (KIP-207)
//	v6  flexible
//	v7  largest timestamp
//	v8, v9, v11  where tiered storage begins and ends, which is not served
//	v10 time-out for tiered storage: ignored
//
// The latest offset is linearizable: before it is answered a majority confirms that this broker
// still leads. Offsets by time are exact, but for compressed batches: there the answer is the first
// record of the batch that holds the one looked for.
type listOffsets struct {
	request *request
	resp    *kmsg.ListOffsetsResponse
	left    int
}

// listOffsetsTimeout bounds the wait for a majority. It lies below the clients' own time-out.
const listOffsetsTimeout = 10 * time.Second

func (n *Node) handleListOffsets(r *request, m kmsg.Request) {
	req := m.(*kmsg.ListOffsetsRequest)
	l := &listOffsets{request: r, resp: kmsg.NewPtrListOffsetsResponse(), left: 1}
	l.resp.Topics = make([]kmsg.ListOffsetsResponseTopic, len(req.Topics))
	for i := range req.Topics {
		in, out := &req.Topics[i], &l.resp.Topics[i]
		*out = kmsg.NewListOffsetsResponseTopic()
		out.Topic = in.Topic
		out.Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, len(in.Partitions))
		l.left += len(in.Partitions)
		for j := range in.Partitions {
			n.listPartition(l, in.Topic, &in.Partitions[j], &out.Partitions[j], req.Version)
		}
	}
	l.done()
	r.expireAfter(listOffsetsTimeout, func() { r.reply(l.resp) })
}

func (l *listOffsets) done() {
	if l.left--; l.left == 0 {
		l.request.reply(l.resp)
	}
}

func (n *Node) listPartition(l *listOffsets, topic string, in *kmsg.ListOffsetsRequestTopicPartition, out *kmsg.ListOffsetsResponseTopicPartition, version int16) {
	*out = kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition, out.Offset, out.Timestamp, out.LeaderEpoch = in.Partition, -1, -1, -1
	if meta := n.catalog.partition(topic, in.Partition); meta != nil && meta.Topic.Internal {
		out.Offset = 0 // tools ask for every topic; there is nothing in it that they may read
		l.done()
		return
	}
	p, err := n.readable(topic, in.Partition, in.CurrentLeaderEpoch)
	if err != nil {
		out.ErrorCode = code(err)
		if part, err := n.partitionFor(topic, in.Partition); err == nil && !part.leads() && version >= 5 {
			out.ErrorCode = kerr.OffsetNotAvailable.Code
		}
		l.done()
		return
	}
	switch {
	case in.Timestamp == timestampTiered, in.Timestamp == timestampPending:
		l.done()
		return
	case in.Timestamp == timestampEarliest, in.Timestamp == timestampLocal:
		p.listEarliest(out)
		l.done()
		return
	case in.Timestamp >= 0, in.Timestamp == timestampMax:
		n.listByTime(l, p, in.Timestamp, out)
		return
	case in.Timestamp != timestampLatest:
		out.ErrorCode = kerr.UnsupportedVersion.Code
		l.done()
		return
	}
	out.ErrorCode = kerr.RequestTimedOut.Code // until a majority answered
	p.group.readIndex(func(ok bool) {
		if l.request.done {
			return
		}
		if ok {
			out.ErrorCode, out.Offset, out.LeaderEpoch = 0, p.highWatermark, leaderEpoch(p.group.term)
		} else {
			out.ErrorCode = kerr.NotLeaderForPartition.Code
		}
		l.done()
	})
}

// listEarliest answers the first offset that can be read.
func (p *partition) listEarliest(out *kmsg.ListOffsetsResponseTopicPartition) {
	out.Offset = p.logStart()
	if p.highWatermark > out.Offset {
		out.LeaderEpoch = p.epochOf(out.Offset)
	}
}

// listByTime answers the first record that is as new as a timestamp, or the newest of all. Entries
// that aren't in memory are read first.
func (n *Node) listByTime(l *listOffsets, p *partition, timestamp int64, out *kmsg.ListOffsetsResponseTopicPartition) {
	if len(p.spans) == 0 {
		l.done()
		return
	}
	if timestamp == timestampMax {
		timestamp = p.spans[len(p.spans)-1].newest
	}
	i := sort.Search(len(p.spans), func(i int) bool { return p.spans[i].newest >= timestamp })
	if i == len(p.spans) {
		l.done()
		return
	}
	n.findByTime(l, p, p.seek(max(p.spans[i].base, p.logStart())), timestamp, out)
}

// findByTime looks for the record from a cursor on.
func (n *Node) findByTime(l *listOffsets, p *partition, c cursor, timestamp int64, out *kmsg.ListOffsetsResponseTopicPartition) {
	for c.base < p.highWatermark {
		at := c
		e, err := n.entry(p, c.index, func() { n.findAgain(l, p, at, timestamp, out) })
		if err != nil {
			out.ErrorCode = code(err)
			break
		}
		if e == nil {
			return
		}
		if b, base, ok := p.take(&c, e); ok && base+b.Offsets() > p.logStart() && b.Newest() >= timestamp {
			out.Offset, out.Timestamp = firstAsNew(e.Data, b, base, timestamp, p.logStart())
			out.LeaderEpoch = leaderEpoch(e.GetTerm())
			if out.Offset >= 0 {
				break
			}
		}
	}
	l.done()
}

// findAgain goes on after a read, unless the world has changed in the meantime.
func (n *Node) findAgain(l *listOffsets, p *partition, c cursor, timestamp int64, out *kmsg.ListOffsetsResponseTopicPartition) {
	first, _ := p.group.view.FirstIndex()
	switch {
	case l.request.done:
	case !p.leads():
		out.ErrorCode = kerr.NotLeaderForPartition.Code
		l.done()
	case c.index < first:
		n.listByTime(l, p, timestamp, out)
	default:
		n.findByTime(l, p, c, timestamp, out)
	}
}

// firstAsNew finds the first record of a batch that is as new as a timestamp, and is not below the
// log's start. In a compressed batch that can't be unfolded here, or to too much, it answers the first
// record, which is never past it, with the batch's largest timestamp.
func firstAsNew(raw []byte, b kafka.Batch, base, timestamp, start int64) (offset, at int64) {
	offset, at = -1, -1
	err := kafka.Unpack(raw, maxSearched, func(delta, ms int64, _, _ []byte) error {
		if o := base + delta; offset < 0 && ms >= timestamp && o >= start {
			offset, at = o, ms
		}
		return nil
	})
	assert(err == nil || b.Codec() != kafka.CodecNone, "every entry of a partition is a checked batch: %v", err)
	if err != nil {
		return max(base, start), b.Newest()
	}
	return offset, at
}

// maxSearched is how many bytes a batch may unfold to when it is searched.
const maxSearched = 16 << 20

// OffsetForLeaderEpoch, versions 2 to 4: where a leader epoch ended, by which clients find out that
// records they have read were never committed here (KIP-320).
func (n *Node) handleOffsetForLeaderEpoch(r *request, m kmsg.Request) {
	req := m.(*kmsg.OffsetForLeaderEpochRequest)
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	for i := range req.Topics {
		t := kmsg.NewOffsetForLeaderEpochResponseTopic()
		t.Topic = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			in := &req.Topics[i].Partitions[j]
			out := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			out.Partition, out.LeaderEpoch, out.EndOffset = in.Partition, -1, -1
			if p, err := n.readable(t.Topic, in.Partition, in.CurrentLeaderEpoch); err != nil {
				out.ErrorCode = code(err)
			} else {
				out.LeaderEpoch, out.EndOffset = p.epochEnd(in.LeaderEpoch)
			}
			t.Partitions = append(t.Partitions, out)
		}
		resp.Topics = append(resp.Topics, t)
	}
	r.reply(resp)
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Special timestamps of ListOffsets.
const (
	timestampLatest   = -1
	timestampEarliest = -2
	timestampMax      = -3 // v7: the record with the largest timestamp (KIP-734)
)

// ListOffsets, versions 1 to 7.
//
//	v2  isolation level: there are no transactions, so both levels see the same
//	v4  current leader epoch, and the leader epoch of the record that is answered
//	v5  OFFSET_NOT_AVAILABLE while a new leader doesn't know its high watermark (KIP-207)
//	v6  flexible
//	v7  largest timestamp
//
// The latest offset is linearizable: before it is answered a majority confirms that this broker
// still leads. Offsets by time have the granularity of a batch: the answer is the first record of
// the first batch that holds a record as new, never one past it, with timestamp -1.
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
	p, err := n.readable(topic, in.Partition, in.CurrentLeaderEpoch)
	if err != nil {
		out.ErrorCode = code(err)
		if part, err := n.partitionFor(topic, in.Partition); err == nil && !part.leads() && version >= 5 {
			out.ErrorCode = kerr.OffsetNotAvailable.Code
		}
		l.done()
		return
	}
	if in.Timestamp != timestampLatest {
		p.offsetForTime(in.Timestamp, out)
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

// offsetForTime answers the earliest offset, the one of the largest timestamp, or by time.
func (p *partition) offsetForTime(timestamp int64, out *kmsg.ListOffsetsResponseTopicPartition) {
	i := 0
	switch {
	case timestamp == timestampEarliest:
		out.Offset = p.logStart()
		if len(p.batches) > 0 {
			out.LeaderEpoch = p.batches[0].epoch
		}
		return
	case len(p.batches) == 0:
		return
	case timestamp == timestampMax:
		timestamp = p.batches[len(p.batches)-1].newest
		out.Timestamp = timestamp
	case timestamp < 0:
		out.ErrorCode = kerr.UnsupportedVersion.Code
		return
	}
	i = sort.Search(len(p.batches), func(i int) bool { return p.batches[i].newest >= timestamp })
	if i < len(p.batches) {
		out.Offset, out.LeaderEpoch = p.batches[i].base, p.batches[i].epoch
	}
}

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

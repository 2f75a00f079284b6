// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/acl"
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
//	v2  isolation level: with read_committed the latest offset is the last stable one, and no record from there on is
//	    found by its time
//	v4  current leader epoch, and the leader epoch of the record that is answered
//	v5  OFFSET_NOT_AVAILABLE while a new leader doesn't know its high watermark (KIP-207)
//	v6  flexible
//	v7  largest timestamp
//	v8, v9, v11  where tiered storage begins and ends, which is not served
//	v10 time-out for tiered storage: ignored
//
// The latest offset is linearizable: before it is answered a majority confirms that this broker
// still leads. Offsets by time are exact, in compressed batches too. A partition that is named twice is
// an INVALID_REQUEST, as in Kafka.
type listOffsets struct {
	request *request
	resp    *kmsg.ListOffsetsResponse
	level   int8                   // of isolation
	left    int                    // partitions without a result, and one until all have been looked at
	named   map[namedPartition]int // how often
	denied  error                  // of the topic under way
}

// listOffsetsTimeout bounds the wait for a majority. It lies below the clients' own time-out.
const listOffsetsTimeout = 10 * time.Second

func (n *Node) handleListOffsets(r *request, m kmsg.Request) {
	req := m.(*kmsg.ListOffsetsRequest)
	l := &listOffsets{request: r, resp: kmsg.NewPtrListOffsetsResponse(), level: req.IsolationLevel, left: 1}
	l.resp.Topics = make([]kmsg.ListOffsetsResponseTopic, len(req.Topics))
	l.named = make(map[namedPartition]int)
	parts := func(i int) int { return len(req.Topics[i].Partitions) }
	list := func() {
		n.eachPart(r, len(req.Topics), func(i int) int {
			in, out := &req.Topics[i], &l.resp.Topics[i]
			*out = kmsg.NewListOffsetsResponseTopic()
			out.Topic = in.Topic
			out.Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, len(in.Partitions))
			l.left += len(in.Partitions)
			l.denied = r.topicRight(acl.Describe, in.Topic)
			return len(in.Partitions)
		}, func(i, j int) {
			n.listPartition(l, req.Topics[i].Topic, &req.Topics[i].Partitions[j], &l.resp.Topics[i].Partitions[j], req.Version)
		}, func() {
			l.done()
			r.expireAfter(listOffsetsTimeout, func() { r.reply(l.resp) })
		})
	}
	n.eachPart(r, len(req.Topics), parts, func(i, j int) {
		l.named[namedPartition{req.Topics[i].Topic, req.Topics[i].Partitions[j].Partition}]++
	}, list)
}

func (l *listOffsets) done() {
	if l.left--; l.left == 0 {
		l.request.reply(l.resp)
	}
}

func (n *Node) listPartition(l *listOffsets, topic string, in *kmsg.ListOffsetsRequestTopicPartition, out *kmsg.ListOffsetsResponseTopicPartition, version int16) {
	*out = kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition, out.Offset, out.Timestamp, out.LeaderEpoch = in.Partition, -1, -1, -1
	if l.denied != nil {
		out.ErrorCode = l.request.code(l.denied)
		l.done()
		return
	}
	if l.named[namedPartition{topic, in.Partition}] > 1 {
		out.ErrorCode = kerr.InvalidRequest.Code
		l.done()
		return
	}
	switch topic {
	case groupsTopic:
		n.listGroups(l, in, out)
		return
	case transactionsTopic:
		n.listTransactions(l, in, out)
		return
	}
	p, err := n.readable(topic, in.Partition, in.CurrentLeaderEpoch)
	if err != nil {
		out.ErrorCode = l.request.code(err)
		if part, e := n.partitionFor(topic, in.Partition); e == nil && !part.leads() && version >= 5 && code(err) == kerr.NotLeaderForPartition.Code {
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
	p.group.readIndex(l.request, func(err error) {
		switch {
		case err == nil:
			out.ErrorCode, out.LeaderEpoch = 0, leaderEpoch(p.group.term)
			out.Offset, _ = p.endFor(l.level)
		case errors.Is(err, errTooManyWaits):
			out.ErrorCode = kerr.LeaderNotAvailable.Code // retriable for every client
		default:
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

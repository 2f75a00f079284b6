// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// __consumer_offsets is read like any topic, from the leaders of its partitions, and is always compacted up to its end:
// of each key there is the newest record, and for a day the tombstones of keys that were removed. Nobody but the
// coordinators writes to it.

// isBrokersOwn reports whether a topic of that name is the brokers' own.
func isBrokersOwn(name string) bool { return name == groupsTopic || name == transactionsTopic }

// errBrokersOwn refuses what would change a topic of the brokers' own.
func errBrokersOwn(topic string) error {
	return kafka.Errorf(kerr.InvalidTopicException, "%s is the brokers' own: it can only be read; what is in it is changed by requests of its own", topic)
}

// readableCoordinator finds a partition of groupsTopic of which this broker may answer reads now, as readable does for
// all other topics.
func (n *Node) readableCoordinator(index, epoch int32) (*coordinator, error) {
	meta := n.catalog.partition(groupsTopic, index)
	if meta == nil {
		return nil, kafka.Errorf(kerr.UnknownTopicOrPartition, "partition %d of %s does not exist", index, groupsTopic)
	}
	c := n.coordinators[meta.Group]
	switch {
	case c == nil:
		return nil, kerr.NotLeaderForPartition
	case c.group.checkEpoch(epoch) != nil:
		return nil, c.group.checkEpoch(epoch)
	case brokerOf(c.group.lead) != n.self || !c.group.serving:
		return nil, kerr.NotLeaderForPartition
	}
	return c, nil
}

// maxGroupsFetch bounds the bytes of records that one answer puts into Kafka's format: that is done in the loop.
const maxGroupsFetch = 128 << 10

// fillGroups answers a fetch for one partition of groupsTopic.
func (a *fetchAnswer) fillGroups(in *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition) {
	n := a.fetch.node
	c, err := n.readableCoordinator(in.Partition, in.CurrentLeaderEpoch)
	if err != nil {
		out.ErrorCode, a.failed = a.fetch.request.code(err), true
		a.nameLeader(n.catalog.partition(groupsTopic, in.Partition), out)
		return
	}
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = c.log.end, c.log.end, c.log.start()
	if a.fetch.req.IsolationLevel == readCommitted {
		out.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	}
	if in.FetchOffset < 0 || in.FetchOffset > c.log.end {
		out.ErrorCode, a.failed = kerr.OffsetOutOfRange.Code, true
		return
	}
	a.fetch.parked = append(a.fetch.parked, parking{fetch: a.fetch, at: &c.parkedFetches, wakes: c.wakes})
	if in.FetchOffset == c.log.end {
		return
	}
	limit := min(int64(in.PartitionMaxBytes), a.budget-a.bytes, maxGroupsFetch-a.made)
	if limit <= 0 && a.bytes > 0 {
		a.cut = true
		return
	}
	if b := c.read(in.FetchOffset, limit); b.Raw != nil {
		a.bytes += int64(len(b.Raw))
		a.made += int64(len(b.Raw))
		a.cut = a.cut || a.made >= maxGroupsFetch
		a.batches[len(a.batches)-1] = []kafka.PlacedBatch{b}
	}
}

// read makes a batch of the records from an offset on, at least of those in one place.
func (c *coordinator) read(offset, limit int64) kafka.PlacedBatch {
	spec := kafka.NewBatchSpec()
	base := int64(-1)
	size := int64(0)
	c.log.from(offset, func(p *place) bool {
		if base >= 0 && (size >= limit || p.offset-base > 1<<30) {
			return false
		}
		c.node.out.Work.Parts++
		for i, r := range p.records() {
			at := p.offset + int64(i)
			if at < offset {
				continue
			}
			if base < 0 {
				base, spec.FirstTimestamp = at, p.ms
			}
			r.TimestampDelta = p.ms - spec.FirstTimestamp
			spec.Records, spec.Deltas = append(spec.Records, r), append(spec.Deltas, int32(at-base))
			size += int64(24 + len(r.Key) + len(r.Value))
		}
		return true
	})
	if base < 0 {
		return kafka.PlacedBatch{}
	}
	c.node.out.Work.Bytes += size
	return kafka.PlacedBatch{Raw: kafka.AppendBatch(nil, spec), Offset: base, Epoch: leaderEpoch(c.group.term)}
}

// listGroups answers ListOffsets for one partition of groupsTopic.
func (n *Node) listGroups(l *listOffsets, in *kmsg.ListOffsetsRequestTopicPartition, out *kmsg.ListOffsetsResponseTopicPartition) {
	c, err := n.readableCoordinator(in.Partition, in.CurrentLeaderEpoch)
	if err != nil {
		out.ErrorCode = l.request.code(err)
		l.done()
		return
	}
	found := func(p *place) {
		if p != nil {
			out.Offset, out.Timestamp, out.LeaderEpoch = p.offset, p.ms, leaderEpoch(c.group.term)
		}
	}
	switch {
	case in.Timestamp == timestampLatest:
		out.ErrorCode = kerr.RequestTimedOut.Code // until a majority answered
		c.group.readIndex(l.request, func(err error) {
			switch {
			case err == nil:
				out.ErrorCode, out.Offset, out.LeaderEpoch = 0, c.log.end, leaderEpoch(c.group.term)
			case errors.Is(err, errTooManyWaits):
				out.ErrorCode = kerr.LeaderNotAvailable.Code // retriable for every client
			default:
				out.ErrorCode = kerr.NotLeaderForPartition.Code
			}
			l.done()
		})
		return
	case in.Timestamp == timestampEarliest, in.Timestamp == timestampLocal:
		out.Offset = c.log.start()
	case in.Timestamp == timestampMax:
		found(c.log.since(c.log.newest()))
	case in.Timestamp >= 0:
		found(c.log.since(in.Timestamp))
	case in.Timestamp != timestampTiered && in.Timestamp != timestampPending:
		out.ErrorCode = kerr.UnsupportedVersion.Code
	}
	l.done()
}

// epochEnd answers OffsetForLeaderEpoch: nothing that clients could read is ever taken back.
func (c *coordinator) epochEnd(epoch int32) (int32, int64) {
	if epoch > leaderEpoch(c.group.term) {
		return -1, -1
	}
	return epoch, c.log.end
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// To clients __transaction_state looks like a topic without records: what it holds is asked for with DescribeTransactions and
// ListTransactions.

// readableTransactions finds a partition of transactionsTopic of which this broker may answer reads now.
func (n *Node) readableTransactions(index, epoch int32) (*txnCoordinator, error) {
	meta := n.catalog.partition(transactionsTopic, index)
	if meta == nil {
		return nil, kafka.Errorf(kerr.UnknownTopicOrPartition, "partition %d of %s does not exist", index, transactionsTopic)
	}
	m := n.transactions[meta.Group]
	switch {
	case m == nil:
		return nil, kerr.NotLeaderForPartition
	case m.group.checkEpoch(epoch) != nil:
		return nil, m.group.checkEpoch(epoch)
	case brokerOf(m.group.lead) != n.self || !m.group.serving:
		return nil, kerr.NotLeaderForPartition
	}
	return m, nil
}

// fillTransactions answers a fetch for one partition of transactionsTopic.
func (a *fetchAnswer) fillTransactions(in *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition) {
	n := a.fetch.node
	m, err := n.readableTransactions(in.Partition, in.CurrentLeaderEpoch)
	if err != nil {
		out.ErrorCode, a.failed = a.fetch.request.code(err), true
		a.nameLeader(n.catalog.partition(transactionsTopic, in.Partition), out)
		return
	}
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = 0, 0, 0
	if in.FetchOffset != 0 {
		out.ErrorCode, a.failed = kerr.OffsetOutOfRange.Code, true
		return
	}
	a.fetch.parked = append(a.fetch.parked, parking{fetch: a.fetch, at: &m.parkedFetches, wakes: m.wakes})
}

// listTransactions answers ListOffsets for one partition of transactionsTopic.
func (n *Node) listTransactions(l *listOffsets, in *kmsg.ListOffsetsRequestTopicPartition, out *kmsg.ListOffsetsResponseTopicPartition) {
	m, err := n.readableTransactions(in.Partition, in.CurrentLeaderEpoch)
	switch {
	case err != nil:
		out.ErrorCode = l.request.code(err)
	case in.Timestamp == timestampLatest, in.Timestamp == timestampEarliest, in.Timestamp == timestampLocal:
		out.Offset, out.LeaderEpoch = 0, leaderEpoch(m.group.term)
	}
	l.done()
}

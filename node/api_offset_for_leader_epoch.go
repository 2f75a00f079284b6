// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/acl"
)

// OffsetForLeaderEpoch, versions 2 to 4: where a leader epoch ended, by which clients find out that
// records they have read were never committed here (KIP-320).
func (n *Node) handleOffsetForLeaderEpoch(r *request, m kmsg.Request) {
	req := m.(*kmsg.OffsetForLeaderEpochRequest)
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	resp.Topics = make([]kmsg.OffsetForLeaderEpochResponseTopic, 0, len(req.Topics))
	replica := r.permitted(acl.ClusterAction, acl.Cluster, acl.ClusterName)
	var denied error // of the topic under way
	n.eachPart(r, len(req.Topics), func(i int) int {
		t := kmsg.NewOffsetForLeaderEpochResponseTopic()
		t.Topic = req.Topics[i].Topic
		t.Partitions = make([]kmsg.OffsetForLeaderEpochResponseTopicPartition, 0, len(req.Topics[i].Partitions)) // growing it would copy megabytes in a step
		resp.Topics = append(resp.Topics, t)
		if denied = nil; !replica {
			denied = r.topicRight(acl.Describe, t.Topic)
		}
		return len(req.Topics[i].Partitions)
	}, func(i, j int) {
		t, in := &resp.Topics[i], &req.Topics[i].Partitions[j]
		out := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
		err := denied
		out.Partition = in.Partition
		if err == nil {
			out.LeaderEpoch, out.EndOffset, err = n.epochEnd(t.Topic, in)
		}
		out.ErrorCode = r.code(err)
		t.Partitions = append(t.Partitions, out)
	}, func() { r.reply(resp) })
}

func (n *Node) epochEnd(topic string, in *kmsg.OffsetForLeaderEpochRequestTopicPartition) (int32, int64, error) {
	if topic == transactionsTopic {
		_, err := n.readableTransactions(in.Partition, in.CurrentLeaderEpoch)
		return in.LeaderEpoch, 0, err
	}
	if topic == groupsTopic {
		c, err := n.readableCoordinator(in.Partition, in.CurrentLeaderEpoch)
		if err != nil {
			return -1, -1, err
		}
		epoch, end := c.epochEnd(in.LeaderEpoch)
		return epoch, end, nil
	}
	p, err := n.readable(topic, in.Partition, in.CurrentLeaderEpoch)
	if err != nil {
		return -1, -1, err
	}
	epoch, end := p.epochEnd(in.LeaderEpoch)
	return epoch, end, nil
}

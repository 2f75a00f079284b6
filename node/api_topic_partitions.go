// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxDescribedPartitions is how many partitions one answer to DescribeTopicPartitions holds, Kafka's
// max.request.partition.size.limit.
const maxDescribedPartitions = 2000

// DescribeTopicPartitions, version 0 (KIP-966): topics and their partitions, page by page, in the
// order of their names. Without topics it is about all. There are no eligible leaders apart from the
// replicas in sync: only who has every committed record can lead.
func (n *Node) handleDescribeTopicPartitions(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeTopicPartitionsRequest)
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	left := int(max(1, min(req.ResponsePartitionLimit, maxDescribedPartitions)))
	if c := req.Cursor; c != nil && c.Partition < 0 {
		refused := undescribed(c.Topic)
		refused.ErrorCode = kerr.InvalidRequest.Code
		resp.Topics = append(resp.Topics, refused)
		r.reply(resp)
		return
	}
	for _, name := range n.describedTopics(req) {
		first := 0
		if c := req.Cursor; c != nil && c.Topic == name {
			first = int(c.Partition)
		}
		t := n.catalog.byName[name]
		if left <= 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: int32(first)}
			break
		}
		if t == nil {
			resp.Topics = append(resp.Topics, undescribed(name))
			continue
		}
		first = min(first, len(t.Partitions))
		end := min(len(t.Partitions), first+left)
		resp.Topics = append(resp.Topics, n.describePage(t, first, end))
		if left -= end - first; end < len(t.Partitions) {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: int32(end)}
			break
		}
	}
	r.reply(resp)
}

// describedTopics lists the names that are asked for, or all, ascending from the cursor on. If all are
// asked for and the cursor's topic was deleted, it is left out.
func (n *Node) describedTopics(req *kmsg.DescribeTopicPartitionsRequest) (names []string) {
	for i := range req.Topics {
		names = append(names, req.Topics[i].Topic)
	}
	if len(names) == 0 {
		for _, t := range n.catalog.topics {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if req.Cursor != nil {
		at, _ := slices.BinarySearchFunc(names, req.Cursor.Topic, cmp.Compare[string])
		names = names[at:]
	}
	return names
}

func undescribed(name string) kmsg.DescribeTopicPartitionsResponseTopic {
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.ErrorCode = &name, kerr.UnknownTopicOrPartition.Code
	if err := checkTopicName(name); err != nil {
		out.ErrorCode = code(err)
	}
	return out
}

// describePage describes partitions first to end-1 of a topic.
func (n *Node) describePage(t *topicMeta, first, end int) kmsg.DescribeTopicPartitionsResponseTopic {
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.TopicID, out.IsInternal, out.AuthorizedOperations = &t.Name, t.uuid, t.Internal, operationsOnTopic
	for _, meta := range t.Partitions[first:end] {
		p, o := n.describePartition(meta), kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		o.ErrorCode, o.Partition, o.LeaderID, o.LeaderEpoch = p.ErrorCode, p.Partition, p.Leader, p.LeaderEpoch
		o.Replicas, o.ISR, o.OfflineReplicas = p.Replicas, p.ISR, p.OfflineReplicas
		o.EligibleLeaderReplicas, o.LastKnownELR = []int32{}, []int32{}
		out.Partitions = append(out.Partitions, o)
	}
	return out
}

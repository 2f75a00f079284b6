// SPDX-License-Identifier: Apache-2.0

package node

import (
	"container/heap"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/acl"
)

// maxDescribedPartitions is how many partitions one answer to DescribeTopicPartitions holds, Kafka's
// max.request.partition.size.limit.
const maxDescribedPartitions = 2000

// DescribeTopicPartitions, version 0 (KIP-966): topics and their partitions, page by page, in the
// order of their names. Without topics it is about all. There are no eligible leaders apart from the
// replicas in sync: only who has every committed record can lead.
func (n *Node) handleDescribeTopicPartitions(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeTopicPartitionsRequest)
	p := &partitionPage{node: n, request: r, req: req, resp: kmsg.NewPtrDescribeTopicPartitionsResponse(), named: make(map[string]bool)}
	p.left = int(max(1, min(req.ResponsePartitionLimit, maxDescribedPartitions)))
	if c := req.Cursor; c != nil {
		p.from = c.Topic
	}
	if c := req.Cursor; c != nil && c.Partition < 0 {
		refused := undescribed(c.Topic)
		refused.ErrorCode = kerr.InvalidRequest.Code
		p.resp.Topics = append(p.resp.Topics, refused)
		r.reply(p.resp)
		return
	}
	n.each(r, len(req.Topics), p.note, func() {
		p.resp.Topics = make([]kmsg.DescribeTopicPartitionsResponseTopic, 0, len(p.names))
		n.inPieces(r, p.more, func() { r.reply(p.resp) })
	})
}

// partitionPage is an answer in the making.
type partitionPage struct {
	node    *Node
	request *request
	req     *kmsg.DescribeTopicPartitionsRequest
	resp    *kmsg.DescribeTopicPartitionsResponse
	names   topicNames // that are asked for and not answered yet
	named   map[string]bool
	from    string // all are asked for: the next one is this or comes after it
	left    int    // partitions that still fit
}

// topicNames is a heap: there may be very many names, of which a page takes few.
type topicNames []string

func (t topicNames) Len() int { return len(t) }

func (t topicNames) Less(i, j int) bool { return t[i] < t[j] }

func (t topicNames) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

func (t *topicNames) Push(name any) { *t = append(*t, name.(string)) }

func (t *topicNames) Pop() any {
	last := len(*t) - 1
	name := (*t)[last]
	*t = (*t)[:last]
	return name
}

// note takes a name that is asked for, once, if it doesn't come before the cursor.
func (p *partitionPage) note(i int) {
	if name := p.req.Topics[i].Topic; name >= p.from && !p.named[name] {
		p.named[name] = true
		heap.Push(&p.names, name)
	}
}

// next returns the name of the next topic. If all are asked for and the cursor's was deleted, it is left out.
func (p *partitionPage) next() (string, bool) {
	if len(p.req.Topics) > 0 {
		if len(p.names) == 0 {
			return "", false
		}
		return heap.Pop(&p.names).(string), true
	}
	t := p.node.catalog.topicFrom(p.from)
	if t == nil {
		return "", false
	}
	p.from = t.Name + "\x00" // nothing comes between
	return t.Name, true
}

// more describes the next topic, as far as it fits.
func (p *partitionPage) more() bool {
	name, ok := p.next()
	if !ok {
		return false
	}
	n, first := p.node, 0
	n.out.Work.Names++
	if c := p.req.Cursor; c != nil && c.Topic == name {
		first = int(max(0, c.Partition))
	}
	t := n.catalog.byName[name]
	if all := len(p.req.Topics) == 0; all && !p.request.permitted(acl.Describe, acl.Topic, name) {
		return true
	} else if !all && !p.request.may(acl.Describe, acl.Topic, name) {
		refused := undescribed(name)
		refused.ErrorCode = kerr.TopicAuthorizationFailed.Code
		p.resp.Topics = append(p.resp.Topics, refused)
		return true
	}
	switch {
	case p.left <= 0:
		p.resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: int32(first)}
		return false
	case t == nil:
		unknown := undescribed(name)
		unknown.AuthorizedOperations = p.request.operations(acl.Topic, name)
		p.resp.Topics = append(p.resp.Topics, unknown)
		return true
	}
	first = min(first, len(t.Partitions))
	end := min(len(t.Partitions), first+p.left)
	n.out.Work.Parts += end - first
	p.resp.Topics = append(p.resp.Topics, n.describePage(p.request, t, first, end))
	if p.left -= end - first; end < len(t.Partitions) {
		p.resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: int32(end)}
		return false
	}
	return true
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
func (n *Node) describePage(r *request, t *topicMeta, first, end int) kmsg.DescribeTopicPartitionsResponseTopic {
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.TopicID, out.IsInternal, out.AuthorizedOperations = &t.Name, t.uuid, t.Internal, r.operations(acl.Topic, t.Name)
	for _, meta := range t.Partitions[first:end] {
		p, o := n.describePartitionFor(r, meta), kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		o.Partition, o.LeaderID, o.LeaderEpoch = p.Partition, p.Leader, p.LeaderEpoch // that nobody leads is no error here
		o.Replicas, o.ISR, o.OfflineReplicas = p.Replicas, p.ISR, p.OfflineReplicas
		o.EligibleLeaderReplicas, o.LastKnownELR = []int32{}, []int32{}
		out.Partitions = append(out.Partitions, o)
	}
	return out
}

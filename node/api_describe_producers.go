// SPDX-License-Identifier: Apache-2.0

package node

import (
	"container/list"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/acl"
)

// DescribeProducers, version 0 (KIP-664), on any broker with a replica, as in Kafka: the idempotent producers that
// it knows, and their open transactions. A partition that is named twice is described once.
func (n *Node) handleDescribeProducers(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeProducersRequest)
	resp := kmsg.NewPtrDescribeProducersResponse()
	type place struct {
		topic, part int
		of          describer
		producers   []int64
	}
	var places []place // of partitions whose producers are to be described
	resp.Topics = make([]kmsg.DescribeProducersResponseTopic, 0, len(req.Topics))
	asked := 0 // partitions of the topic under way
	n.eachAsked(r, false, len(req.Topics), func(i int) (string, []int32) {
		asked = len(req.Topics[i].Partitions)
		return req.Topics[i].Topic, req.Topics[i].Partitions
	}, func(key namedPartition, _ *partitionMeta) {
		last := len(resp.Topics) - 1
		if last < 0 || resp.Topics[last].Topic != key.topic {
			t := kmsg.NewDescribeProducersResponseTopic()
			t.Topic = key.topic
			t.Partitions = make([]kmsg.DescribeProducersResponseTopicPartition, 0, asked)
			resp.Topics = append(resp.Topics, t)
			last++
		}
		t, out := &resp.Topics[last], kmsg.NewDescribeProducersResponseTopicPartition()
		out.Partition = key.index
		if of, err := n.describerOf(r, key); err != nil {
			out.ErrorCode, out.ErrorMessage = code(err), errorText(err)
		} else {
			ids := of.producerIDs()
			n.out.Work.Parts += len(ids) / 8
			places = append(places, place{last, len(t.Partitions), of, ids})
		}
		t.Partitions = append(t.Partitions, out)
	}, func() {
		n.eachPart(r, len(places), func(i int) int { return len(places[i].producers) }, func(i, j int) {
			at := &places[i]
			if p, ok := at.of.describeProducer(at.producers[j]); ok { // else it was forgotten meanwhile
				out := &resp.Topics[at.topic].Partitions[at.part]
				out.ActiveProducers = append(out.ActiveProducers, p)
			}
		}, func() { r.reply(resp) })
	})
}

// describer knows producers.
type describer interface {
	producerIDs() []int64
	describeProducer(id int64) (kmsg.DescribeProducersResponseTopicPartitionActiveProducer, bool)
}

// nobody is the describer of partitions to which no producer writes.
type nobody struct{}

func (nobody) producerIDs() []int64 { return nil }
func (nobody) describeProducer(int64) (p kmsg.DescribeProducersResponseTopicPartitionActiveProducer, ok bool) {
	return p, false
}

// describerOf finds who knows the producers of a partition. Those of the brokers' own topics have an answer, too, since
// kafka-transactions.sh asks for all topics when it looks for transactions that hang.
func (n *Node) describerOf(r *request, key namedPartition) (describer, error) {
	if err := r.topicRight(acl.Read, key.topic); err != nil {
		return nil, err
	}
	meta := n.catalog.partition(key.topic, key.index)
	if meta == nil || !meta.Topic.Internal {
		return n.replicaFor(key.topic, key.index)
	}
	if key.topic != groupsTopic {
		return nobody{}, nil
	}
	if c := n.coordinators[meta.Group]; c != nil {
		return c, nil
	}
	return nil, errLedElsewhere(key.topic, key.index)
}

// producerIDs lists the producers that have committed offsets in transactions: first those without an open one.
func (c *coordinator) producerIDs() (ids []int64) {
	for _, l := range []*list.List{&c.txns.idle, &c.txns.busy} {
		for e := l.Front(); e != nil; e = e.Next() {
			ids = append(ids, e.Value.(*offsetProducer).id)
		}
	}
	return ids
}

// describeProducer describes one. What waits for the end of a transaction has no offset, so its first one is 0.
func (c *coordinator) describeProducer(id int64) (a kmsg.DescribeProducersResponseTopicPartitionActiveProducer, ok bool) {
	p := c.txns.byID[id]
	if p == nil {
		return a, false
	}
	a = kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
	a.ProducerID, a.ProducerEpoch, a.CoordinatorEpoch = p.id, int32(p.epoch), p.coordinatorEpoch
	a.LastSequence, a.LastTimestamp, a.CurrentTxnStartOffset = -1, -1, -1
	if n := len(p.pending); n > 0 {
		a.LastTimestamp, a.CurrentTxnStartOffset = p.pending[n-1].committed, 0
	}
	return a, true
}

// SPDX-License-Identifier: Apache-2.0

package node

import "github.com/twmb/franz-go/pkg/kmsg"

// DescribeProducers, version 0 (KIP-664), on any broker with a replica, as in Kafka: the idempotent producers that
// it knows, and their open transactions. A partition that is named twice is described once.
func (n *Node) handleDescribeProducers(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeProducersRequest)
	resp := kmsg.NewPtrDescribeProducersResponse()
	type place struct {
		topic, part int
		of          *partition
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
		if p, err := n.replicaFor(key.topic, key.index); err != nil {
			out.ErrorCode, out.ErrorMessage = code(err), errorText(err)
		} else {
			ids := p.producerIDs()
			n.out.Work.Parts += len(ids) / 8
			places = append(places, place{last, len(t.Partitions), p, ids})
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

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/sim/keyed"
)

// longPoll asks for records that nobody will write, and has time.
func longPoll(topic string, names int) kmsg.Request {
	return fetchNaming(topic, names, 1<<31-1, 1<<30)
}

// waiting asks for what takes a majority, the catalog or a turn.
func waiting(d keyed.Draw, topic string, names int) kmsg.Request {
	switch d.Next().Below(6) {
	case 0:
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version, req.ProducerID, req.ProducerEpoch = 3, -1, -1
		return req
	case 1:
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKey = 3, preyGroup
		return req
	case 2:
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version = 7
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = -1
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	case 3:
		return repeatedOffsetFetch(names)
	case 4:
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.RebalanceTimeoutMillis = 1, preyGroup+"ing", fmt.Sprint("m", d.Next().Next().Below(8)), 1000
		req.SubscribedTopicNames, req.Topics = []string{topic}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		return req
	}
	req := bomb(64 << 10).(*kmsg.ProduceRequest)
	req.Acks, req.TimeoutMillis = -1, 1
	return req
}

// floodFetch asks for all there is.
func floodFetch(w *world, topic string) kmsg.Request {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 11, 100, 1, 1<<30
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	n := int32(1)
	if spec := w.plan.Topic(topic); spec != nil {
		n = spec.Partitions
	}
	for i := range n {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.PartitionMaxBytes, p.CurrentLeaderEpoch = i, 1<<30, -1
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/sim/keyed"
)

// bomb produces a batch that unfolds to size bytes.
func bomb(size int) kmsg.Request {
	spec := kafka.NewBatchSpec(kafka.Record{Key: []byte("k"), Value: make([]byte, size)})
	spec.FirstTimestamp = unixEpochMs
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, 1, 1000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = preyTopic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = compressed(kafka.AppendBatch(nil, spec))
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// manyProducers writes batches of as many producers.
func manyProducers(d keyed.Draw, first bool, n int) kmsg.Request {
	if first {
		req := kmsg.NewPtrMetadataRequest()
		req.Version, req.AllowAutoTopicCreation = 9, true
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(preyTopic)}}
		return req
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, 1, 1000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = preyTopic
	for range n {
		spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("x")})
		d = d.Next().Next()
		spec.FirstTimestamp, spec.BaseSequence = unixEpochMs, 0
		spec.ProducerID, spec.ProducerEpoch = d.Below(1<<11), int16(d.Next().Below(1<<15)) // some of them again
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = kafka.AppendBatch(nil, spec)
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// anotherGroup commits an offset in a group without members.
func anotherGroup(d keyed.Draw, first bool) kmsg.Request {
	if first {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKey = 3, preyGroup
		return req
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 7, fmt.Sprint(preyGroup, d.Below(1<<10)), -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = preyTopic
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = d.Next().Below(1 << 20)
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// compressed makes a batch one with gzip.
func compressed(raw []byte) []byte {
	packed, err := new(kafka.Compressor).CompressBatch(raw, kafka.CodecGzip)
	if err != nil {
		panic(err) // gzip takes any bytes
	}
	return packed
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/sim/keyed"
)

// bomb produces a batch that unfolds to size bytes.
func bomb(size int) kmsg.Request {
	spec := kafka.NewBatchSpec(kafka.Record{Key: []byte("k"), Value: make([]byte, size)})
	spec.FirstTimestamp = unixEpochMs
	return toPrey(compressed(kafka.AppendBatch(nil, spec)))
}

// forged produces a batch whose value is one record of a write-ahead log after the other, as package wal draws them. They say
// that they were written far behind the end of any simulated log, and what lay before them was durable.
//
// Of four requests the first makes the topic and the last deletes it, so that the log's files become free with this in them.
func forged(nth, size int) kmsg.Request {
	switch nth % 4 {
	case 1:
		return makePrey()
	case 0:
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version, req.TimeoutMillis, req.TopicNames = 4, 1000, []string{preyTopic}
		return req
	}
	const recordBytes, payload, future, entryRecord = 56, 16, 1 << 32, 4
	var value []byte
	le := binary.LittleEndian
	for n := range max(8, size/recordBytes) {
		if n%max(1, size/recordBytes/8) == 0 {
			value = append(value, 0) // the log's records lie at multiples of 8 bytes
		}
		value = append(value, make([]byte, recordBytes)...)
		b := value[len(value)-recordBytes:]
		le.PutUint32(b[4:], payload)
		le.PutUint64(b[8:], uint64(future+8*n))
		le.PutUint64(b[16:], future)
		le.PutUint32(b[24:], 1)
		b[28] = entryRecord
		le.PutUint64(b[32:], 1)
		le.PutUint64(b[40:], 1<<20) // index and term
		le.PutUint64(b[48:], 1)
		le.PutUint32(b, crc32.Checksum(b[4:recordBytes], crc32.MakeTable(crc32.Castagnoli)))
	}
	spec := kafka.NewBatchSpec(kafka.Record{Value: value})
	spec.FirstTimestamp = unixEpochMs
	return toPrey(kafka.AppendBatch(nil, spec))
}

// makePrey has the attackers' own topic made.
func makePrey() kmsg.Request {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = 9, true
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(preyTopic)}}
	return req
}

// toPrey produces a batch to the attackers' own topic.
func toPrey(batch []byte) kmsg.Request {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, 1, 1000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = preyTopic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = batch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// anotherProducer writes a batch of another producer.
func anotherProducer(d keyed.Draw, first bool) kmsg.Request {
	if first {
		return makePrey()
	}
	spec := kafka.NewBatchSpec(kafka.Record{Value: []byte("x")})
	d = d.Next().Next()
	spec.FirstTimestamp, spec.BaseSequence = unixEpochMs, 0
	spec.ProducerID, spec.ProducerEpoch = d.Below(1<<11), int16(d.Next().Below(1<<15)) // some of them again
	return toPrey(kafka.AppendBatch(nil, spec))
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

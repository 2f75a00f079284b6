// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// This file holds what clients stumbled over with brokers that weren't Kafka, where no other test is
// about it.

// resealed changes a batch and makes its checksum right again.
func resealed(raw []byte, change func(raw []byte)) []byte {
	change(raw)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// Sarama sends leader epoch 0 and others -1. It and the base offset are the leader's to write; the rest
// of the batch and its checksum stay.
func TestLeadersRewriteTheirFieldsOnly(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	for i, epoch := range []int32{-1, 0, 99} {
		raw := plain("a")
		binary.BigEndian.PutUint32(raw[12:], uint32(epoch))
		if offset, e := o.produce("t", raw); offset != int64(i) || e != "NONE" {
			t.Fatalf("epoch %d: offset %d, %s", epoch, offset, e)
		}
		got := o.fetch(fetchRequest("t", int64(i))).RecordBatches
		if at := binary.BigEndian.Uint64(got); at != uint64(i) || string(got[16:]) != string(raw[16:]) {
			t.Errorf("epoch %d: comes back at %d as %x, sent %x", epoch, at, got, raw)
		}
		if binary.BigEndian.Uint32(got[12:]) == uint32(epoch) {
			t.Errorf("the epoch %d is the producer's", epoch)
		}
	}
}

func TestBatchesThatClientsMayNotWrite(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	for name, raw := range map[string][]byte{
		"control batch":                resealed(plain("a"), func(raw []byte) { raw[22] |= 0x20 }),
		"base offset 7":                resealed(plain("a"), func(raw []byte) { raw[7] = 7 }),
		"codec 5":                      resealed(plain("a"), func(raw []byte) { raw[22] |= 5 }),
		"last offset delta":            resealed(plain("a", "b"), func(raw []byte) { raw[26] = 7 }),
		"magic 1":                      resealed(plain("a"), func(raw []byte) { raw[16] = 1 }),
		"transactional":                resealed(batch(1, 0, 0, "a"), func(raw []byte) { raw[22] |= 0x10 }),
		"length beyond the bytes sent": resealed(plain("a"), func(raw []byte) { raw[11]++ }),
	} {
		if offset, e := o.produce("t", raw); offset != -1 || e == "NONE" || e == "UNKNOWN_SERVER_ERROR" {
			t.Errorf("%s: offset %d, %s", name, offset, e)
		}
	}
	if got := o.read("t", 0); len(got) > 0 {
		t.Errorf("refused records are there: %v", got)
	}
}

// What an answer doesn't know is -1: 0 would be broker 0, the first offset, or 1970.
func TestWhatIsUnknownIsMinusOne(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	p := o.ask(produceRequest("t", -1, plain("a"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if p.LogAppendTime != -1 || p.CurrentLeader.LeaderID != -1 || p.CurrentLeader.LeaderEpoch != -1 {
		t.Errorf("produce: %+v", p)
	}
	f := o.fetch(fetchRequest("t", 1))
	if f.PreferredReadReplica != -1 || f.DivergingEpoch.Epoch != -1 || f.CurrentLeader.LeaderID != -1 || f.LastStableOffset != 1 || f.HighWatermark != 1 {
		t.Errorf("fetch: %+v", f)
	}
	if f = o.fetch(fetchRequest("t", 9)); f.ErrorCode != kerr.OffsetOutOfRange.Code || f.HighWatermark != 1 || f.LastStableOffset != 1 || f.LogStartOffset != 0 {
		t.Errorf("fetch out of range: %+v", f)
	}
	if f = o.fetch(fetchRequest("unknown", 0)); f.HighWatermark != -1 || f.LastStableOffset != -1 || f.LogStartOffset != -1 || f.PreferredReadReplica != -1 {
		t.Errorf("fetch of an unknown topic: %+v", f)
	}
}

// kafkajs, sarama and kafka-python send CreateTopics to the controller only, and ask for it by -1 and
// -1 where the defaults shall hold.
func TestControllerCreatesTopicsByDefaults(t *testing.T) {
	o := newOne(t, func(c *Config) { c.DefaultPartitions = 3 })
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version, meta.Topics = 1, []kmsg.MetadataRequestTopic{}
	m := o.ask(meta).(*kmsg.MetadataResponse)
	if len(m.Brokers) != 1 || m.ControllerID != m.Brokers[0].NodeID || len(m.Topics) != 0 {
		t.Errorf("%+v", m)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 5
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = "t", -1, -1
	req.Topics = append(req.Topics, in)
	out := o.ask(req).(*kmsg.CreateTopicsResponse).Topics[0]
	if out.ErrorCode != 0 || out.NumPartitions != 3 || out.ReplicationFactor != 1 || len(out.Configs) == 0 {
		t.Errorf("%+v", out)
	}
}

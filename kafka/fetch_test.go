// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// A frame in pieces has the same bytes as the codec makes of a response with all batches copied into it,
// and leaves what is in the log as it is.
func TestFetchFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		resp := kmsg.NewPtrFetchResponse()
		resp.Version = rapid.Int16Range(4, 18).Draw(t, "version")
		if resp.Version >= 7 {
			resp.ErrorCode = rapid.Int16Range(0, 1).Draw(t, "error")
			resp.SessionID = rapid.Int32().Draw(t, "session")
		}
		resp.ThrottleMillis = rapid.Int32().Draw(t, "throttle")
		var batches [][]PlacedBatch
		for range rapid.IntRange(0, 3).Draw(t, "topics") {
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic = rapid.StringN(0, 200, 300).Draw(t, "topic")
			topic.TopicID[3] = rapid.Byte().Draw(t, "id")
			for range rapid.IntRange(0, 3).Draw(t, "partitions") {
				topic.Partitions = append(topic.Partitions, drawFetched(t))
				batches = append(batches, drawPlaced(t))
			}
			resp.Topics = append(resp.Topics, topic)
		}
		if resp.Version >= 16 && rapid.Bool().Draw(t, "brokers") {
			resp.Brokers = append(resp.Brokers, kmsg.FetchResponseBroker{NodeID: 3, Host: strings.Repeat("h", 300), Port: 9092, Rack: kmsg.StringPtr("rack")})
		}
		var before [][]byte
		for _, of := range batches {
			for _, b := range of {
				before = append(before, bytes.Clone(b.Raw))
			}
		}
		frame := FetchFrame(77, resp, batches)
		if diff := cmp.Diff(copiedFetch(77, resp, batches), frame.Bytes()); diff != "" {
			t.Fatal(diff)
		}
		if frame.Len() != len(frame.Bytes()) {
			t.Fatal(frame.Len(), len(frame.Bytes()))
		}
		for _, of := range batches {
			for _, b := range of {
				if !bytes.Equal(b.Raw, before[0]) {
					t.Fatal("a batch was changed")
				}
				before = before[1:]
			}
		}
	})
}

func drawFetched(t *rapid.T) kmsg.FetchResponseTopicPartition {
	p := kmsg.NewFetchResponseTopicPartition()
	p.Partition = rapid.Int32().Draw(t, "partition")
	p.ErrorCode = rapid.Int16Range(-1, 120).Draw(t, "error")
	p.HighWatermark, p.LastStableOffset, p.LogStartOffset = rapid.Int64().Draw(t, "high"), rapid.Int64().Draw(t, "stable"), rapid.Int64().Draw(t, "start")
	p.PreferredReadReplica = rapid.Int32().Draw(t, "preferred")
	p.RecordBatches = []byte{}
	if rapid.Bool().Draw(t, "committed") {
		p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
		for range rapid.IntRange(0, 3).Draw(t, "aborted") {
			p.AbortedTransactions = append(p.AbortedTransactions, kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: rapid.Int64().Draw(t, "producer"), FirstOffset: 9})
		}
	}
	if rapid.IntRange(0, 20).Draw(t, "tagged") == 0 {
		p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch, p.SnapshotID.Epoch = 3, 5, 7
		p.DivergingEpoch.Epoch = rapid.Int32Range(-1, 5).Draw(t, "diverging")
	}
	return p
}

func drawPlaced(t *rapid.T) (batches []PlacedBatch) {
	for range rapid.IntRange(0, 4).Draw(t, "batches") {
		size := rapid.SampledFrom([]int{61, 70, copyBelow, copyBelow + 15, copyBelow + 16, 5000}).Draw(t, "size")
		raw := bytes.Repeat([]byte{rapid.Byte().Draw(t, "fill")}, size)
		batches = append(batches, PlacedBatch{raw, rapid.Int64().Draw(t, "offset"), rapid.Int32().Draw(t, "epoch")})
	}
	return batches
}

// There is room for all tagged fields.
func TestTaggedFieldsHaveRoom(t *testing.T) {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 18
	for range 10 {
		broker := kmsg.FetchResponseBroker{NodeID: 3, Host: strings.Repeat("h", 300), Port: 9092, Rack: kmsg.StringPtr(strings.Repeat("r", 200))}
		resp.Brokers = append(resp.Brokers, broker)
	}
	topic := kmsg.NewFetchResponseTopic()
	for range 100 {
		p := kmsg.NewFetchResponseTopicPartition()
		p.CurrentLeader.LeaderID, p.DivergingEpoch.Epoch, p.SnapshotID.Epoch = 1, 2, 3
		topic.Partitions = append(topic.Partitions, p)
	}
	resp.Topics = append(resp.Topics, topic)
	batches := make([][]PlacedBatch, 100)
	if size, room := len(copiedFetch(1, resp, batches)), fetchBytes(resp, batches)+taggedRoom(resp); size > room {
		t.Errorf("the answer has %d bytes, but there was room for %d", size, room)
	}
}

// A large batch is not copied.
func TestFetchFrameRefers(t *testing.T) {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 12
	topic := kmsg.NewFetchResponseTopic()
	topic.Partitions = append(topic.Partitions, kmsg.NewFetchResponseTopicPartition())
	resp.Topics = append(resp.Topics, topic)
	raw := make([]byte, 1<<20)
	frame := FetchFrame(1, resp, [][]PlacedBatch{{{Raw: raw}, {Raw: raw}}})
	if len(frame) != 5 || &frame[1][0] != &raw[16] || &frame[3][0] != &raw[16] {
		t.Fatalf("%d pieces", len(frame))
	}
}

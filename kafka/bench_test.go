// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// benchBatch is a batch of n records of 256 bytes.
func benchBatch(n int) []byte {
	records := make([]Record, n)
	for i := range records {
		records[i].Value = make([]byte, 256)
	}
	return AppendBatch(nil, NewBatchSpec(records...))
}

func BenchmarkCheckBatch1(b *testing.B) { benchmarkCheckBatch(b, 1) }

func BenchmarkCheckBatch100(b *testing.B) { benchmarkCheckBatch(b, 100) }

func benchmarkCheckBatch(b *testing.B, n int) {
	raw := benchBatch(n)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CheckBatch(raw, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseProduce parses a whole produce request: header and body.
func BenchmarkParseProduce(b *testing.B) {
	req := kmsg.NewPtrProduceRequest()
	req.Version = 9
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = "orders"
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = benchBatch(1)
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	frame := AppendRequest(nil, 1, "bench", req)
	b.ReportAllocs()
	for b.Loop() {
		h, body, err := ParseHeader(frame)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := ParseBody(h, body); err != nil {
			b.Fatal(err)
		}
	}
}

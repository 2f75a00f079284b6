// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

func compressed(codec kafka.Codec, values ...string) []byte {
	raw, err := new(kafka.Compressor).CompressBatch(plain(values...), codec)
	if err != nil {
		panic(err)
	}
	return raw
}

// Batches go out as they came in, whatever their codec; only zstd has to be sent by a client that
// speaks of it (KIP-110). A client that reads is told nothing: kafka-python 2 reads zstd with Fetch v4.
func TestCodecsPassThrough(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	offset := int64(0)
	for codec := kafka.CodecNone; codec <= kafka.CodecZstd; codec++ {
		for _, version := range []int16{3, 6, 7, 12} {
			req := produceRequest("t", -1, compressed(codec, "as it came"))
			req.Version = version
			p := o.ask(req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			want := "NONE"
			if codec == kafka.CodecZstd && version < 7 {
				want = "UNSUPPORTED_COMPRESSION_TYPE"
			}
			if got := kafka.CodeName(p.ErrorCode); got != want {
				t.Errorf("codec %d by Produce v%d: %s, want %s", codec, version, got, want)
			}
			if p.ErrorCode != 0 {
				continue
			}
			for _, version := range []int16{4, 9, 10, 12} {
				req := fetchRequest("t", offset)
				req.Version = version
				got := o.fetch(req)
				if b, err := kafka.CheckBatch(withoutOffset(got.RecordBatches), 1<<20); err != nil || b.Codec() != codec {
					t.Errorf("codec %d by Fetch v%d: %s, %+v, %v", codec, version, kafka.CodeName(got.ErrorCode), b, err)
				}
			}
			offset++
		}
	}
}

// A compressed batch is opened to find the record that is as new as a timestamp.
func TestListOffsetsInCompressedBatches(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	base := int64(0)
	for codec := kafka.CodecNone; codec <= kafka.CodecZstd; codec++ {
		first := 1000 * (base + 1)
		if _, e := o.produce("t", packed(t, codec, first)); e != "NONE" {
			t.Fatal(e)
		}
		for timestamp, want := range map[int64]int64{first: base, first + 1: base + 1, first + 100: base + 1, first + 101: base + 2, first + 200: base + 2} {
			if got := o.offsetAt("t", timestamp); got != want {
				t.Errorf("codec %d, first timestamp + %d: offset %d, want %d", codec, timestamp-first, got, want)
			}
		}
		base += 3
	}
}

// packed is three records, 100 ms apart, with a codec.
func packed(t *testing.T, codec kafka.Codec, first int64) []byte {
	var records []kafka.Record
	for i := range int64(3) {
		records = append(records, kafka.Record{TimestampDelta: 100 * i, Value: []byte("v")})
	}
	spec := kafka.NewBatchSpec(records...)
	spec.FirstTimestamp = first
	raw := kafka.AppendBatch(nil, spec)
	raw, err := new(kafka.Compressor).CompressBatch(raw, codec)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// compressed makes a batch say that its records, which nobody looks at here, have a codec.
func compressed(codec kafka.Codec) []byte {
	raw := plain("as good as compressed")
	raw[22] |= byte(codec)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
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
			req := produceRequest("t", -1, compressed(codec))
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
				if b, err := kafka.CheckBatch(withoutOffset(got.RecordBatches)); err != nil || b.Codec() != codec {
					t.Errorf("codec %d by Fetch v%d: %s, %+v, %v", codec, version, kafka.CodeName(got.ErrorCode), b, err)
				}
			}
			offset++
		}
	}
}

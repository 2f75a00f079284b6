// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Codecs of batches.
const (
	Plain   = 0
	Gzipped = 1
)

// NewBatch is the header of a batch of count records, with the time of now.
func NewBatch(codec, count int) kmsg.RecordBatch {
	now := time.Now().UnixMilli()
	return kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(codec), LastOffsetDelta: int32(count - 1), FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(count),
	}
}

// Seal is the batch with such records, as they are, with a right length and checksum.
func Seal(b kmsg.RecordBatch, records []byte) []byte {
	b.Records = records
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// AppendRecord appends a record of such an offset in its batch.
func AppendRecord(dst []byte, delta int, key, value []byte) []byte {
	body := binary.AppendVarint([]byte{0, 0}, int64(delta)) // attributes, time
	body = append(binary.AppendVarint(body, int64(len(key))), key...)
	body = append(binary.AppendVarint(body, int64(len(value))), value...)
	body = append(body, 0) // headers
	return append(binary.AppendVarint(dst, int64(len(body))), body...)
}

// Zip compresses with gzip.
func Zip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// OldMessage is one message as clients of Kafka before 0.11 wrote it (magic 0) or before 0.10 (magic 1 has a time).
func OldMessage(magic byte) []byte {
	body := []byte{magic, 0}
	if magic > 0 {
		body = binary.BigEndian.AppendUint64(body, uint64(time.Now().UnixMilli()))
	}
	body = binary.BigEndian.AppendUint32(body, 3)
	body = append(body, "key"...)
	body = binary.BigEndian.AppendUint32(body, 5)
	body = append(body, "value"...)
	raw := binary.BigEndian.AppendUint64(nil, 0)
	raw = binary.BigEndian.AppendUint32(raw, uint32(4+len(body)))
	raw = binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(body))
	return append(raw, body...)
}

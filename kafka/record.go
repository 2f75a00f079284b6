// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Record is one record to be put into a batch. A nil key or value is the protocol's null.
type Record struct {
	Key, Value     []byte
	TimestampDelta int64 // ms after the batch's first timestamp
}

// BatchSpec says what AppendBatch builds. Start from NewBatchSpec: the zero value would claim
// producer id 0.
type BatchSpec struct {
	BaseOffset     int64 // 0 from producers
	LeaderEpoch    int32 // -1 from producers
	Attributes     int16 // without a codec
	FirstTimestamp int64 // ms
	ProducerID     int64
	ProducerEpoch  int16
	BaseSequence   int32
	Records        []Record
	Deltas         []int32 // of the records' offsets from the base offset, if they aren't 0, 1, 2, ...: of compacted batches
}

// NewBatchSpec returns a batch as a producer without idempotence sends it.
func NewBatchSpec(records ...Record) BatchSpec {
	return BatchSpec{LeaderEpoch: -1, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1, Records: records}
}

// AppendBatch appends an uncompressed batch.
func AppendBatch(dst []byte, spec BatchSpec) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, batchHeaderBytes)...)
	maxTimestamp := spec.FirstTimestamp
	last := -1
	for i, r := range spec.Records {
		if last = i; spec.Deltas != nil {
			last = int(spec.Deltas[i])
		}
		dst = appendRecord(dst, last, r)
		maxTimestamp = max(maxTimestamp, spec.FirstTimestamp+r.TimestampDelta)
	}
	raw := dst[start:]
	be := binary.BigEndian
	be.PutUint64(raw, uint64(spec.BaseOffset))
	be.PutUint32(raw[8:], uint32(len(raw)-lengthEnd))
	be.PutUint32(raw[12:], uint32(spec.LeaderEpoch))
	raw[16] = 2
	be.PutUint16(raw[21:], uint16(spec.Attributes&^CodecMask))
	be.PutUint32(raw[23:], uint32(last))
	be.PutUint64(raw[27:], uint64(spec.FirstTimestamp))
	be.PutUint64(raw[35:], uint64(maxTimestamp))
	be.PutUint64(raw[43:], uint64(spec.ProducerID))
	be.PutUint16(raw[51:], uint16(spec.ProducerEpoch))
	be.PutUint32(raw[53:], uint32(spec.BaseSequence))
	be.PutUint32(raw[57:], uint32(len(spec.Records)))
	be.PutUint32(raw[17:], crc32.Checksum(raw[crcStart:], castagnoli))
	return dst
}

// appendRecord appends one record: its length, attributes 0, timestamp and offset deltas, key,
// value, and no headers.
func appendRecord(dst []byte, offsetDelta int, r Record) []byte {
	var buf [32]byte
	head := append(buf[:0], 0)
	head = binary.AppendVarint(head, r.TimestampDelta)
	head = binary.AppendVarint(head, int64(offsetDelta))
	n := len(head) + nullableLen(r.Key) + nullableLen(r.Value) + 1
	dst = binary.AppendVarint(dst, int64(n))
	dst = append(dst, head...)
	dst = appendNullable(dst, r.Key)
	dst = appendNullable(dst, r.Value)
	return binary.AppendVarint(dst, 0)
}

func appendNullable(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

func nullableLen(b []byte) int {
	var buf [binary.MaxVarintLen64]byte
	if b == nil {
		return 1
	}
	return binary.PutVarint(buf[:], int64(len(b))) + len(b)
}

// record is one parsed record; key and value alias the batch.
type record struct {
	timestampDelta int64
	offsetDelta    int64
	key, value     []byte
}

// Records calls fn for each record of one batch, until it returns an error. offset and timestamp
// (ms) are absolute; a nil key or value is the protocol's null; both alias raw. Compressed batches
// are refused with UNSUPPORTED_COMPRESSION_TYPE. The checksum is not looked at.
func Records(raw []byte, fn func(offset, timestamp int64, key, value []byte) error) error {
	b, err := ParseBatch(raw)
	if err != nil {
		return err
	}
	if b.Codec() != CodecNone {
		return Errorf(kerr.UnsupportedCompressionType, "records are compressed with codec %d, which is not decompressed here", b.Codec())
	}
	all := plainRecords(raw[batchHeaderBytes:])
	return b.eachRecord(&all, func(r record) error {
		timestamp := b.FirstTimestamp + r.timestampDelta
		if b.IsLogAppendTime() {
			timestamp = b.MaxTimestamp
		}
		return fn(b.BaseOffset+r.offsetDelta, timestamp, r.key, r.value)
	})
}

// eachRecord parses the records of a producer's batch, which must be as many as the header says
// and fill their bytes exactly, with offset deltas 0, 1, 2, ...
func (b Batch) eachRecord(all *stream, fn func(record) error) error {
	for i := range int64(b.Count) {
		one, _, ok := all.next()
		if !ok {
			return all.trouble(errNoParse(i, b))
		}
		if one.offsetDelta != i {
			return Errorf(kerr.InvalidRecord, "record %d of the batch has offset delta %d", i, one.offsetDelta)
		}
		if err := fn(one); err != nil {
			return err
		}
	}
	return b.ends(all)
}

func errNoParse(i int64, b Batch) error {
	return Errorf(kerr.InvalidRecord, "record %d of %d in the batch does not parse", i, b.Count)
}

// ends checks that nothing follows the last record.
func (b Batch) ends(all *stream) error {
	if all.fill(1) {
		return Errorf(kerr.InvalidRecord, "bytes follow the last of %d records in the batch", b.Count)
	}
	return all.trouble(nil)
}

// parseRecord parses what follows a record's length, exactly.
func parseRecord(b []byte) (record, bool) {
	in := reader{b: b}
	var one record
	in.int8() // attributes, unused by the protocol
	one.timestampDelta = in.varint()
	one.offsetDelta = in.varint()
	one.key = in.nullable()
	one.value = in.nullable()
	headers := in.varint()
	if headers < 0 {
		return record{}, false
	}
	for ; headers > 0 && !in.bad; headers-- {
		if in.nullable() == nil { // a header's key can't be null
			return record{}, false
		}
		in.nullable()
	}
	return one, !in.bad && len(in.b) == 0
}

// nullable takes bytes after their length as a varint; nil for the length -1 of null.
func (r *reader) nullable() []byte {
	n := r.varint()
	switch {
	case r.bad || n == -1:
		return nil
	case n < -1 || n > int64(len(r.b)):
		r.fail()
		return nil
	case n == 0:
		return []byte{}
	}
	return r.bytes(int(n))
}

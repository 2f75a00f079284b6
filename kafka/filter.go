// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Unpack calls fn for each record of a batch, compressed or not, that unfolds to at most limit
// bytes. delta is the record's place in the batch, from 0 to LastOffsetDelta; after compaction some
// are missing. Key and value may alias raw.
func Unpack(raw []byte, limit int, fn func(delta, timestamp int64, key, value []byte) error) error {
	b, records, err := unpack(raw, limit)
	if err != nil {
		return err
	}
	return b.each(records, func(r record, _ []byte) error {
		return fn(r.offsetDelta, b.timestamp(r), r.key, r.value)
	})
}

// Filter returns a batch without the records for which keep is false. The rest keep their offsets:
// the batch still takes as many, even if nothing is left in it. The result is raw itself if nothing
// is dropped. It is compressed as raw was.
func Filter(raw []byte, limit int, keep func(delta, timestamp int64, key, value []byte) bool) ([]byte, error) {
	b, records, err := unpack(raw, limit)
	if err != nil {
		return nil, err
	}
	var rest []byte
	count := int32(0)
	err = b.each(records, func(r record, bytes []byte) error {
		if keep(r.offsetDelta, b.timestamp(r), r.key, r.value) {
			rest = append(rest, bytes...)
			count++
		}
		return nil
	})
	if err != nil || count == b.Count {
		return raw, err
	}
	if count > 0 {
		if rest, err = Compress(b.Codec(), rest); err != nil {
			return nil, err
		}
	}
	out := append(append([]byte(nil), raw[:batchHeaderBytes]...), rest...)
	if count == 0 {
		b.Attributes &^= CodecMask
		binary.BigEndian.PutUint16(out[21:], uint16(b.Attributes))
	}
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-lengthEnd))
	binary.BigEndian.PutUint32(out[57:], uint32(count))
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[crcStart:], castagnoli))
	return out, nil
}

// EmptyBatch returns the form in which Filter leaves a batch that has no record any more: nothing but its header.
func EmptyBatch(b Batch) []byte {
	be := binary.BigEndian
	raw := make([]byte, batchHeaderBytes)
	be.PutUint64(raw, uint64(b.BaseOffset))
	be.PutUint32(raw[8:], batchHeaderBytes-lengthEnd)
	be.PutUint32(raw[12:], uint32(b.LeaderEpoch))
	raw[16] = 2
	be.PutUint16(raw[21:], uint16(b.Attributes&^CodecMask))
	be.PutUint32(raw[23:], uint32(b.LastOffsetDelta))
	be.PutUint64(raw[27:], uint64(b.FirstTimestamp))
	be.PutUint64(raw[35:], uint64(b.MaxTimestamp))
	be.PutUint64(raw[43:], uint64(b.ProducerID))
	be.PutUint16(raw[51:], uint16(b.ProducerEpoch))
	be.PutUint32(raw[53:], uint32(b.BaseSequence))
	be.PutUint32(raw[17:], crc32.Checksum(raw[crcStart:], castagnoli))
	return raw
}

// CompressBatch returns an uncompressed batch with its records compressed.
func CompressBatch(raw []byte, codec Codec) ([]byte, error) {
	records, err := Compress(codec, raw[batchHeaderBytes:])
	if err != nil {
		return nil, err
	}
	out := append(append([]byte(nil), raw[:batchHeaderBytes]...), records...)
	be := binary.BigEndian
	be.PutUint16(out[21:], be.Uint16(out[21:])|uint16(codec))
	be.PutUint32(out[8:], uint32(len(out)-lengthEnd))
	be.PutUint32(out[17:], crc32.Checksum(out[crcStart:], castagnoli))
	return out, nil
}

func unpack(raw []byte, limit int) (Batch, []byte, error) {
	b, err := ParseBatch(raw)
	if err != nil || b.Count == 0 {
		return b, nil, err
	}
	records, err := Decompress(b.Codec(), raw[batchHeaderBytes:], limit)
	return b, records, err
}

// timestamp returns a record's timestamp in ms.
func (b Batch) timestamp(r record) int64 {
	if b.IsLogAppendTime() {
		return b.MaxTimestamp
	}
	return b.FirstTimestamp + r.timestampDelta
}

// each parses the records of a batch, which must be as many as the header says, with growing offset
// deltas, and fill their bytes exactly. fn also gets each record's bytes.
func (b Batch) each(records []byte, fn func(r record, bytes []byte) error) error {
	r := reader{b: records}
	last := int64(-1)
	for i := range int64(b.Count) {
		before := r.b
		one, ok := r.record()
		if !ok {
			return Errorf(kerr.InvalidRecord, "record %d of %d in the batch does not parse", i, b.Count)
		}
		if one.offsetDelta <= last || one.offsetDelta > int64(b.LastOffsetDelta) {
			return Errorf(kerr.InvalidRecord, "record %d of the batch has offset delta %d after %d, at most %d", i, one.offsetDelta, last, b.LastOffsetDelta)
		}
		last = one.offsetDelta
		if err := fn(one, before[:len(before)-len(r.b)]); err != nil {
			return err
		}
	}
	if len(r.b) > 0 {
		return Errorf(kerr.InvalidRecord, "%d bytes follow the last of %d records in the batch", len(r.b), b.Count)
	}
	return nil
}

// Offsets returns how many offsets the batch takes: as many as it had records when it was produced.
func (b Batch) Offsets() int64 { return int64(b.LastOffsetDelta) + 1 }

// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Unpack calls fn for each record of a batch, compressed or not, that unfolds to at most limit
// bytes. delta is the record's place in the batch, from 0 to LastOffsetDelta; after compaction some
// are missing. Key and value are valid until fn returns.
func Unpack(raw []byte, limit int, fn func(delta, timestamp int64, key, value []byte) error) error {
	return (*Decompressor)(nil).Unpack(raw, limit, fn)
}

// Unpack is as the function of that name.
func (d *Decompressor) Unpack(raw []byte, limit int, fn func(delta, timestamp int64, key, value []byte) error) error {
	b, all, err := d.unpack(raw, limit)
	if err != nil {
		return err
	}
	defer all.close()
	return b.each(&all, func(r record, _ []byte) error {
		return fn(r.offsetDelta, b.timestamp(r), r.key, r.value)
	})
}

// Filter returns a batch without the records for which keep is false; it asks once for each. The rest keep their
// offsets: the batch still takes as many, even if nothing is left in it. The result is raw itself if nothing
// is dropped. It is compressed as raw was.
func (d *Decompressor) Filter(raw []byte, limit int, keep func(delta, timestamp int64, key, value []byte) bool) ([]byte, error) {
	b, all, err := d.unpack(raw, limit)
	if err != nil {
		return nil, err
	}
	var kept bits
	count := int32(0)
	err = b.each(&all, func(r record, _ []byte) error {
		yes := keep(r.offsetDelta, b.timestamp(r), r.key, r.value)
		if kept.append(yes); yes {
			count++
		}
		return nil
	})
	all.close() // for the second stream
	if err != nil || count == b.Count {
		return raw, err
	}
	rest, err := d.rest(b, raw, limit, &kept, count)
	if err != nil {
		return nil, err
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

// rest unfolds a batch once more and packs the records that are kept, so that memory never holds them unfolded.
func (d *Decompressor) rest(b Batch, raw []byte, limit int, kept *bits, count int32) ([]byte, error) {
	if count == 0 {
		return nil, nil
	}
	all, err := d.records(b.Codec(), raw[batchHeaderBytes:], limit)
	if err != nil {
		return nil, err
	}
	defer all.close()
	var out bytes.Buffer
	pack, err := compressor(b.Codec(), &out)
	if err != nil {
		return nil, err
	}
	place := 0
	err = b.each(&all, func(_ record, raw []byte) error {
		place++
		if !kept.at(place - 1) {
			return nil
		}
		_, err := pack.Write(raw)
		return err
	})
	err = errors.Join(err, pack.Close())
	return out.Bytes(), err
}

// bits is a list of yes and no.
type bits struct {
	words []uint64
	n     int
}

func (b *bits) append(yes bool) {
	if b.n%64 == 0 {
		b.words = append(b.words, 0)
	}
	if yes {
		b.words[b.n/64] |= 1 << (b.n % 64)
	}
	b.n++
}

func (b *bits) at(i int) bool { return b.words[i/64]>>(i%64)&1 == 1 }

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
func (c *Compressor) CompressBatch(raw []byte, codec Codec) ([]byte, error) {
	records, err := c.Compress(codec, raw[batchHeaderBytes:])
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

// unpack begins with the records of a batch.
func (d *Decompressor) unpack(raw []byte, limit int) (Batch, stream, error) {
	b, err := ParseBatch(raw)
	if err != nil {
		return b, stream{}, err
	}
	if b.Count == 0 {
		return b, stream{err: io.EOF}, nil
	}
	all, err := d.records(b.Codec(), raw[batchHeaderBytes:], limit)
	return b, all, err
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
func (b Batch) each(all *stream, fn func(r record, bytes []byte) error) error {
	last := int64(-1)
	for i := range int64(b.Count) {
		one, raw, ok := all.next()
		if !ok {
			return all.trouble(errNoParse(i, b))
		}
		if one.offsetDelta <= last || one.offsetDelta > int64(b.LastOffsetDelta) {
			return Errorf(kerr.InvalidRecord, "record %d of the batch has offset delta %d after %d, at most %d", i, one.offsetDelta, last, b.LastOffsetDelta)
		}
		last = one.offsetDelta
		if err := fn(one, raw); err != nil {
			return err
		}
	}
	return b.ends(all)
}

// Offsets returns how many offsets the batch takes: as many as it had records when it was produced.
func (b Batch) Offsets() int64 { return int64(b.LastOffsetDelta) + 1 }

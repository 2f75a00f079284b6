// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A record batch of format 2 (KIP-98), big endian:
//
//	 0  base offset             int64   written by the broker, outside the checksum
//	 8  length                  int32   bytes that follow this field
//	12  partition leader epoch  int32   written by the broker, outside the checksum
//	16  magic                   int8    2
//	17  crc                     uint32  CRC-32C of everything from byte 21 on
//	21  attributes              int16   bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control
//	23  last offset delta       int32
//	27  first timestamp         int64   ms
//	35  max timestamp           int64   ms
//	43  producer id             int64   -1: none
//	51  producer epoch          int16   -1: none
//	53  base sequence           int32   -1: none
//	57  count                   int32
//	61  records, compressed as a whole if there is a codec
const (
	batchHeaderBytes = 61
	lengthEnd        = 12 // the length counts from here
	crcStart         = 21 // the checksum covers the bytes from here on
)

// Attributes of a batch.
const (
	CodecMask         = 0x07
	LogAppendTimeFlag = 0x08
	TransactionalFlag = 0x10
	ControlFlag       = 0x20
)

// Codec is how the records of a batch are compressed.
type Codec int8

// The codecs of the protocol.
const (
	CodecNone Codec = iota
	CodecGzip
	CodecSnappy
	CodecLZ4
	CodecZstd
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is the header of a record batch.
type Batch struct {
	BaseOffset      int64
	Length          int32 // bytes after the length field; the whole batch has 12 more
	LeaderEpoch     int32
	Magic           int8
	CRC             uint32
	Attributes      int16
	LastOffsetDelta int32
	FirstTimestamp  int64 // ms
	MaxTimestamp    int64 // ms
	ProducerID      int64 // -1: none
	ProducerEpoch   int16 // -1: none
	BaseSequence    int32 // -1: none
	Count           int32 // number of records
}

// Codec returns the compression of the records.
func (b Batch) Codec() Codec { return Codec(b.Attributes & CodecMask) }

// IsControl reports whether the batch holds a transaction marker, which only brokers write.
func (b Batch) IsControl() bool { return b.Attributes&ControlFlag != 0 }

// IsTransactional reports whether the first batch in some bytes is part of a transaction, if they are batches at all.
func IsTransactional(raw []byte) bool {
	const magicAt, attributesAt = 16, 21
	return len(raw) > attributesAt+1 && raw[magicAt] == 2 && raw[attributesAt+1]&TransactionalFlag != 0
}

// IsTransactional reports whether the batch is part of a transaction.
func (b Batch) IsTransactional() bool { return b.Attributes&TransactionalFlag != 0 }

// IsLogAppendTime reports whether the broker set the timestamps; else the producer did.
func (b Batch) IsLogAppendTime() bool { return b.Attributes&LogAppendTimeFlag != 0 }

// Newest returns the largest timestamp of the records in ms, as far as the header tells: old versions of
// sarama leave MaxTimestamp at -1, so it is at least the first timestamp, unless that means nothing
// because the broker set the time.
func (b Batch) Newest() int64 {
	if b.IsLogAppendTime() {
		return b.MaxTimestamp
	}
	return max(b.FirstTimestamp, b.MaxTimestamp)
}

// IsIdempotent reports whether the batch has a producer id and a sequence.
func (b Batch) IsIdempotent() bool { return b.ProducerID >= 0 }

// LastOffset returns the offset of the last record.
func (b Batch) LastOffset() int64 { return b.BaseOffset + int64(b.LastOffsetDelta) }

// LastSequence returns the sequence of the last record. Sequences wrap from 2^31-1 to 0.
func (b Batch) LastSequence() int32 {
	return int32((int64(b.BaseSequence) + int64(b.LastOffsetDelta)) & (1<<31 - 1))
}

// Size returns the length of the whole batch in bytes.
func (b Batch) Size() int { return int(b.Length) + lengthEnd }

// ParseBatch parses the header of raw, which must be exactly one batch of format 2. It looks at no
// record and no checksum. The error is an *Error with the code that Kafka answers.
func ParseBatch(raw []byte) (Batch, error) {
	if len(raw) == 0 {
		return Batch{}, Errorf(kerr.InvalidRecord, "no record batch for the partition; send exactly one")
	}
	// Formats 0 and 1 have their magic at the same byte and shorter headers.
	if len(raw) > 16 && raw[16] != 2 {
		return Batch{}, Errorf(kerr.InvalidRecord, "record format (magic) %d; only format 2 is taken, which clients of Kafka 0.11 and later write", int8(raw[16]))
	}
	if len(raw) < batchHeaderBytes {
		return Batch{}, Errorf(kerr.CorruptMessage, "record batch of %d bytes; its header alone has %d", len(raw), batchHeaderBytes)
	}
	b := readBatchHeader(raw)
	switch {
	case b.Length < batchHeaderBytes-lengthEnd || b.Size() > len(raw):
		return Batch{}, Errorf(kerr.CorruptMessage, "record batch says it has %d bytes after its length, but %d are there", b.Length, len(raw)-lengthEnd)
	case b.Size() < len(raw):
		return Batch{}, Errorf(kerr.InvalidRecord, "%d bytes follow the record batch; send exactly one batch for each partition", len(raw)-b.Size())
	}
	return b, nil
}

// readBatchHeader reads the fields of a header that is there whole.
func readBatchHeader(raw []byte) Batch {
	be := binary.BigEndian
	return Batch{
		BaseOffset:      int64(be.Uint64(raw)),
		Length:          int32(be.Uint32(raw[8:])),
		LeaderEpoch:     int32(be.Uint32(raw[12:])),
		Magic:           int8(raw[16]),
		CRC:             be.Uint32(raw[17:]),
		Attributes:      int16(be.Uint16(raw[21:])),
		LastOffsetDelta: int32(be.Uint32(raw[23:])),
		FirstTimestamp:  int64(be.Uint64(raw[27:])),
		MaxTimestamp:    int64(be.Uint64(raw[35:])),
		ProducerID:      int64(be.Uint64(raw[43:])),
		ProducerEpoch:   int16(be.Uint16(raw[51:])),
		BaseSequence:    int32(be.Uint32(raw[53:])),
		Count:           int32(be.Uint32(raw[57:])),
	}
}

// CheckBatch checks everything that a broker demands of a producer's batch: its header (CheckHeader) and
// its records (CheckRecords). The error is an *Error with the code that Kafka answers.
func CheckBatch(raw []byte, limit int) (Batch, error) {
	b, err := CheckHeader(raw)
	if err == nil {
		_, err = CheckRecords(raw, Demands{Unfold: limit, Newest: AnyTime})
	}
	if err != nil {
		return Batch{}, err
	}
	return b, nil
}

// CheckHeader checks what needs no look at the records: exactly one batch of format 2, its checksum, a
// known codec, no control bit, a count that agrees with the last offset delta, and a sequence if there is
// a producer id. The error is an *Error with the code that Kafka answers.
func CheckHeader(raw []byte) (Batch, error) {
	b, err := ParseBatch(raw)
	if err != nil {
		return Batch{}, err
	}
	if err := checkChecksum(b, raw); err != nil {
		return Batch{}, err
	}
	if err := checkProducerFields(b); err != nil {
		return Batch{}, err
	}
	return b, nil
}

// AcksKept is what a produce request says whose batches keep their offsets. Kafka refuses it, as all but -1, 0 and 1.
const AcksKept = -100

// CheckKept checks the header of a batch that keeps the offsets which it had in another log. Records may be missing from
// it, or all of them: then it stands for offsets without records. It is of no producer, so it is in no transaction.
func CheckKept(raw []byte) (Batch, error) {
	b, err := ParseBatch(raw)
	if err == nil {
		err = checkChecksum(b, raw)
	}
	if err != nil {
		return Batch{}, err
	}
	switch {
	case b.Codec() > CodecZstd:
		err = Errorf(kerr.InvalidRecord, "codec %d is unknown", b.Codec())
	case b.IsControl() || b.IsTransactional() || b.IsIdempotent():
		err = Errorf(kerr.InvalidRecord, "a batch that keeps its offsets is of no producer and in no transaction")
	case b.LastOffsetDelta < 0 || b.Count < 0 || int64(b.Count) > b.Offsets():
		err = Errorf(kerr.InvalidRecord, "%d records in a batch of %d offsets", b.Count, b.Offsets())
	case b.BaseOffset < 0 || b.BaseOffset > math.MaxInt64-b.Offsets():
		err = Errorf(kerr.InvalidRecord, "base offset is %d", b.BaseOffset)
	case b.Count == 0 && (b.Size() != batchHeaderBytes || b.Codec() != CodecNone):
		err = Errorf(kerr.InvalidRecord, "the batch says that it has no records, and more than a header")
	}
	if err != nil {
		return Batch{}, err
	}
	return b, nil
}

// Demands is what the records of a producer's batch have to keep to, beside agreeing with its header.
type Demands struct {
	Unfold int   // bytes that they may unfold to
	Keyed  bool  // each has a key
	Oldest int64 // timestamps are at least this, in ms; records without one (-1) may be of any time
	Newest int64 // and at most this
	Kept   bool  // some may be missing (CheckKept)
}

// AnyTime is Demands.Newest where timestamps may be of any time; Oldest is 0 then.
const AnyTime = math.MaxInt64

// CheckRecords looks at each record of a producer's batch, whose header was checked: they must parse, be as many as
// the header says with offset deltas 0, 1, 2, ..., and meet the demands. It returns the largest timestamp of them in
// ms, of which the header may say anything. The error is an *Error with the code that Kafka answers, or *BadRecords.
func CheckRecords(raw []byte, d Demands) (newest int64, err error) {
	return (*Decompressor)(nil).CheckRecords(raw, d)
}

// CheckRecords is as the function of that name.
func (d *Decompressor) CheckRecords(raw []byte, want Demands) (newest int64, err error) {
	b, all, err := d.unpack(raw, want.Unfold)
	if err != nil {
		return 0, err
	}
	defer all.close()
	all.heads = true
	newest = math.MinInt64
	bad := &BadRecords{}
	check := func(r record) error {
		ms := b.FirstTimestamp + r.timestampDelta
		newest = max(newest, ms)
		switch {
		case want.Keyed && r.key == nil:
			bad.add(r, errNoKey)
		case ms >= 0 && (ms < want.Oldest || ms > want.Newest):
			bad.add(r, errTimestamp)
		}
		return nil
	}
	switch {
	case want.Kept && b.Count == 0:
		return b.MaxTimestamp, nil
	case want.Kept:
		err = b.each(&all, func(r record, _ []byte) error { return check(r) })
	default:
		err = b.eachRecord(&all, check)
	}
	if err == nil && bad.err != nil {
		err = bad
	}
	return newest, err
}

// BadRecords refuses a batch for some of its records (KIP-467). Clients send the others again.
type BadRecords struct {
	Which []int32 // by their places in the batch, at most maxBadRecords
	err   error   // what is wrong with them
}

const maxBadRecords = 1000

// add notes a record with a fault. Only those with the first fault that is found are told.
func (b *BadRecords) add(r record, err error) {
	if b.err == nil {
		b.err = err
	}
	if b.err == err && len(b.Which) < maxBadRecords {
		b.Which = append(b.Which, int32(r.offsetDelta))
	}
}

func (b *BadRecords) Error() string { return b.err.Error() }
func (b *BadRecords) Unwrap() error { return b.err }

var (
	errNoKey     = Errorf(kerr.InvalidRecord, "the topic is compacted; give every record a key")
	errTimestamp = Errorf(kerr.InvalidTimestamp, "the timestamp is too far from the broker's time; send milliseconds since 1970, "+
		"or set message.timestamp.before.max.ms or message.timestamp.after.max.ms of the topic")
)

func checkChecksum(b Batch, raw []byte) error {
	if sum := crc32.Checksum(raw[crcStart:], castagnoli); sum != b.CRC {
		return Errorf(kerr.CorruptMessage, "record batch has checksum %08x, but its bytes have %08x; it was damaged on the way", b.CRC, sum)
	}
	return nil
}

// checkProducerFields checks the header fields that a client may set, each for itself.
func checkProducerFields(b Batch) error {
	switch {
	case b.Codec() > CodecZstd:
		return Errorf(kerr.InvalidRecord, "codec %d is unknown", b.Codec())
	case b.IsControl():
		return Errorf(kerr.InvalidRecord, "the batch has the control bit, which only brokers may set")
	case b.BaseOffset != 0:
		return Errorf(kerr.InvalidRecord, "base offset is %d; a producer has to send 0", b.BaseOffset)
	case b.Count <= 0:
		return Errorf(kerr.InvalidRecord, "the batch has %d records", b.Count)
	case b.LastOffsetDelta != b.Count-1:
		return Errorf(kerr.InvalidRecord, "last offset delta is %d in a batch of %d records", b.LastOffsetDelta, b.Count)
	case b.ProducerID < 0 && b.IsTransactional():
		return Errorf(kerr.InvalidRecord, "a transactional batch has no producer id")
	case b.ProducerID >= 0 && (b.ProducerEpoch < 0 || b.BaseSequence < 0):
		return Errorf(kerr.InvalidRecord, "producer %d sent epoch %d and sequence %d", b.ProducerID, b.ProducerEpoch, b.BaseSequence)
	}
	return nil
}

// SetBaseOffset writes the base offset of a batch. The checksum does not cover it.
func SetBaseOffset(raw []byte, offset int64) { binary.BigEndian.PutUint64(raw, uint64(offset)) }

// SetLeaderEpoch writes the partition leader epoch of a batch. The checksum does not cover it.
func SetLeaderEpoch(raw []byte, epoch int32) { binary.BigEndian.PutUint32(raw[12:], uint32(epoch)) }

// SetAppendTime makes a batch carry the broker's time instead of the producer's
// (message.timestamp.type=LogAppendTime, KIP-32): the timestamp type, the largest timestamp in ms,
// and, as both are covered by it, the checksum. Readers then give every record of the batch that
// timestamp; the first timestamp and the records' deltas stay as they came and mean nothing.
func SetAppendTime(raw []byte, ms int64) {
	be := binary.BigEndian
	be.PutUint16(raw[21:], be.Uint16(raw[21:])|LogAppendTimeFlag)
	be.PutUint64(raw[35:], uint64(ms))
	be.PutUint32(raw[17:], crc32.Checksum(raw[crcStart:], castagnoli))
}

// SetMaxTimestamp writes the largest timestamp of a batch, in ms, and the checksum that covers it.
func SetMaxTimestamp(raw []byte, ms int64) {
	be := binary.BigEndian
	be.PutUint64(raw[35:], uint64(ms))
	be.PutUint32(raw[17:], crc32.Checksum(raw[crcStart:], castagnoli))
}

// SplitBatches calls fn for each whole batch in the records of a fetch response. The last one may
// be cut, which is legal there, and is skipped. A length that no batch can have is an error.
func SplitBatches(raw []byte, fn func(one []byte)) error {
	for len(raw) >= lengthEnd {
		n := int32(binary.BigEndian.Uint32(raw[8:]))
		if n < batchHeaderBytes-lengthEnd {
			return Errorf(kerr.CorruptMessage, "record batch says it has %d bytes after its length; its header alone has %d", n, batchHeaderBytes-lengthEnd)
		}
		size := int(n) + lengthEnd
		if size > len(raw) {
			return nil
		}
		fn(raw[:size:size])
		raw = raw[size:]
	}
	return nil
}

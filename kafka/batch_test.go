// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

// literalBatch is one record "k" -> "hello" at 1000 ms, from producer 7, epoch 1, sequence 5, byte
// by byte as KIP-98 draws it. Nobody should have to change it.
var literalBatch = unhex(
	"0000000000000000", // base offset 0
	"0000003e",         // 62 bytes follow
	"ffffffff",         // leader epoch -1
	"02",               // magic
	"9ad7b895",         // CRC-32C of the rest: see TestLiteralChecksum
	"0000",             // attributes
	"00000000",         // last offset delta
	"00000000000003e8", // first timestamp
	"00000000000003ea", // max timestamp
	"0000000000000007", // producer id
	"0001",             // producer epoch
	"00000005",         // base sequence
	"00000001",         // one record
	"18",               // record of 12 bytes
	"00",               // record attributes
	"04",               // timestamp delta 2
	"00",               // offset delta 0
	"026b",             // key "k"
	"0a68656c6c6f",     // value "hello"
	"00",               // no headers
)

func unhex(parts ...string) []byte {
	b, err := hex.DecodeString(strings.Join(parts, ""))
	if err != nil {
		panic(err)
	}
	return b
}

func TestAppendBatchLiteral(t *testing.T) {
	spec := NewBatchSpec(Record{Key: []byte("k"), Value: []byte("hello"), TimestampDelta: 2})
	spec.FirstTimestamp = 1000
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 7, 1, 5
	got := AppendBatch([]byte("before"), spec)
	if diff := cmp.Diff(hex.EncodeToString(literalBatch), hex.EncodeToString(got[6:])); diff != "" {
		t.Error(diff)
	}
	if string(got[:6]) != "before" {
		t.Error("what was in dst is changed")
	}
}

// TestLiteralChecksum computes CRC-32C bit by bit, so that the literal doesn't rest on the table
// that the code under test uses.
func TestLiteralChecksum(t *testing.T) {
	crc := ^uint32(0)
	for _, b := range literalBatch[21:] {
		crc ^= uint32(b)
		for range 8 {
			lsb := crc & 1
			crc >>= 1
			if lsb == 1 {
				crc ^= 0x82f63b78 // the Castagnoli polynomial, reflected
			}
		}
	}
	if got := binary.BigEndian.Uint32(literalBatch[17:]); got != ^crc {
		t.Errorf("the literal has %08x, its bytes have %08x", got, ^crc)
	}
}

func TestCheckBatchReadsEveryField(t *testing.T) {
	got, err := CheckBatch(literalBatch, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want := Batch{
		Length: 62, LeaderEpoch: -1, Magic: 2, CRC: binary.BigEndian.Uint32(literalBatch[17:]), FirstTimestamp: 1000,
		MaxTimestamp: 1002, ProducerID: 7, ProducerEpoch: 1, BaseSequence: 5, Count: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Size() != len(literalBatch) || !got.IsIdempotent() || got.IsControl() || got.IsTransactional() || got.IsLogAppendTime() {
		t.Errorf("helpers disagree with the fields: %+v", got)
	}
}

// sealed returns a copy of the literal batch with the change applied and a right checksum.
func sealed(change func(b []byte)) []byte {
	b := bytes.Clone(literalBatch)
	change(b)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}

func put16(at int, v uint16) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint16(b[at:], v) }
}

func put32(at int, v uint32) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint32(b[at:], v) }
}

func put8(at int, v byte) func([]byte) {
	return func(b []byte) { b[at] = v }
}

func TestCheckBatchRefuses(t *testing.T) {
	invalid, corrupt := kerr.InvalidRecord.Code, kerr.CorruptMessage.Code
	for _, c := range []struct {
		name string
		raw  []byte
		code int16
		text string
	}{
		{"nothing", nil, invalid, "exactly one"},
		{"cut in the header", literalBatch[:60], corrupt, "60 bytes"},
		{"cut in the records", literalBatch[:70], corrupt, "58 are there"},
		{"two batches", append(bytes.Clone(literalBatch), literalBatch...), invalid, "74 bytes follow"},
		{"magic 1", sealed(put8(16, 1)), invalid, "magic"},
		{"magic 0, short", make([]byte, 30), invalid, "magic"},
		{"negative length", sealed(put32(8, 0x80000000)), corrupt, "says it has"},
		{"length below the header", sealed(put32(8, 48)), corrupt, "says it has"},
		{"flipped bit", append(bytes.Clone(literalBatch[:73]), 1), corrupt, "checksum"},
		{"flipped bit in the header", put(literalBatch, put8(50, 9)), corrupt, "checksum"},
		{"codec 5", sealed(put16(21, 5)), invalid, "codec 5"},
		{"control", sealed(put16(21, 0x20)), invalid, "control bit"},
		{"base offset", sealed(put8(7, 1)), invalid, "base offset is 1"},
		{"no records", sealed(put32(57, 0)), invalid, "has 0 records"},
		{"negative count", sealed(put32(57, 1<<31)), invalid, "records"},
		{"count over last offset delta", sealed(put32(57, 2)), invalid, "last offset delta is 0"},
		{"transaction without producer", sealed(func(b []byte) { b[22] = 0x10; copy(b[43:], "\xff\xff\xff\xff\xff\xff\xff\xff") }), invalid, "transactional"},
		{"producer without epoch", sealed(put16(51, 0xffff)), invalid, "epoch -1"},
		{"producer without sequence", sealed(put32(53, 0xffffffff)), invalid, "sequence -1"},
		{"more records said than there", sealed(func(b []byte) { b[26], b[60] = 1, 2 }), invalid, "record 1 of 2"},
		{"record longer than the batch", sealed(put8(61, 0x1a)), invalid, "does not parse"},
		{"record shorter than its fields", sealed(put8(61, 0x16)), invalid, "does not parse"},
		{"wrong offset delta", sealed(put8(64, 2)), invalid, "offset delta 1"},
		{"key longer than the record", sealed(put8(65, 0x20)), invalid, "does not parse"},
		{"header that isn't there", sealed(put8(73, 2)), invalid, "does not parse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := CheckBatch(c.raw, 1<<20)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := Code(err); got != c.code {
				t.Errorf("code %s, want %s", CodeName(got), CodeName(c.code))
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("%q doesn't say %q", err, c.text)
			}
		})
	}
}

// put returns a changed copy of b, with the old checksum.
func put(b []byte, change func([]byte)) []byte {
	b = bytes.Clone(b)
	change(b)
	return b
}

// What is inside a compressed batch is checked as what is inside a plain one, and by more: it has to unfold.
func TestCheckBatchLooksIntoCompressedBatches(t *testing.T) {
	plain := AppendBatch(nil, NewBatchSpec(Record{Value: []byte("a")}, Record{Value: []byte("b")}, Record{Value: []byte("c")}))
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		good := compressed(t, plain, codec)
		if _, err := CheckBatch(good, 1<<20); err != nil {
			t.Errorf("codec %d: %v", codec, err)
		}
		inside := func(change func(records []byte) []byte) []byte {
			raw := append(bytes.Clone(plain[:batchHeaderBytes]), change(bytes.Clone(plain[batchHeaderBytes:]))...)
			return compressed(t, raw, codec)
		}
		for what, raw := range map[string][]byte{
			"cut":                     resealed(good[:len(good)-len(good[batchHeaderBytes:])/2], func([]byte) {}),
			"empty":                   resealed(good[:batchHeaderBytes], func([]byte) {}),
			"another codec":           resealed(good, func(b []byte) { b[22] = b[22]%4 + 1 }),
			"count too large":         resealed(good, func(b []byte) { b[26], b[60] = 4, 5 }),
			"count too small":         resealed(good, func(b []byte) { b[26], b[60] = 1, 2 }),
			"2^31-1 records":          resealed(good, func(b []byte) { copy(b[23:], "\x7f\xff\xff\xfe"); copy(b[57:], "\x7f\xff\xff\xff") }),
			"offset deltas 0, 0, 0":   inside(func(r []byte) []byte { return bytes.Repeat(r[:len(r)/3], 3) }),
			"records out of order":    inside(func(r []byte) []byte { n := len(r) / 3; return slices.Concat(r[:n], r[2*n:], r[n:2*n]) }),
			"bytes behind the last":   inside(func(r []byte) []byte { return append(r, 1, 2, 3) }),
			"garbage after unfolding": inside(func(r []byte) []byte { r[0] = 0x7f; return r }),
		} {
			if _, err := CheckBatch(raw, 1<<20); Code(err) != kerr.InvalidRecord.Code {
				t.Errorf("codec %d, %s: %v", codec, what, err)
			}
		}
		if _, err := CheckRecords(good, Demands{Unfold: 1 << 20, Keyed: true, Newest: AnyTime}); Code(err) != kerr.InvalidRecord.Code {
			t.Errorf("codec %d, no key where one is needed: %v", codec, err)
		}
	}
}

// Each record is looked at, and those that are wrong are told by their places.
func TestCheckRecordsTellsWhichTimestampsAreWrong(t *testing.T) {
	at := func(ms ...int64) []byte {
		spec := NewBatchSpec()
		for _, m := range ms {
			spec.Records = append(spec.Records, Record{TimestampDelta: m - 1000})
		}
		spec.FirstTimestamp = 1000
		return AppendBatch(nil, spec)
	}
	for _, c := range []struct {
		raw  []byte
		want []int32
	}{
		{at(1000, 900, 1100), nil},
		{at(1000, 899, 1000), []int32{1}},
		{at(1000, 1101, 1000, 800), []int32{1, 3}},
		{at(-1, 1000, -1), nil}, // without a timestamp
	} {
		_, err := CheckRecords(c.raw, Demands{Unfold: 1 << 20, Oldest: 900, Newest: 1100})
		bad, _ := err.(*BadRecords)
		switch {
		case c.want == nil && err != nil:
			t.Errorf("%v", err)
		case c.want != nil && (bad == nil || !slices.Equal(bad.Which, c.want) || Code(err) != kerr.InvalidTimestamp.Code):
			t.Errorf("want records %v refused: %v", c.want, err)
		}
	}
}

// resealed returns a changed copy of a batch with its length and checksum right.
func resealed(raw []byte, change func([]byte)) []byte {
	raw = bytes.Clone(raw)
	change(raw)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-lengthEnd))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[crcStart:], castagnoli))
	return raw
}

// The largest timestamp is that of the records, whatever the header says.
func TestCheckRecordsTellsTheLargestTimestamp(t *testing.T) {
	spec := NewBatchSpec(Record{}, Record{TimestampDelta: 70}, Record{TimestampDelta: -5})
	spec.FirstTimestamp = 1000
	raw := resealed(AppendBatch(nil, spec), put32(35, 0x7fffffff))
	if got, err := CheckRecords(raw, Demands{Unfold: 1 << 20, Newest: AnyTime}); got != 1070 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	SetMaxTimestamp(raw, 1070)
	if b, err := CheckBatch(raw, 1<<20); err != nil || b.MaxTimestamp != 1070 {
		t.Errorf("%+v, %v", b, err)
	}
}

// Clients send any leader epoch.
func TestCheckBatchAccepts(t *testing.T) {
	for name, raw := range map[string][]byte{
		"leader epoch 0":      sealed(put32(12, 0)),
		"transaction":         sealed(put16(21, 0x10)),
		"sequence at the end": sealed(put32(53, 1<<31-1)),
	} {
		if _, err := CheckBatch(raw, 1<<20); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRewriteKeepsChecksum(t *testing.T) {
	raw := bytes.Clone(literalBatch)
	SetBaseOffset(raw, 1<<40)
	SetLeaderEpoch(raw, 9)
	b, err := ParseBatch(raw)
	if err != nil {
		t.Fatal(err)
	}
	if b.BaseOffset != 1<<40 || b.LeaderEpoch != 9 || b.LastOffset() != 1<<40 {
		t.Errorf("%+v", b)
	}
	if err := checkChecksum(b, raw); err != nil {
		t.Error(err)
	}
}

func TestLastSequenceWraps(t *testing.T) {
	b := Batch{BaseSequence: 1<<31 - 2, LastOffsetDelta: 3}
	if got := b.LastSequence(); got != 1 {
		t.Errorf("sequences 2147483646, 2147483647, 0, 1 end at %d", got)
	}
}

func TestRecordsOfLogAppendTime(t *testing.T) {
	raw := sealed(put16(21, LogAppendTimeFlag))
	err := Records(raw, func(_, timestamp int64, _, _ []byte) error {
		if timestamp != 1002 {
			t.Errorf("timestamp %d, want the batch's max timestamp 1002", timestamp)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// parsedRecord is what Records says of one record.
type parsedRecord struct {
	Offset, Timestamp int64
	Key, Value        []byte
}

func drawRecords(t *rapid.T) []Record {
	part := rapid.OneOf(rapid.Just[[]byte](nil), rapid.SliceOfN(rapid.Byte(), 0, 200))
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Record {
		return Record{Key: part.Draw(t, "key"), Value: part.Draw(t, "value"), TimestampDelta: rapid.Int64Range(-1000, 1<<40).Draw(t, "delta")}
	}), 1, 20).Draw(t, "records")
}

func TestBatchRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := NewBatchSpec(drawRecords(t)...)
		spec.FirstTimestamp = rapid.Int64Range(0, 1<<50).Draw(t, "first")
		if rapid.Bool().Draw(t, "idempotent") {
			spec.ProducerID = rapid.Int64Range(0, 1<<62).Draw(t, "id")
			spec.ProducerEpoch = rapid.Int16Min(0).Draw(t, "epoch")
			spec.BaseSequence = rapid.Int32Min(0).Draw(t, "sequence")
		}
		raw := AppendBatch(nil, spec)
		b, err := CheckBatch(raw, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if int(b.Count) != len(spec.Records) || b.ProducerID != spec.ProducerID || b.ProducerEpoch != spec.ProducerEpoch || b.BaseSequence != spec.BaseSequence {
			t.Fatalf("%+v from %+v", b, spec)
		}
		base := rapid.Int64Range(0, 1<<60).Draw(t, "base")
		SetBaseOffset(raw, base)
		want := make([]parsedRecord, len(spec.Records))
		for i, r := range spec.Records {
			want[i] = parsedRecord{base + int64(i), spec.FirstTimestamp + r.TimestampDelta, r.Key, r.Value}
		}
		var got []parsedRecord
		err = Records(raw, func(offset, timestamp int64, key, value []byte) error {
			got = append(got, parsedRecord{offset, timestamp, key, value})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A fetch response may end in the middle of a batch; every whole one before it is found.
func TestSplitBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var raw []byte
		var ends []int
		for range rapid.IntRange(0, 5).Draw(t, "batches") {
			raw = AppendBatch(raw, NewBatchSpec(drawRecords(t)...))
			ends = append(ends, len(raw))
		}
		cut := rapid.IntRange(0, len(raw)).Draw(t, "cut")
		var got []byte
		n := 0
		if err := SplitBatches(raw[:cut], func(one []byte) { got = append(got, one...); n++ }); err != nil {
			t.Fatal(err)
		}
		want, whole := 0, 0
		for _, end := range ends {
			if end <= cut {
				want, whole = end, whole+1
			}
		}
		if n != whole || !bytes.Equal(got, raw[:want]) {
			t.Fatalf("%d batches of %d bytes, want %d of %d", n, len(got), whole, want)
		}
	})
	if err := SplitBatches(put(literalBatch, put32(8, 0)), func([]byte) {}); Code(err) != kerr.CorruptMessage.Code {
		t.Errorf("length 0: %v", err)
	}
}

func FuzzCheckBatch(f *testing.F) {
	f.Add(literalBatch)
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := CheckBatch(raw, 1<<20)
		if err != nil {
			if Code(err) == 0 || Code(err) == kerr.UnknownServerError.Code {
				t.Errorf("no code for a client in %v", err)
			}
			return
		}
		n := int32(0)
		err = Records(raw, func(int64, int64, []byte, []byte) error { n++; return nil })
		if b.Codec() == CodecNone && (err != nil || n != b.Count) {
			t.Errorf("accepted %d records, then read %d: %v", b.Count, n, err)
		}
	})
}

func FuzzSplitBatches(f *testing.F) {
	f.Add(literalBatch)
	f.Fuzz(func(t *testing.T, raw []byte) {
		_ = SplitBatches(raw, func(one []byte) { _ = Records(one, func(int64, int64, []byte, []byte) error { return nil }) })
	})
}

func TestSetAppendTime(t *testing.T) {
	spec := NewBatchSpec(Record{Value: []byte("a")}, Record{Value: []byte("b"), TimestampDelta: 5})
	spec.FirstTimestamp = 1000
	raw := AppendBatch(nil, spec)
	before := bytes.Clone(raw)
	SetAppendTime(raw, 0x0102030405060708)
	want := bytes.Clone(before)
	want[22] |= 0x08
	copy(want[35:], unhex("0102030405060708"))
	copy(want[17:21], raw[17:21]) // the checksum, which CheckBatch judges
	if !bytes.Equal(raw, want) || bytes.Equal(raw[17:21], before[17:21]) {
		t.Errorf("%x became\n%x, want\n%x", before, raw, want)
	}
	b, err := CheckBatch(raw, 1<<20)
	if err != nil || !b.IsLogAppendTime() {
		t.Fatalf("%+v, %v", b, err)
	}
	if err := Records(raw, func(offset, timestamp int64, _, _ []byte) error {
		if timestamp != 0x0102030405060708 {
			t.Errorf("record %d has timestamp %d", offset, timestamp)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

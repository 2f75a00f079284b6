// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

// compressed packs the records of an uncompressed batch.
func compressed(t interface{ Fatal(...any) }, raw []byte, codec Codec) []byte {
	out, err := new(Compressor).CompressBatch(raw, codec)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func unpacked(t interface{ Fatal(...any) }, raw []byte) []string {
	var got []string
	err := Unpack(raw, 1<<20, func(delta, ms int64, key, value []byte) error {
		got = append(got, fmt.Sprintf("%d@%d %q=%q", delta, ms, key, value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestFilterProperties drops any records of any batch, twice, in every codec: what is left is what
// was kept, at its offset, and the batch is one that readers accept.
func TestFilterProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codec := Codec(rapid.IntRange(0, 4).Draw(t, "codec"))
		n := rapid.IntRange(1, 20).Draw(t, "records")
		spec := NewBatchSpec()
		spec.FirstTimestamp, spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 1000, 5, 1, 7
		for i := range n {
			spec.Records = append(spec.Records, Record{
				Key: fmt.Appendf(nil, "k%d", i), Value: rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "value"), TimestampDelta: int64(i),
			})
		}
		raw := compressed(t, AppendBatch(nil, spec), codec)
		want := unpacked(t, raw)
		for range 2 {
			drop := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "drop")
			out, err := new(Decompressor).Filter(raw, 1<<20, func(delta, _ int64, _, _ []byte) bool { return !drop[delta] })
			if err != nil {
				t.Fatal(err)
			}
			var rest []string
			for _, w := range want {
				var delta int
				fmt.Sscanf(w, "%d@", &delta)
				if !drop[delta] {
					rest = append(rest, w)
				}
			}
			if diff := cmp.Diff(rest, unpacked(t, out)); diff != "" {
				t.Fatal(diff)
			}
			b, err := ParseBatch(out)
			if err != nil {
				t.Fatal(err)
			}
			if err := checkChecksum(b, out); err != nil {
				t.Fatal(err)
			}
			if b.Offsets() != int64(n) || b.LastSequence() != int32(7+n-1) || int(b.Count) != len(rest) {
				t.Fatalf("it takes %d offsets to sequence %d, and says it has %d records", b.Offsets(), b.LastSequence(), b.Count)
			}
			raw, want = out, rest
		}
	})
}

func TestBombsAreRefused(t *testing.T) {
	spec := NewBatchSpec(Record{Value: make([]byte, 1<<20)})
	for codec := CodecGzip; codec <= CodecZstd; codec++ {
		raw := compressed(t, AppendBatch(nil, spec), codec)
		err := Unpack(raw, 1<<16, func(_, _ int64, _, _ []byte) error { return nil })
		if e := (*Error)(nil); !errors.As(err, &e) || e.Code != kerr.MessageTooLarge.Code {
			t.Errorf("codec %d: %v", codec, err)
		}
		if err := Unpack(raw, 2<<20, func(_, _ int64, _, _ []byte) error { return nil }); err != nil {
			t.Errorf("codec %d: %v", codec, err)
		}
	}
}

// unfolded is what the records of a batch unfold to.
func unfolded(codec Codec, b []byte, limit int) (string, error) {
	all, err := new(Decompressor).records(codec, b, limit)
	if err != nil {
		return "", err
	}
	defer all.close()
	all.fill(limit + 1)
	return string(all.buf[all.from:all.to]), all.trouble(nil)
}

// TestUnpackingHoldsLittle unfolds 16 MiB of records of any size: memory for some of them is all that it takes.
func TestUnpackingHoldsLittle(t *testing.T) {
	const unfolded = 16 << 20
	for _, codec := range []Codec{CodecGzip, CodecLZ4, CodecZstd} { // a block of snappy is unfolded as a whole
		for _, size := range []int{1000, 1 << 20} {
			var list []Record
			for i := range unfolded / size {
				list = append(list, Record{Key: fmt.Append(nil, i%1000), Value: make([]byte, size)})
			}
			raw := compressed(t, AppendBatch(nil, NewBatchSpec(list...)), codec)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := Unpack(raw, 2*unfolded, func(_, _ int64, _, _ []byte) error { return nil })
			runtime.ReadMemStats(&after)
			took := int(after.TotalAlloc - before.TotalAlloc)
			if err != nil || took > 4*size+10<<20 { // codecs have blocks and windows of some MiB

				t.Errorf("codec %d, records of %d bytes: it took %d bytes; %v", codec, size, took, err)
			}
		}
	}
}

// TestUnpackingEndsEarly: nothing is unfolded behind a record that is wrong.
func TestUnpackingEndsEarly(t *testing.T) {
	spec := NewBatchSpec(Record{Value: []byte("a")}, Record{Value: make([]byte, 1<<20)}, Record{Value: []byte("c")})
	for codec := CodecGzip; codec <= CodecZstd; codec++ {
		raw := compressed(t, AppendBatch(nil, spec), codec)
		binary.BigEndian.PutUint32(raw[57:], 1) // records in it, of three
		_, all, err := new(Decompressor).unpack(raw, 2<<20)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := ParseBatch(raw)
		if err := b.each(&all, func(record, []byte) error { return nil }); Code(err) != kerr.InvalidRecord.Code {
			t.Errorf("codec %d: %v", codec, err)
		}
		if all.came > 2*streamBytes {
			t.Errorf("codec %d: it unfolded %d bytes", codec, all.came)
		}
		all.close()
	}
}

func TestXerialSnappy(t *testing.T) {
	block, _ := new(Compressor).Compress(CodecSnappy, []byte("hello, hello, hello"))
	framed := append([]byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}, binary.BigEndian.AppendUint32(nil, uint32(len(block)))...)
	framed = append(framed, block...)
	framed = append(framed, framed[xerialHead:]...)
	got, err := unfolded(CodecSnappy, framed, 100)
	if err != nil || got != "hello, hello, hellohello, hello, hello" {
		t.Errorf("%q, %v", got, err)
	}
	for n := len(framed) - 1; n > len(xerial); n-- {
		if _, err := unfolded(CodecSnappy, framed[:n], 100); err == nil && n != xerialHead && n != xerialHead+4+len(block) {
			t.Errorf("cut to %d bytes it is accepted", n)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	spec := NewBatchSpec(Record{Key: []byte("k"), Value: []byte("v")}, Record{})
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		f.Add(compressed(f, AppendBatch(nil, spec), codec))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = new(Decompressor).Filter(raw, 1<<16, func(delta, _ int64, _, _ []byte) bool { return delta%2 == 0 })
	})
}

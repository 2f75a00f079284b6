// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

// TestDecompressorKeepsNothing uses one for batches of all codecs, good ones and damaged ones, large ones and small ones, some
// of which it may not unfold whole: each gives what it gives to a new one.
func TestDecompressorKeepsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var used Decompressor
		for range rapid.IntRange(2, 8).Draw(t, "batches") {
			spec := NewBatchSpec()
			for range rapid.IntRange(1, 5).Draw(t, "records") {
				value := make([]byte, rapid.SampledFrom([]int{0, 10, 3000, 100_000}).Draw(t, "size"))
				spec.Records = append(spec.Records, Record{Key: []byte("k"), Value: value})
			}
			raw := compressed(t, AppendBatch(nil, spec), Codec(rapid.IntRange(0, 4).Draw(t, "codec")))
			if rapid.Bool().Draw(t, "damaged") {
				raw[rapid.IntRange(batchHeaderBytes, len(raw)-1).Draw(t, "where")] ^= 0x55
			}
			limit := rapid.SampledFrom([]int{1000, 1 << 20}).Draw(t, "limit")
			read := func(d *Decompressor) (got []string) {
				err := d.Unpack(raw, limit, func(delta, _ int64, key, value []byte) error {
					got = append(got, fmt.Sprintf("%d %q %d", delta, key, len(value)))
					return nil
				})
				return append(got, fmt.Sprint(err))
			}
			if diff := cmp.Diff(read(nil), read(&used)); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// TestDecompressorLeavesNoGarbage unfolds a gigabyte of records: what that allocates doesn't depend on how much it is.
func TestDecompressorLeavesNoGarbage(t *testing.T) {
	const size, batches = 1 << 20, 64
	spec := NewBatchSpec()
	for range 16 {
		spec.Records = append(spec.Records, Record{Value: make([]byte, size)})
	}
	plain := AppendBatch(nil, spec)
	for _, codec := range []Codec{CodecGzip, CodecZstd} { // a block of snappy is unfolded as a whole, lz4 has a pool
		raw := compressed(t, plain, codec)
		var d Decompressor
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range batches {
			if err := d.Unpack(raw, 32*size, func(_, _ int64, _, _ []byte) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if took := (after.TotalAlloc - before.TotalAlloc) / batches; took > size/2 {
			t.Errorf("codec %d: %d bytes of garbage for each batch", codec, took)
		}
	}
}

// TestSkimmedRecords: the check of a compressed batch, which passes over large records, says the same as that of the same batch
// uncompressed, which looks at all, whatever is wrong with it.
func TestSkimmedRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := NewBatchSpec()
		for i := range rapid.IntRange(1, 4).Draw(t, "records") {
			size := rapid.SampledFrom([]int{0, 10, 32 << 10, 70_000}).Draw(t, "size")
			r := Record{Value: make([]byte, size), TimestampDelta: int64(i)}
			switch rapid.IntRange(0, 2).Draw(t, "key") {
			case 1:
				r.Key = []byte("k")
			case 2:
				r.Key, r.Value = make([]byte, size), nil
			}
			spec.Records = append(spec.Records, r)
		}
		plain := AppendBatch(nil, spec)
		if rapid.Bool().Draw(t, "damaged") {
			where := rapid.IntRange(0, 60).Draw(t, "where")
			if rapid.Bool().Draw(t, "from the end") {
				where = len(plain) - batchHeaderBytes - 1 - where
			}
			plain[min(max(batchHeaderBytes, batchHeaderBytes+where), len(plain)-1)] = rapid.Byte().Draw(t, "byte")
		}
		want := Demands{Unfold: 1 << 20, Keyed: rapid.Bool().Draw(t, "keyed"), Newest: AnyTime}
		newest, err := CheckRecords(plain, want)
		for codec := CodecGzip; codec <= CodecZstd; codec++ {
			raw := compressed(t, plain, codec)
			got, other := CheckRecords(raw, want)
			if Code(other) == kerr.MessageTooLarge.Code && err != nil {
				continue // a record says that it is longer than all may be
			}
			if fmt.Sprint(err) != fmt.Sprint(other) || err == nil && got != newest {
				t.Fatalf("codec %d: %d %v, uncompressed %d %v", codec, got, other, newest, err)
			}
		}
	})
}

// TestCheckOfLargeRecords checks batches of one record of 15 MiB: none is held whole.
func TestCheckOfLargeRecords(t *testing.T) {
	const size, batches = 15 << 20, 8
	plain := AppendBatch(nil, NewBatchSpec(Record{Value: make([]byte, size)}))
	for _, codec := range []Codec{CodecGzip, CodecLZ4} { // a block of snappy is unfolded as a whole, zstd's window is as large
		raw := compressed(t, plain, codec)
		var d Decompressor
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range batches {
			if _, err := d.CheckRecords(raw, Demands{Unfold: 2 * size, Newest: AnyTime}); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if took := (after.TotalAlloc - before.TotalAlloc) / batches; took > size/8 {
			t.Errorf("codec %d: %d bytes of garbage for each batch", codec, took)
		}
	}
}

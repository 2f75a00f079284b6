// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// kept is a batch of one record for each delta, at an offset.
func kept(base int64, deltas ...int32) []byte {
	spec := kafka.NewBatchSpec()
	spec.BaseOffset, spec.Deltas = base, deltas
	for _, d := range deltas {
		spec.Records = append(spec.Records, kafka.Record{Value: []byte{byte('a' + (base+int64(d))%26)}})
	}
	return kafka.AppendBatch(nil, spec)
}

// gap stands for offsets without records.
func gap(base int64, offsets int32) []byte {
	return kafka.EmptyBatch(kafka.Batch{BaseOffset: base, LeaderEpoch: -1, LastOffsetDelta: offsets - 1, FirstTimestamp: -1, MaxTimestamp: -1, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1})
}

func (o *one) keep(topic string, raw []byte) (int64, string) {
	o.t.Helper()
	p := o.ask(produceRequest(topic, kafka.AcksKept, raw)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return p.BaseOffset, kafka.CodeName(p.ErrorCode)
}

// keptCompressed is a kept batch whose records a task looks at.
func keptCompressed(t *testing.T, raw []byte) []byte {
	t.Helper()
	out, err := (&kafka.Compressor{}).CompressBatch(raw, kafka.CodecLZ4)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Batches that keep their offsets are appended there and nowhere else, and are the same after a restart.
func TestKeptBatches(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	sequenced := batch(7, 0, 0, "x")
	kafka.SetBaseOffset(sequenced, 9)
	short := gap(9, 5)
	for _, c := range []struct {
		name  string
		raw   []byte
		at    int64
		error string
	}{
		{"beyond the end", kept(1, 0), 0, "OFFSET_OUT_OF_RANGE"},
		{"the first", kept(0, 0, 2), 0, "NONE"},
		{"sent again", kept(0, 0, 2), 3, "OFFSET_OUT_OF_RANGE"},
		{"offsets without records", gap(3, 5), 3, "NONE"},
		{"behind them", kept(8, 0), 8, "NONE"},
		{"of a producer", sequenced, -1, "INVALID_RECORD"},
		{"deltas that fall", kept(9, 1, 0), -1, "INVALID_RECORD"},
		{"more records than offsets", func() []byte { b := kept(9, 0, 1); b[26] = 0; return rechecked(b) }(), -1, "INVALID_RECORD"},
		{"below 0", kept(-1, 0), -1, "INVALID_RECORD"},
		{"no offset is left", gap(1<<63-1, 5), -1, "INVALID_RECORD"},
		{"cut", short[:60], -1, "CORRUPT_MESSAGE"},
		{"no records, and a codec", func() []byte { b := slices.Clone(short); b[22] = 1; return rechecked(b) }(), -1, "INVALID_RECORD"},
		{"a wide gap", gap(9, 1<<31-1), 9, "NONE"},
		{"behind that, compressed", keptCompressed(t, kept(9+1<<31-1, 1, 5)), 9 + 1<<31 - 1, "NONE"},
	} {
		if at, name := o.keep("t", c.raw); at != c.at || name != c.error {
			t.Errorf("%s: %d %s, want %d %s", c.name, at, name, c.at, c.error)
		}
	}
	if at, name := o.produce("t", plain("z")); at != 9+1<<31-1+6 || name != "NONE" {
		t.Errorf("a producer's batch behind: %d %s", at, name)
	}
	want := []string{"0=a", "2=c", "8=i", "2147483657=h", "2147483661=l", "2147483662=z"}
	for range 2 {
		if diff := cmp.Diff(want, o.readKept("t")); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
		o.restart()
	}
}

// readKept returns what is in a topic, in batches that may have gaps.
func (o *one) readKept(topic string) (got []string) {
	o.t.Helper()
	for offset := int64(0); ; {
		p := o.fetch(fetchRequest(topic, offset))
		if p.ErrorCode != 0 {
			o.t.Fatalf("fetch at %d: %s", offset, kafka.CodeName(p.ErrorCode))
		}
		if offset == p.HighWatermark {
			return got
		}
		if err := kafka.SplitBatches(p.RecordBatches, func(one []byte) {
			b, err := kafka.ParseBatch(one)
			if err == nil {
				err = new(kafka.Decompressor).Unpack(one, 1<<20, func(delta, _ int64, _, value []byte) error {
					got = append(got, fmt.Sprintf("%d=%s", b.BaseOffset+delta, value))
					return nil
				})
			}
			if offset = b.LastOffset() + 1; err != nil {
				o.t.Fatal(err)
			}
		}); err != nil {
			o.t.Fatal(err)
		}
	}
}

// rechecked gives a batch the checksum of what it holds.
func rechecked(raw []byte) []byte {
	b, err := kafka.ParseBatch(raw)
	if err != nil {
		panic(err)
	}
	kafka.SetMaxTimestamp(raw, b.MaxTimestamp)
	return raw
}

// While others write, or right after somebody did, nobody can tell where the log will end.
func TestKeptBatchesWaitForOthers(t *testing.T) {
	o := newOne(t, nil)
	o.create("t")
	p := o.node.partitions[o.node.catalog.partition("t", 0).Group]
	b, err := kafka.CheckKept(kept(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.placesKept(&b); err != nil {
		t.Errorf("nothing is on its way: %v", err)
	}
	p.group.propose(plain("x"), func(any, error) {})
	if err := p.placesKept(&b); code(err) != errOthersUnderway.Code {
		t.Errorf("another batch is on its way: %v", err)
	}
}

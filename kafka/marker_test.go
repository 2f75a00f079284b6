// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"
)

// A marker is a control batch as Kafka writes it, but for the number at the end of its record's value.
func TestMarkerIsKafkas(t *testing.T) {
	raw := AppendMarker(nil, Marker{ProducerID: 7, ProducerEpoch: 2, CoordinatorEpoch: 5, Commit: true, Number: 0x1234}, 1000)
	b, err := ParseBatch(raw)
	if err != nil || b.Attributes != 0x30 || b.BaseSequence != -1 || b.Count != 1 || b.Offsets() != 1 || b.MaxTimestamp != 1000 {
		t.Errorf("%+v, %v", b, err)
	}
	if err := checkChecksum(b, raw); err != nil {
		t.Error(err)
	}
	if err := Records(raw, func(_, _ int64, key, value []byte) error {
		if got := hex.EncodeToString(key) + " " + hex.EncodeToString(value); got != "00000001 0000000000050000000000001234" {
			t.Errorf("key and value %s", got)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if _, err := CheckHeader(raw); err == nil {
		t.Error("a producer may send a marker")
	}
}

// With its record or without, a marker says the same, takes one offset and is of the same time.
func TestSpentMarkerSaysTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Marker{
			ProducerID: rapid.Int64Min(0).Draw(t, "id"), ProducerEpoch: rapid.Int16Min(0).Draw(t, "epoch"),
			CoordinatorEpoch: rapid.Int32().Draw(t, "coordinator"), Commit: rapid.Bool().Draw(t, "commit"),
			Number: rapid.Uint64().Draw(t, "number"),
		}
		ms := rapid.Int64Range(0, 1<<50).Draw(t, "ms")
		raw := AppendMarker(nil, m, ms)
		SetBaseOffset(raw, 99)
		spent, err := SpentMarker(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range [][]byte{raw, spent} {
			got, err := ParseMarker(raw)
			if err != nil || got != m {
				t.Fatalf("%+v, want %+v: %v", got, m, err)
			}
			b, err := ParseBatch(raw)
			if err != nil || b.Newest() != ms || b.Offsets() != 1 || b.BaseOffset != 99 || !b.IsControl() || checkChecksum(b, raw) != nil {
				t.Fatalf("%+v, %v", b, err)
			}
		}
		if b, _ := ParseBatch(spent); b.Count != 0 || !bytes.Equal(spent, EmptyBatch(b)) {
			t.Fatal("something is left in it")
		}
		if again, err := SpentMarker(spent); err != nil || !bytes.Equal(again, spent) {
			t.Fatal("it can't be spent twice")
		}
	})
}

func TestWhatIsNoMarker(t *testing.T) {
	spec := NewBatchSpec(Record{Key: []byte{0, 0, 0, 2}, Value: make([]byte, 6)})
	spec.ProducerID, spec.ProducerEpoch, spec.Attributes = 1, 0, ControlFlag|TransactionalFlag
	short := spec
	short.Records = []Record{{Key: []byte{0}, Value: make([]byte, 6)}}
	two := spec
	two.Records = append(two.Records, two.Records...)
	plain := spec
	plain.Attributes = 0
	empty := spec
	empty.Records = nil
	for name, s := range map[string]BatchSpec{"another type": spec, "a short key": short, "two records": two, "no control batch": plain, "no record": empty} {
		if m, err := ParseMarker(AppendBatch(nil, s)); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

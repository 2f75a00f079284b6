// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestStampIsTheseBytes(t *testing.T) {
	got := stamp{run: 0x0102030405060708, producer: 9, seq: 10, due: 11}.value(stampSize)
	want := []byte{
		'b', 'n', 'c', 'h', 0, 0, 0, 9,
		1, 2, 3, 4, 5, 6, 7, 8,
		0, 0, 0, 0, 0, 0, 0, 10,
		0, 0, 0, 0, 0, 0, 0, 11,
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestRecordsAreReadAsWrittenAndAnyDamageOfTheFillingIsSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := stamp{
			run: rapid.Uint64().Draw(t, "run"), producer: rapid.Uint32().Draw(t, "producer"),
			seq: rapid.Uint64().Draw(t, "seq"), due: rapid.Int64().Draw(t, "due"),
		}
		v := s.value(stampSize + rapid.IntRange(1, 5000).Draw(t, "filling"))
		got, err := parseStamp(v)
		if err != nil || got != s {
			t.Fatalf("wrote %+v, read %+v, %v", s, got, err)
		}
		v[rapid.IntRange(stampSize, len(v)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if _, err := parseStamp(v); !errors.Is(err, errDamaged) {
			t.Fatalf("a damaged filling gave %v", err)
		}
	})
}

// The filling repeats itself where a value is longer than it, or begins near its end.
func TestAValueLongerThanTheFilling(t *testing.T) {
	s := stamp{seq: 255}
	v := s.value(3 << 20)
	if _, err := parseStamp(v); err != nil {
		t.Fatal(err)
	}
	v[len(v)-1]++
	if _, err := parseStamp(v); !errors.Is(err, errDamaged) {
		t.Errorf("a damaged last byte gave %v", err)
	}
}

func TestOthersRecordsAreForeign(t *testing.T) {
	for _, v := range []string{"", "hello", "bnch", string(make([]byte, 100))} {
		if _, err := parseStamp([]byte(v)); !errors.Is(err, errForeign) {
			t.Errorf("%q gave %v", v, err)
		}
	}
}

func TestStampTimesKeepNanoseconds(t *testing.T) {
	now := time.Now()
	if got := fromUnixNanos(unixNanos(now)); !got.Equal(now) {
		t.Errorf("%v became %v", now, got)
	}
}

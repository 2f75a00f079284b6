// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"
)

const testRun = 77

// sentRecord is a record in the log, and what its producer was told.
type sentRecord struct {
	producer, seq int
	partition     int32
}

// written are two producers' records in two partitions, all acknowledged.
func written() []sentRecord {
	return []sentRecord{{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 2, 1}, {1, 1, 1}, {0, 3, 0}, {1, 2, 0}}
}

func ledgerOf(records []sentRecord) *ledger {
	l := newLedger(testRun, 2)
	for _, r := range records {
		l.answered(r.producer, l.next(r.producer), acked|measured)
	}
	return l
}

// logOf are the records as a consumer gets them.
func logOf(records []sentRecord) (read []*kgo.Record) {
	next := make(map[int32]int64)
	for _, r := range records {
		s := stamp{run: testRun, producer: uint32(r.producer), seq: uint64(r.seq)}
		read = append(read, &kgo.Record{Partition: r.partition, Offset: next[r.partition], Value: s.value(100)})
		next[r.partition]++
	}
	return read
}

func TestValidationFindsWhatIsPlanted(t *testing.T) {
	clean := verdict{Reader: "r", Sent: 7, Acknowledged: 7, ExactlyOnce: 7, Measured: 7}
	for _, c := range []struct {
		name   string
		plant  func(*ledger, []*kgo.Record) []*kgo.Record
		change func(*verdict)
		ok     bool
	}{
		{"nothing", func(_ *ledger, read []*kgo.Record) []*kgo.Record { return read }, func(*verdict) {}, true},
		{
			"loss",
			func(_ *ledger, read []*kgo.Record) []*kgo.Record { return slices.Delete(read, 2, 3) },
			func(v *verdict) { v.ExactlyOnce, v.Measured, v.Missing = 6, 6, 1 },
			false,
		},
		{
			"loss of everything",
			func(*ledger, []*kgo.Record) []*kgo.Record { return nil },
			func(v *verdict) { v.ExactlyOnce, v.Measured, v.Missing = 0, 0, 7 },
			false,
		},
		{
			"duplicate",
			func(_ *ledger, read []*kgo.Record) []*kgo.Record { return append(read, read[1]) },
			func(v *verdict) { v.ExactlyOnce, v.Measured, v.Duplicates = 6, 6, 1 },
			false,
		},
		{
			"duplicate in another partition, twice",
			func(_ *ledger, read []*kgo.Record) []*kgo.Record {
				again := *read[0]
				again.Partition = 1
				return append(read, &again, &again)
			},
			func(v *verdict) { v.ExactlyOnce, v.Measured, v.Duplicates = 6, 6, 2 },
			false,
		},
		{
			"reorder",
			func(_ *ledger, read []*kgo.Record) []*kgo.Record {
				read[0], read[2] = read[2], read[0]
				return read
			},
			func(v *verdict) { v.OutOfOrder = 1 },
			false,
		},
		{
			"other order of partitions and producers",
			func(_ *ledger, read []*kgo.Record) []*kgo.Record {
				return []*kgo.Record{read[4], read[3], read[1], read[0], read[2], read[6], read[5]}
			},
			func(*verdict) {},
			true,
		},
		{
			"damage",
			func(_ *ledger, read []*kgo.Record) []*kgo.Record {
				read[3].Value[50] ^= 1
				return read
			},
			func(v *verdict) { v.ExactlyOnce, v.Measured, v.Missing, v.Damaged = 6, 6, 1, 1 },
			false,
		},
		{
			"record that nobody sent",
			func(_ *ledger, read []*kgo.Record) []*kgo.Record {
				return append(read, logOf([]sentRecord{{0, 4, 0}, {5, 0, 0}})...)
			},
			func(v *verdict) { v.Unknown = 2 },
			false,
		},
		{
			"records of others",
			func(_ *ledger, read []*kgo.Record) []*kgo.Record {
				return append(read, &kgo.Record{Value: []byte("hello")}, &kgo.Record{Value: stamp{run: 78}.value(100)})
			},
			func(v *verdict) { v.Foreign = 2 },
			true,
		},
		{
			"error answered, and there or not",
			func(l *ledger, read []*kgo.Record) []*kgo.Record {
				l.answered(0, l.next(0), failed)
				l.answered(0, l.next(0), failed)
				return append(read, logOf([]sentRecord{{0, 5, 0}})...)
			},
			func(v *verdict) { v.Sent, v.Unconfirmed = 9, 1 },
			true,
		},
		{
			"acknowledged behind the measured time",
			func(l *ledger, read []*kgo.Record) []*kgo.Record {
				l.answered(1, l.next(1), acked)
				return append(read, logOf([]sentRecord{{1, 3, 0}})...)
			},
			func(v *verdict) { v.Sent, v.Acknowledged, v.ExactlyOnce = 8, 8, 8 },
			true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := ledgerOf(written())
			r := newReading(l, 2)
			for _, kr := range c.plant(l, logOf(written())) {
				r.add(kr)
			}
			got, want := r.judge("r", nil), clean
			c.change(&want)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(verdict{}), cmpopts.IgnoreFields(findings{}, "Examples")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.failed() == c.ok {
				t.Errorf("failed is %v", got.failed())
			}
			if !c.ok && len(got.Examples) == 0 {
				t.Error("no example says which record")
			}
		})
	}
}

// What was not read is not known to be lost, nor does it count.
func TestAReaderThatEndedEarlyFailsTheValidation(t *testing.T) {
	r := newReading(ledgerOf(written()), 2)
	for _, kr := range logOf(written())[:3] {
		r.add(kr)
	}
	got := r.judge("r", errors.New("reading partition 0: gone"))
	want := verdict{Reader: "r", Sent: 7, Acknowledged: 7, ExactlyOnce: 3, Measured: 3, Unread: 4, Problem: "reading partition 0: gone"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(verdict{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got.failed() {
		t.Error("it does not fail")
	}
}

func TestManyFindingsKeepFewExamples(t *testing.T) {
	l := newLedger(testRun, 1)
	for range 1000 {
		l.answered(0, l.next(0), acked)
	}
	if v := newReading(l, 1).judge("r", nil); v.Missing != 1000 || len(v.Examples) != 3 {
		t.Errorf("%d missing with %d examples", v.Missing, len(v.Examples))
	}
}

func TestPassesFindWhatIsPlanted(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func([]*kgo.Record) []*kgo.Record
		want  findings
	}{
		{"nothing", func(read []*kgo.Record) []*kgo.Record { return read }, findings{}},
		{"gap of two", func(read []*kgo.Record) []*kgo.Record { return slices.Delete(read, 1, 3) }, findings{Missing: 2}},
		{"offset twice", func(read []*kgo.Record) []*kgo.Record { return slices.Insert(read, 1, read[0]) }, findings{Duplicates: 1, OutOfOrder: 1}},
		{
			"swapped",
			func(read []*kgo.Record) []*kgo.Record {
				read[0].Value, read[2].Value = read[2].Value, read[0].Value
				return read
			},
			findings{OutOfOrder: 1},
		},
		{"damage", func(read []*kgo.Record) []*kgo.Record { read[4].Value[99]++; return read }, findings{Damaged: 1}},
		{"record of others", func(read []*kgo.Record) []*kgo.Record { read[4].Value = nil; return read }, findings{}},
	} {
		p := newPasses()
		for range 2 {
			p.begin(0, 0)
			p.begin(1, 0)
			for _, kr := range logOf(written()) {
				p.add(kr)
			}
		}
		if p.any() {
			t.Fatalf("two clean passes: %+v", p.findings)
		}
		p.begin(0, 0)
		p.begin(1, 0)
		for _, kr := range c.plant(logOf(written())) {
			p.add(kr)
		}
		if diff := cmp.Diff(c.want, p.findings, cmpopts.IgnoreFields(findings{}, "Examples")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

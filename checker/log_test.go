// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"strings"
	"testing"
)

// The linear checker and porcupine agree on small histories, right ones and damaged ones.
func TestAgreesWithPorcupine(t *testing.T) {
	const histories = 10_000
	broken := 0
	for seed := range uint64(histories) {
		r := newRightHistory(seed, 1+int(seed%12))
		if seed%4 == 1 {
			r.reorder()
		}
		damaged := seed%2 == 1
		if damaged {
			r.damage()
			for i := range r.h.Fetches { // porcupine's model knows no epochs
				for j := range r.h.Fetches[i].Records {
					r.h.Fetches[i].Records[j].LeaderEpoch = 0
				}
			}
			for i := range r.truth.Records {
				r.truth.Records[i].LeaderEpoch = 0
			}
		}
		found := CheckPartition(&r.h, &r.truth, rightOptions)
		searched := SearchPartition(&r.h, &r.truth, rightOptions, 0)
		if !damaged && found != nil {
			t.Fatalf("seed %d: a right history: %v", seed, found)
		}
		if (found == nil) != (searched == Linearizable) {
			t.Fatalf("seed %d: linear: %v; porcupine: %s\n%+v\n%+v", seed, found, searched, r.h, r.truth)
		}
		if found != nil {
			broken++
		}
	}
	if broken < histories/10 || broken > histories/2 {
		t.Errorf("%d of %d histories are broken; the damage is not what it should be", broken, histories)
	}
	t.Logf("%d of %d histories are broken", broken, histories)
}

// Without a truth only observations can contradict each other.
func TestSilentWithoutTruth(t *testing.T) {
	for seed := range uint64(2000) {
		r := newRightHistory(seed, 30)
		if bad := CheckPartition(&r.h, nil, rightOptions); bad != nil {
			t.Fatalf("seed %d: %v", seed, bad)
		}
	}
}

// script is a history written by hand.
type script struct {
	h     History
	truth *Truth
	opt   LogOptions
}

func (s *script) produce(client, call, returned, base int64, outcome Outcome, values ...RecordID) *script {
	s.h.Produces = append(s.h.Produces, Produce{
		Span: Span{client, call, returned}, Outcome: outcome, Values: values, BaseOffset: base, Idempotent: true,
	})
	return s
}

func (s *script) fetch(call, returned, from, watermark int64, values ...RecordID) *script {
	f := Fetch{Span: Span{9, call, returned}, Offset: from, HighWatermark: watermark, LeaderEpoch: 1}
	for i, v := range values {
		f.Records = append(f.Records, Record{Offset: from + int64(i), Value: v, LeaderEpoch: 1})
	}
	s.h.Fetches = append(s.h.Fetches, f)
	return s
}

func (s *script) end(call, returned, offset int64) *script {
	s.h.Ends = append(s.h.Ends, End{Span{8, call, returned}, offset})
	return s
}

func (s *script) is(values ...RecordID) *script {
	s.truth = &Truth{}
	for i, v := range values {
		s.truth.Records = append(s.truth.Records, Record{Offset: int64(i), Value: v, LeaderEpoch: 1})
	}
	return s
}

func TestCheckPartition(t *testing.T) {
	two := func() *script {
		return new(script).produce(1, 10, 20, 0, OK, 101, 102).produce(1, 30, 40, 2, OK, 103)
	}
	for _, c := range []struct {
		name  string
		check string // "": nothing is wrong
		text  string
		s     *script
	}{
		{"right", "", "", two().fetch(50, 60, 0, 3, 101, 102, 103).end(50, 60, 3).is(101, 102, 103)},
		{"acknowledged and gone", AckedLost, "produce of record 103 at offset 2 (client 1, 0.000000030s to 0.000000040s) was acknowledged, but the log ends at offset 2", two().is(101, 102)},
		{"acknowledged and replaced", AckedLost, "but offset 2 holds record 104", two().produce(2, 30, 50, -1, Unknown, 104).is(101, 102, 104)},
		{"one offset acknowledged twice", OneRecordAtOffset, "offset 0 was acknowledged twice", new(script).produce(1, 1, 2, 0, OK, 1).produce(2, 1, 2, 0, OK, 2)},
		{"acknowledged without offset and gone", AckedLost, "is not in the log", two().produce(2, 1, 90, -1, OK, 7).is(101, 102, 103)},
		{"acknowledged below the log start", "", "", func() *script {
			s := two().is(101, 102, 103)
			s.truth.Start, s.truth.Records = 2, s.truth.Records[2:]
			return s
		}()},
		{"hole", OffsetsDense, "the log has offset 3 where 2 should be", func() *script {
			s := two().is(101, 102, 103)
			s.truth.Records[2].Offset = 3
			return s
		}()},
		{"absurd offset", OffsetsDense, "but clients sent only 1 records", new(script).produce(1, 1, 2, 0, OK, 1).fetch(1, 2, 1<<40, 1<<41, 1)},
		{"epochs back along the log", EpochForward, "leader epoch 0 after leader epoch 1", func() *script {
			s := two().is(101, 102, 103)
			s.truth.Records[2].LeaderEpoch = 0
			return s
		}()},
		{"nobody sent it", NeverSent, "offset 3 holds record 7, which no client sent", two().is(101, 102, 103, 7)},
		{"nobody sent it, no truth", NeverSent, "holds record 7", two().fetch(50, 60, 2, 4, 103, 7)},
		{"refused and there", RefusedAppended, "was refused, but its record 7 is at offset 3", two().produce(2, 1, 2, -1, Failed, 7).is(101, 102, 103, 7)},
		{"unknown and there", "", "", two().produce(2, 1, 2, -1, Unknown, 7).is(101, 102, 103, 7)},
		{"unknown and not there", "", "", two().produce(2, 1, 2, -1, Unknown, 7).is(101, 102, 103)},
		{"twice", Duplicate, "is at offset 2 and at offset 3", two().is(101, 102, 103, 103)},
		{"unknown and twice", Duplicate, "record 7 of", two().produce(2, 1, 2, -1, Unknown, 7).is(101, 102, 103, 7, 7)},
		{"twice, not idempotent", "", "", func() *script {
			s := two().is(101, 102, 101, 102, 103)
			s.h.Produces[0].Idempotent, s.h.Produces[1].BaseOffset = false, 4
			return s
		}()},
		{"in part", TornBatch, "only in part: the log ends at offset 4", two().produce(2, 1, 2, -1, Unknown, 7, 8).is(101, 102, 103, 7)},
		{"in two pieces", TornBatch, "only in part: offset 1 holds record 9", new(script).produce(2, 1, 2, -1, Unknown, 7, 8).produce(3, 1, 2, 1, OK, 9).is(7, 9)},
		{"end inside a batch", TornBatch, "reported the end at offset 1, in the middle of produce of records 101 to 102", two().end(11, 12, 1).is(101, 102, 103)},
		{"high watermark inside a batch", TornBatch, "reported the end at offset 1", two().fetch(11, 12, 0, 1, 101).is(101, 102, 103)},
		{"order of a producer", ProducerOrder, "sent after it, is at offset 0", new(script).produce(1, 10, 50, 1, OK, 1).produce(1, 20, 50, 0, OK, 2)},
		{"order of a producer, recorded in another order", ProducerOrder, "sent after it, is at offset 0", new(script).produce(1, 20, 50, 0, OK, 2).produce(1, 10, 50, 1, OK, 1)},
		{"sent at the same time", "", "", new(script).produce(1, 10, 50, 1, OK, 1).produce(1, 10, 50, 0, OK, 2)},
		{"order of two producers", "", "", new(script).produce(1, 10, 50, 1, OK, 1).produce(2, 20, 50, 0, OK, 2)},
		{"a batch given up may come late", "", "", new(script).produce(1, 10, 15, -1, Unknown, 1).produce(1, 20, 50, 0, OK, 2).is(2, 1)},
		{"a batch acknowledged before one given up", ProducerOrder, "is at offset 1", new(script).produce(1, 10, 50, 1, OK, 1).produce(1, 20, 50, -1, Unknown, 2).is(2, 1)},
		{"fetched above the high watermark", FetchUncommitted, "returned offset 2, but its high watermark is 2", two().fetch(50, 60, 0, 2, 101, 102, 103)},
		{"fetched past the end", FetchUncommitted, "the log ends at offset 3", two().produce(2, 1, 2, -1, Unknown, 7).fetch(50, 60, 2, 4, 103, 7).is(101, 102, 103)},
		{"high watermark past the end", FetchUncommitted, "has high watermark 4, but the log ends at offset 3", two().fetch(50, 60, 3, 4).is(101, 102, 103)},
		{"end past the end", FetchUncommitted, "the latest offset, 4", two().end(50, 60, 4).is(101, 102, 103)},
		{"fetched something else", OneRecordAtOffset, "returned record 103 at offset 1, which holds record 102", two().fetch(50, 60, 1, 3, 103)},
		{"two fetches differ", OneRecordAtOffset, "returned record 2 at offset 5", new(script).produce(1, 1, 2, -1, Unknown, 1).produce(1, 1, 2, -1, Unknown, 2).fetch(5, 6, 5, 6, 1).fetch(7, 8, 5, 6, 2)},
		{"epoch of a record differs", OneRecordAtOffset, "leader epoch 2 at offset 0, which has leader epoch 1", func() *script {
			s := two().fetch(50, 60, 0, 3, 101).is(101, 102, 103)
			s.h.Fetches[0].Records[0].LeaderEpoch = 2
			return s
		}()},
		{"fetch skips inside", FetchOrder, "returned offset 2 after offset 0", func() *script {
			s := two().fetch(50, 60, 0, 3, 101, 103)
			s.h.Fetches[0].Records[1].Offset = 2
			return s
		}()},
		{"fetch skips at its begin", FetchOrder, "skipped to offset 1", func() *script {
			s := two().fetch(50, 60, 1, 3, 102)
			s.h.Fetches[0].Offset = 0
			return s
		}()},
		{"fetch in the middle of a batch", "", "", func() *script {
			s := two().fetch(50, 60, 0, 3, 101, 102)
			s.h.Fetches[0].Offset = 1
			return s
		}()},
		{"log start above high watermark", FetchUncommitted, "log start offset 5 above", func() *script {
			s := two().fetch(50, 60, 3, 3)
			s.h.Fetches[0].LogStart = 5
			return s
		}()},
		{"high watermark back in one epoch", WatermarkBack, "saw high watermark 3, then fetch from offset 2 (client 9, 0.000000070s to 0.000000080s) saw 2, both in leader epoch 1", two().fetch(50, 60, 3, 3).fetch(70, 80, 2, 2)},
		{"high watermark lower at the same time", "", "", two().fetch(50, 70, 3, 3).fetch(60, 80, 2, 2)},
		{"high watermark lower on a deposed leader", "", "", func() *script {
			s := two().fetch(50, 60, 3, 3).fetch(70, 80, 2, 2)
			s.h.Fetches[0].LeaderEpoch = 2
			return s
		}()},
		{"too stale", NotLinearizable, "fetch from offset 2", func() *script {
			s := two().fetch(150, 160, 2, 2)
			s.opt.MaxStaleness = 100
			return s
		}()},
		{"just fresh enough", "", "", func() *script {
			s := two().fetch(130, 160, 2, 2)
			s.opt.MaxStaleness = 100
			return s
		}()},
		{"seen before it was sent", NotLinearizable, "comes before fetch from offset 0", two().fetch(1, 5, 0, 2, 101, 102)},
		{"stale end", NotLinearizable, "the latest offset, 2 (client 8, 0.000000050s to 0.000000060s) comes before produce of record 103 at offset 2", two().end(50, 60, 2)},
		{"ends back", NotLinearizable, "the latest offset, 0", two().end(12, 13, 2).end(14, 15, 0)},
		{"appends against time", NotLinearizable, "comes before produce of record 2", new(script).produce(1, 10, 20, 1, OK, 2).produce(2, 30, 40, 0, OK, 1)},
		{"sent twice by the test itself", BadHistory, "sent by two calls", new(script).produce(1, 1, 2, -1, Unknown, 1).produce(1, 1, 2, -1, Unknown, 1).is(1)},
		{"nothing", "", "", new(script)},
		{"nothing in the log", "", "", new(script).produce(1, 1, 2, -1, Unknown, 1).fetch(1, 2, 0, 0).end(1, 2, 0).is()},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.s.h.Partition = "orders-3"
			bad := CheckPartition(&c.s.h, c.s.truth, c.s.opt)
			switch {
			case bad == nil && c.check != "":
				t.Errorf("nothing was found, want %s", c.check)
			case bad != nil && (bad.Check != c.check || !strings.Contains(bad.Text, c.text) || bad.Partition != "orders-3"):
				t.Errorf("found %v\nwant %s: ... %s", bad, c.check, c.text)
			}
		})
	}
}

// Real time violations name their two calls.
func TestWitnesses(t *testing.T) {
	s := new(script).produce(1, 10, 20, 0, OK, 1).produce(1, 30, 40, 1, OK, 2).end(15, 16, 1).end(50, 60, 1)
	bad := CheckPartition(&s.h, nil, s.opt)
	if bad == nil || len(bad.Witnesses) != 2 || bad.Witnesses[0] != (CallID{KindEnd, 1}) || bad.Witnesses[1] != (CallID{KindProduce, 1}) {
		t.Errorf("%+v", bad)
	}
}

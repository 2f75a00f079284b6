// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func catalogCall(call, returned int64, op CatalogOp, outcome Outcome, refused bool) CatalogCall {
	return CatalogCall{Span: Span{1, call, returned}, Op: op, Topic: "t", Outcome: outcome, Refused: refused}
}

func calledUntil(call, returned, until int64, op CatalogOp) CatalogCall {
	c := catalogCall(call, returned, op, Unknown, false)
	c.Until = until
	return c
}

func TestCheckCatalog(t *testing.T) {
	const did, found = false, true
	for _, c := range []struct {
		name   string
		broken bool
		calls  []CatalogCall
	}{
		{"create, delete, create", false, []CatalogCall{
			catalogCall(1, 2, CreateTopic, OK, did), catalogCall(3, 4, DeleteTopic, OK, did), catalogCall(5, 6, CreateTopic, OK, did),
		}},
		{"created twice", true, []CatalogCall{catalogCall(1, 2, CreateTopic, OK, did), catalogCall(3, 4, CreateTopic, OK, did)}},
		{"created twice at once", true, []CatalogCall{catalogCall(1, 4, CreateTopic, OK, did), catalogCall(3, 4, CreateTopic, OK, did)}},
		{"refused as existing before it was created", true, []CatalogCall{catalogCall(1, 2, CreateTopic, OK, found), catalogCall(3, 4, CreateTopic, OK, did)}},
		{"refused as existing while it is created", false, []CatalogCall{catalogCall(1, 4, CreateTopic, OK, found), catalogCall(3, 6, CreateTopic, OK, did)}},
		{"deleted before it was created", true, []CatalogCall{catalogCall(1, 2, DeleteTopic, OK, did), catalogCall(3, 4, CreateTopic, OK, did)}},
		{"unknown to delete, but created before", true, []CatalogCall{catalogCall(1, 2, CreateTopic, OK, did), catalogCall(3, 4, DeleteTopic, OK, found)}},
		{"created by a call of unknown outcome", false, []CatalogCall{catalogCall(1, 2, CreateTopic, Unknown, did), catalogCall(30, 40, DeleteTopic, OK, did)}},
		{"took effect in time", false, []CatalogCall{
			calledUntil(1, 2, 40, CreateTopic), catalogCall(30, 41, DeleteTopic, OK, did),
		}},
		{"took effect too late", true, []CatalogCall{
			calledUntil(1, 2, 40, DeleteTopic), catalogCall(3, 4, CreateTopic, OK, did), catalogCall(50, 51, CreateTopic, OK, found), catalogCall(60, 61, CreateTopic, OK, did),
		}},
		{"never arrived, and its time is over", false, []CatalogCall{calledUntil(1, 2, 20, CreateTopic), catalogCall(30, 40, CreateTopic, OK, did)}},
		{"arrived, and its time is over", false, []CatalogCall{calledUntil(1, 2, 20, CreateTopic), catalogCall(30, 40, CreateTopic, OK, found)}},
		{"never arrived", false, []CatalogCall{catalogCall(1, 2, CreateTopic, Unknown, did), catalogCall(30, 40, DeleteTopic, OK, found)}},
		{"one call can't create twice", true, []CatalogCall{
			catalogCall(1, 2, CreateTopic, Unknown, did), catalogCall(3, 4, DeleteTopic, OK, did), catalogCall(5, 6, DeleteTopic, OK, did),
		}},
		{"failed calls say nothing", false, []CatalogCall{catalogCall(1, 2, CreateTopic, Failed, did), catalogCall(3, 4, CreateTopic, OK, did)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			other := catalogCall(1, 9, CreateTopic, OK, did)
			other.Topic = "u"
			bad, undecided := CheckCatalog(append([]CatalogCall{other}, c.calls...), 0)
			if (bad != nil) != c.broken || len(undecided) > 0 {
				t.Errorf("found %v, undecided %v", bad, undecided)
			}
			if bad != nil && (!strings.Contains(bad.Text, `topic "t"`) || len(bad.Witnesses) != len(c.calls)) {
				t.Errorf("%+v", bad)
			}
		})
	}
}

// What can't be searched in time is undecided, and says which topic.
func TestCatalogTimeout(t *testing.T) {
	var calls []CatalogCall
	for i := range int64(200) { // all at once, and one too many deletions succeed
		calls = append(calls, catalogCall(0, 1000, CreateTopic, Unknown, false), catalogCall(i, 1000, DeleteTopic, OK, false))
	}
	calls = append(calls, catalogCall(0, 1000, DeleteTopic, OK, false))
	bad, undecided := CheckCatalog(calls, time.Millisecond)
	if bad != nil || !slices.Equal(undecided, []string{"t"}) {
		t.Errorf("found %v, undecided %v", bad, undecided)
	}
	r := newRightHistory(1, 400)
	for i := range r.h.Produces {
		r.h.Produces[i].Call, r.h.Produces[i].Outcome = 0, Unknown
	}
	if got := SearchPartition(&r.h, &r.truth, LogOptions{}, time.Millisecond); got != Undecided {
		t.Errorf("400 concurrent calls in a millisecond: %s", got)
	}
}

// sequentialLog makes up a history of n calls by 8 clients, quickly.
func sequentialLog(n int) (History, Truth) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h History
	var truth Truth
	for i := range int64(n) {
		span := Span{Client: i % 8, Call: 100*i - rng.Int64N(400), Return: 100*i + rng.Int64N(400)}
		end := int64(len(truth.Records))
		switch {
		case i%10 < 6:
			p := Produce{Span: span, Outcome: OK, Values: []RecordID{RecordID(i)}, BaseOffset: end, Idempotent: true}
			if i%10 == 5 {
				p.Outcome, p.BaseOffset = Unknown, -1
			}
			h.Produces = append(h.Produces, p)
			truth.Records = append(truth.Records, Record{Offset: end, Value: RecordID(i)})
		case i%10 < 9:
			from := max(0, end-2)
			h.Fetches = append(h.Fetches, Fetch{Span: span, Offset: from, LeaderEpoch: 0, Records: truth.Records[from:end], HighWatermark: end})
		default:
			h.Ends = append(h.Ends, End{Span: span, Offset: end})
		}
	}
	return h, truth
}

const million = 1_000_000

func TestMillionCalls(t *testing.T) {
	h, truth := sequentialLog(million)
	began := time.Now()
	if bad := CheckPartition(&h, &truth, LogOptions{}); bad != nil {
		t.Fatal(bad)
	}
	took := time.Since(began)
	t.Logf("%d calls, one in ten of unknown outcome: %v", million, took)
	if took > 5*time.Second { // about 0.3 s on two quiet cores; generous, because test machines are busy
		t.Errorf("a million calls took %v", took)
	}
	h.Ends[5000].Offset -= 20 // one stale read among them
	if bad := CheckPartition(&h, &truth, LogOptions{}); bad == nil || bad.Check != NotLinearizable {
		t.Errorf("a stale end was not found: %v", bad)
	}
}

func BenchmarkMillionCalls(b *testing.B) {
	h, truth := sequentialLog(million)
	for b.Loop() {
		if bad := CheckPartition(&h, &truth, LogOptions{}); bad != nil {
			b.Fatal(bad)
		}
	}
}

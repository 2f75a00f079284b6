// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"math/rand/v2"
	"slices"
)

// rightHistory makes up what clients of a correct broker see: an atomic log with calls that overlap
// in time, some of unknown outcome, and fetches that may be stale. Each call is of a client of its
// own unless there are few clients, who then wait for each answer.
type rightHistory struct {
	rng     *rand.Rand
	h       History
	truth   Truth
	ends    []int64 // end of the log after each append; [0] is 0
	endedAt []int64 // when it took that value
	next    RecordID
}

func newRightHistory(seed uint64, calls int) *rightHistory {
	r := &rightHistory{rng: rand.New(rand.NewPCG(seed, 1)), h: History{Partition: "t-0"}, ends: []int64{0}, endedAt: []int64{0}}
	for i := range calls {
		at := int64(10 * (i + 1)) // when it takes effect
		span := Span{Client: int64(i), Call: at - r.rng.Int64N(40), Return: at + r.rng.Int64N(40)}
		switch n := r.rng.IntN(10); {
		case n < 5:
			r.produce(at, span)
		case n < 8:
			r.fetch(at, span)
		default:
			r.h.Ends = append(r.h.Ends, End{Span: span, Offset: r.end()})
		}
	}
	return r
}

func (r *rightHistory) end() int64 { return r.ends[len(r.ends)-1] }

func (r *rightHistory) produce(at int64, span Span) {
	p := Produce{Span: span, Outcome: OK, BaseOffset: -1, Idempotent: true}
	for range 1 + r.rng.IntN(3) {
		r.next++
		p.Values = append(p.Values, r.next)
	}
	appended := true
	switch r.rng.IntN(8) {
	case 0:
		p.Outcome = Unknown
	case 1:
		p.Outcome, appended = Unknown, false
	case 2:
		p.Outcome, appended = Failed, false
	case 3: // a duplicate was acknowledged without its offset
	default:
		p.BaseOffset = r.end()
	}
	if appended {
		for i, v := range p.Values {
			r.truth.Records = append(r.truth.Records, Record{Offset: r.end() + int64(i), Value: v, LeaderEpoch: int32(at / 200)})
		}
		r.ends = append(r.ends, r.end()+int64(len(p.Values)))
		r.endedAt = append(r.endedAt, at)
	}
	r.h.Produces = append(r.h.Produces, p)
}

// fetch reads below an end that was right at most 100 ns before the call.
func (r *rightHistory) fetch(at int64, span Span) {
	i := len(r.ends) - 1
	for i > 0 && r.endedAt[i] > span.Call-100 && r.rng.IntN(2) == 0 {
		i--
	}
	f := Fetch{Span: span, LeaderEpoch: -1, HighWatermark: r.ends[i]}
	f.Offset = r.rng.Int64N(f.HighWatermark + 1)
	until := f.Offset + r.rng.Int64N(f.HighWatermark-f.Offset+1)
	f.Records = slices.Clone(r.truth.Records[f.Offset:until])
	r.h.Fetches = append(r.h.Fetches, f)
}

var rightOptions = LogOptions{MaxStaleness: 200}

// reorder shuffles the calls, which a checker must not care about.
func (r *rightHistory) reorder() {
	h := &r.h
	r.rng.Shuffle(len(h.Produces), func(i, j int) { h.Produces[i], h.Produces[j] = h.Produces[j], h.Produces[i] })
	r.rng.Shuffle(len(h.Fetches), func(i, j int) { h.Fetches[i], h.Fetches[j] = h.Fetches[j], h.Fetches[i] })
	r.rng.Shuffle(len(h.Ends), func(i, j int) { h.Ends[i], h.Ends[j] = h.Ends[j], h.Ends[i] })
}

// damage changes something at random; the result may still be right.
func (r *rightHistory) damage() {
	h, t, rng := &r.h, &r.truth, r.rng
	near := func(x int64) int64 { return max(0, x+rng.Int64N(7)-3) }
	switch rng.IntN(12) {
	case 0:
		if p := pick(rng, h.Produces); p != nil && p.BaseOffset >= 0 {
			p.BaseOffset = near(p.BaseOffset)
		}
	case 1:
		if p := pick(rng, h.Produces); p != nil {
			p.Outcome = []Outcome{OK, Failed, Unknown}[rng.IntN(3)]
		}
	case 2:
		if p := pick(rng, h.Produces); p != nil {
			damageSpan(rng, &p.Span)
		}
	case 3:
		if e := pick(rng, h.Ends); e != nil {
			e.Offset = near(e.Offset)
		}
	case 4:
		if e := pick(rng, h.Ends); e != nil {
			damageSpan(rng, &e.Span)
		}
	case 5:
		if f := pick(rng, h.Fetches); f != nil {
			f.HighWatermark = near(f.HighWatermark)
		}
	case 6:
		if f := pick(rng, h.Fetches); f != nil {
			damageSpan(rng, &f.Span)
		}
	case 7:
		if f := pick(rng, h.Fetches); f != nil {
			if rec := pick(rng, f.Records); rec != nil {
				rec.Value = RecordID(near(int64(rec.Value)))
			}
		}
	case 8:
		if f := pick(rng, h.Fetches); f != nil {
			if rec := pick(rng, f.Records); rec != nil {
				rec.Offset = near(rec.Offset)
			}
		}
	case 9:
		if len(t.Records) > 0 {
			t.Records = t.Records[:rng.IntN(len(t.Records))]
		}
	case 10:
		if a, b := pick(rng, t.Records), pick(rng, t.Records); a != nil {
			a.Value, b.Value = b.Value, a.Value
		}
	case 11:
		if n := len(t.Records); n > 0 {
			t.Records = append(t.Records, Record{Offset: int64(n), Value: t.Records[rng.IntN(n)].Value + RecordID(rng.IntN(2)), LeaderEpoch: t.Records[n-1].LeaderEpoch})
		}
	}
}

func damageSpan(rng *rand.Rand, s *Span) {
	by := rng.Int64N(400) - 200
	s.Call, s.Return = s.Call+by, s.Return+by
}

// pick returns a random element, nil if there is none.
func pick[T any](rng *rand.Rand, list []T) *T {
	if len(list) == 0 {
		return nil
	}
	return &list[rng.IntN(len(list))]
}

// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The waits of Kafka's own formula, worked out by hand: (rate - limit) / limit * window, with a window of ten seconds and more.
func TestWait(t *testing.T) {
	type step struct{ at, value, wait int64 }
	for what, steps := range map[string][]step{
		"within a burst":         {{0, 10_000, 0}},
		"above it":               {{0, 15_000, 5_000}},
		"in one sample":          {{0, 10_000, 0}, {900, 1_000, 100}}, // 11,000 in 10.9 s
		"the window grows":       {{0, 10_000, 0}, {10_500, 500, 0}},
		"what is old is no more": {{0, 10_000, 0}, {5_000, 5_000, 5_000}, {11_000, 5_000, 0}}, // at 11 s the first is dropped
		"twice":                  {{0, 20_000, 10_000}, {10_000, 0, 10_000}, {11_000, 0, 0}},
		"far above":              {{0, 1 << 60, mostMs}},
	} {
		r := &rate{}
		for i, s := range steps {
			r.record(s.at, float64(s.value))
			if got := r.wait(s.at, 1000); got != s.wait {
				t.Errorf("%s, step %d: %d ms, want %d", what, i, got, s.wait)
			}
		}
	}
}

// A client that does as much as it may, in portions of any size, and waits as it is told, is held to its limit; and it gets
// that, unless its portions are so large that it is told to wait longer than they are remembered.
func TestRateIsHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Float64Range(10, 1e9).Draw(t, "limit")
		most := rapid.Float64Range(0.002, 3).Draw(t, "portion") // of a second's worth
		between := rapid.Int64Range(0, 3).Draw(t, "ms")
		r, now, total, from := &rate{}, int64(0), 0.0, int64(0)
		const warm, end = 66_000, 198_000
		for i := 0; now < end; i++ {
			value := limit * most * (1 + float64(i%3)) / 3
			r.record(now, value)
			if now >= warm {
				total += value
			} else {
				from = now
			}
			now += r.wait(now, limit) + between
			if i > 1_000_000 {
				t.Fatal("it goes on for ever")
			}
		}
		got := total / (float64(now-from) / 1000) / limit
		if got > 1.1 || got < 0.9 && most < 0.1 && between == 0 {
			t.Errorf("%.3f of the limit", got)
		}
	})
}

// What is forgotten would have said nothing.
func TestForgettingChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kept, fresh, now, last := &rate{}, &rate{}, int64(0), int64(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += int64(rapid.SampledFrom([]int{0, 1, 400, 999, 1000, 3000, 10_999, 11_000, 11_001, 30_000}).Draw(t, "ms"))
			if now-last >= memoryMs {
				fresh = &rate{}
			}
			if rapid.Bool().Draw(t, "record") {
				value := float64(rapid.IntRange(-5, 30).Draw(t, "value"))
				kept.record(now, value)
				fresh.record(now, value)
				last = now
			}
			a, b := kept.wait(now, 1), fresh.wait(now, 1)
			if a != b {
				t.Fatalf("at %d ms: %d ms, and %d after forgetting", now, a, b)
			}
		}
	})
}

// Partitions that are created as fast as they may: strictly at the rate, after a burst.
func TestTokens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perSecond := rapid.Float64Range(0.1, 1000).Draw(t, "rate")
		b, now, total := &tokens{}, int64(1000), 0.0
		for b.wait(now, perSecond) == 0 {
			n := float64(rapid.IntRange(1, 100).Draw(t, "n"))
			b.take(now, perSecond, n)
			total += n
		}
		if total < windows*perSecond || total > windows*perSecond+100 {
			t.Fatalf("a burst of %v at a rate of %v", total, perSecond)
		}
		wait := b.wait(now, perSecond)
		if early := b.wait(now+wait-2, perSecond); wait > 2 && early == 0 {
			t.Fatalf("nothing to wait for 2 ms before the end of %d", wait)
		}
		if late := b.wait(now+wait+1, perSecond); late != 0 {
			t.Fatalf("%d ms are left after %d", late, wait)
		}
		if got := now + wait - 1000; math.Abs(float64(got)-(total-windows*perSecond)/perSecond*1000) > 2 {
			t.Fatalf("%d ms", got)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package quota

import "math"

// Kafka's defaults (quota.window.num, quota.window.size.seconds): ten whole windows of a second, and the current one.
const (
	// WholeWindows is how many seconds' worth may be done at once after a quiet time.
	WholeWindows = windows - 1

	windows  = 11
	windowMs = 1000
	memoryMs = windows * windowMs // how long anything is remembered
)

// mostMs is the longest wait that an answer can tell.
const mostMs = math.MaxInt32

// rate is how much was done in the last windows, measured as Kafka does (Rate over a SampledStat): a sample is what was done
// within a second from its first, and is dropped when its last is eleven seconds old. So a burst of ten seconds' worth is
// free after a quiet time.
type rate struct{ samples []sample } // oldest first

// sample is what was done from start on.
type sample struct {
	start, last int64 // ms
	value       float64
}

func (s *sample) dropped(now int64) bool { return now-s.last >= memoryMs }

// record adds something that was done, or takes it back if it is negative.
func (r *rate) record(now int64, value float64) {
	old := 0
	for old < len(r.samples) && r.samples[old].dropped(now) {
		old++
	}
	if old > 0 {
		r.samples = r.samples[:copy(r.samples, r.samples[old:])]
	}
	if n := len(r.samples); n == 0 || now-r.samples[n-1].start >= windowMs {
		r.samples = append(r.samples, sample{start: now})
	}
	s := &r.samples[len(r.samples)-1]
	s.value += value
	s.last = now
}

// measure returns the rate per second, and over how many ms: at least ten whole windows and what there is of the current one.
func (r *rate) measure(now int64) (perSecond float64, overMs int64) {
	sum, oldest := 0.0, now
	for i := range r.samples {
		if s := &r.samples[i]; !s.dropped(now) {
			sum += s.value
			oldest = min(oldest, s.start)
		}
	}
	overMs = now - oldest
	if whole := overMs / windowMs; whole < windows-1 {
		overMs += (windows - 1 - whole) * windowMs
	}
	return sum / (float64(overMs) / 1000), overMs
}

// wait is how many ms bring the rate back to a limit, if nothing is done in them (QuotaUtils.throttleTime).
func (r *rate) wait(now int64, limit float64) int64 {
	perSecond, overMs := r.measure(now)
	if perSecond <= limit {
		return 0
	}
	return round((perSecond - limit) / limit * float64(overMs))
}

func round(ms float64) int64 { return int64(min(mostMs, math.Floor(ms+0.5))) }

// tokens is a bucket of what may be done, filled at a rate up to a burst of eleven seconds' worth (TokenBucket). One who finds
// anything in it may take more than that, and it is below zero until that is refilled.
type tokens struct {
	left  float64
	at    int64 // ms
	begun bool  // before, it is full
}

func (t *tokens) refill(now int64, perSecond float64) {
	burst := windows * perSecond
	if !t.begun {
		t.left, t.begun = burst, true
	} else {
		t.left = min(burst, t.left+perSecond*float64(now-t.at)/1000)
	}
	t.at = now
}

func (t *tokens) take(now int64, perSecond, n float64) {
	t.refill(now, perSecond)
	t.left -= n
}

// wait is how many ms fill it to zero.
func (t *tokens) wait(now int64, perSecond float64) int64 {
	if t.refill(now, perSecond); t.left >= 0 {
		return 0
	}
	return round(-t.left / perSecond * 1000)
}

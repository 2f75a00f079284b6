// SPDX-License-Identifier: Apache-2.0

package host

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// The last hour of a broker, for people who have no Prometheus: what its counters have come to, every historyStep. To read them
// costs microseconds, and what is kept 10 KiB.
const (
	historyStep = 10 * time.Second
	historySize = int(time.Hour / historyStep)
)

// sample is what happened in one historyStep. Rates are per second, times milliseconds; -1: there was nothing to measure.
type sample struct {
	In       float32 `json:"in"`  // bytes of requests
	Out      float32 `json:"out"` // bytes of answers
	Produces float32 `json:"produces"`
	Fetches  float32 `json:"fetches"`
	P50      float32 `json:"p50"` // from a whole Produce to its answer, written
	P99      float32 `json:"p99"`
}

type history struct {
	meter          *requestMeter
	produce, fetch int // their positions

	mu      sync.Mutex
	samples []sample // a ring, once it is full
	next    int
	end     time.Time // of the newest one
	last    totals
}

// totals are counters since the start.
type totals struct {
	in, out           int64
	produces, fetches int64
	times             []uint64 // produces that took at most so long, by bucket
	bounds            []float64
}

func newHistory(m *requestMeter) *history {
	return &history{meter: m, produce: slices.Index(m.names, "Produce"), fetch: m.fetch}
}

// watch takes samples until quit.
func (s *history) watch(quit <-chan struct{}) {
	tick := time.NewTicker(historyStep)
	defer tick.Stop()
	s.sample(time.Now())
	for {
		select {
		case <-quit:
			return
		case now := <-tick.C:
			s.sample(now)
		}
	}
}

// sample adds what has happened since the last one. The first is only where counting begins.
func (s *history) sample(now time.Time) {
	t := s.totals()
	s.mu.Lock()
	defer s.mu.Unlock()
	seconds, old := float32(now.Sub(s.end).Seconds()), s.last
	first := s.end.IsZero()
	if s.end, s.last = now, t; first || seconds <= 0 {
		return
	}
	rate := func(now, then int64) float32 { return float32(now-then) / seconds }
	new := sample{
		In: rate(t.in, old.in), Out: rate(t.out, old.out),
		Produces: rate(t.produces, old.produces), Fetches: rate(t.fetches, old.fetches),
		P50: t.quantile(&old, 0.5), P99: t.quantile(&old, 0.99),
	}
	if len(s.samples) < historySize {
		s.samples = append(s.samples, new)
		return
	}
	s.samples[s.next] = new
	s.next = (s.next + 1) % historySize
}

// list is what is kept, the oldest first, and when the newest ended.
func (s *history) list() ([]sample, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(append([]sample{}, s.samples[s.next:]...), s.samples[:s.next]...), s.end
}

func (s *history) totals() totals {
	m := s.meter
	t := totals{in: m.bytesIn.Load(), out: m.bytesOut.Load(), produces: m.received[s.produce].Load(), fetches: m.received[s.fetch].Load()}
	var now dto.Metric
	if h, ok := m.times[s.produce].(prometheus.Metric); ok && h.Write(&now) == nil {
		for _, b := range now.GetHistogram().GetBucket() {
			t.times, t.bounds = append(t.times, b.GetCumulativeCount()), append(t.bounds, b.GetUpperBound())
		}
		t.times, t.bounds = append(t.times, now.GetHistogram().GetSampleCount()), append(t.bounds, 0)
	}
	return t
}

// quantile is how many milliseconds a share of the produces since an earlier time took at most; -1 if there were none. Within a
// bucket they are taken to be spread evenly. What is slower than the last bound took that.
func (t *totals) quantile(since *totals, share float64) float32 {
	count := func(i int) float64 {
		if len(since.times) != len(t.times) {
			return float64(t.times[i])
		}
		return float64(t.times[i] - since.times[i])
	}
	last := len(t.times) - 1
	if last < 1 || count(last) == 0 {
		return -1
	}
	rank := share * count(last)
	below, lower := 0.0, 0.0
	for i := range last {
		if c := count(i); c >= rank {
			return float32(1000 * (lower + (t.bounds[i]-lower)*(rank-below)/max(c-below, 1)))
		} else {
			below, lower = c, t.bounds[i]
		}
	}
	return float32(1000 * lower)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Latencies are kept in microseconds, to three digits; longer ones count as the longest.
const longestLatency = 10 * time.Minute

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longestLatency.Microseconds(), 3)
}

// window is the measured time, from inclusive, to exclusive.
type window struct{ from, to time.Time }

func (w window) has(t time.Time) bool { return !t.Before(w.from) && t.Before(w.to) }

// recorder counts one kind of event, such as acknowledgements, and how long each took. Callers
// spread over its tallies, so that they seldom meet at a lock.
type recorder struct {
	name    string
	tallies []*tally
	total   *hdrhistogram.Histogram // all that take has returned
	last    counts                  // of the take before
}

type tally struct {
	mu        sync.Mutex
	window    window
	counts    counts
	latencies *hdrhistogram.Histogram // since the last take, of what was due in the window
	errors    map[string]*failure
}

// counts are running totals.
type counts struct {
	all      int64 // events, at any time
	measured int64 // events in the window
	bytes    int64 // in the window
	errors   int64 // at any time
}

func (c counts) plus(d counts) counts {
	return counts{c.all + d.all, c.measured + d.measured, c.bytes + d.bytes, c.errors + d.errors}
}

func (c counts) minus(d counts) counts {
	return counts{c.all - d.all, c.measured - d.measured, c.bytes - d.bytes, c.errors - d.errors}
}

// failure is how often requests failed in one way.
type failure struct {
	Kind    string `json:"kind"`
	Count   int64  `json:"count"`
	Example string `json:"example"`
}

func newRecorder(name string, w window) *recorder {
	r := &recorder{name: name, total: newHistogram()}
	for range 16 {
		r.tallies = append(r.tallies, &tally{window: w, latencies: newHistogram(), errors: make(map[string]*failure)})
	}
	return r
}

func (r *recorder) tally(caller int) *tally { return r.tallies[caller%len(r.tallies)] }

// event counts something of a caller that ended at now, and its latency if it was due in the
// window. It says whether it ended in the window.
func (r *recorder) event(caller int, due, now time.Time, bytes int) bool {
	t := r.tally(caller)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.window.has(due) {
		t.record(now.Sub(due))
	}
	return t.add(now, 1, bytes)
}

// count counts n events without a latency.
func (r *recorder) count(caller int, now time.Time, n, bytes int) {
	t := r.tally(caller)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(now, n, bytes)
}

// latency notes how long something took, without counting it.
func (r *recorder) latency(caller int, due, now time.Time) {
	t := r.tally(caller)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.window.has(due) {
		t.record(now.Sub(due))
	}
}

func (t *tally) add(now time.Time, n, bytes int) bool {
	t.counts.all += int64(n)
	if !t.window.has(now) {
		return false
	}
	t.counts.measured += int64(n)
	t.counts.bytes += int64(bytes)
	return true
}

func (t *tally) record(d time.Duration) {
	d = min(max(d, time.Microsecond), longestLatency)
	if err := t.latencies.RecordValue(d.Microseconds()); err != nil {
		panic("a latency within the histogram's bounds is out of its bounds: " + err.Error())
	}
}

// error counts a failed request, whenever it failed.
func (r *recorder) error(caller int, err error) {
	t := r.tally(caller)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.errors++
	kind := errorKind(err)
	if t.errors[kind] == nil {
		t.errors[kind] = &failure{Kind: kind, Example: err.Error()}
	}
	t.errors[kind].Count++
}

// cut ends the window early.
func (r *recorder) cut(now time.Time) {
	for _, t := range r.tallies {
		t.mu.Lock()
		t.window.to = now
		t.mu.Unlock()
	}
}

// take returns what was counted since the last take, and the latencies.
func (r *recorder) take() (counts, *hdrhistogram.Histogram) {
	var sum counts
	since := newHistogram()
	for _, t := range r.tallies {
		t.mu.Lock()
		sum = sum.plus(t.counts)
		since.Merge(t.latencies)
		t.latencies.Reset()
		t.mu.Unlock()
	}
	r.total.Merge(since)
	delta := sum.minus(r.last)
	r.last = sum
	return delta, since
}

// failures lists all errors, the most frequent kind first.
func (r *recorder) failures() []failure {
	var all []failure
	for _, t := range r.tallies {
		t.mu.Lock()
		for _, f := range t.errors {
			i := slices.IndexFunc(all, func(g failure) bool { return g.Kind == f.Kind })
			if i < 0 {
				all = append(all, *f)
			} else {
				all[i].Count += f.Count
			}
		}
		t.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b failure) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

// errorKind sorts errors into a few kinds: addresses and numbers in their text would make each its
// own.
func errorKind(err error) string {
	var code *kerr.Error
	var network *net.OpError
	var number syscall.Errno
	switch {
	case errors.As(err, &code):
		return code.Message
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, kgo.ErrClientClosed):
		return "unanswered at the end"
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &network):
		return "network: " + network.Op
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "connection closed"
	default:
		return err.Error()
	}
}

// percentiles of latencies, in microseconds.
type percentiles struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   int64   `json:"p50"`
	P90   int64   `json:"p90"`
	P99   int64   `json:"p99"`
	P999  int64   `json:"p99.9"`
	P9999 int64   `json:"p99.99"`
	Max   int64   `json:"max"`
}

func percentilesOf(h *hdrhistogram.Histogram) percentiles {
	p := percentiles{Count: h.TotalCount()}
	if p.Count == 0 {
		return p
	}
	at := h.ValueAtPercentilesSlice([]float64{50, 90, 99, 99.9, 99.99})
	p.P50, p.P90, p.P99, p.P999, p.P9999 = at[0], at[1], at[2], at[3], at[4]
	p.Mean, p.Max = h.Mean(), h.Max()
	return p
}

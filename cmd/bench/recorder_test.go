// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var zero = time.Unix(1000, 0)

// at is a time in seconds after zero; the tests' windows are from 1 to 3.
func at(seconds float64) time.Time { return zero.Add(time.Duration(seconds * 1e9)) }

func testRecorder() *recorder { return newRecorder("answered", window{at(1), at(3)}) }

// Rates count what ended in the window, latencies what was due in it, however late it ended.
func TestWhatTheWindowCounts(t *testing.T) {
	for _, c := range []struct {
		name         string
		due, now     float64
		inWindow     bool
		wantLatency  int64 // us, 0: none
		wantMeasured int64
	}{
		{"warm-up", 0.2, 0.5, false, 0, 0},
		{"due in the warm-up, ended in the window", 0.9, 1.1, true, 0, 1},
		{"ended when the window began", 0.9, 1, true, 0, 1},
		{"due when the window began", 1, 1.002, true, 2000, 1},
		{"due in the window, ended behind it", 2.9, 4, false, 1_100_000, 0},
		{"ended when the window ended", 2.999, 3, false, 1000, 0},
		{"due behind the window", 3, 3.1, false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := testRecorder()
			if got := r.event(0, at(c.due), at(c.now), 7); got != c.inWindow {
				t.Errorf("event said %v", got)
			}
			got, _ := r.take()
			want := counts{all: 1, measured: c.wantMeasured, bytes: 7 * c.wantMeasured}
			if got != want {
				t.Errorf("counts %+v, want %+v", got, want)
			}
			latency := percentilesOf(r.total).Max
			if diff := latency - c.wantLatency; diff < 0 || diff > c.wantLatency/500 {
				t.Errorf("latency %d us, want %d", latency, c.wantLatency)
			}
		})
	}
}

func TestTakeReturnsWhatIsNewAndTotalKeepsAll(t *testing.T) {
	r := testRecorder()
	for caller := range 40 {
		r.event(caller, at(1), at(1.001), 10)
	}
	if c, h := r.take(); c.measured != 40 || c.bytes != 400 || h.TotalCount() != 40 {
		t.Errorf("first take: %+v, %d latencies", c, h.TotalCount())
	}
	r.event(3, at(1), at(1.5), 10)
	r.error(4, io.EOF)
	if c, h := r.take(); c != (counts{all: 1, measured: 1, bytes: 10, errors: 1}) || h.TotalCount() != 1 {
		t.Errorf("second take: %+v, %d latencies", c, h.TotalCount())
	}
	if n := r.total.TotalCount(); n != 41 {
		t.Errorf("total has %d latencies, want 41", n)
	}
}

func TestPercentilesAreThoseOfTheValues(t *testing.T) {
	r := testRecorder()
	for i := range 10000 {
		r.event(i, at(1), at(1).Add(time.Duration(i+1)*time.Microsecond), 0)
	}
	r.take()
	got := percentilesOf(r.total)
	for _, c := range []struct {
		name      string
		got, want int64
	}{
		{"p50", got.P50, 5000},
		{"p90", got.P90, 9000},
		{"p99", got.P99, 9900},
		{"p99.9", got.P999, 9990},
		{"p99.99", got.P9999, 9999},
		{"max", got.Max, 10000},
	} {
		if diff := c.got - c.want; diff < 0 || diff > 10 {
			t.Errorf("%s is %d us, want %d to three digits", c.name, c.got, c.want)
		}
	}
	if got.Count != 10000 || got.Mean < 4990 || got.Mean > 5010 {
		t.Errorf("%d values with mean %f, want 10000 with 5000.5", got.Count, got.Mean)
	}
}

func TestLatenciesBeyondTheHistogramCountAsTheLongest(t *testing.T) {
	r := testRecorder()
	r.event(0, at(1), at(1).Add(48*time.Hour), 0)
	r.event(0, at(1), at(1), 0)
	r.take()
	if got := percentilesOf(r.total); got.Count != 2 || got.Max < longestLatency.Microseconds() {
		t.Errorf("%+v", got)
	}
}

func TestACutWindowEndsEarly(t *testing.T) {
	r := testRecorder()
	r.cut(at(2))
	r.event(0, at(1.5), at(2), 0)
	r.event(0, at(2), at(2.5), 0)
	if c, h := r.take(); c.measured != 0 || h.TotalCount() != 1 {
		t.Errorf("%+v, %d latencies", c, h.TotalCount())
	}
}

func TestErrorsAreCountedByKind(t *testing.T) {
	r := testRecorder()
	refused := func(port int) error {
		return fmt.Errorf("unable to dial: %w", &net.OpError{Op: "dial", Addr: &net.TCPAddr{Port: port}, Err: syscall.ECONNREFUSED})
	}
	for i, err := range []error{
		refused(1), refused(2), refused(3),
		kerr.NotLeaderForPartition, fmt.Errorf("partition 3: %w", kerr.NotLeaderForPartition),
		kgo.ErrRecordTimeout, context.DeadlineExceeded,
		kgo.ErrClientClosed,
		&net.OpError{Op: "read", Err: errors.New("odd")},
		io.ErrUnexpectedEOF,
		errors.New("something new"),
	} {
		r.error(i, err) // also before the window: the times of errors do not matter
	}
	var got []string
	for _, f := range r.failures() {
		got = append(got, fmt.Sprintf("%d %s", f.Count, f.Kind))
	}
	want := []string{
		"3 connection refused", "2 NOT_LEADER_FOR_PARTITION", "2 no answer in time",
		"1 connection closed", "1 network: read", "1 something new", "1 unanswered at the end",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

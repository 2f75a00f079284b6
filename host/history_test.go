// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"
	"time"
)

// The ring keeps the last hour, and quantiles are those of the time in between.
func TestHistory(t *testing.T) {
	m := newRequestMeter()
	s := newHistory(m)
	at := time.Now()
	s.sample(at)
	for range historySize + 2 {
		for range 99 {
			m.times[s.produce].Observe(0.001)
		}
		m.times[s.produce].Observe(0.5)
		m.bytesIn.Add(1000)
		m.received[s.produce].Add(100)
		at = at.Add(historyStep)
		s.sample(at)
	}
	at = at.Add(historyStep)
	s.sample(at) // nothing has happened
	list, end := s.list()
	if len(list) != historySize || !end.Equal(at) {
		t.Fatalf("%d samples to %v", len(list), end)
	}
	if last := list[historySize-1]; last != (sample{P50: -1, P99: -1}) {
		t.Errorf("when nothing has happened: %+v", last)
	}
	for _, got := range list[:historySize-1] {
		if got.In != 100 || got.Produces != 10 || got.P50 < 0.8 || got.P50 > 1.6 || got.P99 < 0.8 || got.P99 > 1.6 {
			t.Fatalf("%+v", got)
		}
	}
}

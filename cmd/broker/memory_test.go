// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLimitsFollowFromMemory(t *testing.T) {
	for _, c := range []struct {
		file string
		want [5]int64 // hot, cache, inflight, unread, large
	}{
		{"", [5]int64{32 << 20, 16 << 20, 100 << 20, 256 << 20, 32 << 20}},
		{"memory = '1GiB'", [5]int64{128 << 20, 64 << 20, 256 << 20, 1 << 30, 128 << 20}},
		{"memory = '1GiB'\nhot_bytes = '1MiB'\nunread_bytes = '2MiB'", [5]int64{1 << 20, 64 << 20, 256 << 20, 2 << 20, 128 << 20}},
		{"memory = '64MiB'\nmax_request_bytes = '2MiB'", [5]int64{8 << 20, 4 << 20, 16 << 20, 64 << 20, 8 << 20}},
	} {
		s, err := loadSettings([]string{"-config", writeFile(t, "broker.toml", "broker_id = 1\n"+c.file)}, nil, new(strings.Builder))
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := s.hostConfig()
		if err != nil {
			t.Fatal(err)
		}
		got := [5]int64{cfg.Node.HotBytes, cfg.Node.CacheBytes, cfg.Limits.RequestBytes, cfg.Limits.UnreadBytes, cfg.Node.LargeBytes}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("with %q, hot, cache, inflight, unread and large are (-want +got):\n%s", c.file, diff)
		}
	}
}

// What is in use beyond the budget must not leave the collector without room: it would take half of the CPU.
func TestCollectorAlwaysHasRoom(t *testing.T) {
	var lines strings.Builder
	c := &collector{memory: 300, log: slog.New(slog.NewTextHandler(&lines, nil))}
	for _, in := range []struct{ inUse, want int64 }{{-50, 300}, {0, 300}, {225, 300}, {300, 400}, {3000, 4000}, {100, 300}} {
		if got := c.limit(in.inUse); got != in.want {
			t.Errorf("with %d in use the limit is %d, want %d", in.inUse, got, in.want)
		}
	}
	for range 3 * longOver {
		c.limit(300)
	}
	if n := strings.Count(lines.String(), "more memory is in use"); n != 1 {
		t.Errorf("it warned %d times, want once:\n%s", n, lines.String())
	}
}

func TestCollectorIsCalledAfterABurst(t *testing.T) {
	c := new(collector)
	const live, garbage = takenInUse + 40<<20, 30 << 20
	for i := range idleLooks + 1 {
		if got, want := c.idle(live, garbage, 7), i == idleLooks; got != want {
			t.Errorf("look %d: called is %v, want %v", i, got, want)
		}
	}
	if c.idle(live, garbage, 8) {
		t.Error("it was called right after it ran by itself")
	}
	for i := range 3 * idleLooks {
		if c.idle(live, 1<<20, 8) {
			t.Errorf("look %d: it was called for next to nothing", i)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// defaultMemory is enough for the throughput that more memory doesn't raise, see docs/PERFORMANCE.md.
const defaultMemory = 256 << 20

// shareMemory gives limits that nobody has set their parts of the memory.
func (s *settings) shareMemory() {
	own := s.ownMemory()
	for _, part := range []struct {
		key   string
		to    *int64
		bytes int64
	}{
		{"hot_bytes", &s.HotBytes, own / 8},
		{"cache_bytes", &s.CacheBytes, own / 16},
		{"inflight_bytes", &s.InflightBytes, max(own/4, int64(s.MaxRequestBytes))},
		{"unread_bytes", &s.UnreadBytes, own},
		{"large_request_bytes", &s.LargeBytes, own / 8},
	} {
		if _, given := s.given[part.key]; !given {
			*part.to = part.bytes
		}
	}
}

// How much garbage Go's collector lets pile up: half of what is in use, and of what is taken to be in use. With
// little in use it would otherwise run many times a second, with much the heap would be twice as large as needed.
// GOGC in the environment counts instead of the former.
const (
	garbagePercent = 50
	takenInUse     = 128 << 20
)

// lookAtMemory is how often the collector's pace is looked at.
const lookAtMemory = time.Second

// collector keeps the process near the memory that it should use.
type collector struct {
	memory int64  // that it should use
	taken  []byte // takenInUse bytes that are never touched, so they cost addresses but no memory
	log    *slog.Logger
	over   int // looks in a row with too much in use

	cycles uint64 // of the collector, when it was last seen to have run
	quiet  int    // looks since then
}

// paceCollector sets Go's collector to a process that should use so much memory. It returns what ends that.
// GOMEMLIMIT in the environment counts instead of memory.
func paceCollector(memory int64, log *slog.Logger) (end func()) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	c := &collector{memory: memory, taken: make([]byte, takenInUse), log: log}
	quit := make(chan struct{})
	go c.watch(quit)
	return func() { close(quit) }
}

func (c *collector) watch(quit chan struct{}) {
	defer runtime.KeepAlive(c.taken)
	sets := os.Getenv("GOMEMLIMIT") == ""
	for {
		live, garbage, cycles := heap()
		if sets {
			debug.SetMemoryLimit(takenInUse + c.limit(live-takenInUse))
		}
		if c.idle(live, garbage, cycles) {
			runtime.GC()
		}
		select {
		case <-quit:
			return
		case <-time.After(lookAtMemory):
		}
	}
}

// longOver is after how many looks in a row with too much in use the operator hears of it.
const longOver = 60

// limit returns the bytes up to which the heap may grow before the collector runs, whatever else it goes by. It is the memory that the
// process should use. But with more than three quarters of that in use the collector would run all the time and
// leave nothing of the CPU. So there is always room for garbage of a third of what is in use.
func (c *collector) limit(inUse int64) int64 {
	if inUse <= c.memory/4*3 {
		c.over = 0
		return c.memory
	}
	if c.over++; c.over == longOver {
		c.log.Warn("more memory is in use than the setting memory allows for; raise it, or lower what is set beside it",
			"in_use", inUse, "memory", c.memory)
	}
	return inUse / 3 * 4
}

// idleLooks is after how many looks without a run of the collector it is called, so that after a burst memory goes back.
const idleLooks = 10

// idle reports whether the collector should be called: it hasn't run for some time, so it costs nobody anything, and
// there is something for it.
func (c *collector) idle(live, garbage int64, cycles uint64) bool {
	if cycles != c.cycles {
		c.cycles, c.quiet = cycles, 0
	}
	c.quiet++
	return c.quiet > idleLooks && garbage > (live-takenInUse)/4+16<<20
}

// heap returns how many bytes were in use when the collector last ran, and what was allocated since then and may be garbage
// by now; and how often it ran.
func heap() (live, garbage int64, cycles uint64) {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(s)
	live = int64(s[0].Value.Uint64())
	return live, int64(s[1].Value.Uint64()) - live, s[2].Value.Uint64()
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net/http"
	"runtime"
	"time"

	"chronik/node"
)

// stepTimes are the longest steps since somebody last asked for them. The time by the clock includes stalls of
// the machine, when no CPU was given to the loop's thread; the CPU time of that thread does not.
type stepTimes struct {
	clock, cpu time.Duration
	watched    bool // somebody asked before; until then CPU time, which costs a system call for each step, isn't measured
}

// cpuFrom is how long a step takes at least before its CPU time is looked at.
const cpuFrom = time.Millisecond

// measure runs a step and returns how long it took. The thread is kept for as long, so that its CPU time is the
// step's.
func (s *stepTimes) measure(step func()) time.Duration {
	if !s.watched {
		start := time.Now()
		step()
		took := time.Since(start)
		s.clock = max(s.clock, took)
		return took
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, used := time.Now(), threadTime()
	step()
	took := time.Since(start)
	s.clock = max(s.clock, took)
	if took >= cpuFrom {
		s.cpu = max(s.cpu, threadTime()-used)
	}
	return took
}

// serveSteps tells the longest steps since it last told them, in seconds: by the clock, and of CPU time.
func (h *Host) serveSteps(w http.ResponseWriter, _ *http.Request) {
	var longest stepTimes
	ok := h.metrics.ask(answerTime, func(*node.Node) {
		longest, h.metrics.longest = h.metrics.longest, stepTimes{watched: true}
	})
	if !ok {
		http.Error(w, "the loop does not answer: it recovers, is stuck, or has ended", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, "clock %.6f\ncpu %.6f\n", longest.clock.Seconds(), longest.cpu.Seconds())
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime"
	"syscall"
)

// timerSlack is how much later than asked for the kernel may wake a thread that sleeps, in nanoseconds.
// Linux has 50 µs by default.
//
// Go's scheduler has a thread that looks after the others (sysmon). It asks to sleep 20 µs at a time while
// threads are in system calls that take longer, and a broker that writes always has one: a sync. That was 5,000
// wake-ups a second for each broker, and each may take away the processor of a thread that would have been
// back soon. With a millisecond the same load costs a quarter less CPU. See docs/adr/0031-timer-slack.md.
const timerSlack = 1_000_000

// slackTried marks, in the environment, a program that this one has begun anew.
const slackTried = "BROKER_TIMER_SLACK_TRIED"

// From linux/prctl.h.
const (
	prSetTimerSlack = 29
	prGetTimerSlack = 30
)

// letTimersSlack gives all threads of this process a slack of timerSlack. A thread can change only its own, and
// has what the thread had that made it; sysmon is there before this program's first line. But a slack
// outlives execve(2), so the program begins itself anew, with the same process ID. Whoever started it can spare it that
// (TimerSlackNSec= of systemd). Where it isn't possible all goes on as it was.
func letTimersSlack() {
	tried := os.Getenv(slackTried) != ""
	os.Unsetenv(slackTried) // not for programs that this one starts
	if tried {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if has, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prGetTimerSlack, 0, 0); errno != 0 || has >= timerSlack {
		return
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, timerSlack, 0); errno != 0 {
		return
	}
	_ = syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), slackTried+"=1"))
}

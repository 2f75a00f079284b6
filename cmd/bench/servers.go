// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// servers watches processes on this machine through Linux' /proc.
type servers struct {
	pids []int
	used []usage
}

// usage is what one process used in the measured time.
type usage struct {
	PID     int           `json:"pid"`
	CPU     time.Duration `json:"cpu_ns"`
	RSS     int64         `json:"rss_bytes"`      // at the end
	PeakRSS int64         `json:"peak_rss_bytes"` // of the samples taken once a second
	Ended   bool          `json:"ended,omitempty"`
	from    time.Duration
}

// watchServers fails if a process is not there.
func watchServers(pids []int) (*servers, error) {
	s := &servers{pids: pids}
	for _, pid := range pids {
		if _, err := cpuTime(pid); err != nil {
			return nil, fmt.Errorf("--server-pids: can't watch process %d: %w", pid, err)
		}
		s.used = append(s.used, usage{PID: pid})
	}
	return s, nil
}

// begin starts the measured time.
func (s *servers) begin() {
	for i := range s.used {
		u := &s.used[i]
		var err error
		u.from, err = cpuTime(u.PID)
		u.Ended = u.Ended || err != nil
	}
	s.sample()
}

// sample looks at all processes; it is called once a second and at the end.
func (s *servers) sample() {
	for i := range s.used {
		u := &s.used[i]
		cpu, err := cpuTime(u.PID)
		rss, err2 := residentBytes(u.PID)
		if err != nil || err2 != nil {
			u.Ended = true
			continue
		}
		u.CPU, u.RSS, u.PeakRSS = cpu-u.from, rss, max(u.PeakRSS, rss)
	}
}

// result returns the usage of all processes, and an error for each that has ended: the figures lack
// what it used.
func (s *servers) result() ([]usage, []failure) {
	var lost []failure
	for _, u := range s.used {
		if u.Ended {
			what := fmt.Sprintf("server process %d ended", u.PID)
			lost = append(lost, failure{Kind: what, Count: 1, Example: what})
		}
	}
	return slices.Clone(s.used), lost
}

// clockTick is the unit of CPU times in /proc: USER_HZ is 100 on every architecture of Go.
const clockTick = 10 * time.Millisecond

// cpuTime is what a process has used so far, in user and kernel mode (proc(5), /proc/PID/stat,
// fields 14 and 15).
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(text)
}

// parseStat reads /proc/PID/stat. Field 2, the name in brackets, may hold anything; field 3 comes
// behind its last bracket.
func parseStat(text []byte) (time.Duration, error) {
	f := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc has %d fields behind the name, want at least 13", len(f))
	}
	if f[0][0] == 'Z' {
		return 0, errors.New("it has ended, its parent did not notice yet")
	}
	user, err := strconv.ParseInt(string(f[11]), 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(string(f[12]), 10, 64)
	return time.Duration(user+system) * clockTick, err
}

// residentBytes is the memory that a process has (proc(5), /proc/PID/statm, field 2).
func residentBytes(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	f := bytes.Fields(text)
	if len(f) < 2 {
		return 0, fmt.Errorf("/proc/%d/statm has %d fields", pid, len(f))
	}
	pages, err := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// ownCPU is what this process has used so far.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic("getrusage of the own process can't fail: " + err.Error())
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

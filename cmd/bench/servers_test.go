// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestCPUTimeIsReadWhateverTheProcessIsCalled(t *testing.T) {
	rest := " S 1 1 1 0 -1 4194560 2214 0 0 0 123 45 0 0 20 0 1 0 100 1000 200"
	for _, name := range []string{"(broker)", "(a b)", "(x) R 9 9)", "()"} {
		got, err := parseStat([]byte("42 " + name + rest))
		if err != nil || got != 1680*time.Millisecond {
			t.Errorf("%s: %v, %v; want 1.68s", name, got, err)
		}
	}
	for _, text := range []string{"", "42 (broker) S 1 1", "42 (broker) Z 1 1 1 0 -1 4194560 2214 0 0 0 123 45 0 0"} {
		if got, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q gave %v", text, got)
		}
	}
}

func needsProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
}

// burn uses d of CPU time.
func burn(d time.Duration) {
	for start := ownCPU(); ownCPU()-start < d; {
	}
}

func TestServersAreWatchedOnlyInTheMeasuredTime(t *testing.T) {
	needsProc(t)
	burn(100 * time.Millisecond)
	s, err := watchServers([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	total, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s.begin()
	burn(150 * time.Millisecond)
	s.sample()
	used, lost := s.result()
	if u := used[0]; u.CPU < 120*time.Millisecond || u.CPU > total+10*time.Second || u.RSS < 1<<20 || u.PeakRSS < u.RSS || len(lost) > 0 {
		t.Errorf("burnt 150 ms: %+v, %v", u, lost)
	}
	s.begin()
	s.sample()
	if used, _ := s.result(); used[0].CPU > 100*time.Millisecond {
		t.Errorf("nothing burnt since the beginning: %v", used[0].CPU)
	}
}

func TestAServerThatEndsIsAFailure(t *testing.T) {
	needsProc(t)
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	s, err := watchServers([]int{child.Process.Pid})
	if err != nil {
		t.Fatal(err)
	}
	s.begin()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	s.sample()
	if _, lost := s.result(); len(lost) != 1 || !strings.Contains(lost[0].Kind, "ended") {
		t.Errorf("%+v", lost)
	}
	if _, err := watchServers([]int{child.Process.Pid}); err == nil {
		t.Error("a process that is gone can be watched")
	}
}

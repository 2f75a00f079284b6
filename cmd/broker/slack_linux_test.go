// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// All threads of a broker have the slack, sysmon among them, which is there before the program's first line.
func TestTimersOfABrokerHaveSlack(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a broker")
	}
	ctx, stop := context.WithTimeout(t.Context(), 40*time.Second)
	defer stop()
	port := freePorts(t, 1)
	cmd := exec.CommandContext(ctx, os.Args[0], "start", "-dir", t.TempDir(), "-listen", net127(port), "-metrics", net127(port+2000))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var slacks []string
	for slack := fmt.Sprint(timerSlack); ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		slacks = slacks[:0]
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		wrong := false
		for _, thread := range threads {
			text, err := os.ReadFile("/proc/" + thread.Name() + "/timerslack_ns")
			if os.IsPermission(err) {
				t.Skip("only root sees the slack of other threads: ", err)
			}
			slacks = append(slacks, strings.TrimSpace(string(text)))
			wrong = wrong || slacks[len(slacks)-1] != slack
		}
		if !wrong && len(threads) > 2 {
			stop()
			_ = cmd.Wait()
			return
		}
	}
	t.Errorf("the threads' slacks are %v ns", slacks)
	_ = cmd.Wait()
}

// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// KafkaAddr is where clients reach a broker, PeerAddr where other brokers do, MetricsAddr where it answers HTTP.
func (c *Cluster) KafkaAddr(id int) string { return c.o.kafkaAddr(id) }

// PeerAddr is where other brokers reach a broker.
func (c *Cluster) PeerAddr(id int) string { return c.o.peerAddr(id) }

// MetricsAddr is where a broker answers HTTP.
func (c *Cluster) MetricsAddr(id int) string { return c.o.metricsAddr(id) }

// Steps are the longest steps of a broker's loop: by the clock, and of CPU time, which leaves out stalls of the
// machine.
type Steps struct{ Clock, CPU time.Duration }

// LongestSteps asks a broker's port for metrics for those since it was last asked.
func LongestSteps(ctx context.Context, metricsAddr string) (Steps, error) {
	return LongestStepsBy(ctx, http.DefaultClient, "http://"+metricsAddr)
}

// LongestStepsBy asks by a client of one's own, for a port that speaks TLS.
func LongestStepsBy(ctx context.Context, client *http.Client, address string) (Steps, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/steps", nil)
	if err != nil {
		return Steps{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return Steps{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return Steps{}, err
	}
	var clock, cpu float64
	if _, err := fmt.Sscanf(string(text), "clock %f\ncpu %f\n", &clock, &cpu); err != nil {
		return Steps{}, fmt.Errorf("%s: steps %q: %w", address, text, err)
	}
	return Steps{seconds(clock), seconds(cpu)}, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// PeakMemory returns the most bytes of memory that a broker had since ResetPeak.
func (c *Cluster) PeakMemory(id int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.running[id].cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		return 0, fmt.Errorf("the peak memory of broker %d: %w", id, err)
	}
	return kib << 10, nil
}

// CPU returns what a broker has used of CPU so far.
func (c *Cluster) CPU(id int) (time.Duration, error) {
	return ProcessCPU(c.running[id].cmd.Process.Pid)
}

// ProcessCPU returns what a process has used of CPU so far (proc(5), /proc/PID/stat, fields 14 and 15).
func ProcessCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // field 2 may hold anything, and ends here
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields behind the name", pid, len(f))
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100), errors.Join(err, err2) // USER_HZ is 100 wherever Go runs
}

// ResetPeak forgets the peak of a broker's memory (proc(5), clear_refs).
func (c *Cluster) ResetPeak(id int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", c.running[id].cmd.Process.Pid), []byte("5"), 0)
}

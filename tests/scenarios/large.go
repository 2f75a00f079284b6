// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"chronik/tests/rig"
)

// Scenarios with more data than fits into a broker's memory. They make their own load.

// How soon a broker with a large log must be ready, and how much slower it may answer producers while
// it reads old records.
const (
	readyAfterStop = 3 * time.Second
	readyAfterKill = 5 * time.Second
	slowdown       = 1.5
)

// startUp stops and kills a broker with a large log, and starts it again.
func startUp(ctx context.Context, w *world) error {
	begin := time.Now()
	written, err := rig.Fill(ctx, w.Bootstrap(), topic, w.partitions, w.log, 1000, 4500) // four records an entry
	if err != nil {
		return err
	}
	w.note("wrote %d records, %d MB, in %v", written, w.log>>20, ms(time.Since(begin)))
	if _, err := w.Stop(1); err != nil {
		return err
	}
	if err := w.timeStart(ctx, "stop", readyAfterStop); err != nil {
		return err
	}
	pulse, err := rig.StartPulse(ctx, w.Bootstrap(), topic, 0, time.Millisecond) // killed while it writes
	if err != nil {
		return err
	}
	defer pulse.Close()
	if err := rig.Pause(ctx, 2*time.Second); err != nil {
		return err
	}
	if err := w.Kill(1); err != nil {
		return err
	}
	if err := w.timeStart(ctx, "SIGKILL", readyAfterKill); err != nil {
		return err
	}
	pulse.Close()
	begin = time.Now()
	read, err := rig.Drain(ctx, w.Bootstrap(), topic, w.partitions)
	w.note("read %d records back in %v", read, ms(time.Since(begin)))
	if err == nil && read < written {
		err = fmt.Errorf("%d records were acknowledged, only %d are there", written, read)
	}
	return err
}

func (w *world) timeStart(ctx context.Context, after string, limit time.Duration) error {
	begin := time.Now()
	if err := w.Restart(ctx, 1); err != nil {
		return err
	}
	took := time.Since(begin)
	size, err := w.Metric(ctx, 1, "chronik_log_size_bytes")
	if err != nil {
		return err
	}
	w.note("ready %v after a start with a log of %.0f MB that follows %s", ms(took), size/(1<<20), after)
	if took > limit {
		return fmt.Errorf("that is more than %v", limit)
	}
	return nil
}

// ownDisk gives broker 3 a disk in memory: as in a real cluster, what it writes while it catches up
// isn't in the way of the others' fsyncs.
func ownDisk(dir string) (undo func(), err error) {
	memory, err := os.MkdirTemp("/dev/shm", "scenario")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCantMount, err)
	}
	undo = func() { os.RemoveAll(memory) }
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return undo, err
	}
	return undo, os.Symlink(memory, filepath.Join(dir, "3"))
}

// coldReads writes to a leader while a follower that lacks much and a consumer that begins at the
// start read from it, and compares with quiet times before and after. What is measured is how far they are in
// the leader's way, so both run aside, and nothing is between the brokers.
func coldReads(ctx context.Context, w *world) error {
	if _, err := rig.LeadAll(ctx, w.Bootstrap(), topic, 1); err != nil {
		return err
	}
	w.look = 500 * time.Millisecond // reading metrics costs CPU, too
	if _, err := w.Stop(3); err != nil {
		return err
	}
	if _, err := rig.Fill(ctx, w.Bootstrap(), topic, w.partitions, w.behind, 10_000, 1_000_000); err != nil {
		return err
	}
	pulse, err := rig.StartPulse(ctx, w.Bootstrap(), topic, 0, 2*time.Millisecond)
	if err != nil {
		return err
	}
	defer pulse.Close()
	before, err := w.quiet(ctx, pulse)
	if err != nil {
		return err
	}
	var read int64
	begin := time.Now()
	err = w.coldReads(ctx, func() error {
		if err := w.Restart(ctx, 3); err != nil {
			return err
		}
		consumed := make(chan error, 1)
		go func() {
			var err error
			read, err = w.drainElsewhere(ctx)
			consumed <- err
		}()
		if err := w.caughtUp(ctx, 3); err != nil {
			return err
		}
		return <-consumed
	})
	if err != nil {
		return err
	}
	during, err := pulse.Take()
	if err != nil {
		return err
	}
	w.note("in %v, while broker 3 caught up with %d MB and a consumer read %d records: %v", ms(time.Since(begin)), w.behind>>20, read, during)
	after, err := w.quiet(ctx, pulse)
	if err != nil {
		return err
	}
	if most := max(before.P99, after.P99); float64(during.P99) > slowdown*float64(most) {
		return fmt.Errorf("p99 of producers was %v during that, more than %v times the %v of quiet times", during.P99, slowdown, most)
	}
	return nil
}

// drainCommand is a consumer in a process of its own, which takes the CPU neither from the producer that is
// measured nor from the brokers (rig.Aside):
//
//	scenarios drain PARTITIONS BROKER...
const drainCommand = "drain"

func drain(ctx context.Context, args []string) (code int) {
	partitions, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	debug.SetGCPercent(25) // a heap that grows stalls a virtual machine
	read, err := rig.Drain(ctx, args[1:], topic, partitions)
	fmt.Println(read)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// drainElsewhere reads everything in another process, and returns how many records that were.
func (w *world) drainElsewhere(ctx context.Context) (read int64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	words := rig.Aside(append([]string{self, drainCommand, strconv.Itoa(w.partitions)}, w.Bootstrap()...)...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("the consumer: %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
}

// quiet measures while nothing else goes on.
func (w *world) quiet(ctx context.Context, pulse *rig.Pulse) (rig.Latency, error) {
	if err := rig.Pause(ctx, time.Second); err != nil {
		return rig.Latency{}, err
	}
	if _, err := pulse.Take(); err != nil {
		return rig.Latency{}, err
	}
	if err := rig.Pause(ctx, w.cut); err != nil {
		return rig.Latency{}, err
	}
	l, err := pulse.Take()
	w.note("quiet: %v", l)
	return l, err
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"chronik/tests/rig"
)

// growAndShrink lets brokers 4 and 5 join, moves everything off brokers 1 and 2, and removes them.
func growAndShrink(ctx context.Context, w *world) error {
	admin := func(args ...string) func() error {
		return func() error {
			return w.round(fmt.Sprint(args), func() error { _, err := w.Admin(ctx, args...); return err })
		}
	}
	return steps(
		func() error { return w.join(ctx, 4, 1) },
		func() error { return w.join(ctx, 5, 4, 2) },
		admin("rebalance"),
		func() error { return w.placedOn(ctx, 1, 2, 3, 4, 5) },
		admin("drain", "1", "2"),
		func() error { return w.placedOn(ctx, 3, 4, 5) },
		admin("remove", "1"),
		admin("remove", "2"),
		func() error {
			return w.round("after the removals", func() error { return rig.Pause(ctx, w.cut) })
		},
		func() error { return w.leave(1) },
		func() error { return w.leave(2) },
		func() error { return w.load.WaitFor(ctx, w.records/5) },
		admin("status"),
	)
}

// join adds a broker that knows some of the others.
func (w *world) join(ctx context.Context, id int, knows ...int) error {
	err := w.round(fmt.Sprintf("broker %d joins", id), func() error { return w.Add(ctx, id, knows...) })
	if err != nil {
		return err
	}
	bootstrap := w.Bootstrap()
	return w.probe.Ask(bootstrap[len(bootstrap)-1])
}

// placedOn fails unless exactly these brokers have replicas, each partition three.
func (w *world) placedOn(ctx context.Context, ids ...int32) error {
	partitions, err := rig.Describe(ctx, w.Bootstrap(), topic)
	if err != nil {
		return err
	}
	var on []int32
	for _, p := range partitions {
		if len(p.Replicas) != replicas {
			return fmt.Errorf("partition %d is on brokers %v", p.Partition, p.Replicas)
		}
		on = append(on, p.Replicas...)
	}
	slices.Sort(on)
	if on = slices.Compact(on); !slices.Equal(on, ids) {
		return fmt.Errorf("the partitions are on brokers %v, not on %v", on, ids)
	}
	return nil
}

// removed is the exit code of a broker that was removed from its cluster.
const removed = 4

// leave waits for a broker that was removed to end by itself.
func (w *world) leave(id int) error {
	w.Forget(id)
	err := w.WaitForEnd(id, 20*time.Second)
	if end, ok := errors.AsType[*exec.ExitError](err); ok && end.ExitCode() == removed {
		return nil
	}
	return fmt.Errorf("broker %d was removed and should have ended with exit code %d: %v; see %s", id, removed, err, w.Lines(id))
}

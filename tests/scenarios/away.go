// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"chronik/tests/rig"
)

// Scenarios in which a broker is away for a while and comes back.

// catchUp takes broker 3 away, writes, and brings it back. It must be served from disk.
func catchUp(away, back func(context.Context, *world) error) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		return steps(
			func() error { return w.round("go away", func() error { return away(ctx, w) }) },
			func() error { return w.round("away", func() error { return w.load.WaitFor(ctx, w.records) }) },
			func() error {
				return w.round("back", func() error {
					return w.coldReads(ctx, func() error {
						return steps(func() error { return back(ctx, w) }, func() error { return w.caughtUp(ctx, 3) })
					})
				})
			},
		)
	}
}

// coldReads notes how many reads of old entries the brokers that stayed made during a part. There
// must be some.
func (w *world) coldReads(ctx context.Context, part func() error) error {
	count := func() (sum float64, err error) {
		for _, id := range []int{1, 2} {
			n, err := w.Metric(ctx, id, "chronik_raft_wal_fallback_total")
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}
	before, err := count()
	if err != nil {
		return err
	}
	if err := part(); err != nil {
		return err
	}
	after, err := count()
	if err != nil {
		return err
	}
	w.note("reads of old entries from disk on brokers 1 and 2: %v", after-before)
	if after == before {
		return fmt.Errorf("broker 3 caught up without reads of old entries from disk: the part that it lacked was too small to prove anything")
	}
	return nil
}

func cutOff(_ context.Context, w *world) error {
	w.Net.Cut(3, 1, 2)
	return nil
}

func heal(_ context.Context, w *world) error {
	w.Net.Heal()
	return nil
}

func pause3(_ context.Context, w *world) error  { return w.Pause(3) }
func resume3(_ context.Context, w *world) error { return w.Resume(3) }

func kill3(ctx context.Context, w *world) error {
	if err := w.load.WaitFor(ctx, w.records/5); err != nil { // in the middle of writing
		return err
	}
	return w.Kill(3)
}

func restart3(ctx context.Context, w *world) error { return w.Restart(ctx, 3) }

// behindRetention cuts broker 3 off for longer than the records are kept that it lacks.
func behindRetention(ctx context.Context, w *world) error {
	w.Net.Cut(3, 1, 2)
	if err := w.load.WaitFor(ctx, w.records/2); err != nil {
		return err
	}
	ends, err := rig.Offsets(ctx, w.Bootstrap(), topic, w.partitions, -1)
	if err != nil {
		return err
	}
	if err := rig.DeleteBelow(ctx, w.Bootstrap(), topic, ends); err != nil {
		return err
	}
	if err := w.load.WaitFor(ctx, w.records/2); err != nil {
		return err
	}
	w.Net.Heal()
	if err := w.caughtUp(ctx, 3); err != nil {
		return err
	}
	n, err := w.Metric(ctx, 3, "chronik_raft_snapshots_total", `what="installed"`)
	if err != nil {
		return err
	}
	w.note("broker 3 took %v checkpoints from the leaders", n)
	if n == 0 {
		return fmt.Errorf("broker 3 caught up without a checkpoint, so the logs still held what it lacked")
	}
	return nil
}

// loseDisk takes the data of broker 2 away. It comes back as a new replica, which then is needed for
// a majority.
func loseDisk(ctx context.Context, w *world) error {
	return steps(
		func() error { return w.Kill(2) },
		func() error { return w.load.WaitFor(ctx, w.records/5) },
		func() error { return w.LoseDisk(2) },
		func() error { return w.Restart(ctx, 2) },
		func() error { return w.caughtUp(ctx, 2) },
		func() error { return w.Kill(3) },
		func() error {
			return w.round("without broker 3", func() error { return w.load.WaitFor(ctx, w.records/5) })
		},
		func() error { return w.Restart(ctx, 3) },
		func() error { return w.caughtUp(ctx, 3) },
	)
}

// killAll kills all brokers at once.
func killAll(ctx context.Context, w *world) error {
	for range w.rounds {
		if err := w.load.WaitFor(ctx, w.records/10); err != nil {
			return err
		}
		err := w.round("killed all", func() error {
			return steps(
				func() error { return w.Kill(1, 2, 3) },
				func() error { return w.RestartAll(ctx, []int{1, 2, 3}) },
				func() error { return w.load.WaitFor(ctx, w.records/10) },
			)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// diskSize is that of the file system that broker 3 has for itself.
const diskSize = 256 << 20

// smallDisk makes the file system, which only root may do.
func smallDisk(dir string) (undo func(), err error) {
	folder := filepath.Join(dir, "3")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", diskSize), "tmpfs", folder).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", errCantMount, out)
	}
	return func() { exec.Command("umount", "-l", folder).Run() }, nil
}

var errCantMount = errors.New("a small file system can't be mounted")

// fullDisk lets broker 3 lead everything, takes all the space that is left on its disk, and gives it
// back after a while.
func fullDisk(ctx context.Context, w *world) error {
	if _, err := rig.LeadAll(ctx, w.Bootstrap(), topic, 3); err != nil {
		return err
	}
	ballast := filepath.Join(w.Folder(3), "ballast")
	segments := 4 << 20 / w.size // records that fill some segments, more than are prepared
	return steps(
		func() error { return fill(ballast) },
		func() error { return w.round("full", func() error { return w.load.WaitFor(ctx, segments) }) },
		func() error {
			n, err := w.Metric(ctx, 3, "chronik_events_total", `event="disk_full"`)
			if err == nil && n == 0 {
				err = errors.New("broker 3 did not notice that its disk is full")
			}
			return err
		},
		func() error { return w.round("still full", func() error { return w.load.WaitFor(ctx, segments) }) },
		func() error { return os.Remove(ballast) },
		func() error { return w.round("space again", func() error { return w.caughtUp(ctx, 3) }) },
	)
}

// fill writes a file until the disk is full.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			return err
		}
	}
	return nil
}

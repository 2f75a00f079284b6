// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math/rand/v2"
	"time"

	"chronik/tests/rig"
)

// Scenarios in which leadership moves.

// withLeader1 lets broker 1 lead everything, does something to it for a while, and undoes that.
func (w *world) withLeader1(ctx context.Context, what string, begin, end func() error) error {
	if _, err := rig.LeadAll(ctx, w.Bootstrap(), topic, 1); err != nil {
		return err
	}
	return w.round(what, func() error {
		return steps(
			begin,
			func() error { return rig.Pause(ctx, w.cut) },
			end,
			func() error { return w.load.WaitFor(ctx, w.records/10) },
			func() error { return w.caughtUp(ctx, 1) },
		)
	})
}

// leaderCut cuts the leader off in each way.
func leaderCut(ctx context.Context, w *world) error {
	for _, c := range []struct {
		what string
		cut  func()
	}{
		{"from a minority", func() { w.Net.Cut(1, 2) }},
		{"from a majority", func() { w.Net.Cut(1, 2, 3) }},
		{"mute", func() { w.Net.CutTo(1, 2, 3) }},
		{"deaf", func() { w.Net.CutFrom(1, 2, 3) }},
	} {
		err := w.withLeader1(ctx, c.what,
			func() error { c.cut(); return nil },
			func() error { w.Net.Heal(); return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

func leaderPaused(ctx context.Context, w *world) error {
	return w.withLeader1(ctx, "paused", func() error { return w.Pause(1) }, func() error { return w.Resume(1) })
}

// flapping cuts and heals ways and breaks connections by chance.
func flapping(ctx context.Context, w *world) error {
	rng := rand.New(rand.NewPCG(1, 2))
	end := time.Now().Add(time.Duration(w.rounds) * w.cut)
	for time.Now().Before(end) {
		a := 1 + rng.IntN(3)
		b := 1 + (a+rng.IntN(2))%3
		switch rng.IntN(4) {
		case 0:
			w.Net.Cut(a, b)
		case 1:
			w.Net.CutTo(a, b)
		case 2:
			w.Net.Reset(a, b)
		case 3:
			w.Net.Heal()
		}
		if err := rig.Pause(ctx, time.Duration(50+rng.IntN(750))*time.Millisecond); err != nil {
			return err
		}
	}
	w.Net.Heal()
	for id := 1; id <= 3; id++ {
		if err := w.caughtUp(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// transfers moves the leadership of all partitions around.
func transfers(ctx context.Context, w *world) error {
	for i := range 3 * w.rounds {
		if _, err := rig.LeadAll(ctx, w.Bootstrap(), topic, 1+i%3); err != nil {
			return err
		}
		if err := w.load.WaitFor(ctx, w.rate/2); err != nil {
			return err
		}
	}
	w.note("%d times all partitions got another leader", 3*w.rounds)
	return nil
}

// rollingRestart stops and starts one broker after the other, in order.
func rollingRestart(ctx context.Context, w *world) error {
	for id := 1; id <= 3; id++ {
		err := w.round("restart", func() error {
			took, err := w.Stop(id)
			if err != nil {
				return err
			}
			back := time.Now()
			if err := w.Restart(ctx, id); err != nil {
				return err
			}
			w.note("broker %d stopped in %v and was ready again %v later", id, ms(took), ms(time.Since(back)))
			if err := w.caughtUp(ctx, id); err != nil {
				return err
			}
			return w.load.WaitFor(ctx, w.rate) // about a second
		})
		if err != nil {
			return err
		}
	}
	return nil
}

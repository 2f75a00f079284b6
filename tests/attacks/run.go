// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
	"time"

	"chronik/tests/rig"
)

// attack is one way to hurt a broker.
type attack struct {
	name     string
	quick    bool              // part of the short form
	brokers  int               // 1 if 0
	settings map[string]string // of the brokers, beside the small ones
	run      func(ctx context.Context, t *target) error
}

// attacks are all of them; each kind has a file of its own.
var attacks = [][]attack{connectionAttacks}

// target is what an attack is aimed at. It goes on until its context ends.
type target struct {
	cluster *rig.Cluster
	kafka   string // broker 1's address for clients
	topic   string // of the polite: one partition
}

// smallSettings keep what a broker means to hold small, so that what it holds beyond shows.
func smallSettings() map[string]string {
	return map[string]string{"hot_bytes": "33554432", "cache_bytes": "16777216", "inflight_bytes": "67108864", "max_request_bytes": "67108864", "unread_bytes": "67108864", "default_replicas": "1"}
}

// memoryBudget is for those settings: three times what hot_bytes and cache_bytes say, inflight_bytes, as much again
// for answers, half of all that as garbage, and 200 MiB.
const memoryBudget = (3*(32+16)+64+64)*3/2<<20 + 200<<20

var errBroken = errors.New("bounds are broken")

const politeTopic = "polite"

// result is a row of the table.
type result struct {
	name          string
	steps         rig.Steps
	quiet, during rig.Latency
	gap           time.Duration
	memory        int64
	trouble       []string
}

func runAll(ctx context.Context, o options, w io.Writer) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "attacks"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	if o.program == "" {
		o.program = filepath.Join(o.dir, "broker")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", o.program, "chronik/cmd/broker").CombinedOutput(); err != nil {
			return fmt.Errorf("building the broker: %w\n%s", err, out)
		}
	}
	var rows []result
	for _, kind := range attacks {
		for _, a := range kind {
			if !o.run.MatchString(a.name) || o.quick && !a.quick {
				continue
			}
			fmt.Fprintf(w, "%s ...\n", a.name)
			row, err := play(ctx, o, a, len(rows))
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			rows = append(rows, row)
		}
	}
	return printTable(w, o, rows)
}

// play runs one attack on brokers of its own.
func play(ctx context.Context, o options, a attack, nth int) (result, error) {
	settings := smallSettings()
	maps.Copy(settings, a.settings)
	c, err := rig.Start(ctx, rig.Options{
		Brokers: max(1, a.brokers), Dir: filepath.Join(o.dir, fmt.Sprint(nth)), Port: o.port, Program: o.program, Settings: settings,
	})
	if err != nil {
		return result{}, err
	}
	defer c.Close()
	if err := rig.CreateTopic(ctx, c.Bootstrap(), politeTopic, 1, max(1, a.brokers)); err != nil {
		return result{}, err
	}
	pulse, err := rig.StartPulse(ctx, c.Bootstrap(), politeTopic, 0, 5*time.Millisecond)
	if err != nil {
		return result{}, err
	}
	defer pulse.Close()
	reader, err := startReader(ctx, c.Bootstrap())
	if err != nil {
		return result{}, err
	}
	defer reader.close()
	_ = rig.Pause(ctx, time.Second) // the start of the clients is not measured
	return measure(ctx, o, a, c, pulse, reader)
}

func measure(ctx context.Context, o options, a attack, c *rig.Cluster, pulse *rig.Pulse, reader *reader) (r result, err error) {
	r.name = a.name
	if _, err := pulse.Take(); err != nil {
		return r, err
	}
	if err := rig.Pause(ctx, o.quiet); err != nil {
		return r, err
	}
	if r.quiet, err = pulse.Take(); err != nil {
		return r, err
	}
	for _, id := range c.Running() {
		if _, err := c.LongestSteps(ctx, id); err != nil {
			return r, err
		}
		if err := c.ResetPeak(id); err != nil {
			return r, err
		}
	}
	reader.reset()
	gaps := watchMachine()
	under, cancel := context.WithTimeout(ctx, o.each)
	err = a.run(under, &target{cluster: c, kafka: c.KafkaAddr(1), topic: politeTopic})
	<-under.Done()
	cancel()
	r.gap = gaps()
	if err != nil && ctx.Err() == nil {
		r.trouble = append(r.trouble, err.Error())
	}
	if r.during, err = pulse.Take(); err != nil {
		r.trouble = append(r.trouble, err.Error())
	}
	if silence := reader.longest(); silence > silenceBound {
		r.trouble = append(r.trouble, fmt.Sprintf("the polite consumer got nothing for %v", silence.Round(time.Millisecond)))
	}
	return r, r.look(ctx, o, a, c)
}

// look asks the brokers what the attack did to them.
func (r *result) look(ctx context.Context, o options, a attack, c *rig.Cluster) error {
	if up := len(c.Running()); up < max(1, a.brokers) {
		r.trouble = append(r.trouble, fmt.Sprintf("only %d brokers run", up))
	}
	for _, id := range c.Running() {
		steps, err := c.LongestSteps(ctx, id)
		if err != nil {
			r.trouble = append(r.trouble, err.Error())
		}
		r.steps = rig.Steps{Clock: max(r.steps.Clock, steps.Clock), CPU: max(r.steps.CPU, steps.CPU)}
		memory, err := c.PeakMemory(id)
		if err != nil {
			return err
		}
		r.memory = max(r.memory, memory)
	}
	r.judge(o)
	return ctx.Err()
}

func (r *result) judge(o options) {
	if r.steps.CPU > o.step {
		r.trouble = append(r.trouble, fmt.Sprintf("a step took %v of CPU time", r.steps.CPU))
	}
	if r.during.P99 > o.floor && float64(r.during.P99) > o.times*float64(r.quiet.P99) {
		r.trouble = append(r.trouble, "the polite producer waits too long")
	}
	if r.memory > o.memory {
		r.trouble = append(r.trouble, fmt.Sprintf("memory is over %d MiB", o.memory>>20))
	}
}

func printTable(w io.Writer, o options, rows []result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ATTACK\tSTEP CPU\tSTEP CLOCK\tMACHINE'S GAP\tQUIET P50/P99\tDURING P50/P99/MAX\tMEMORY\tVERDICT")
	broken := 0
	for _, r := range rows {
		verdict := "ok"
		if len(r.trouble) > 0 {
			verdict = "BROKEN: " + fmt.Sprint(r.trouble)
			broken++
		}
		fmt.Fprintf(t, "%s\t%v\t%v\t%v\t%v/%v\t%v/%v/%v\t%d of %d MiB\t%s\n", r.name, round(r.steps.CPU), round(r.steps.Clock), round(r.gap),
			round(r.quiet.P50), round(r.quiet.P99), round(r.during.P50), round(r.during.P99), round(r.during.Max), r.memory>>20, o.memory>>20, verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if broken > 0 {
		return fmt.Errorf("%w: by %d of %d attacks", errBroken, broken, len(rows))
	}
	if len(rows) == 0 {
		return errors.New("no attack has such a name")
	}
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

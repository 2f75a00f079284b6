// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"chronik/seeds/mutants"
	"chronik/sim/hunt"
	"chronik/sim/plan"
)

// comparison races hunts against plain seeds: on the same mutant, in worlds of the same profile, with the same processor
// time. A trial is one worker's. It ends with the first failure, or when the time is used up; what the hunt itself takes counts.
// A corpus that was bred on the code without the bug is how a project would use it; what it took doesn't count.
type comparison struct {
	corpus  string // that further hunts begin with; "": there are none
	profile string // "": the mutant's own
	repeats int
	limit   time.Duration
	workers int
	asJSON  bool
}

// arms are the ways to search that are compared.
var arms = []string{"seeds", "hunt", "hunt with corpus"}

const (
	armSeeds = iota
	armHunt
	armCorpus
)

// trial is one search for one mutant.
type trial struct {
	Arm   int           `json:"arm"` // see arms
	Nth   int           `json:"nth"`
	Found string        `json:"found_by"` // the check; "": nothing failed
	Runs  int           `json:"runs"`
	CPU   time.Duration `json:"cpu_ns"`
}

func compareHuntCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("hunt -compare", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Bool("compare", true, "")
	only := flags.String("mutants", "", "ids, separated by commas")
	c := comparison{}
	flags.StringVar(&c.corpus, "corpus", "", "folder of a corpus that further hunts begin with")
	flags.StringVar(&c.profile, "profile", "", "profile of all worlds")
	flags.IntVar(&c.repeats, "repeats", 10, "trials of each sort")
	flags.DurationVar(&c.limit, "for", time.Minute, "processor time of a trial")
	flags.IntVar(&c.workers, "j", runtime.NumCPU(), "trials at a time")
	flags.BoolVar(&c.asJSON, "json", false, "print each trial as a line of JSON")
	if err := parse(flags, args, 0); err != nil {
		return false, err
	}
	if *only == "" || c.repeats < 1 {
		return false, fmt.Errorf("%w: hunt -compare needs -mutants ID,.. and at least one repetition", errUsage)
	}
	if c.profile != "" {
		if err := checkProfile(c.profile); err != nil {
			return false, err
		}
	}
	root, all, err := plantedBugs(*only)
	if err != nil {
		return false, err
	}
	temp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(temp)
	fmt.Println("mutant                   profile  search            found   median core s  median runs")
	h := &hunter{root: root, temp: temp}
	for _, m := range all {
		if err := c.one(h, m); err != nil {
			return false, err
		}
	}
	return false, nil
}

// one races on one mutant.
func (c *comparison) one(h *hunter, m *mutants.Mutant) error {
	changed, err := m.Apply(h.root)
	if err != nil {
		return err
	}
	overlay, err := h.overlay(changed)
	if err != nil {
		return err
	}
	program, err := h.build(overlay)
	if err != nil {
		return err
	}
	profile := cmp.Or(c.profile, m.Profile)
	if err := checkProfile(profile); err != nil {
		return fmt.Errorf("mutant %s: %w", m.ID, err)
	}
	jobs, errs := make(chan *trial), make(chan error)
	for range c.workers {
		go func() {
			var failed error
			for t := range jobs {
				if failed == nil {
					failed = c.try(program, profile, t)
					c.printTrial(m, profile, t)
				}
			}
			errs <- failed
		}()
	}
	var trials []*trial
	for n := range c.repeats {
		for arm := range arms {
			if arm == armCorpus && c.corpus == "" {
				continue
			}
			t := &trial{Arm: arm, Nth: n + 1}
			trials = append(trials, t)
			jobs <- t
		}
	}
	close(jobs)
	for range c.workers {
		err = errors.Join(err, <-errs)
	}
	if err == nil {
		c.print(m, profile, trials)
	}
	return err
}

// printTrial prints a line of JSON as soon as a trial is over, so that an interrupted comparison isn't lost.
func (c *comparison) printTrial(m *mutants.Mutant, profile string, t *trial) {
	if c.asJSON {
		json.NewEncoder(os.Stdout).Encode(struct {
			Mutant  string `json:"mutant"`
			Profile string `json:"profile"`
			*trial
		}{m.ID, profile, t})
	}
}

func (c *comparison) print(m *mutants.Mutant, profile string, trials []*trial) {
	for arm, name := range arms {
		var times, runs []int64
		found := 0
		for _, t := range trials {
			if t.Arm != arm {
				continue
			}
			runs = append(runs, int64(t.Runs))
			if t.Found == "" {
				times = append(times, never)
			} else {
				times = append(times, int64(t.CPU/time.Millisecond))
				found++
			}
		}
		if len(times) == 0 {
			continue
		}
		text := fmt.Sprintf("%.1f", float64(middle(times))/1000)
		if middle(times) >= never/2 {
			text = fmt.Sprintf("over %.0f", c.limit.Seconds())
		}
		fmt.Printf("%-24s %-8s %-16s %3d/%-3d %14s %12d\n", m.ID, profile, name, found, len(times), text, middle(runs))
	}
}

// never is longer than all trials, in milliseconds.
const never = int64(1) << 60

// middle is the median of some numbers: the mean of the middle two.
func middle(numbers []int64) int64 {
	slices.Sort(numbers)
	return (numbers[(len(numbers)-1)/2] + numbers[len(numbers)/2]) / 2
}

// try runs one trial.
func (c *comparison) try(program, profile string, t *trial) error {
	w, err := startWorker(program, profile, false)
	if err != nil {
		return err
	}
	defer w.close()
	if t.Arm == armSeeds {
		return c.plain(w, profile, t)
	}
	h := hunt.New(uint64(t.Nth), []string{profile})
	if t.Arm == armCorpus {
		if _, err := loadCorpus(c.corpus, h); err != nil {
			return err
		}
	}
	return c.bred(w, h, t)
}

// plain runs seeds, those of each trial in a range of their own.
func (c *comparison) plain(w *worker, profile string, t *trial) error {
	for seed := uint64(t.Nth)*1_000_000 + 1; t.CPU < c.limit && t.Found == ""; seed++ {
		o, alive := w.runLine(strconv.FormatUint(seed, 10), seed, profile, seedTimeout)
		if !t.take(o, alive) {
			break
		}
	}
	return nil
}

// bred hunts, in rounds as simrun hunt does.
func (c *comparison) bred(w *worker, h *hunt.Hunt, t *trial) error {
	for t.CPU < c.limit && t.Found == "" {
		began := time.Now()
		var plans []*plan.Plan
		for range roundSize {
			plans = append(plans, h.Next())
		}
		t.CPU += time.Since(began)
		var outcomes []outcome
		for _, p := range plans {
			began := time.Now()
			line, err := json.Marshal(p)
			if err != nil {
				return err
			}
			t.CPU += time.Since(began)
			o, alive := w.runLine(string(line), p.Seed, p.Profile, seedTimeout)
			if !t.take(o, alive) || t.Found != "" || t.CPU >= c.limit {
				return nil
			}
			outcomes = append(outcomes, o)
		}
		began = time.Now()
		for i, o := range outcomes {
			h.Learn(plans[i], o.Result.Features, o.Result.Steps)
		}
		t.CPU += time.Since(began)
	}
	return nil
}

// take adds a run to a trial, and says whether the worker can go on.
func (t *trial) take(o outcome, alive bool) bool {
	t.Runs++
	t.CPU += time.Duration(o.CPUNs)
	if o.Result.Failure != nil {
		t.Found = strings.TrimSpace(o.Result.Failure.Check)
	}
	return alive
}

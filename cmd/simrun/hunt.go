// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"chronik/sim/hunt"
	"chronik/sim/plan"
)

// roundSize is how many plans are given to workers before anything is learned from them. With any number of workers, rounds are the
// same, so a hunt of a number of runs finds the same.
const roundSize = 16

// search is a hunt that runs.
type search struct {
	*hunt.Hunt
	workers int
	program string // that they run; "": this one
	folder  string // of the corpus; "": a temporary one, for plans that fail
	crew    []*worker
	failed  map[string]int // by signature
	cpu     time.Duration
}

func huntCommand(args []string) (bool, error) {
	if slices.Contains(args, "-compare") {
		return compareHuntCommand(args)
	}
	flags := flag.NewFlagSet("hunt", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	duration := flags.Duration("for", 0, "how long")
	runs := flags.Uint64("runs", 0, "how many runs")
	profile := flags.String("profile", "default", "profiles, separated by commas, or all")
	folder := flags.String("corpus", "", "folder where plans are kept")
	seed := flags.Uint64("seed", 1, "of the search")
	workers := flags.Int("j", runtime.NumCPU(), "worker processes")
	merge := flags.Bool("merge", false, "merge corpora into that of -corpus")
	if err := flags.Parse(args); err != nil {
		return false, fmt.Errorf("%w: %w", errUsage, err)
	}
	if *merge {
		return false, mergeCommand(*folder, flags.Args())
	}
	if flags.NArg() > 0 {
		return false, fmt.Errorf("%w: unexpected %v", errUsage, flags.Args())
	}
	profiles, err := profileList(*profile)
	if err != nil {
		return false, err
	}
	if *runs == 0 && *duration == 0 {
		*runs = 500
	}
	s := &search{Hunt: hunt.New(*seed, profiles), workers: max(*workers, 1), folder: *folder, failed: make(map[string]int)}
	if *folder != "" {
		if _, err := loadCorpus(*folder, s.Hunt); err != nil {
			return false, err
		}
	}
	return s.run(*runs, *duration, *seed, profiles)
}

func mergeCommand(into string, folders []string) error {
	if into == "" || len(folders) == 0 {
		return fmt.Errorf("%w: hunt -merge needs -corpus and the folders to merge", errUsage)
	}
	h, err := mergeCorpora(into, folders)
	if err != nil {
		return err
	}
	fmt.Printf("%d plans show all %d features of %d runs\n", len(h.Kept()), len(h.Counts()), h.Runs())
	return nil
}

// profileList reads a list of profiles.
func profileList(text string) ([]string, error) {
	if text == "all" {
		return plan.Profiles(), nil
	}
	list := strings.Split(text, ",")
	for _, p := range list {
		if err := checkProfile(p); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// run hunts for a number of runs or for a time, and says whether anything failed.
func (s *search) run(runs uint64, limit time.Duration, seed uint64, profiles []string) (bool, error) {
	began, saved := time.Now(), time.Now()
	defer s.dismiss()
	first := s.Runs()
	for more := true; more; {
		n := uint64(roundSize)
		if runs > 0 {
			n = min(n, runs-(s.Runs()-first))
		}
		if err := s.round(int(n)); err != nil {
			return false, err
		}
		more = (runs == 0 || s.Runs()-first < runs) && (limit == 0 || time.Since(began) < limit)
		if s.folder != "" && (!more || time.Since(saved) > 10*time.Second) {
			if err := saveCorpus(s.folder, s.Hunt, seed, profiles); err != nil {
				return false, err
			}
			saved = time.Now()
		}
	}
	fmt.Printf("%d runs in %v, %.0f core seconds: %d features, %d plans kept, %d ways to fail\n",
		s.Runs()-first, time.Since(began).Round(time.Second), s.cpu.Seconds(), len(s.Counts()), len(s.Kept()), len(s.failed))
	return len(s.failed) > 0, nil
}

// round runs some plans, and learns from them in the order in which they were bred.
func (s *search) round(n int) error {
	plans := make([]*plan.Plan, n)
	for i := range plans {
		plans[i] = s.Next()
	}
	outcomes, err := s.outcomes(plans)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		s.cpu += time.Duration(o.CPUNs)
		if o.Result.Failure != nil {
			if err := s.failure(plans[i], o); err != nil {
				return err
			}
			continue
		}
		s.Learn(plans[i], o.Result.Features, o.Result.Steps)
	}
	return nil
}

// outcomes runs plans on all workers.
func (s *search) outcomes(plans []*plan.Plan) ([]outcome, error) {
	for len(s.crew) < s.workers {
		s.crew = append(s.crew, nil)
	}
	next, errs := make(chan int), make(chan error, s.workers)
	all := make([]outcome, len(plans))
	for c := range s.crew {
		go func() {
			var failed error
			for i := range next {
				if failed == nil {
					failed = s.one(c, plans[i], &all[i])
				}
			}
			errs <- failed
		}()
	}
	for i := range plans {
		next <- i
	}
	close(next)
	var failed error
	for range s.crew {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	return all, failed
}

// one runs a plan on a worker, which is started if need be.
func (s *search) one(c int, p *plan.Plan, o *outcome) error {
	line, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if s.crew[c] == nil {
		if s.crew[c], err = startWorker(s.program, p.Profile, false); err != nil {
			return err
		}
	}
	alive := false
	if *o, alive = s.crew[c].runLine(string(line), p.Seed, p.Profile, seedTimeout); !alive {
		s.crew[c] = nil
	}
	return nil
}

func (s *search) dismiss() {
	for _, w := range s.crew {
		if w != nil {
			w.close()
		}
	}
	s.crew = nil
}

// failure keeps the plan of the first failure of its sort, and says how to go on.
func (s *search) failure(p *plan.Plan, o outcome) error {
	how := signature(o.Result.Failure)
	if s.failed[how]++; s.failed[how] > 1 {
		return nil
	}
	folder := s.folder
	if folder == "" {
		var err error
		if folder, err = os.MkdirTemp("", "hunt"); err != nil {
			return err
		}
	}
	file, err := saveFailed(folder, p)
	if err != nil {
		return err
	}
	r := o.Result
	line := fmt.Sprintf("FAIL plan of profile %s check %s at %v: %s | go run ./cmd/simrun replay %s | go run ./cmd/simrun shrink %s",
		p.Profile, r.Failure.Check, time.Duration(r.Failure.At), oneLine(r.Failure.Text), file, file)
	if o.Again != r.Hash && !slices.Contains([]string{checkWorkerDied, checkHang}, r.Failure.Check) {
		line += " | NONDETERMINISTIC: a second run has another trace hash"
	}
	fmt.Println(line)
	return nil
}

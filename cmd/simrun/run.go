// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"chronik/sim/plan"
)

// campaign is a number of seeds that workers run side by side.
type campaign struct {
	seeds   seedRange
	until   time.Time // no seed is begun later; zero: run all
	profile string
	workers int
	program string        // that the workers run; "": this one
	env     []string      // of the workers
	limit   time.Duration // of wall time for a seed; 0: seedTimeout
	each    func(outcome)
	cells   []string     // that have to be reached
	enough  atomic.Bool  // no seed is begun any more
	whole   atomic.Bool  // all seeds were begun, or the time is up
	patient bool         // Ctrl-C doesn't reach the workers
	cpu     atomic.Int64 // nanoseconds that the workers took which have ended
}

// run gives the seeds to workers; each is called for each outcome, one at a time, in any order.
func (c *campaign) run() error {
	next := make(chan uint64)
	outcomes := make(chan outcome)
	errs := make(chan error, c.workers)
	go c.hand(next)
	for range c.workers {
		go func() { errs <- c.work(next, outcomes) }()
	}
	var failed error
	for running := c.workers; running > 0; {
		select {
		case o := <-outcomes:
			c.each(o)
		case err := <-errs:
			failed = errors.Join(failed, err)
			running--
		}
	}
	return failed
}

// hand offers the seeds in order.
func (c *campaign) hand(next chan<- uint64) {
	defer close(next)
	for s := c.seeds.first; ; s++ {
		if c.enough.Load() {
			return
		}
		if !c.until.IsZero() && time.Now().After(c.until) {
			break
		}
		next <- s
		if s == c.seeds.last {
			break
		}
	}
	c.whole.Store(true)
}

// work runs seeds in a worker process, and in a new one if that dies. On an error it goes on taking
// seeds, so that hand can end.
func (c *campaign) work(next <-chan uint64, outcomes chan<- outcome) error {
	var w *worker
	var failed error
	for seed := range next {
		if failed != nil {
			continue
		}
		if w == nil {
			if w, failed = startWorker(c.program, c.profile, c.patient, c.env...); failed != nil {
				continue
			}
		}
		o, alive := w.run(seed, c.profile, cmp.Or(c.limit, seedTimeout))
		outcomes <- o
		if !alive {
			c.cpu.Add(int64(w.cpu()))
			w = nil
		}
	}
	if w != nil {
		w.close()
		c.cpu.Add(int64(w.cpu()))
	}
	return failed
}

func runCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	seeds := flags.String("seeds", "", "seeds A..B")
	duration := flags.Duration("for", 0, "how long")
	profile := flags.String("profile", "default", "profile")
	workers := flags.Int("j", runtime.NumCPU(), "worker processes")
	asJSON := flags.Bool("json", false, "print the summary as one line of JSON")
	cells := flags.String("cells", "", "a file of cells that have to be reached")
	if err := parse(flags, args, 0); err != nil {
		return false, err
	}
	c := &campaign{profile: *profile, workers: max(*workers, 1)}
	began := time.Now()
	switch {
	case *seeds != "":
		var err error
		if c.seeds, err = parseSeeds(*seeds); err != nil {
			return false, err
		}
	case *duration > 0: // seeds that nobody has run yet
		c.seeds = seedRange{uint64(began.Unix()) * 1000, 1<<64 - 1}
	default:
		c.seeds = seedRange{1, 100}
	}
	if *duration > 0 {
		c.until = began.Add(*duration)
	}
	if err := checkProfile(*profile); err != nil {
		return false, err
	}
	var err error
	if c.cells, err = readCells(*cells); err != nil {
		return false, err
	}
	return runCampaign(c, began, *duration, *asJSON)
}

// parse reads flags and demands a number of arguments without one.
func parse(flags *flag.FlagSet, args []string, want int) error {
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() != want {
		return fmt.Errorf("%w: unexpected %v", errUsage, flags.Args())
	}
	return nil
}

func checkProfile(name string) error {
	if !slices.Contains(plan.Profiles(), name) {
		return fmt.Errorf("%w: unknown profile %q; use one of %v", errUsage, name, plan.Profiles())
	}
	return nil
}

func runCampaign(c *campaign, began time.Time, limit time.Duration, asJSON bool) (bool, error) {
	s := newSummary(c.profile)
	shown := newProgress(c, began, limit)
	c.each = func(o outcome) {
		s.add(o)
		if o.Result.Failure != nil {
			shown.bar.Clear()
			fmt.Println(failureLine(o))
		}
		shown.tick(s)
	}
	interrupted := c.stopOnSignal()
	err := c.run()
	shown.bar.Finish()
	if err != nil {
		return false, err
	}
	if err = interrupted(); err == nil {
		c.checkWhole(s)
	}
	s.WallSeconds = int64(time.Since(began)+500*time.Millisecond) / int64(time.Second)
	if asJSON {
		return s.Failed > 0, cmp.Or(s.printJSON(os.Stdout), err)
	}
	s.print(os.Stdout, c.workers)
	return s.Failed > 0, err
}

// checkWhole demands of all seeds together that they prove something.
func (c *campaign) checkWhole(s *summary) {
	if s.Seeds > s.Failed && s.Acked == 0 {
		fmt.Println("FAIL check vacuous: no record was acknowledged in the whole campaign, so it proves nothing")
		s.Failed++
	}
	if lost := s.lost(c.cells); len(lost) > 0 {
		fmt.Printf("FAIL check cells: no client came to %s; a part of the workload is lost, or the file of cells is out of date\n", strings.Join(lost, ", "))
		s.Failed++
	}
}

// errInterrupted says that a signal came before all seeds were run.
var errInterrupted = errors.New("interrupted before all seeds were run: the summary is of those that were, which are the first ones of the range")

// stopOnSignal begins no seed any more after SIGINT or SIGTERM; those that run come to their end. A second signal ends the process at once.
// The function that it returns says whether one came.
func (c *campaign) stopOnSignal() func() error {
	c.patient = true
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var came atomic.Bool
	go func() {
		if _, ok := <-signals; ok {
			came.Store(true)
			c.enough.Store(true)
			signal.Stop(signals)
			fmt.Fprintln(os.Stderr, "simrun: waiting for the seeds that run; another signal ends them")
		}
	}()
	return func() error {
		signal.Stop(signals)
		if came.Load() && !c.whole.Load() {
			return errInterrupted
		}
		return nil
	}
}

// runProgress shows how far a campaign is: by a bar on a terminal, elsewhere by a line a minute, both on standard error.
type runProgress struct {
	bar   *progressbar.ProgressBar
	began time.Time
	told  time.Time     // when the last line was printed
	lines bool          // print lines
	limit time.Duration // of the campaign; 0: until all seeds are run
	total uint64        // seeds
}

const progressEvery = time.Minute

func newProgress(c *campaign, began time.Time, limit time.Duration) *runProgress {
	p := &runProgress{bar: progressbar.DefaultSilent(1), began: began, told: began, limit: limit, total: c.seeds.last - c.seeds.first + 1}
	if p.lines = !term.IsTerminal(int(os.Stderr.Fd())); p.lines {
		return p
	}
	n := int64(p.total)
	if limit > 0 {
		n = int64(limit / time.Second)
	}
	p.bar = progressbar.NewOptions64(n, progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetDescription("seeds"), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	return p
}

// tick shows that one more seed has ended.
func (p *runProgress) tick(s *summary) {
	switch {
	case p.lines && time.Since(p.told) >= progressEvery:
		p.told = time.Now()
		fmt.Fprintln(os.Stderr, p.line(s, time.Since(p.began)))
	case p.limit > 0:
		p.bar.Set64(int64(min(time.Since(p.began), p.limit) / time.Second))
	default:
		p.bar.Add(1)
	}
}

// line says how far a campaign is after a time.
func (p *runProgress) line(s *summary, after time.Duration) string {
	rate := float64(s.Seeds) / after.Seconds()
	if p.limit > 0 {
		return fmt.Sprintf("%v of %v: %d seeds, %d failed, %.1f a second", after.Round(time.Second), p.limit, s.Seeds, s.Failed, rate)
	}
	left := time.Duration(float64(p.total-uint64(s.Seeds)) / rate * float64(time.Second))
	return fmt.Sprintf("%v: %d of %d seeds, %d failed, %.1f a second, about %v to go", after.Round(time.Second), s.Seeds, p.total, s.Failed, rate, left.Round(time.Second))
}

// failureLine says what failed and how to see it again.
func failureLine(o outcome) string {
	r := o.Result
	line := fmt.Sprintf("FAIL seed %d profile %s check %s at %v: %s | go run ./cmd/simrun replay %d -profile %s",
		r.Seed, r.Profile, r.Failure.Check, time.Duration(r.Failure.At), oneLine(r.Failure.Text), r.Seed, r.Profile)
	if o.Again != r.Hash {
		line += fmt.Sprintf(" | NONDETERMINISTIC: a second run has trace hash %016x instead of %016x", o.Again, r.Hash)
	}
	return line
}

func metaCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("meta", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	seeds := flags.String("seeds", "1..20", "seeds A..B")
	profile := flags.String("profile", "default", "profile")
	workers := flags.Int("j", runtime.NumCPU(), "worker processes")
	if err := parse(flags, args, 0); err != nil {
		return false, err
	}
	r, err := parseSeeds(*seeds)
	if err != nil {
		return false, err
	}
	if err := checkProfile(*profile); err != nil {
		return false, err
	}
	var hashes [2]map[uint64]uint64
	for i, env := range [][]string{{"GOMAXPROCS=1", "GOGC=20"}, {"GOMAXPROCS=4", "GOGC=400"}} {
		hashes[i] = make(map[uint64]uint64)
		c := &campaign{seeds: r, profile: *profile, workers: max(*workers, 1), env: env}
		c.each = func(o outcome) { hashes[i][o.Result.Seed] = o.Result.Hash }
		if err := c.run(); err != nil {
			return false, err
		}
	}
	differ := 0
	for s := r.first; ; s++ {
		if a, b := hashes[0][s], hashes[1][s]; a != b {
			differ++
			fmt.Printf("FAIL seed %d profile %s check determinism: trace hashes %016x and %016x in two processes\n", s, *profile, a, b)
		}
		if s == r.last {
			break
		}
	}
	fmt.Printf("%d seeds in two processes each, %d differ\n", len(hashes[0]), differ)
	return differ > 0, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chronik/seeds/mutation"
	"chronik/sim/plan"
)

// fate is what came of one mutant that nobody chose.
type fate struct {
	ID     string `json:"id"`
	Change string `json:"change"`
	Tests  string `json:"tests"` // the test of its own package that fails; "": none
	Check  string `json:"check"` // of the simulator that fails; "": none
	In     string `json:"in"`    // profile and seed of that
	Seeds  uint64 `json:"seeds"` // how many were run
	// Differ is of a mutant that survives the simulator how many seeds have other trace hashes than without it. With 0 it
	// changes nothing that the simulator does, or only what no seed comes to.
	Differ uint64 `json:"differ"`
}

// mutator counts what the simulator and the tests of packages find. All mutants are in one program, and in one test
// program of each package; the environment of a process says which is to run.
type mutator struct {
	hunter
	lanes   int                // mutants at a time
	tests   map[string]*tester // by package; nil: the tests aren't run
	program string             // simrun with all mutants

	baselines sync.Mutex
	baseline  map[string]verdicts // of this build, by profile
}

// tester is the test program of a package.
type tester struct {
	program, dir string
	limit        time.Duration // of wall time
}

func mutateCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	packages := flags.String("packages", "node/...,wal,kafka", "packages, separated by commas")
	from := flags.Int("from", 0, "how many of the sample are left out, those of an earlier count")
	sample := flags.Int("sample", 20, "how many mutants, with those left out")
	seed := flags.Uint64("seed", 1, "of the sample")
	most := flags.Uint64("max-seeds", 100, "seeds of default, and a quarter of them of each other profile")
	tests := flags.Bool("tests", true, "run the unit tests, too")
	workers := flags.Int("j", runtime.NumCPU(), "mutants at a time")
	asJSON := flags.Bool("json", false, "print a line of JSON for each mutant")
	if err := parse(flags, args, 0); err != nil {
		return false, err
	}
	root, err := moduleRoot()
	if err != nil {
		return false, err
	}
	all, err := mutation.Of(root, strings.Split(*packages, ","))
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUsage, err)
	}
	m := &mutator{
		hunter: hunter{root: root, most: max(*most, 4), workers: 1},
		lanes:  max(*workers, 1), baseline: make(map[string]verdicts),
	}
	if m.temp, err = os.MkdirTemp("", "mutate"); err != nil {
		return false, err
	}
	defer os.RemoveAll(m.temp)
	list, broken, err := m.build(mutation.Shuffled(all, *seed), *sample, *tests)
	if err != nil {
		return false, err
	}
	return false, m.all(list, min(max(*from, 0), len(list)), broken, *asJSON)
}

// build puts a sample of mutants into one program. It returns those, and how many it left out because they don't build.
func (m *mutator) build(all []mutation.Mutant, sample int, tests bool) (list []mutation.Mutant, broken int, err error) {
	next := min(sample, len(all))
	for list = slices.Clone(all[:next]); ; {
		files, err := mutation.Schemata(m.root, list)
		if err != nil {
			return nil, 0, err
		}
		overlay, err := m.overlay(files)
		if err != nil {
			return nil, 0, err
		}
		m.program = filepath.Join(m.temp, "simrun")
		out, err := m.compile("build", overlay, m.program, "./cmd/simrun")
		if err == nil {
			return list, broken, m.testPrograms(overlay, list, tests)
		}
		bad := mutation.Broken(string(out))
		if len(bad) == 0 {
			return nil, 0, fmt.Errorf("building the mutants: %w: %s", err, out)
		}
		for _, i := range slices.Backward(bad) {
			list = slices.Delete(list, i, i+1)
		}
		broken += len(bad)
		more := min(len(bad), len(all)-next)
		list = append(list, all[next:next+more]...)
		next += more
	}
}

// compile runs the go command, which is to list all errors.
func (m *mutator) compile(what, overlay, program, pkg string) ([]byte, error) {
	args := []string{what, "-gcflags=chronik/...=-e", "-overlay", overlay, "-o", program, pkg}
	if what == "test" {
		args = slices.Insert(args, 1, "-c")
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = m.root
	return cmd.CombinedOutput()
}

// testPrograms builds the tests of the packages that have mutants, and runs them without a mutant.
func (m *mutator) testPrograms(overlay string, list []mutation.Mutant, wanted bool) error {
	if !wanted {
		return nil
	}
	m.tests = make(map[string]*tester)
	for i := range list {
		dir := path.Dir(list[i].File)
		if m.tests[dir] != nil {
			continue
		}
		t := &tester{filepath.Join(m.temp, strings.ReplaceAll(dir, "/", "+")+".test"), filepath.Join(m.root, dir), 10 * time.Minute}
		if out, err := m.compile("test", overlay, t.program, "./"+dir); err != nil {
			return fmt.Errorf("building the tests of %s: %w: %s", dir, err, out)
		}
		m.tests[dir] = t
		if _, err := os.Stat(t.program); err != nil {
			continue // it has no tests
		}
		began := time.Now()
		if failed, err := t.run(0); err != nil || failed != "" {
			return fmt.Errorf("the tests of %s fail without any mutant: %s: %w", dir, failed, err)
		}
		t.limit = 20*time.Second + 5*time.Since(began)
	}
	return nil
}

// all tries mutants from a place of the list on, and prints what came of each in their order, and the scores. That some
// survive is no failure of the command.
func (m *mutator) all(list []mutation.Mutant, from, broken int, asJSON bool) error {
	fates, errs := make([]*fate, len(list)), make([]error, len(list))
	done := make([]chan struct{}, len(list))
	for i := range done {
		done[i] = make(chan struct{})
	}
	next := atomic.Int64{}
	next.Store(int64(from))
	for range m.lanes {
		go func() {
			for i := int(next.Add(1)) - 1; i < len(list); i = int(next.Add(1)) - 1 {
				fates[i], errs[i] = m.one(&list[i], i+1)
				close(done[i])
			}
		}()
	}
	for i := from; i < len(list); i++ {
		<-done[i]
		if errs[i] != nil {
			return fmt.Errorf("%s: %w", list[i].ID(), errs[i])
		}
		if asJSON {
			json.NewEncoder(os.Stdout).Encode(fates[i])
		} else {
			fmt.Println(fates[i].line(m.tests != nil))
		}
	}
	if !asJSON {
		printScores(os.Stdout, fates[from:], broken, m.tests != nil)
	}
	return nil
}

// one runs the tests of a mutant's package and then seeds.
func (m *mutator) one(mutant *mutation.Mutant, number int) (*fate, error) {
	f := &fate{ID: mutant.ID(), Change: mutant.Change()}
	if m.tests != nil {
		var err error
		if f.Tests, err = m.tests[path.Dir(mutant.File)].run(number); err != nil {
			return nil, err
		}
	}
	return f, m.simulate(number, f)
}

// environment activates a mutant; 0: none.
func environment(number int) string { return mutation.ActiveVariable + "=" + strconv.Itoa(number) }

// run runs the tests with a mutant, and says which fails.
func (t *tester) run(number int) (string, error) {
	cmd := exec.Command(t.program, "-test.failfast", "-test.timeout", t.limit.String())
	cmd.Dir = t.dir
	cmd.Env = append(os.Environ(), environment(number))
	out, err := cmd.CombinedOutput()
	_, name, failed := bytes.Cut(out, []byte("--- FAIL: "))
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, os.ErrNotExist): // the package has no tests
		return "", nil
	case bytes.Contains(out, []byte("panic: test timed out")):
		return fmt.Sprintf("not done in %v", t.limit), nil
	case failed:
		return string(bytes.Fields(name)[0]), nil
	case errors.As(err, &exit):
		return "the tests end", nil // by a panic outside a test
	}
	return "", err
}

// simulate runs seeds of default and then of the other profiles until one fails.
func (m *mutator) simulate(number int, f *fate) error {
	profiles := append([]string{"default"}, slices.DeleteFunc(plan.Profiles(), func(p string) bool { return p == "default" })...)
	for _, p := range profiles {
		seeds := seedRange{1, m.most}
		if p != "default" {
			seeds.last = m.most / 4
		}
		mine, err := m.until(number, p, seeds)
		if err != nil {
			return err
		}
		f.Seeds += uint64(len(mine))
		for s := seeds.first; s <= seeds.last; s++ {
			if v, ok := mine[s]; ok && v.check != "" {
				f.Check, f.In, f.Differ = v.check, fmt.Sprintf("%s %d", p, s), 0
				return nil
			}
		}
		base, err := m.without(p, seeds)
		if err != nil {
			return err
		}
		f.Differ += uint64(len(different(seeds, mine, base)))
	}
	return nil
}

// until runs seeds with a mutant until one fails.
func (m *mutator) until(number int, profile string, seeds seedRange) (verdicts, error) {
	got := make(verdicts)
	c := &campaign{seeds: seeds, profile: profile, workers: m.workers, program: m.program, env: []string{environment(number)}, limit: mutantTimeout}
	c.each = func(o outcome) {
		v := verdict{hash: o.Result.Hash}
		if o.Result.Failure != nil {
			v.check, v.text = o.Result.Failure.Check, o.Result.Failure.Text
			c.enough.Store(true)
		}
		got[o.Result.Seed] = v
	}
	return got, c.run()
}

// mutantTimeout is how much wall time a seed of a mutant may take: many never end.
const mutantTimeout = 40 * time.Second

// without is what comes of seeds without a mutant.
func (m *mutator) without(profile string, seeds seedRange) (verdicts, error) {
	m.baselines.Lock()
	defer m.baselines.Unlock()
	if known := m.baseline[profile]; known != nil {
		return known, nil
	}
	got, err := m.until(0, profile, seeds)
	if err != nil {
		return nil, err
	}
	for s, v := range got {
		if v.check != "" {
			return nil, fmt.Errorf("seed %d of %s fails without any mutant: %s", s, profile, v)
		}
	}
	m.baseline[profile] = got
	return got, nil
}

func (f *fate) line(tested bool) string {
	tests, simulator := f.Tests, fmt.Sprintf("%s (%s)", f.Check, f.In)
	switch {
	case !tested:
		tests = "not run"
	case tests == "":
		tests = "-"
	}
	if f.Check == "" {
		simulator = fmt.Sprintf("- (%d of %d seeds go another way)", f.Differ, f.Seeds)
	}
	mark := "      "
	if f.Tests == "" && f.Check == "" {
		mark = "ALIVE "
	}
	return fmt.Sprintf("%s%-44s tests: %-30s simulator: %-44s %s", mark, f.ID, tests, simulator, oneLine(f.Change))
}

// score counts mutants of one package.
type score struct{ all, tests, simulator, both int }

func (s *score) add(f *fate) {
	s.all++
	if f.Tests != "" {
		s.tests++
	}
	if f.Check != "" {
		s.simulator++
	}
	if f.Tests != "" || f.Check != "" {
		s.both++
	}
}

// printScores prints how much of the sample was found, for each package and for all.
func printScores(w io.Writer, fates []*fate, broken int, tested bool) {
	packages := make(map[string]*score)
	total := &score{}
	for _, f := range fates {
		name, _, _ := strings.Cut(f.ID, ":")
		name = path.Dir(name)
		if packages[name] == nil {
			packages[name] = &score{}
		}
		packages[name].add(f)
		total.add(f)
	}
	fmt.Fprintf(w, "%-20s %8s %8s %10s %8s\n", "package", "mutants", "tests", "simulator", "both")
	names := make([]string, 0, len(packages))
	for name := range packages {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		packages[name].print(w, name, tested)
	}
	total.print(w, "all", tested)
	fmt.Fprintf(w, "%d more don't build\n", broken)
}

func (s *score) print(w io.Writer, name string, tested bool) {
	share := func(n int) string { return fmt.Sprintf("%d %%", 100*n/max(1, s.all)) }
	tests, both := "-", "-"
	if tested {
		tests, both = share(s.tests), share(s.both)
	}
	fmt.Fprintf(w, "%-20s %8d %8s %10s %8s\n", name, s.all, tests, share(s.simulator), both)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"chronik/seeds/mutation"
	"chronik/seeds/mutation/reach"
)

// fate is what came of one mutant that nobody chose.
type fate struct {
	ID     string `json:"id"`
	Change string `json:"change"`
	Tests  string `json:"tests"` // the test of its own package that fails; "": none
	Check  string `json:"check"` // of the simulator that fails; "": none
	In     string `json:"in"`    // profile and seed of that
	Text   string `json:"text"`
	// Reached is how many seeds come to its place, and Seeds how many of those were run.
	Reached int `json:"reached"`
	Seeds   int `json:"seeds"`
	// Differ is of a mutant that survives the simulator how many seeds have other trace hashes than without it. With 0 it
	// changes nothing that the simulator does.
	Differ     int     `json:"differ"`
	CPUSeconds float64 `json:"cpu_seconds"`
}

// mutator counts what the simulator and the tests of packages find. All mutants are in one program, and in one test
// program of each package; the environment of a process says which is to run.
type mutator struct {
	hunter
	lanes   int                // mutants at a time
	runs    int                // seeds of one mutant
	alike   int                // it is given up after so many, if none went another way
	tests   map[string]*tester // by package; nil: the tests aren't run
	program string             // simrun with all mutants
	kept    *progress          // nil: nothing is written down
	visits  [][]visit          // by number of the mutant: seeds that come to its place, the most promising ones first
}

func mutateCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	packages := flags.String("packages", "node/...,wal,kafka", "packages, separated by commas")
	from := flags.Int("from", 0, "how many of the sample are left out, those of an earlier count")
	sample := flags.Int("sample", 20, "how many mutants, with those left out")
	seed := flags.Uint64("seed", 1, "of the sample")
	only := flags.String("only", "", "ids of mutants, separated by commas, instead of a sample")
	most := flags.Uint64("max-seeds", 100, "seeds of default, and a quarter of them of each other profile; a mutant is run in those that come to it")
	runs := flags.Int("runs", 150, "seeds of one mutant at most")
	alike := flags.Int("alike", 50, "give a mutant up after so many seeds if none went another way")
	profile := flags.String("profile", "", "run only seeds of this profile")
	tests := flags.Bool("tests", true, "run the unit tests, too")
	workers := flags.Int("j", runtime.NumCPU(), "mutants at a time")
	asJSON := flags.Bool("json", false, "print a line of JSON for each mutant")
	resume := flags.String("resume", "", "a file: write each result to it as it comes, and go on where a run with the same tree and flags stopped")
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
		hunter: hunter{root: root, most: max(*most, 4), profile: *profile, workers: max(*workers, 1)},
		lanes:  max(*workers, 1), runs: *runs, alike: *alike,
	}
	if m.temp, err = os.MkdirTemp("", "mutate"); err != nil {
		return false, err
	}
	defer os.RemoveAll(m.temp)
	all = mutation.Shuffled(all, *seed)
	if *only != "" {
		if all, err = namedMutants(all, strings.Split(*only, ",")); err != nil {
			return false, err
		}
		*from, *sample = 0, len(all)
	}
	if *resume != "" {
		if err := m.goOnWith(*resume, *tests); err != nil {
			return false, err
		}
		defer m.kept.file.Close()
	}
	list, broken, err := m.build(all, min(*sample, reach.Most-1), *tests)
	if err != nil {
		return false, err
	}
	if err := m.survey(len(list)); err != nil {
		return false, err
	}
	return false, m.all(list, min(max(*from, 0), len(list)), broken, *asJSON)
}

// namedMutants picks mutants by their ids.
func namedMutants(all []mutation.Mutant, ids []string) ([]mutation.Mutant, error) {
	var some []mutation.Mutant
	for _, id := range ids {
		i := slices.IndexFunc(all, func(m mutation.Mutant) bool { return m.ID() == id })
		if i < 0 {
			return nil, fmt.Errorf("%w: no mutant %s in this tree", errUsage, id)
		}
		some = append(some, all[i])
	}
	return some, nil
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

// one runs the tests of a mutant's package and then seeds, unless that was done before.
func (m *mutator) one(mutant *mutation.Mutant, number int) (*fate, error) {
	if f := m.kept.known(mutant.ID()); f != nil {
		return f, nil
	}
	f := &fate{ID: mutant.ID(), Change: mutant.Change()}
	if m.tests != nil {
		var err error
		if f.Tests, err = m.tests[path.Dir(mutant.File)].try(number, f); err != nil {
			return nil, err
		}
	}
	if err := m.simulate(number, f); err != nil {
		return nil, err
	}
	return f, m.kept.keep(f)
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
		simulator = fmt.Sprintf("- (%d of %d seeds go another way, %d come to it)", f.Differ, f.Seeds, f.Reached)
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

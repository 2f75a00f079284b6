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
	"strings"
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

// mutator counts what the simulator and the tests of packages find.
type mutator struct {
	hunter
	tests     bool
	limit     time.Duration       // of the tests of a package
	baselines map[string]verdicts // of this build, by profile
}

func mutateCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	packages := flags.String("packages", "node/...,wal,kafka", "packages, separated by commas")
	sample := flags.Int("sample", 20, "how many mutants")
	seed := flags.Uint64("seed", 1, "of the sample")
	most := flags.Uint64("max-seeds", 100, "seeds of default, and a quarter of them of each other profile")
	tests := flags.Bool("tests", true, "run the unit tests, too")
	limit := flags.Duration("test-limit", 10*time.Minute, "of the tests of a package")
	workers := flags.Int("j", runtime.NumCPU(), "worker processes")
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
		hunter: hunter{root: root, most: max(*most, 4), workers: max(*workers, 1)},
		tests:  *tests, limit: *limit, baselines: make(map[string]verdicts),
	}
	if m.temp, err = os.MkdirTemp("", "mutate"); err != nil {
		return false, err
	}
	defer os.RemoveAll(m.temp)
	return false, m.all(mutation.Shuffled(all, *seed), *sample, *asJSON)
}

// all tries mutants until a sample of those that build is complete, and prints the scores. That some survive is no
// failure of the command.
func (m *mutator) all(list []mutation.Mutant, sample int, asJSON bool) error {
	var fates []*fate
	broken := 0
	for i := 0; i < len(list) && len(fates) < sample; i++ {
		f, err := m.one(&list[i])
		if errors.Is(err, errNoBuild) {
			broken++
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", list[i].ID(), err)
		}
		fates = append(fates, f)
		if asJSON {
			json.NewEncoder(os.Stdout).Encode(f)
		} else {
			fmt.Println(f.line(m.tests))
		}
	}
	if !asJSON {
		printScores(os.Stdout, fates, broken, m.tests)
	}
	return nil
}

var errNoBuild = errors.New("it doesn't build")

// one builds a mutant, runs the tests of its package and then seeds.
func (m *mutator) one(mutant *mutation.Mutant) (*fate, error) {
	text, err := mutant.Apply(m.root)
	if err != nil {
		return nil, err
	}
	overlay, err := m.overlay(map[string][]byte{mutant.File: text})
	if err != nil {
		return nil, err
	}
	program := filepath.Join(m.temp, "simrun")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", program, "./cmd/simrun")
	build.Dir = m.root
	if err := build.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, errNoBuild
		}
		return nil, err
	}
	f := &fate{ID: mutant.ID(), Change: mutant.Change()}
	if m.tests {
		if f.Tests, err = m.unitTests(overlay, path.Dir(mutant.File)); err != nil {
			return nil, err
		}
	}
	return f, m.simulate(program, f)
}

// unitTests runs the tests of a package with an overlay, and says which fails.
func (m *mutator) unitTests(overlay, dir string) (string, error) {
	cmd := exec.Command("go", "test", "-count=1", "-failfast", "-vet=off", "-timeout", m.limit.String(), "-overlay", overlay, "./"+dir)
	cmd.Dir = m.root
	out, err := cmd.CombinedOutput()
	_, name, failed := bytes.Cut(out, []byte("--- FAIL: "))
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case bytes.Contains(out, []byte("[build failed]")):
		return "", errNoBuild
	case bytes.Contains(out, []byte("panic: test timed out")):
		return fmt.Sprintf("not done in %v", m.limit), nil
	case failed:
		return string(bytes.Fields(name)[0]), nil
	case errors.As(err, &exit):
		return "the tests end", nil // by a panic outside a test
	}
	return "", err
}

// simulate runs seeds of default and then of the other profiles until one fails.
func (m *mutator) simulate(program string, f *fate) error {
	profiles := append([]string{"default"}, slices.DeleteFunc(plan.Profiles(), func(p string) bool { return p == "default" })...)
	for _, p := range profiles {
		seeds := seedRange{1, m.most}
		if p != "default" {
			seeds.last = m.most / 4
		}
		mine, err := m.until(program, p, seeds)
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
		base, err := m.baseline(p, seeds)
		if err != nil {
			return err
		}
		f.Differ += uint64(len(different(seeds, mine, base)))
	}
	return nil
}

// until runs seeds until one fails.
func (m *mutator) until(program, profile string, seeds seedRange) (verdicts, error) {
	got := make(verdicts)
	c := &campaign{seeds: seeds, profile: profile, workers: m.workers, program: program, limit: mutantTimeout}
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

// baseline is what this build makes of seeds.
func (m *mutator) baseline(profile string, seeds seedRange) (verdicts, error) {
	if known := m.baselines[profile]; known != nil {
		return known, nil
	}
	got, err := m.until("", profile, seeds)
	if err != nil {
		return nil, err
	}
	for s, v := range got {
		if v.check != "" {
			return nil, fmt.Errorf("seed %d of %s fails without any mutant: %s", s, profile, v)
		}
	}
	m.baselines[profile] = got
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

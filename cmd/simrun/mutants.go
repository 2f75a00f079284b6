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
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"chronik/seeds/mutants"
)

// finding is what came of looking for one planted bug.
type finding struct {
	ID      string `json:"id"`
	What    string `json:"what"`
	FoundBy string `json:"found_by"` // the check, the kept plan or the test that failed; "": it survives
	Profile string `json:"profile"`  // of the worlds in which it was found
	Seed    uint64 `json:"seed"`
	// Seeds is how many were needed in that profile, or how many were run in vain in all.
	Seeds      uint64  `json:"seeds"`
	CPUSeconds float64 `json:"cpu_seconds"` // of the runs, without the build
	Text       string  `json:"text"`
	Err        string  `json:"error"` // it can't be tried
	Plan       string  `json:"plan"`  // "fails", as it must, or "passes"; "": it has none
}

// hunter looks for planted bugs. It works in a temporary folder; the tree at root is only read.
type hunter struct {
	root, temp string
	profile    string // runs only this one, and no tests; "": the mutant's own, then default
	most       uint64
	workers    int
}

func mutantsCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	only := flags.String("only", "", "ids, separated by commas")
	most := flags.Uint64("max-seeds", 200, "seeds of each profile")
	profile := flags.String("profile", "", "run only seeds of this profile")
	workers := flags.Int("j", runtime.NumCPU(), "worker processes")
	asJSON := flags.Bool("json", false, "print a line of JSON for each mutant")
	if err := parse(flags, args, 0); err != nil {
		return false, err
	}
	if *profile != "" {
		if err := checkProfile(*profile); err != nil {
			return false, err
		}
	}
	root, all, err := plantedBugs(*only)
	if err != nil {
		return false, err
	}
	h := &hunter{root: root, profile: *profile, most: max(*most, 1), workers: max(*workers, 1)}
	return h.all(all, *asJSON)
}

// plantedBugs loads those that are wanted, and returns the root of the tree as well.
func plantedBugs(only string) (root string, all []*mutants.Mutant, err error) {
	if root, err = moduleRoot(); err != nil {
		return "", nil, err
	}
	if all, err = mutants.Load(filepath.Join(root, "seeds", "mutants")); err != nil {
		return "", nil, err
	}
	all, err = selected(all, only)
	return root, all, err
}

// moduleRoot finds the source tree that the working folder is in.
func moduleRoot() (string, error) {
	folder, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(folder, "seeds", "mutants")); missing == nil {
			return folder, nil
		}
		if filepath.Dir(folder) == folder {
			return "", errors.New("no folder seeds/mutants here or above; run it inside the source tree")
		}
		folder = filepath.Dir(folder)
	}
	return "", err
}

func selected(all []*mutants.Mutant, only string) ([]*mutants.Mutant, error) {
	if only == "" {
		return all, nil
	}
	var some []*mutants.Mutant
	for id := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(m *mutants.Mutant) bool { return m.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("%w: no file seeds/mutants/%s.patch", errUsage, id)
		}
		some = append(some, all[i])
	}
	return some, nil
}

// all looks for one mutant after the other, and says whether one survives or can't be tried. Those come last.
func (h *hunter) all(all []*mutants.Mutant, asJSON bool) (bool, error) {
	var err error
	if h.temp, err = os.MkdirTemp("", "mutants"); err != nil {
		return false, err
	}
	defer os.RemoveAll(h.temp)
	show := printFinding
	if asJSON {
		show = func(f *finding) { json.NewEncoder(os.Stdout).Encode(f) }
	} else {
		fmt.Println(findingHead)
	}
	var last []*finding
	for _, m := range all {
		f := &finding{ID: m.ID, What: m.What}
		if err := h.one(m, f); err != nil {
			f.Err = oneLine(err.Error())
		}
		if f.bad() {
			last = append(last, f)
		} else {
			show(f)
		}
	}
	for _, f := range last {
		show(f)
	}
	if !asJSON {
		fmt.Printf("%d planted bugs, %d survive or can't be tried\n", len(all), len(last))
	}
	return len(last) > 0, nil
}

func (f *finding) bad() bool { return f.Err != "" || f.FoundBy == "" || f.Plan == "passes" }

const findingHead = "id                               found by                  profile      seeds  core s"

func printFinding(f *finding) {
	by := f.FoundBy
	switch {
	case f.Err != "":
		by = "NOT TRIED: " + f.Err
	case by == "":
		by = "SURVIVES"
	case f.Plan == "passes":
		by += " (BUT ITS PLAN PASSES)"
	}
	fmt.Printf("%-32s %-25s %-10s %7d %7.1f\n", f.ID, by, f.Profile, f.Seeds, f.CPUSeconds)
}

// one builds a mutant and looks for it.
func (h *hunter) one(m *mutants.Mutant, f *finding) error {
	changed, err := m.Apply(h.root)
	if err != nil {
		return err
	}
	overlay, err := h.overlay(changed)
	if err != nil {
		return err
	}
	if packages, run, ok := m.Test(); ok && h.profile == "" {
		return h.test(overlay, packages, run, f)
	}
	program, err := h.build(overlay)
	if err != nil {
		return err
	}
	if m.Plan != "" {
		if err := h.replay(program, m.Plan, f); err != nil {
			return err
		}
	}
	profiles := slices.Compact([]string{m.Profile, "default"})
	if h.profile != "" {
		profiles = []string{h.profile}
	}
	for _, profile := range profiles {
		if err := h.seeds(program, profile, f); err != nil || f.FoundBy != "" {
			return err
		}
	}
	return nil
}

// build builds simrun with a mutant.
func (h *hunter) build(overlay string) (program string, err error) {
	program = filepath.Join(h.temp, "simrun")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", program, "./cmd/simrun")
	build.Dir = h.root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building it: %w: %s", err, out)
	}
	return program, nil
}

// overlay writes a mutant's files and the list that tells the go command to take them instead of the tree's.
func (h *hunter) overlay(changed map[string][]byte) (string, error) {
	var list struct{ Replace map[string]string }
	list.Replace = make(map[string]string)
	for name, text := range changed {
		file := filepath.Join(h.temp, strings.ReplaceAll(name, "/", "+"))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return "", err
		}
		list.Replace[filepath.Join(h.root, name)] = file
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "", err
	}
	file := filepath.Join(h.temp, "overlay.json")
	return file, os.WriteFile(file, text, 0o644)
}

// test runs tests against a mutant that no world can show. One of them has to fail, and not for want of a build.
func (h *hunter) test(overlay string, packages []string, run string, f *finding) error {
	f.Profile = "-"
	test := exec.Command("go", append([]string{"test", "-count=1", "-overlay", overlay, "-run", run}, packages...)...)
	test.Dir = h.root
	out, err := test.CombinedOutput()
	f.CPUSeconds = (test.ProcessState.UserTime() + test.ProcessState.SystemTime()).Seconds()
	_, name, failed := bytes.Cut(out, []byte("--- FAIL: "))
	switch {
	case err == nil && bytes.Contains(out, []byte("no tests to run")):
		return fmt.Errorf("no such test: %s", run)
	case err == nil:
		return nil
	case !failed && !bytes.Contains(out, []byte("panic: ")):
		return fmt.Errorf("testing it: %w: %s", err, out)
	}
	f.FoundBy = "a panic in " + run
	if failed {
		f.FoundBy = string(bytes.Fields(name)[0])
	}
	return nil
}

// replay runs the kept plan, which has to fail.
func (h *hunter) replay(program, plan string, f *finding) error {
	out, err := exec.Command(program, "replay", filepath.Join(h.root, "seeds", plan)).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		f.Plan = "passes"
	case errors.As(err, &exit) && exit.ExitCode() == exitFailed:
		f.Plan = "fails"
	default:
		return fmt.Errorf("replaying %s: %w: %s", plan, err, out)
	}
	return nil
}

// seeds runs seeds of a profile until one fails. Those before it are all run, so that the number is the same with
// any number of workers.
func (h *hunter) seeds(program, profile string, f *finding) error {
	c := &campaign{seeds: seedRange{1, h.most}, profile: profile, workers: h.workers, program: program}
	acked, first := int64(0), (*outcome)(nil)
	began := time.Now()
	c.each = func(o outcome) {
		acked += o.Result.Acked
		if o.Result.Failure != nil {
			c.enough.Store(true)
			if first == nil || o.Result.Seed < first.Result.Seed {
				first = &o
			}
		}
	}
	if err := c.run(); err != nil {
		return fmt.Errorf("after %v: %w", time.Since(began).Round(time.Second), err)
	}
	f.CPUSeconds += time.Duration(c.cpu.Load()).Seconds()
	switch {
	case first != nil:
		r := first.Result
		f.FoundBy, f.Text, f.Seed, f.Seeds, f.Profile = r.Failure.Check, oneLine(r.Failure.Text), r.Seed, r.Seed, profile
	case acked == 0:
		f.FoundBy, f.Text, f.Seeds, f.Profile = "vacuous", "no record was acknowledged", h.most, profile
	default:
		f.Seeds += h.most
		f.Profile = strings.TrimPrefix(f.Profile+"+"+profile, "+")
	}
	return nil
}

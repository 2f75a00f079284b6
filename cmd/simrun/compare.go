// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"chronik/sim/plan"
)

// A refactoring must not change behaviour. compare shows that it doesn't: it runs the same seeds with this build and
// another, and their trace hashes must be equal. A trace hash covers every message, operation of a disk and answer.

// verdicts is what one build made of the seeds of a profile.
type verdicts map[uint64]verdict

// verdict is what one build made of a seed.
type verdict struct {
	hash  uint64
	check string // that failed; "": none
	text  string // why
}

func (v verdict) String() string {
	if v.check == "" {
		return fmt.Sprintf("trace hash %016x, passed", v.hash)
	}
	return fmt.Sprintf("trace hash %016x, FAIL check %s: %s", v.hash, v.check, oneLine(v.text))
}

// ran reports whether the seed was run to its end. If not, its hash means nothing.
func (v verdict) ran() bool { return v.check != checkWorkerDied && v.check != checkHang }

// same reports whether two builds behave alike.
func (v verdict) same(o verdict) bool {
	return v.ran() && o.ran() && v.hash == o.hash && v.check == o.check
}

// different returns the seeds of which two builds make different things, ascending.
func different(seeds seedRange, mine, other verdicts) []uint64 {
	var list []uint64
	for s := seeds.first; ; s++ {
		a, ok := mine[s]
		b, also := other[s]
		if !ok || !also || !a.same(b) {
			list = append(list, s)
		}
		if s == seeds.last {
			return list
		}
	}
}

func compareCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	seeds := flags.String("seeds", "1..200", "seeds A..B")
	profile := flags.String("profile", "default", "profiles, separated by commas, or all")
	workers := flags.Int("j", runtime.NumCPU(), "worker processes")
	flags.SetOutput(io.Discard)
	if err := parse(flags, args, 1); err != nil {
		return false, err
	}
	r, err := parseSeeds(*seeds)
	if err != nil {
		return false, err
	}
	profiles := strings.Split(*profile, ",")
	if *profile == "all" {
		profiles = plan.Profiles()
	}
	for _, p := range profiles {
		if err := checkProfile(p); err != nil {
			return false, err
		}
	}
	other, err := exec.LookPath(flags.Arg(0))
	if err != nil {
		return false, fmt.Errorf("%w: the other build of simrun: %w", errUsage, err)
	}
	differ := false
	for _, p := range profiles {
		d, err := compareProfile(p, r, other, max(*workers, 1))
		if err != nil {
			return false, err
		}
		differ = differ || d
	}
	return differ, nil
}

// compareProfile compares two builds by the seeds of one profile, and shows the first difference.
func compareProfile(profile string, seeds seedRange, other string, workers int) (bool, error) {
	mine, err := verdictsOf("", profile, seeds, workers)
	if err != nil {
		return false, err
	}
	theirs, err := verdictsOf(other, profile, seeds, workers)
	if err != nil {
		return false, err
	}
	list := different(seeds, mine, theirs)
	total := seeds.last - seeds.first + 1
	if len(list) == 0 {
		fmt.Printf("%-20s %4d seeds, trace hashes equal\n", profile, total)
		return false, nil
	}
	first := list[0]
	fmt.Printf("%-20s %4d seeds, %d differ, the first is seed %d:\n  this build   %v\n  other build  %v\n",
		profile, total, len(list), first, mine[first], theirs[first])
	return true, showDifference(first, profile, other)
}

// verdictsOf runs seeds with one build; "" is this one.
func verdictsOf(program, profile string, seeds seedRange, workers int) (verdicts, error) {
	vs := make(verdicts)
	c := &campaign{seeds: seeds, profile: profile, workers: workers, program: program}
	c.each = func(o outcome) {
		v := verdict{hash: o.Result.Hash}
		if f := o.Result.Failure; f != nil {
			v.check, v.text = f.Check, f.Text
		}
		vs[o.Result.Seed] = v
	}
	return vs, c.run()
}

// showDifference replays a seed with both builds, and prints where their traces part.
func showDifference(seed uint64, profile, other string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	var traces [2]*bufio.Scanner
	for i, program := range []string{self, other} {
		file := filepath.Join(temp, strconv.Itoa(i))
		cmd := exec.Command(program, "replay", strconv.FormatUint(seed, 10), "-profile", profile, "-trace", file)
		out, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != exitFailed) {
			return fmt.Errorf("%s can't replay seed %d: %w: %s", program, seed, err, oneLine(string(out)))
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		traces[i] = bufio.NewScanner(f)
		traces[i].Buffer(nil, 1<<24)
	}
	for _, line := range parting(traces[0], traces[1]) {
		fmt.Println("  " + line)
	}
	return nil
}

// partingContext is how many equal lines are shown before two traces part.
const partingContext = 5

// parting returns the lines around the place where two traces part.
func parting(mine, other *bufio.Scanner) []string {
	var before []string
	for n := 1; ; n++ {
		a, b := mine.Scan(), other.Scan()
		switch {
		case !a && !b:
			return []string{"the traces are equal: what differs has no line in them"}
		case a && b && mine.Text() == other.Text():
			before = append(before[max(0, len(before)-partingContext+1):], "  "+mine.Text())
			continue
		}
		lines := append([]string{fmt.Sprintf("the traces part at line %d:", n)}, slices.Clone(before)...)
		return append(lines, "- "+lineOr(mine, a), "+ "+lineOr(other, b))
	}
}

func lineOr(s *bufio.Scanner, there bool) string {
	if there {
		return s.Text()
	}
	return "(the trace ends)"
}

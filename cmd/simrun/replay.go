// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"chronik/sim"
	"chronik/sim/plan"
)

// oneArgument splits a command's argument, which may stand before the flags, from them.
func oneArgument(args []string, flags *flag.FlagSet) (string, error) {
	flags.SetOutput(io.Discard)
	args = slices.Clone(args)
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		args = append(args[1:], args[0])
	}
	// The flag package stops at the first argument that is none, so it comes last.
	if err := parse(flags, args, 1); err != nil {
		return "", err
	}
	return flags.Arg(0), nil
}

func replayCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	profile := flags.String("profile", "default", "profile")
	trace := flags.String("trace", "", "file for a line per event")
	drawing := flags.String("picture", "", "file for a picture of the run (SVG)")
	what, err := oneArgument(args, flags)
	if err != nil {
		return false, err
	}
	p, err := loadPlan(what, *profile)
	if err != nil {
		return false, err
	}
	var opt sim.Options
	if *trace != "" {
		f, err := os.Create(*trace)
		if err != nil {
			return false, err
		}
		defer f.Close()
		out := bufio.NewWriter(f)
		defer out.Flush()
		opt.Trace = func(line string) { fmt.Fprintln(out, line) }
	}
	var pic picture
	if *drawing != "" {
		write := opt.Trace
		opt.Trace = func(line string) {
			pic.line(line)
			if write != nil {
				write(line)
			}
		}
	}
	began := time.Now()
	r := sim.Run(p, opt)
	printResult(r, time.Since(began))
	if *drawing != "" {
		err = pic.save(*drawing, fmt.Sprintf("seed %d, profile %s: %d records acknowledged, %d crashes", r.Seed, r.Profile, r.Acked, r.Crashes))
	}
	return r.Failure != nil, err
}

// loadPlan expands a seed, or reads a plan from a file.
func loadPlan(what, profile string) (*plan.Plan, error) {
	if seed, err := strconv.ParseUint(what, 10, 64); err == nil {
		if err := checkProfile(profile); err != nil {
			return nil, err
		}
		return plan.Generate(seed, profile)
	}
	text, err := os.ReadFile(what)
	if err != nil {
		return nil, fmt.Errorf("%q is neither a seed nor a plan that can be read: %w", what, err)
	}
	p, err := plan.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return p, nil
}

func printResult(r *sim.Result, wall time.Duration) {
	fmt.Printf("seed %d, profile %s, trace hash %016x\n", r.Seed, r.Profile, r.Hash)
	fmt.Printf("%v virtual in %v: %d steps, %d messages, %d disk operations, %d calls answered, %d records acknowledged, %d crashes\n",
		time.Duration(r.Virtual).Round(time.Millisecond), wall.Round(time.Millisecond), r.Steps, r.Messages, r.DiskOps, r.Ops, r.Acked, r.Crashes)
	for _, f := range r.Faults {
		if f.Fired > 0 {
			fmt.Printf("  fault %-14s %4d fired, %4d could matter\n", f.Kind, f.Fired, f.Mattered)
		}
	}
	for i, name := range plan.EventNames() {
		if r.Events[i] > 0 {
			fmt.Printf("  event %-20s %6d\n", name, r.Events[i])
		}
	}
	if r.Failure == nil {
		fmt.Println("passed")
		return
	}
	fmt.Printf("FAIL check %s at %v: %s\n", r.Failure.Check, time.Duration(r.Failure.At), r.Failure.Text)
	if r.Failure.Stack != "" {
		fmt.Println(r.Failure.Stack)
	}
}

func planCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("plan", flag.ContinueOnError)
	profile := flags.String("profile", "default", "profile")
	what, err := oneArgument(args, flags)
	if err != nil {
		return false, err
	}
	p, err := loadPlan(what, *profile)
	if err != nil {
		return false, err
	}
	_, err = os.Stdout.Write(p.Bytes())
	return false, err
}

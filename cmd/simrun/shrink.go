// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"chronik/sim"
	"chronik/sim/plan"
)

// shrinkCommand prints the smallest plan that it finds that fails like a seed or a plan.
func shrinkCommand(args []string) (bool, error) {
	flags := flag.NewFlagSet("shrink", flag.ContinueOnError)
	profile := flags.String("profile", "default", "profile")
	limit := flags.Duration("for", time.Minute, "how long to search")
	what, err := oneArgument(args, flags)
	if err != nil {
		return false, err
	}
	p, err := loadPlan(what, *profile)
	if err != nil {
		return false, err
	}
	first := sim.Run(p, sim.Options{})
	if first.Failure == nil {
		return false, errors.New("the run passes; there is nothing to shrink")
	}
	want, end, runs := signature(first.Failure), time.Now().Add(*limit), 0
	small := plan.Shrink(p, func(p *plan.Plan) bool {
		if time.Now().After(end) {
			return false
		}
		runs++
		f := sim.Run(p, sim.Options{}).Failure
		return f != nil && signature(f) == want
	})
	fmt.Fprintf(os.Stderr, "%s\nfrom %d faults and %d calls to %d and %d in %d runs\n",
		first.Failure, len(p.Faults), len(p.Calls), len(small.Faults), len(small.Calls), runs)
	_, err = os.Stdout.Write(small.Bytes())
	return false, err
}

// signature is what two failures have in common that are the same: the check and, where one check
// stands for many things, the text without its numbers.
func signature(f *sim.Failure) string {
	if f.Check != "panic" && f.Check != "liveness" {
		return f.Check
	}
	text, _, _ := strings.Cut(f.Text, ": not within")
	return f.Check + strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, text)
}

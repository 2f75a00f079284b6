// SPDX-License-Identifier: Apache-2.0

// Command bench loads a cluster as Kafka clients do and says what came of it. Its client is
// franz-go; it knows nothing of the broker, so it measures any Kafka.
//
// A benchmark of a log counts what it can read back: with --validate everything that was written
// is read again, and only a record that is there exactly once counts. With --rate-limit the load is
// an open loop: a latency runs from the time at which the request was due, so a server that stalls
// can't slow down the clock that measures it.
//
// Run `bench help` for modes and flags. Exit codes: 0 all well, 1 something failed or a validation
// found something, 2 wrong use.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

const (
	exitClean  = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// The first Ctrl-C ends the measuring and shows what there is; a second one ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	var live io.Writer
	if term.IsTerminal(int(os.Stderr.Fd())) {
		live = os.Stderr
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, live))
}

// run is main with everything passed in; it returns the exit code. A line about the progress goes
// to live once a second, unless that is nil.
func run(ctx context.Context, args []string, stdout, stderr, live io.Writer) int {
	if len(args) > 0 && args[0] == modeCompare {
		return compare(ctx, args[1:], stdout, stderr)
	}
	cfg, err := parseFlags(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		help(stdout)
		return exitClean
	case err != nil:
		fmt.Fprintf(stderr, "bench: %v\nRun `bench help` for modes and flags.\n", err)
		return exitUsage
	}
	results, err := runSteps(ctx, cfg, stdout, live)
	if err == nil {
		err = writeFiles(cfg, results)
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return exitFailed
	}
	for _, r := range results {
		if r.failed() {
			return exitFailed
		}
	}
	return exitClean
}

// runSteps runs the load once, or once per step of --progressive, and prints the results.
func runSteps(ctx context.Context, cfg config, stdout, live io.Writer) ([]result, error) {
	top, err := prepareTopic(ctx, cfg)
	if err != nil {
		return nil, err
	}
	steps := cfg.Progressive
	if len(steps) == 0 {
		steps = []int{cfg.Concurrency}
	}
	var results []result
	for _, concurrency := range steps {
		step := cfg
		step.Concurrency = concurrency
		r, err := measure(ctx, step, top, live)
		if err != nil {
			return results, err
		}
		results = append(results, r)
		if len(cfg.Progressive) == 0 || r.failed() {
			printResult(stdout, r)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(cfg.Progressive) > 0 {
		printSteps(stdout, results)
	}
	return results, nil
}

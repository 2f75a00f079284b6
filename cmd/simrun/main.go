// SPDX-License-Identifier: Apache-2.0

// Command simrun runs simulated worlds (package sim): many seeds, one seed with a trace, or each
// seed in two processes to see that they agree.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const usage = `simrun runs simulated clusters, one world per seed.

  simrun                        100 seeds of the default profile
  simrun run [-seeds A..B] [-for 10m] [-profile NAME] [-j P] [-json]
                                the seeds A to B, or as many as fit into a time; Ctrl-C prints the counts so far
  simrun replay SEED|FILE [-profile NAME] [-trace FILE] [-picture FILE.svg]
                                one seed, or a plan in a file; the trace has a line for each event, the
                                picture shows what the brokers lived through
  simrun meta [-seeds A..B] [-profile NAME] [-j P]
                                each seed in two processes; they must agree
  simrun compare [-seeds A..B] [-profile NAME,..|all] [-j P] OTHER
                                each seed with this build and with OTHER, another build of simrun; their trace
                                hashes must be equal
  simrun plan SEED [-profile NAME]
                                print the plan of a seed, to be saved, edited and replayed
  simrun shrink SEED|FILE [-profile NAME] [-for 1m]
                                print the smallest plan found that fails in the same way
  simrun soak [-virtual 24h] [-seed N]
                                one cluster that lives for long, with faults, memory and reads watched
  simrun mutants [-only ID,..] [-max-seeds N] [-profile NAME] [-j P] [-json]
                                build the planted bugs of seeds/mutants one by one, in a temporary folder, and
                                run seeds until one fails; run it inside the source tree
  simrun mutate [-packages P,..] [-from K] [-sample N] [-seed S] [-max-seeds N] [-tests=false] [-j P] [-json]
                                build mutants that nobody chose, small changes of the source, and count how many
                                the tests of their package find, and how many the simulator

  simrun hunt [-for 1h | -runs N] [-profile NAME,..|all] [-corpus DIR] [-seed S] [-j P]
                                breed plans: those whose runs show something new are kept, and changed
  simrun hunt -compare -mutants ID,.. [-repeats 10] [-for 60s] [-profile NAME] [-corpus DIR] [-j P] [-json]
                                race a hunt against plain seeds, on planted bugs, with equal processor time
  simrun hunt -merge -corpus DIR FROM...
                                make one corpus of several, with as few plans as show everything

It exits with 0 if everything passed, 1 if a check failed, 2 on wrong use, a broken environment or an interruption.
`

// Exit codes.
const (
	exitPassed = 0
	exitFailed = 1
	exitBroken = 2
)

// errUsage marks errors that the usage text helps with.
var errUsage = errors.New("wrong use")

func main() {
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"run"}
	}
	commands := map[string]func([]string) (failed bool, err error){
		"run": runCommand, "replay": replayCommand, "meta": metaCommand, "plan": planCommand, "shrink": shrinkCommand,
		"soak": soakCommand, "mutants": mutantsCommand, "compare": compareCommand, "mutate": mutateCommand,
		"hunt":            huntCommand,
		workerCommandName: workerCommand,
	}
	command, ok := commands[args[0]]
	if !ok {
		if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
			fmt.Print(usage)
			return
		}
		fmt.Fprintf(os.Stderr, "simrun: unknown command %q\n\n%s", args[0], usage)
		os.Exit(exitBroken)
	}
	failed, err := command(args[1:])
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "simrun %s: %v\n\n%s", args[0], err, usage)
		os.Exit(exitBroken)
	case err != nil:
		fmt.Fprintf(os.Stderr, "simrun %s: %v\n", args[0], err)
		os.Exit(exitBroken)
	case failed:
		os.Exit(exitFailed)
	}
	os.Exit(exitPassed)
}

// seedRange is the seeds first to last.
type seedRange struct{ first, last uint64 }

// parseSeeds reads "A..B" or "A".
func parseSeeds(text string) (seedRange, error) {
	a, b, isRange := strings.Cut(text, "..")
	if !isRange {
		b = a
	}
	first, err1 := strconv.ParseUint(a, 10, 64)
	last, err2 := strconv.ParseUint(b, 10, 64)
	if err1 != nil || err2 != nil || last < first {
		return seedRange{}, fmt.Errorf("%w: seeds %q; give them as A..B with A at most B", errUsage, text)
	}
	return seedRange{first, last}, nil
}

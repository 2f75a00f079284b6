// SPDX-License-Identifier: Apache-2.0

// Command attacks asks whether somebody can stop a broker: it starts brokers of its own, runs one attack after the
// other on them while a polite producer and a polite consumer work beside it, and prints a table. An attack is a process
// of its own that gets only CPU which nobody else wants, as if it came from another machine.
//
// Bounds: the longest step of a broker's loop, the p99 of the polite producer against its quiet value, and memory.
// The quiet value is the median of several windows, because there are hiccups of the machine in some; and an attack
// with a bad p99 is run twice more, and the median of the three counts.
// What the brokers, the attacker and the polite use of the CPU stands in the table as well: on a machine with few cores
// it says who is in whose way.
// A step counts by the CPU time of its thread, so that a machine which gives the broker no CPU is not blamed on
// it; the time by the clock stands beside it, and the longest gap in which a sleeper of this program was not woken.
//
// It exits 0 if all bounds hold, 1 if not, 2 if it could not be run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

type options struct {
	run          *regexp.Regexp
	quick        bool
	markdown     bool
	quiet, each  time.Duration // how long is measured without and with an attack
	windows      int           // how often without
	step         time.Duration // bound of the longest step
	times        float64       // bound of the polite producer's p99, as a multiple of the quiet one
	floor        time.Duration // a p99 below this is never blamed
	once         bool          // an attack with a bad p99 isn't played again
	memory       int64         // the setting of that name, see memoryBound
	brokers      int           // in place of what an attack says, if not 0
	port         int
	dir, program string
	settings     map[string]string // of the brokers, beside those of this program
	profiles     string            // a folder for CPU profiles of the brokers; empty: none are made
}

func (o *options) set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("want key=value")
	}
	if o.settings == nil {
		o.settings = make(map[string]string)
	}
	o.settings[key] = value
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == strikeCommand {
		os.Exit(strike(ctx, os.Stdin, os.Stdout))
	}
	var o options
	run := flag.String("run", "", "attacks whose names match this `regexp`")
	flag.BoolVar(&o.quick, "quick", false, "a short form")
	flag.BoolVar(&o.markdown, "markdown", true, "print the table in Markdown, too")
	flag.DurationVar(&o.quiet, "quiet", 4*time.Second, "how long the polite are measured alone, each time")
	flag.IntVar(&o.windows, "windows", 3, "how often they are measured alone before an attack; the median p99 counts")
	flag.DurationVar(&o.each, "each", 9*time.Second, "how long an attack lasts")
	flag.DurationVar(&o.step, "step", 20*time.Millisecond, "bound of the longest step")
	flag.Float64Var(&o.times, "times", 3, "bound of the polite p99, as a multiple of the quiet one")
	flag.DurationVar(&o.floor, "floor", 5*time.Millisecond, "a polite p99 below this is never blamed")
	flag.BoolVar(&o.once, "once", false, "judge the polite p99 by one run; otherwise a bad one is run twice more and the median counts")
	flag.Int64Var(&o.memory, "memory", memorySetting, "the brokers' setting memory in bytes, from which the bound of what they take follows")
	flag.IntVar(&o.brokers, "brokers", 0, "how many brokers, in place of what each attack says: on a machine with few cores one broker shows what is not due to several that share them")
	flag.IntVar(&o.port, "port", 21492, "the first broker's Kafka port")
	flag.StringVar(&o.dir, "dir", "", "a new folder for the brokers; default: a temporary one")
	flag.StringVar(&o.program, "broker", "", "the broker program; default: built from this tree")
	flag.StringVar(&o.profiles, "profiles", "", "a folder for CPU profiles of the brokers while they are attacked")
	flag.Func("set", "a further setting of the brokers as `key=value`, values as in TOML; may be repeated", o.set)
	flag.Parse()
	var err error
	if o.run, err = regexp.Compile(*run); err == nil {
		err = runAll(ctx, o, os.Stdout)
	}
	switch {
	case errors.Is(err, errBroken):
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "attacks:", err)
		os.Exit(2)
	}
}

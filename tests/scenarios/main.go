// SPDX-License-Identifier: Apache-2.0

// Command scenarios lets a cluster of real processes live through what clusters live through: brokers
// that are cut off, crash, lose their disks, join and leave, while idempotent producers write without
// pause. In the end every replica has to lead once, and everything is read from it: each acknowledged
// record exactly once, in order, at its offset.
//
// It exits with 0 if all is well, 1 if not, 2 if it could not be run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"chronik/tests/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == drainCommand {
		os.Exit(drain(ctx, os.Args[2:]))
	}
	o := long
	list := flag.Bool("list", false, "only list the scenarios")
	which := flag.String("run", "", "only the scenarios whose names match this regular expression")
	flag.IntVar(&o.records, "records", o.records, "records written while a broker is away")
	flag.IntVar(&o.rounds, "rounds", o.rounds, "how often what is repeated is repeated")
	flag.DurationVar(&o.cut, "cut", o.cut, "how long cuts and pauses last")
	flag.IntVar(&o.partitions, "partitions", o.partitions, "partitions of the topic, with three replicas each")
	flag.IntVar(&o.producers, "producers", o.producers, "producers, each writing to all partitions")
	flag.IntVar(&o.rate, "rate", o.rate, "records per second of all producers together")
	flag.IntVar(&o.size, "size", o.size, "bytes of a record's value")
	behind := flag.Float64("behind", 1, "GB that a follower lacks in cold-reads")
	log := flag.Float64("log", 10, "GB of the log in start-up")
	flag.IntVar(&o.ids, "ids", o.ids, "producers in many-producers")
	flag.IntVar(&o.port, "port", o.port, "the first of 200 ports; later ones are taken if these are not free")
	flag.StringVar(&o.dir, "dir", "", "a folder for the clusters; default: a temporary one, removed if all is well")
	flag.StringVar(&o.program, "broker", "", "the broker program; default: built from this tree")
	flag.Parse()
	o.behind, o.log = int64(*behind*(1<<30)), int64(*log*(1<<30))
	pattern, err := regexp.Compile(*which)
	if err != nil || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "scenarios:", err, flag.Args())
		os.Exit(2)
	}
	if *list {
		for _, s := range scenarios {
			fmt.Printf("%-20s %s\n", s.name, s.what)
		}
		return
	}
	os.Exit(runAll(ctx, o, pattern))
}

// runAll runs scenarios one after the other and returns the exit code.
func runAll(ctx context.Context, o options, which *regexp.Regexp) (code int) {
	keep := o.dir != ""
	if !keep {
		var err error
		if o.dir, err = os.MkdirTemp("", "scenarios"); err != nil {
			fmt.Fprintln(os.Stderr, "scenarios:", err)
			return 2
		}
	}
	base := o.dir
	for _, s := range scenarios {
		if !which.MatchString(s.name) || ctx.Err() != nil {
			continue
		}
		o.dir = filepath.Join(base, s.name)
		begin := time.Now()
		text, err := s.play(ctx, o)
		fmt.Printf("%s (%v)\n%s", s.name, time.Since(begin).Round(100*time.Millisecond), text)
		var failed rig.Verdict
		switch {
		case errors.As(err, &failed):
			fmt.Printf("  FAILED: %v\n", failed)
			code = max(code, 1)
		case err != nil:
			fmt.Printf("  could not be run: %v\n", err)
			code = 2
		default:
			fmt.Println("  ok")
		}
	}
	if code == 0 && !keep {
		os.RemoveAll(base)
	} else {
		fmt.Println("data and lines of the brokers:", base)
	}
	return code
}

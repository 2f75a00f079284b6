// SPDX-License-Identifier: Apache-2.0

// Command ecosystem runs the systems that people run beside Kafka against a cluster of three broker processes, and prints a table
// system x version x what works. Libraries that programs talk to Kafka by are in tests/clients.
//
// Records: what is written to a topic comes out of the system as it went in, each record once. Resume: the system is ended and started again,
// and goes on where it was. Exactly once: it is killed with SIGKILL half-way and started again, and its output, read as committed, still has each
// record once. Admin: topics, configurations and groups are made and changed by it. Figures: what it shows of offsets and lag is what was made.
// The judge is another client, that of the test.
//
// What the registries have is installed into a cache folder outside of the tree, so that a run that was interrupted goes on; java, mvn, node, npm
// and python3 have to be there. Programs that they haven't are looked for in the folder of -programs, and then in the PATH. A system that isn't
// there is "not reachable here", which is no failure; what a system doesn't do is empty.
// The exit code is 0 if nothing failed, 1 if something did, 2 if the table could not be made.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"chronik/tests/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.run, "run", "", "regular expression of the systems to run; default: all")
	flag.StringVar(&o.cache, "cache", "", "folder that keeps what is installed; default: chronik-ecosystem in the user's cache folder")
	flag.StringVar(&o.programs, "programs", "", "folder with programs that the registries haven't, by their names: kaf, kafka_exporter, kafkactl, kcl, kminion, topicctl")
	flag.StringVar(&o.dir, "dir", "", "the cluster's new folder; default: a temporary one, removed if all is well")
	flag.StringVar(&o.bootstrap, "bootstrap", "", "brokers that run already, such as Kafka's, to compare with; default: a cluster of this tree's brokers")
	flag.BoolVar(&o.spoil, "spoil", false, "the judge expects what nobody made, so that everything has to fail")
	flag.IntVar(&o.port, "port", 28492, "the first broker's port for clients; later ones are tried too")
	flag.Parse()
	failed, err := run(ctx, o, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "ecosystem:", err)
		os.Exit(2)
	case failed:
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	run, cache, programs, dir, bootstrap string
	spoil                                bool
	port                                 int
}

// bench is what all systems share.
type bench struct {
	brokers   []string
	bootstrap string // comma-separated
	here      string // the folder of this program's source
	cache     string
	programs  string
	dir       string // for what systems keep and print
	spoil     bool
	names     int // how many were given
}

// run makes the table and prints it. It reports whether a check failed.
func run(ctx context.Context, o options, out io.Writer) (failed bool, err error) {
	which, err := regexp.Compile(o.run)
	if err != nil {
		return false, err
	}
	b := &bench{here: "tests/ecosystem", spoil: o.spoil, programs: o.programs}
	if _, err := os.Stat(b.here); err != nil {
		return false, fmt.Errorf("run it from the project's folder: %w", err)
	}
	if b.cache, err = rig.Cache(o.cache, "ecosystem"); err != nil {
		return false, err
	}
	keep := o.dir != ""
	if !keep {
		if o.dir, err = os.MkdirTemp("", "ecosystem"); err != nil {
			return false, err
		}
	}
	b.dir = filepath.Join(o.dir, "systems")
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return false, err
	}
	if b.brokers = strings.Split(o.bootstrap, ","); o.bootstrap == "" {
		c, err := rig.Start(ctx, rig.Options{Dir: o.dir, Brokers: 3, Port: o.port})
		if err != nil {
			return false, err
		}
		defer c.Close()
		b.brokers = c.Bootstrap()
	}
	b.bootstrap = strings.Join(b.brokers, ",")
	t := newTable()
	for _, s := range systems() {
		if which.MatchString(s.name) && ctx.Err() == nil {
			b.try(ctx, s, t)
		}
	}
	if failed = t.print(out); failed || keep {
		fmt.Fprintf(out, "\nwhat brokers and systems kept and printed: %s\n", o.dir)
		return failed, ctx.Err()
	}
	return false, os.RemoveAll(o.dir)
}

// checkLimit is how long one check may take.
const checkLimit = 6 * time.Minute

// try installs a system and runs its checks.
func (b *bench) try(ctx context.Context, s system, t *table) {
	fmt.Fprintf(os.Stderr, "%s: setting up\n", s.name)
	got, err := s.setup(ctx, b)
	if err != nil {
		t.unreachable(s.name, err)
		return
	}
	t.version(s.name, got.version)
	for _, c := range got.checks {
		limited, cancel := context.WithTimeout(ctx, checkLimit)
		begin := time.Now()
		err := c.do(limited)
		cancel()
		said := "ok"
		if err != nil {
			said = err.Error()
		}
		fmt.Fprintf(os.Stderr, "%s: %s: %s (%.1f s)\n", s.name, c.column, said, time.Since(begin).Seconds())
		t.set(s.name, c.column, err)
	}
}

var unfit = regexp.MustCompile("[^a-z0-9]+")

// name makes one that nobody else has, fit for topics, groups and folders.
func (b *bench) name(s string) string {
	b.names++
	return fmt.Sprintf("%s-%d", unfit.ReplaceAllString(strings.ToLower(s), "-"), b.names)
}

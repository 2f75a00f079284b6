// SPDX-License-Identifier: Apache-2.0

// Command upgrade rolls a cluster of three real brokers from the last release to the present tree, back, and forward again, one broker
// after the other, while clients produce, consume in a group and write transactions. Then it goes on to a release that isn't there yet
// (the present tree with one more version of the peer protocol and one more feature level), raises the level, and sees to it that
// releases that don't fit are refused in words. In the end every replica has to lead once, and everything is read from it.
//
// It exits with 0 if nothing was lost and no client saw an error, 1 if not, 2 if it could not be run.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"chronik/tests/rig"
)

// options are what the flags say.
type options struct {
	from string // commit or tag; empty: the last release
	dir  string
	port int
	rate int           // records per second
	rest time.Duration // under load between two restarts
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.from, "from", "", "commit or tag to upgrade from; default: the last tag, or what tests/upgrade/LAST says")
	flag.StringVar(&o.dir, "dir", "", "a folder for programs, data and lines of the brokers; default: a temporary one, removed if all is well")
	flag.IntVar(&o.port, "port", 27000, "the first of 200 ports; later ones are taken if these are not free")
	flag.IntVar(&o.rate, "rate", 2000, "records per second")
	flag.DurationVar(&o.rest, "rest", 3*time.Second, "time under load between two restarts")
	flag.Parse()
	os.Exit(run(ctx, o))
}

func run(ctx context.Context, o options) int {
	release, err := lastRelease(ctx, o.from)
	if err != nil {
		fmt.Fprintln(os.Stderr, "upgrade:", err)
		return 2
	}
	if out, err := exec.CommandContext(ctx, "git", "cat-file", "-e", release+"^{commit}").CombinedOutput(); err != nil {
		if o.from != "" {
			fmt.Fprintf(os.Stderr, "upgrade: there is no commit %s: %s\n", release, out)
			return 2
		}
		fmt.Printf("skipped: the last release, %s, is not in this clone; fetch the whole history (git fetch --unshallow --tags)\n", release)
		return 0
	}
	keep := o.dir != ""
	if !keep {
		if o.dir, err = os.MkdirTemp("", "upgrade"); err != nil {
			fmt.Fprintln(os.Stderr, "upgrade:", err)
			return 2
		}
	}
	err = upgrade(ctx, o, release)
	var found rig.Verdict
	switch {
	case errors.As(err, &found):
		fmt.Printf("FAILED: %v\ndata and lines of the brokers: %s\n", found, o.dir)
		return 1
	case err != nil:
		fmt.Printf("could not be run: %v\ndata and lines of the brokers: %s\n", err, o.dir)
		return 2
	}
	fmt.Println("ok")
	if !keep {
		os.RemoveAll(o.dir)
	}
	return 0
}

// lastRelease is the last tag, or what the file says before there is one.
func lastRelease(ctx context.Context, asked string) (string, error) {
	if asked != "" {
		return asked, nil
	}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--tags", "--abbrev=0", "--match", "v*").Output(); err == nil {
		return strings.TrimSpace(string(out)), nil
	}
	f, err := os.Open(filepath.Join("tests", "upgrade", "LAST"))
	if err != nil {
		return "", fmt.Errorf("%w; run it in the root of the repository", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			return line, nil
		}
	}
	return "", errors.New("tests/upgrade/LAST names no release")
}

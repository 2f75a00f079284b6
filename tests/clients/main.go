// SPDX-License-Identifier: Apache-2.0

// Command clients is the client matrix: it starts a cluster of three broker processes, runs the
// clients that people have against it, each in its own language, and prints a table client x feature.
//
// For each client it writes and reads back records with every codec, administers a topic, and lets two
// members share a consumer group, of which the coordinator is killed with SIGKILL and brought back
// half-way; then a third member has to go on where the others left off.
//
// What the clients need is installed into a cache folder outside of the tree. A client that can't be
// installed here is not available, which is no failure. The exit code is 0 if nothing failed, 1 if
// something did, 2 if the matrix could not be run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"chronik/tests/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	only := flag.String("only", "", "comma-separated clients; default: all")
	features := flag.String("features", "", "comma-separated features; default: all")
	cache := flag.String("cache", "", "folder that keeps what is installed; default: chronik-clients in the user's cache folder")
	dir := flag.String("dir", "", "the cluster's new folder; default: a temporary one, removed if all is well")
	port := flag.Int("port", 28092, "the first broker's port for clients; later ones are tried too")
	flag.Parse()
	failed, err := run(ctx, *only, *features, *cache, *dir, *port)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(2)
	case failed:
		os.Exit(1)
	}
}

// bench is what all tests of the matrix share.
type bench struct {
	cluster   *rig.Cluster
	bootstrap string // comma-separated
	here      string // the folder of this program's source
	cache     string
	tests     int // topics are numbered by it
}

func run(ctx context.Context, only, features, cache, dir string, port int) (failed bool, err error) {
	b := &bench{here: "tests/clients", cache: cache}
	if _, err := os.Stat(filepath.Join(b.here, "go", "go.mod")); err != nil {
		return false, fmt.Errorf("run it from the project's folder: %w", err)
	}
	if b.cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return false, err
		}
		b.cache = filepath.Join(user, "chronik-clients")
	}
	keep := dir != ""
	if !keep {
		if dir, err = os.MkdirTemp("", "clients"); err != nil {
			return false, err
		}
	}
	if b.cluster, err = rig.Start(ctx, rig.Options{Dir: dir, Brokers: 3, Port: port}); err != nil {
		return false, err
	}
	b.bootstrap = strings.Join(b.cluster.Bootstrap(), ",")
	t := newTable()
	for _, r := range rows() {
		if wanted(only, r.name) && ctx.Err() == nil {
			b.runRow(ctx, r, features, t)
		}
	}
	b.cluster.Close()
	failed = t.print(os.Stdout)
	if failed || keep {
		fmt.Printf("\ndata and lines of the brokers: %s\n", dir)
		return failed, ctx.Err()
	}
	return false, os.RemoveAll(dir)
}

func wanted(list, name string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

// runRow runs all tests of one client.
func (b *bench) runRow(ctx context.Context, r row, features string, t *table) {
	fmt.Fprintf(os.Stderr, "%s: setting up\n", r.name)
	c, err := r.setup(ctx, b)
	if err != nil {
		t.set(r.name, "", notAvailable(err))
		return
	}
	t.version(r.name, c.version)
	for _, codec := range codecs {
		b.test(ctx, t, r.name, codec, features, time.Minute, func(ctx context.Context, topic string) error {
			return b.roundtrip(ctx, c, topic, codec)
		})
	}
	b.test(ctx, t, r.name, "admin", features, time.Minute, func(ctx context.Context, topic string) error { return c.admin(ctx, topic) })
	b.test(ctx, t, r.name, "group", features, 5*time.Minute, func(ctx context.Context, topic string) error { return b.groupTest(ctx, c, topic) })
}

// test runs one test with a topic name of its own.
func (b *bench) test(ctx context.Context, t *table, row, feature, features string, limit time.Duration, do func(ctx context.Context, topic string) error) {
	if !wanted(features, feature) || ctx.Err() != nil {
		return
	}
	b.tests++
	topic := fmt.Sprintf("%s-%s-%d", unfit.ReplaceAllString(row, "-"), feature, b.tests)
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	begin := time.Now()
	err := do(limited, topic)
	fmt.Fprintf(os.Stderr, "%s: %s: %v (%.1f s)\n", row, feature, errorOrOK(err), time.Since(begin).Seconds())
	t.set(row, feature, err)
}

// unfit matches what topics' names can't have.
var unfit = regexp.MustCompile("[^A-Za-z0-9]+")

func errorOrOK(err error) any {
	if err == nil {
		return "ok"
	}
	return err
}

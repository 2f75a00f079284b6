// SPDX-License-Identifier: Apache-2.0

// Command clients is the client matrix: it starts a cluster of three broker processes, runs the
// clients that people have against it, each in its own language, and prints a table client x feature.
//
// For each client it writes and reads back records with every codec (none to zstd), administers a topic
// (admin), writes transactions and copies what they committed with its offsets (txn), and lets two members share a consumer group while a writer writes (group); the broker that
// coordinates the group and leads some of its partitions is killed with SIGKILL and brought back
// (SIGKILL); then one member leaves, the other has to have everything that was acknowledged, and a third
// has to go on exactly where it left off (resume). KIP-848 is all of group, SIGKILL and resume with the
// group protocol in which the coordinator assigns partitions. Secure is TLS, a login by SCRAM-SHA-512 and rules: what is allowed works,
// and a wrong password and missing rights are told in the client's own words. Certificates has the brokers' replaced five times, also by
// those of another authority that clients trust as well, while a writer and a reader go on and new clients come: nobody notices.
//
// What the clients need is installed into a cache folder outside of the tree (and kcat by apt-get, if this
// runs as root); java, mvn, node, npm and python3 have to be there. A client that can't be
// installed here is "not reachable here", which is no failure; what a client itself hasn't got is "-".
// The exit code is 0 if nothing failed, 1 if something did, 2 if the matrix could not be run.
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
	"slices"
	"strings"
	"syscall"
	"time"

	"chronik/tests/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.only, "only", "", "comma-separated clients; default: all")
	flag.StringVar(&o.features, "features", "", "comma-separated features, see the table; SIGKILL and resume need group; default: all")
	quick := flag.Bool("quick", false, "the same as -features "+quickFeatures)
	flag.StringVar(&o.cache, "cache", "", "folder that keeps what is installed; default: chronik-clients in the user's cache folder")
	flag.StringVar(&o.dir, "dir", "", "the cluster's new folder; default: a temporary one, removed if all is well")
	flag.StringVar(&o.spoil, "spoil", "", "spoil column certificates, which then has to fail: restart (brokers are restarted for a new certificate) or untrusted (one is of an authority that nobody trusts)")
	flag.IntVar(&o.port, "port", 28092, "the first broker's port for clients; later ones are tried too")
	flag.Parse()
	if *quick {
		o.features = quickFeatures
	}
	failed, err := run(ctx, o, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(2)
	case failed:
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	only, features, cache, dir, spoil string
	port                              int
}

// quickFeatures take about eight seconds for each client.
const quickFeatures = "zstd,admin,group"

// bench is what all tests of the matrix share.
type bench struct {
	cluster   *rig.Cluster
	bootstrap string // comma-separated
	secured   secured
	here      string // the folder of this program's source
	cache     string
	spoil     string // see the flag
	topics    int    // how many were named
}

// run runs the matrix and prints the table. It reports whether a test failed.
func run(ctx context.Context, o options, out io.Writer) (failed bool, err error) {
	b := &bench{here: "tests/clients", spoil: o.spoil}
	if _, err := os.Stat(filepath.Join(b.here, "go", "go.mod")); err != nil {
		return false, fmt.Errorf("run it from the project's folder: %w", err)
	}
	if b.cache, err = rig.Cache(o.cache, "clients"); err != nil {
		return false, err
	}
	keep := o.dir != ""
	if !keep {
		if o.dir, err = os.MkdirTemp("", "clients"); err != nil {
			return false, err
		}
	}
	of := rig.Options{Dir: o.dir, Brokers: 3, Port: o.port}
	if b.secured, of.Settings, of.Own, err = secureListeners(o.dir, of.Brokers); err != nil {
		return false, err
	}
	if b.cluster, err = rig.Start(ctx, of); err != nil {
		return false, err
	}
	b.bootstrap = strings.Join(b.cluster.Bootstrap(), ",")
	t := newTable()
	for _, r := range rows() {
		if wanted(o.only, r.name) && ctx.Err() == nil {
			b.runRow(ctx, r, o.features, t)
		}
	}
	b.cluster.Close()
	failed = t.print(out)
	if failed || keep {
		fmt.Fprintf(out, "\ndata and lines of the brokers: %s\n", o.dir)
		return failed, ctx.Err()
	}
	return false, os.RemoveAll(o.dir)
}

func wanted(list, name string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

// runRow runs all tests of one client.
func (b *bench) runRow(ctx context.Context, r row, features string, t *table) {
	fmt.Fprintf(os.Stderr, "%s: setting up\n", r.name)
	c, err := r.setup(ctx, b)
	if err != nil {
		t.set(r.name, "", unreachable{err})
		return
	}
	t.version(r.name, c.version)
	t.notes[r.name] = r.notes
	for _, codec := range codecs {
		b.test(ctx, t, r, codec, features, func(ctx context.Context) error { return b.roundtrip(ctx, c, b.topic(r, codec), codec) })
	}
	b.test(ctx, t, r, "admin", features, func(ctx context.Context) error { return c.admin(ctx, b.topic(r, "admin")) })
	b.test(ctx, t, r, "txn", features, func(ctx context.Context) error { return b.transactions(ctx, c, b.topic(r, "txn")) })
	b.groupTests(ctx, t, r, c, features)
	b.test(ctx, t, r, "secure", features, func(ctx context.Context) error { return b.secure(ctx, c, b.topic(r, "secure")) })
	b.test(ctx, t, r, "certificates", features, func(ctx context.Context) error { return b.certificates(ctx, c, b.topic(r, "renewed")) })
}

// groupTests runs the tests of consumer groups, of the classic protocol one by one: each builds on
// those before it.
func (b *bench) groupTests(ctx context.Context, t *table, r row, c *client, features string) {
	if wanted(features, "group") {
		classic := &groupTest{bench: b, client: c, protocol: "classic", topic: b.topic(r, "group")}
		defer classic.cleanUp()
		_ = b.test(ctx, t, r, "group", features, classic.two) &&
			b.test(ctx, t, r, "SIGKILL", features, classic.killCoordinator) &&
			b.test(ctx, t, r, "resume", features, classic.resume)
	}
	modern := &groupTest{bench: b, client: c, protocol: "consumer", topic: b.topic(r, "kip848")}
	defer modern.cleanUp()
	b.test(ctx, t, r, kip848, features, func(ctx context.Context) error {
		steps := []func(context.Context) error{modern.two, modern.killCoordinator, modern.resume}
		if !wanted(features, "SIGKILL") {
			steps = slices.Delete(steps, 1, 2)
		}
		for _, step := range steps {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// testLimit is how long one test may take: some clients wait for their session to end.
const testLimit = 3 * time.Minute

// test runs one test, if it is wanted, and reports whether what builds on it can run.
func (b *bench) test(ctx context.Context, t *table, r row, feature, features string, do func(context.Context) error) bool {
	if r.lacks[feature] != "" {
		t.set(r.name, feature, lacking(r.lacks[feature]))
		return true
	}
	if !wanted(features, feature) || ctx.Err() != nil {
		return true
	}
	limited, cancel := context.WithTimeout(ctx, testLimit)
	defer cancel()
	begin := time.Now()
	err := do(limited)
	fmt.Fprintf(os.Stderr, "%s: %s: %v (%.1f s)\n", r.name, feature, errorOrOK(err), time.Since(begin).Seconds())
	t.set(r.name, feature, err)
	return err == nil
}

// topic makes a name that no other test has.
func (b *bench) topic(r row, feature string) string {
	b.topics++
	return fmt.Sprintf("%s-%s-%d", unfit.ReplaceAllString(r.name, "-"), feature, b.topics)
}

// unfit matches what topics' names can't have.
var unfit = regexp.MustCompile("[^A-Za-z0-9]+")

func errorOrOK(err error) any {
	if err == nil {
		return "ok"
	}
	return err
}

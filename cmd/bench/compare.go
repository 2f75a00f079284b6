// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const modeCompare = "compare"

// comparison is a run of `bench compare`.
type comparison struct {
	rounds, port   int
	each, warmup   time.Duration
	jvmWarmup      time.Duration // of Kafka's processes, once each time that they start
	peers, shapes  *regexp.Regexp
	other          string // another build of the broker
	source, folder string // the source tree; where everything else is
	self           string // this program
	out            io.Writer
	results        []compared
}

// compared is what one measurement found.
type compared struct {
	peer, shape string
	round       int
	perSecond   float64
	latency     percentiles
	cpu         float64 // us of the servers per message
	rss         int64   // bytes, of the largest server
	err         error
}

const compareHelp = `bench compare measures this broker beside its peers on this machine: Apache Kafka (with its defaults, and with a flush after every
batch) and NATS JetStream with three replicas (with its defaults, and with sync_interval: always). Three processes of one peer run at a time.
Each round takes all peers, one after the other, on fresh folders, and each shape on each of them. What was written is read back.
It prints the medians of all rounds, and ratios. Run it inside the source tree; it needs Go, and for Kafka Java and Maven.

  bench compare [flags]

`

// compare is main for that mode; it returns the exit code.
func compare(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := comparison{out: stdout}
	fs := flag.NewFlagSet("bench compare", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.IntVar(&c.rounds, "rounds", 5, "how often each shape is measured on each peer")
	fs.DurationVar(&c.each, "duration", 8*time.Second, "how long each time")
	fs.DurationVar(&c.warmup, "warmup-duration", 2*time.Second, "load before that")
	fs.DurationVar(&c.jvmWarmup, "jvm-warmup", 45*time.Second, "load before the first shape, where the peer runs on a JVM")
	fs.IntVar(&c.port, "port", 18390, "the three ports after this one, and those 100 further, are used")
	fs.StringVar(&c.other, "other", "", "a `FILE`: another build of the broker, as a further peer")
	peers := fs.String("peers", ".", "only peers whose names match this `regexp`: "+strings.Join(peerNames(), ", "))
	shapes := fs.String("shapes", ".", "only shapes whose names match this `regexp`: "+strings.Join(shapeNames(), "; "))
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, compareHelp)
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return exitClean
	}
	if err == nil {
		c.peers, err = regexp.Compile(*peers)
	}
	if err == nil {
		c.shapes, err = regexp.Compile(*shapes)
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err == nil && (c.rounds < 1 || c.each <= 0 || c.warmup < 0) {
		err = errors.New("-rounds must be at least 1 and -duration above 0")
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench compare: %v\n", err)
		return exitUsage
	}
	if err := c.run(ctx, stderr); err != nil {
		fmt.Fprintf(stderr, "bench compare: %v\n", err)
		return exitFailed
	}
	return exitClean
}

// run builds what is needed, measures, and prints the table. What was measured when it fails is printed, too.
func (c *comparison) run(ctx context.Context, progress io.Writer) (err error) {
	if c.source, err = sourceTree(ctx); err != nil {
		return err
	}
	if c.self, err = os.Executable(); err != nil {
		return err
	}
	if c.folder, err = os.MkdirTemp("", "compare"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.folder)) }()
	var peers []peer
	for _, p := range allPeers(c) {
		if c.peers.MatchString(p.name) {
			peers = append(peers, p)
		}
	}
	for i := range peers {
		fmt.Fprintf(progress, "building %s\n", peers[i].name)
		if err := peers[i].build(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", peers[i].name, err)
		}
	}
	defer c.print(peers)
	for round := range c.rounds {
		for i := range peers {
			if err := c.measurePeer(ctx, &peers[i], round, progress); err != nil {
				return fmt.Errorf("%s: %w", peers[i].name, err)
			}
		}
	}
	if slices.ContainsFunc(c.results, func(r compared) bool { return r.err != nil }) {
		return errors.New("some measurements failed, see above")
	}
	return nil
}

// sourceTree is the folder of the go.mod.
func sourceTree(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "chronik").Output()
	if err != nil {
		return "", fmt.Errorf("this has to run inside the source tree, with Go: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// measurePeer starts a peer on a fresh folder, measures each shape, and stops it.
func (c *comparison) measurePeer(ctx context.Context, p *peer, round int, progress io.Writer) (err error) {
	if err := c.portsFree(); err != nil {
		return err
	}
	dir := filepath.Join(c.folder, "data")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	running, err := p.start(ctx, c, dir)
	defer func() { err = errors.Join(err, running.stop(), os.RemoveAll(dir)) }()
	if err != nil {
		return err
	}
	if p.jvm {
		warm := shape{name: "warm-up", args: []string{"produce", "--topic", "warm-up", "--partitions", "12", "--replication-factor", "3", "--concurrency", "128"}}
		if r := c.measure(ctx, p, running, &warm, c.jvmWarmup); r.err != nil {
			return r.err
		}
	}
	for i := range shapes {
		s := &shapes[i]
		if !c.shapes.MatchString(s.name) && !c.needed(s) || !p.takes(s) {
			continue
		}
		r := c.measure(ctx, p, running, s, c.each)
		r.peer, r.shape, r.round = p.name, s.name, round
		c.results = append(c.results, r)
		fmt.Fprintf(progress, "round %d of %d, %s, %s: %s\n", round+1, c.rounds, p.name, s.name, &r)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// needed reports whether a shape that is wanted reads what this one writes.
func (c *comparison) needed(s *shape) bool {
	return slices.ContainsFunc(shapes, func(o shape) bool { return o.reads == s.name && c.shapes.MatchString(o.name) })
}

func (r *compared) String() string {
	if r.err != nil {
		return "FAILED: " + r.err.Error()
	}
	return fmt.Sprintf("%s/s, p99 %s ms", group(r.perSecond), ms(float64(r.latency.P99)))
}

// measure runs one load.
func (c *comparison) measure(ctx context.Context, p *peer, on *cluster, s *shape, each time.Duration) (r compared) {
	out, err := p.load(ctx, c, on, s, each)
	var steps []result
	if err == nil {
		err = json.Unmarshal(out, &steps)
	}
	if err != nil || len(steps) != 1 || len(steps[0].Measured) == 0 || steps[0].Measured[0].Count == 0 {
		r.err = cmp.Or(err, errors.New("nothing was measured"))
		return r
	}
	step := &steps[0]
	r.perSecond = step.Measured[0].PerSecond
	for _, row := range step.Measured { // a consumer's latency is that of its requests, the second row
		if r.latency.Count == 0 {
			r.latency = row.Latency
		}
	}
	r.cpu = step.perMessage(step.serverCPU())
	for _, u := range step.Servers {
		r.rss = max(r.rss, u.RSS)
	}
	return r
}

// SPDX-License-Identifier: Apache-2.0

// Command killround asks of real processes what the simulator asks of simulated ones: it starts a
// cluster with `broker local`, lets idempotent producers (franz-go, acks=all) write to it without
// pause, kills one broker after the other with SIGKILL and brings it back, and then reads
// everything: each acknowledged record must be there exactly once, at its offset and in order.
//
// It prints a table of the rounds and exits 0 if all is well, 1 if not, 2 if it could not be run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.IntVar(&o.rounds, "rounds", 10, "how often a broker is killed")
	flag.IntVar(&o.brokers, "brokers", 3, "brokers of the cluster")
	flag.IntVar(&o.partitions, "partitions", 6, "partitions of the topic, each with min(3, brokers) replicas")
	flag.IntVar(&o.producers, "producers", 4, "producers, each writing to all partitions")
	flag.IntVar(&o.rate, "rate", 20000, "records per second of all producers together")
	flag.IntVar(&o.size, "size", 100, "bytes of a record's value")
	flag.DurationVar(&o.down, "down", 2*time.Second, "how long a broker stays dead")
	flag.DurationVar(&o.settle, "settle", 6*time.Second, "time between a broker's return and the next kill")
	flag.DurationVar(&o.maxGap, "max-gap", 3*time.Second, "the longest allowed time without an acknowledged record, per partition")
	flag.DurationVar(&o.metadataAge, "metadata-age", time.Second,
		"how soon after one question a producer may ask again who leads; franz-go's default is 5s, which then is the longest gap")
	flag.IntVar(&o.port, "port", 21092, "the first broker's Kafka port")
	flag.StringVar(&o.dir, "dir", "", "the cluster's new folder; default: a temporary one, removed if all is well")
	flag.StringVar(&o.broker, "broker", "", "the broker program; default: built from this tree")
	flag.Parse()
	err := run(ctx, o, os.Stdout)
	var failed verdict
	switch {
	case errors.As(err, &failed):
		fmt.Fprintln(os.Stderr, "FAILED:", failed)
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "killround:", err)
		os.Exit(2)
	}
}

type options struct {
	rounds, brokers, partitions, producers int
	rate, size, port                       int
	down, settle, maxGap, metadataAge      time.Duration
	dir, broker                            string
}

// verdict is what is wrong with the cluster, one line per finding.
type verdict []string

func (v verdict) Error() string { return strings.Join(v, "\n") }

const topic = "killround"

// run carries out all rounds and the reading back, and prints the table. The error is a verdict if
// the cluster did wrong.
func run(ctx context.Context, o options, w io.Writer) (err error) {
	keep := o.dir != ""
	if !keep {
		if o.dir, err = os.MkdirTemp("", "killround"); err != nil {
			return err
		}
	}
	c, err := startCluster(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		c.stop()
		if err == nil && !keep {
			os.RemoveAll(o.dir)
		} else {
			fmt.Fprintf(w, "data and lines of the brokers: %s\n", o.dir)
		}
	}()
	if err := createTopic(ctx, c.bootstrap, o); err != nil {
		return err
	}
	l, err := startLoad(ctx, c.bootstrap, o)
	if err != nil {
		return err
	}
	if err := killAll(ctx, c, l, o, w); err != nil {
		return err
	}
	found := l.finish(30 * time.Second)
	read, err := readBack(ctx, c.bootstrap, o)
	if err != nil {
		return verdict(append(found, fmt.Sprintf("reading back: %v", err)))
	}
	found = append(found, judge(l.acked(), read)...)
	for p, gap := range l.total.longest {
		if gap > o.maxGap {
			found = append(found, fmt.Sprintf("partition %d had no acknowledged record for %v, allowed are %v", p, gap, o.maxGap))
		}
	}
	printTotals(w, l, read)
	if len(found) > 0 {
		return verdict(found)
	}
	return nil
}

// killAll is the rounds.
func killAll(ctx context.Context, c *cluster, l *load, o options, w io.Writer) error {
	l.waitForAcks(ctx, o.settle)
	fmt.Fprintln(w, "round  broker  leaders hit  back after  acked   longest without an ack: worst partition / whole cluster")
	for round := 1; round <= o.rounds; round++ {
		id := (round-1)%o.brokers + 1
		hit, err := leadersOn(ctx, c.bootstrap, int32(id))
		if err != nil {
			return err
		}
		l.newRound()
		if err := c.kill(id); err != nil {
			return err
		}
		if err := pause(ctx, o.down); err != nil {
			return err
		}
		back := time.Now()
		if err := c.restart(ctx, id); err != nil {
			return verdict{fmt.Sprintf("round %d: broker %d did not come back: %v", round, id, err)}
		}
		ready := time.Since(back)
		if err := pause(ctx, o.settle); err != nil {
			return err
		}
		r := l.round()
		fmt.Fprintf(w, "%5d  %6d  %5d of %2d  %10v  %6d  %v / %v\n", round, id, hit, o.partitions,
			ready.Round(time.Millisecond), r.acked, ms(r.worst()), ms(r.longestAny))
	}
	return nil
}

func printTotals(w io.Writer, l *load, read [][]record) {
	n := 0
	for _, records := range read {
		n += len(records)
	}
	fmt.Fprintf(w, "acknowledged %d, failed %d, read back %d; longest without an ack: worst partition %v, whole cluster %v\n",
		l.total.acked, l.failures(), n, ms(l.total.worst()), ms(l.total.longestAny))
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

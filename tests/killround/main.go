// SPDX-License-Identifier: Apache-2.0

// Command killround asks of real processes what the simulator asks of simulated ones: it starts a
// cluster, lets idempotent producers (franz-go, acks=all) write to it without
// pause, kills one broker after the other with SIGKILL and brings it back, and then reads
// everything: each acknowledged record must be there exactly once, at its offset and in order.
// With -transactions each committed transaction must be there as a whole and once, no aborted one, and each of its
// records must have one copy.
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
	"syscall"
	"time"

	"chronik/tests/rig"
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
	transactions := flag.Bool("transactions", false, "write transactions, and copy what is committed in transactions of a chain; -rate and -max-gap mean nothing then")
	flag.Parse()
	do := run
	if *transactions {
		do = runTransactions
	}
	err := do(ctx, o, os.Stdout)
	var failed rig.Verdict
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

const topic = "killround"

// run carries out all rounds and the reading back, and prints the table. The error is a verdict if
// the cluster did wrong.
func run(ctx context.Context, o options, w io.Writer) error {
	return withCluster(ctx, o, w, []string{topic}, func(c *rig.Cluster) error { return runPlain(ctx, c, o, w) })
}

// withCluster starts a cluster with some topics, and ends it after do. What do leaves in the folder stays if it failed.
func withCluster(ctx context.Context, o options, w io.Writer, topics []string, do func(*rig.Cluster) error) (err error) {
	keep := o.dir != ""
	if !keep {
		if o.dir, err = os.MkdirTemp("", "killround"); err != nil {
			return err
		}
	}
	c, err := rig.Start(ctx, rig.Options{Brokers: o.brokers, Dir: o.dir, Port: o.port, Program: o.broker})
	if err != nil {
		return err
	}
	defer func() {
		c.Close()
		if err == nil && !keep {
			os.RemoveAll(o.dir)
		} else {
			fmt.Fprintf(w, "data and lines of the brokers: %s\n", o.dir)
		}
	}()
	for _, name := range topics {
		if err := rig.CreateTopic(ctx, c.Bootstrap(), name, o.partitions, min(3, o.brokers)); err != nil {
			return err
		}
	}
	return do(c)
}

func runPlain(ctx context.Context, c *rig.Cluster, o options, w io.Writer) error {
	l, err := rig.StartLoad(ctx, c.Bootstrap(), rig.LoadOptions{
		Topic: topic, Partitions: o.partitions, Producers: o.producers, Rate: o.rate, Size: o.size, MetadataAge: o.metadataAge,
	})
	if err != nil {
		return err
	}
	if err := killAll(ctx, c, l, o, w); err != nil {
		return err
	}
	found := l.Finish(30 * time.Second)
	read, err := rig.Read(ctx, c.Bootstrap(), topic, o.partitions)
	if err != nil {
		return rig.Verdict(append(found, fmt.Sprintf("reading back: %v", err)))
	}
	found = append(found, rig.Judge(l.Acked(), read)...)
	for p, gap := range l.Total().Longest {
		if gap > o.maxGap {
			found = append(found, fmt.Sprintf("partition %d had no acknowledged record for %v, allowed are %v", p, gap, o.maxGap))
		}
	}
	printTotals(w, l, read)
	if len(found) > 0 {
		return found
	}
	return nil
}

// killAll is the rounds.
func killAll(ctx context.Context, c *rig.Cluster, l *rig.Load, o options, w io.Writer) error {
	if err := errors.Join(l.WaitForStart(ctx), rig.Pause(ctx, o.settle)); err != nil {
		return err
	}
	fmt.Fprintln(w, "round  broker  leaders hit  back after  acked   longest without an ack: worst partition / whole cluster")
	for round := 1; round <= o.rounds; round++ {
		id := (round-1)%o.brokers + 1
		hit, err := rig.LedBy(ctx, c.Bootstrap(), topic, id)
		if err != nil {
			return err
		}
		l.NewRound()
		if err := c.Kill(id); err != nil {
			return err
		}
		if err := rig.Pause(ctx, o.down); err != nil {
			return err
		}
		back := time.Now()
		if err := c.Restart(ctx, id); err != nil {
			return rig.Verdict{fmt.Sprintf("round %d: broker %d did not come back: %v", round, id, err)}
		}
		ready := time.Since(back)
		if err := rig.Pause(ctx, o.settle); err != nil {
			return err
		}
		r := l.Round()
		fmt.Fprintf(w, "%5d  %6d  %5d of %2d  %10v  %6d  %v / %v\n", round, id, hit, o.partitions,
			ready.Round(time.Millisecond), r.Acked, ms(r.Worst()), ms(r.LongestAny))
	}
	return nil
}

func printTotals(w io.Writer, l *rig.Load, read rig.Data) {
	n := 0
	for _, records := range read.Records {
		n += len(records)
	}
	total := l.Total()
	fmt.Fprintf(w, "acknowledged %d, failed %d, read back %d; longest without an ack: worst partition %v, whole cluster %v\n",
		total.Acked, l.Failures(), n, ms(total.Worst()), ms(total.LongestAny))
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// SPDX-License-Identifier: Apache-2.0

// Command partitions measures what partitions cost that nobody uses. For each number of them it founds a cluster of
// three brokers, makes the partitions, each with a replica on every broker, lets them idle, restarts a broker, and
// deletes them. It prints a table with a row for each number, from which a value for max_partitions_per_broker can be
// chosen. Figures mean something only on a machine that has nothing else to do.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"chronik/tests/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{}
	numbers := flag.String("n", "0,500,1000,2000,5000,10000", "numbers of partitions")
	flag.DurationVar(&o.idle, "idle", 30*time.Second, "how long they idle")
	flag.IntVar(&o.port, "port", 22092, "the first of 200 ports; later ones are taken if these are not free")
	flag.StringVar(&o.broker, "broker", "", "the broker program; default: built from this tree")
	flag.Parse()
	for _, text := range strings.Split(*numbers, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 0 || flag.NArg() > 0 {
			fmt.Fprintf(os.Stderr, "partitions: -n takes numbers with commas between them, not %q\n", *numbers)
			os.Exit(2)
		}
		o.numbers = append(o.numbers, n)
	}
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "partitions:", err)
		os.Exit(1)
	}
}

type options struct {
	numbers []int
	idle    time.Duration
	port    int
	broker  string
}

const brokers = 3

// row is what a number of partitions costs. Of the brokers it has the worst.
type row struct {
	made, restarted, led, deleted time.Duration
	memory                        int64   // of a broker, when they idle
	cpu                           float64 // of a core, when they idle
	making, idling, deleting      time.Duration
}

func run(ctx context.Context, o options, w io.Writer) error {
	fmt.Fprintln(w, "partitions    made in  MiB  KiB each  idle CPU   ready  all led  deleted   longest steps: making / idling / deleting")
	var empty int64
	for _, n := range o.numbers {
		r, err := measure(ctx, o, n)
		if err != nil {
			return fmt.Errorf("%d partitions: %w", n, err)
		}
		each := "-"
		if empty > 0 && n > 0 {
			each = fmt.Sprintf("%.1f", float64(r.memory-empty)/float64(n)/1024)
		}
		if n == 0 {
			empty = r.memory
		}
		fmt.Fprintf(w, "%10d %10v %4d %9s %8.2f%% %7v %8v %8v   %v / %v / %v\n", n, short(r.made), r.memory>>20, each, 100*r.cpu,
			short(r.restarted), short(r.led), short(r.deleted), short(r.making), short(r.idling), short(r.deleting))
	}
	return nil
}

func short(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// measure does it for one number.
func measure(ctx context.Context, o options, n int) (r row, err error) {
	dir, err := os.MkdirTemp("", "partitions")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	c, err := rig.Start(ctx, rig.Options{
		Brokers: brokers, Dir: filepath.Join(dir, "cluster"), Port: o.port, Program: o.broker,
		Settings: map[string]string{"max_partitions_per_broker": "1000000"},
	})
	if err != nil {
		return r, err
	}
	defer c.Close()
	m := &meter{ctx: ctx, cluster: c}
	m.steps() // those of the start don't count
	r.made = m.time(func() { m.make(n) })
	r.making = m.steps()
	m.pause(5 * time.Second)
	m.steps()
	before, begun := m.cpu(), time.Now()
	m.pause(o.idle)
	r.cpu = worst(m.cpu(), before) / time.Since(begun).Seconds()
	r.idling, r.memory = m.steps(), m.memory()
	m.note(c.Kill(brokers))
	r.restarted = m.time(func() { m.note(c.Restart(ctx, brokers)) })
	r.led = r.restarted + m.time(func() { m.waitLed(brokers) })
	m.steps()
	r.deleted = m.time(m.drop)
	r.deleting = m.steps()
	return r, m.err
}

// worst returns by how much the most grew.
func worst(after, before []float64) (most float64) {
	for i := range after {
		most = max(most, after[i]-before[i])
	}
	return most
}

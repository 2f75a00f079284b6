// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"chronik/tests/rig"
)

// options scale the scenarios.
type options struct {
	records, rounds                   int
	cut                               time.Duration
	partitions, producers, rate, size int
	handover                          time.Duration // the longest time without a leader when leadership moves in order
	behind, log                       int64         // bytes
	ids                               int           // of producers
	port                              int
	dir, program                      string
}

// The long form is for a person who waits, the short one for every run of the tests.
var (
	long = options{
		records: 50_000, rounds: 10, cut: 8 * time.Second,
		partitions: 6, producers: 4, rate: 5000, size: 200, handover: 200 * time.Millisecond, port: 22000,
		behind: 1 << 30, log: 10 << 30, ids: 400_000,
	}
	short = options{
		records: 2500, rounds: 1, cut: 1500 * time.Millisecond,
		partitions: 3, producers: 2, rate: 1500, size: 100, handover: time.Second, port: 24000, // on a busy machine
	}
)

const (
	topic    = "scenario"
	replicas = 3
	patience = 60 * time.Second // for a broker to catch up, a move to be done
)

// scenario is what a cluster of three lives through under load.
type scenario struct {
	name, what string
	settings   map[string]string         // of the brokers, beside those of all scenarios
	longOnly   bool                      // not in the short form
	inOrder    bool                      // leadership only moves in order, so no partition may be without it for long
	ownLoad    bool                      // no other load than what it makes itself, and it reads back itself
	uncut      bool                      // brokers reach each other directly: it cuts nothing
	aside      map[int]map[string]string // these brokers, see rig.Options
	brokers    int                       // if not 0, other than three
	recordSize int                       // if not 0, other than the options say
	before     func(dir string) (undo func(), err error)
	run        func(context.Context, *world) error
}

// world is one cluster and its load.
type world struct {
	*rig.Cluster
	options
	look  time.Duration // how often a condition is looked at
	load  *rig.Load
	probe *rig.Probe
	notes strings.Builder
}

func (w *world) note(format string, args ...any) { fmt.Fprintf(&w.notes, "  "+format+"\n", args...) }

// commonSettings make a broker keep little in memory, so that whoever is behind is served from disk.
var commonSettings = map[string]string{
	"log_level": `"info"`, "raft_log_retention": "20", "segment_bytes": "4194304", "cache_bytes": "4194304",
}

// play runs the scenario and returns what is to be said of it. The error is a verdict if the cluster
// did wrong.
func (s *scenario) play(ctx context.Context, o options) (text string, err error) {
	if s.before != nil {
		undo, err := s.before(o.dir)
		if err != nil {
			return "", err
		}
		defer undo()
	}
	if s.recordSize > 0 {
		o.size = s.recordSize
	}
	settings := maps.Clone(commonSettings)
	maps.Copy(settings, s.settings)
	c, err := rig.Start(ctx, rig.Options{
		Brokers: cmp.Or(s.brokers, replicas), Dir: o.dir, Port: o.port, Program: o.program, Settings: settings,
		Cuttable: !s.uncut, Aside: s.aside,
	})
	if err != nil {
		return "", err
	}
	defer c.Close()
	w := &world{Cluster: c, options: o, look: 50 * time.Millisecond}
	err = w.play(ctx, s)
	return w.notes.String(), err
}

func (w *world) play(ctx context.Context, s *scenario) (err error) {
	if err := rig.CreateTopic(ctx, w.Bootstrap(), topic, w.partitions, cmp.Or(s.brokers, replicas)); err != nil {
		return err
	}
	if s.ownLoad {
		if err := s.run(ctx, w); err != nil {
			return rig.Verdict{err.Error()}
		}
		return nil
	}
	w.load, err = rig.StartLoad(ctx, w.Bootstrap(), rig.LoadOptions{
		Topic: topic, Partitions: w.partitions, Producers: w.producers, Rate: w.rate, Size: w.size, MetadataAge: 100 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	if err := w.load.WaitForStart(ctx); err != nil {
		return err
	}
	if w.probe, err = rig.StartProbe(ctx, w.Bootstrap(), topic, w.partitions); err != nil {
		return err
	}
	runErr := s.run(ctx, w)
	leaderless := w.probe.Finish()
	found := w.load.Finish(30 * time.Second)
	if runErr != nil {
		found = append(found, runErr.Error())
	}
	total := w.load.Total()
	w.note("acknowledged %d, errors %d; longest without an ack: a partition %v, the cluster %v; longest without a leader %v (partition %d, until %s)",
		total.Acked, w.load.Failures(), ms(total.Worst()), ms(total.LongestAny), ms(leaderless.Length),
		leaderless.Partition, leaderless.End.UTC().Format("15:04:05.000"))
	if s.inOrder && leaderless.Length > w.handover {
		found = append(found, fmt.Sprintf("a partition was without a leader for %v, allowed are %v", leaderless.Length, w.handover))
	}
	if runErr == nil {
		found = append(found, w.readFromAll(ctx)...)
	}
	if len(found) > 0 {
		return found
	}
	return nil
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// readFromAll lets each broker lead what it has, and reads everything.
func (w *world) readFromAll(ctx context.Context) (found rig.Verdict) {
	for _, id := range w.Running() {
		n, err := rig.LeadAll(ctx, w.Bootstrap(), topic, id)
		if err != nil {
			return append(found, fmt.Sprintf("letting broker %d lead: %v", id, err))
		}
		data, err := rig.Read(ctx, w.Bootstrap(), topic, w.partitions)
		if err != nil {
			return append(found, fmt.Sprintf("reading from broker %d: %v", id, err))
		}
		for _, line := range rig.Judge(w.load.Acked(), data) {
			found = append(found, fmt.Sprintf("read from broker %d: %s", id, line))
		}
		total := 0
		for _, records := range data.Records {
			total += len(records)
		}
		w.note("read %d records while broker %d led %d of %d partitions", total, id, n, w.partitions)
	}
	return found
}

// round notes the gaps of one part of a scenario.
func (w *world) round(what string, part func() error) error {
	w.load.NewRound()
	begin := time.Now()
	err := part()
	p := w.load.Round()
	w.note("%s: %v, acknowledged %d, longest without an ack: a partition %v, the cluster %v",
		what, ms(time.Since(begin)), p.Acked, ms(p.Worst()), ms(p.LongestAny))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// steps carries out one after the other until one fails.
func steps(list ...func() error) error {
	for _, step := range list {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// until waits for something that metrics show. A broker that can't be asked is not there yet.
func (w *world) until(ctx context.Context, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		done, err := ok()
		if done && err == nil {
			return nil
		}
		if rig.Pause(ctx, w.look) != nil {
			return errors.Join(fmt.Errorf("in %v it did not come about that %s", patience, what), err)
		}
	}
}

// closeBehind is how many entries of all groups a follower may be behind, under load.
const closeBehind = 50

// caughtUp waits until a broker has a replica of everything, and is close behind, and notes how long
// that took.
func (w *world) caughtUp(ctx context.Context, id int) error {
	begin := time.Now()
	peer := fmt.Sprintf("peer=%q", fmt.Sprint(id))
	err := w.until(ctx, fmt.Sprintf("broker %d has caught up", id), func() (bool, error) {
		groups, err := w.Metric(ctx, id, "chronik_raft_groups_leading")
		if err != nil {
			return false, err
		}
		lag, silent := 0.0, 0.0
		for _, other := range w.Running() {
			if other == id {
				continue
			}
			for name, sum := range map[string]*float64{
				"chronik_raft_follower_groups": &groups, "chronik_raft_follower_groups_silent": &silent, "chronik_raft_follower_lag_entries_sum": &lag,
			} {
				v, err := w.Metric(ctx, other, name, peer)
				if err != nil {
					return false, err
				}
				*sum += v
			}
		}
		if int(groups) < w.partitions+1 || silent > 0 || lag > closeBehind {
			return false, fmt.Errorf("it has %v groups of %d, is not heard in %v, and lacks %v entries", groups, w.partitions+1, silent, lag)
		}
		return true, nil
	})
	w.note("broker %d caught up in %v", id, ms(time.Since(begin)))
	return err
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/tests/rig"
)

// With -transactions producers write transactions, of which they abort every fifth, and a chain copies what is committed to a
// second topic, each piece in one transaction with the offsets of what it read.

const (
	copiedTopic = "killround-copied"
	txnRecords  = 10 // of a transaction
)

// fate is what a producer was told of a transaction.
type fate int

const (
	unknown fate = iota // the end had no answer: as a whole or not at all
	committed
	aborted
)

// writes are the transactions of all producers, by name.
type writes struct {
	bootstrap []string
	o         options
	quit      context.CancelFunc
	wg        sync.WaitGroup

	mu      sync.Mutex
	told    map[string]fate
	round   map[fate]int
	renewed int // producers that began anew after an error that leaves no other way
	copies  int // transactions that the chain committed
	newest  time.Time
	longest time.Duration // without a committed transaction
}

func startWrites(bootstrap []string, o options) *writes {
	ctx, quit := context.WithCancel(context.Background())
	w := &writes{bootstrap: bootstrap, o: o, quit: quit, told: make(map[string]fate), round: make(map[fate]int), newest: time.Now()}
	for i := range o.producers {
		w.wg.Go(func() { w.produce(ctx, i) })
	}
	w.wg.Go(func() { w.copy(ctx) })
	return w
}

func (w *writes) note(name string, f fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told[name] = f
	w.round[f]++
	if f == committed {
		w.longest = max(w.longest, time.Since(w.newest))
		w.newest = time.Now()
	}
}

// produce is one producer: one transaction after the other, to random partitions.
func (w *writes) produce(ctx context.Context, id int) {
	var cl *kgo.Client
	for n := 0; ctx.Err() == nil; n++ {
		if cl == nil {
			var err error
			if cl, err = kgo.NewClient(kgo.SeedBrokers(w.bootstrap...), kgo.TransactionalID(fmt.Sprint("producer-", id)),
				kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(w.o.metadataAge)); err != nil {
				panic(err) // the options are wrong
			}
		}
		name := fmt.Sprintf("%d/%d", id, n)
		f, err := w.transaction(ctx, cl, name, rand.IntN(5) > 0)
		w.note(name, f)
		if err != nil {
			cl.Close()
			cl = nil
			w.mu.Lock()
			w.renewed++
			w.mu.Unlock()
		}
	}
	if cl != nil {
		cl.Close()
	}
}

// transaction writes one. Its error means that the client is of no more use.
func (w *writes) transaction(ctx context.Context, cl *kgo.Client, name string, commit bool) (fate, error) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := cl.BeginTransaction(); err != nil {
		return aborted, err
	}
	var all []*kgo.Record
	for i := range txnRecords {
		all = append(all, &kgo.Record{Partition: int32(rand.IntN(w.o.partitions)), Value: fmt.Appendf(nil, "%s/%d", name, i)})
	}
	if err := cl.ProduceSync(limited, all...).FirstErr(); err != nil {
		commit = false
		if err := cl.AbortBufferedRecords(limited); err != nil {
			return unknown, err
		}
	}
	if err := cl.EndTransaction(limited, kgo.TransactionEndTry(commit)); err != nil {
		return unknown, err
	}
	if commit {
		return committed, nil
	}
	return aborted, nil
}

// copy is the chain. After an error it begins anew, like an application that is started again.
func (w *writes) copy(ctx context.Context) {
	for ctx.Err() == nil {
		s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(w.bootstrap...), kgo.TransactionalID("chain"), kgo.ConsumerGroup("chain"),
			kgo.ConsumeTopics(topic), kgo.DefaultProduceTopic(copiedTopic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(w.o.metadataAge), kgo.SessionTimeout(10*time.Second))
		if err != nil {
			panic(err) // the options are wrong
		}
		for ctx.Err() == nil && w.copySome(ctx, s) == nil {
		}
		s.Close()
	}
}

func (w *writes) copySome(ctx context.Context, s *kgo.GroupTransactSession) error {
	polled, cancel := context.WithTimeout(ctx, time.Second)
	fetches := s.PollRecords(polled, 500)
	cancel()
	var out []*kgo.Record
	for _, r := range fetches.Records() {
		out = append(out, &kgo.Record{Value: r.Value})
	}
	if len(out) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := s.Begin(); err != nil {
		return err
	}
	end := kgo.TryCommit
	if s.ProduceSync(limited, out...).FirstErr() != nil {
		end = kgo.TryAbort
	}
	done, err := s.End(limited, end)
	if done {
		w.mu.Lock()
		w.copies++
		w.mu.Unlock()
	}
	return err
}

// runTransactions carries out all rounds with transactions, and prints the table.
func runTransactions(ctx context.Context, o options, out io.Writer) error {
	return withCluster(ctx, o, out, []string{topic, copiedTopic}, func(c *rig.Cluster) error {
		w := startWrites(c.Bootstrap(), o)
		err := w.killAll(ctx, c, out)
		w.quit()
		w.wg.Wait()
		if err != nil {
			return err
		}
		if found := w.judge(ctx, out); len(found) > 0 {
			return found
		}
		return nil
	})
}

func (w *writes) killAll(ctx context.Context, c *rig.Cluster, out io.Writer) error {
	o := w.o
	if err := rig.Pause(ctx, o.settle+2*time.Second); err != nil {
		return err
	}
	fmt.Fprintln(out, "round  broker  committed  aborted  unknown  copies  longest without a commit, so far")
	for round := 1; round <= o.rounds; round++ {
		id := (round-1)%o.brokers + 1
		if err := errors.Join(c.Kill(id), rig.Pause(ctx, o.down)); err != nil {
			return err
		}
		if err := c.Restart(ctx, id); err != nil {
			return rig.Verdict{fmt.Sprintf("round %d: broker %d did not come back: %v", round, id, err)}
		}
		if err := rig.Pause(ctx, o.settle); err != nil {
			return err
		}
		w.mu.Lock()
		fmt.Fprintf(out, "%5d  %6d  %9d  %7d  %7d  %6d  %v\n", round, id, w.round[committed], w.round[aborted], w.round[unknown], w.copies, ms(w.longest))
		clear(w.round)
		w.mu.Unlock()
	}
	return nil
}

// judge reads both topics as a reader of committed records does.
func (w *writes) judge(ctx context.Context, out io.Writer) (found rig.Verdict) {
	written, err := readCommitted(ctx, w.bootstrap, topic, w.o.partitions)
	if err != nil {
		return rig.Verdict{fmt.Sprintf("reading back: %v", err)}
	}
	counts := make(map[fate]int)
	for name, f := range w.told {
		counts[f]++
		n := 0
		for i := range txnRecords {
			times := written[fmt.Sprintf("%s/%d", name, i)]
			if n += min(times, 1); times > 1 {
				found = append(found, fmt.Sprintf("record %d of transaction %s is there %d times", i, name, times))
			}
		}
		switch {
		case n != 0 && n != txnRecords:
			found = append(found, fmt.Sprintf("transaction %s is there in part: %d of %d records", name, n, txnRecords))
		case f == committed && n == 0:
			found = append(found, fmt.Sprintf("transaction %s was committed and isn't there", name))
		case f == aborted && n > 0:
			found = append(found, fmt.Sprintf("transaction %s was aborted and is there", name))
		}
	}
	found = append(found, w.judgeCopies(ctx, written)...)
	fmt.Fprintf(out, "transactions: %d committed, %d aborted, %d of unknown end; %d producers renewed; %d records read back; longest without a commit %v\n",
		counts[committed], counts[aborted], counts[unknown], w.renewed, len(written), ms(w.longest))
	slices.Sort(found)
	return found[:min(len(found), 20)]
}

// judgeCopies lets the chain copy the rest; then each committed record has exactly one copy.
func (w *writes) judgeCopies(ctx context.Context, written map[string]int) (found rig.Verdict) {
	rest, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { w.copy(rest) })
	var copied map[string]int
	for until := time.Now().Add(90 * time.Second); ; {
		var err error
		if copied, err = readCommitted(ctx, w.bootstrap, copiedTopic, w.o.partitions); err != nil {
			found = append(found, fmt.Sprintf("reading the copies back: %v", err))
			break
		}
		if len(copied) >= len(written) || time.Now().After(until) {
			break
		}
	}
	stop()
	wg.Wait()
	for value := range written {
		if copied[value] != 1 {
			found = append(found, fmt.Sprintf("record %s has %d copies", value, copied[value]))
		}
	}
	for value := range copied {
		if written[value] == 0 {
			found = append(found, fmt.Sprintf("record %s was copied and isn't committed", value))
		}
	}
	return found
}

// readCommitted counts the committed records of a topic by their values. It ends when every partition is read up to
// where it ended at the beginning.
func readCommitted(ctx context.Context, bootstrap []string, topic string, partitions int) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	ends, err := rig.Offsets(ctx, bootstrap, topic, partitions, -1)
	if err != nil {
		return nil, err
	}
	from, next := make(map[int32]kgo.Offset), make([]int64, partitions)
	for p := range ends {
		from[int32(p)] = kgo.NewOffset().At(0)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	seen := make(map[string]int)
	behind := func() bool {
		for p := range ends {
			if next[p] < ends[p] {
				return true
			}
		}
		return false
	}
	for behind() {
		fetches := cl.PollFetches(ctx)
		for _, r := range fetches.Records() {
			next[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				seen[string(r.Value)]++
			}
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read up to %v of %v: %w", next, ends, ctx.Err())
		}
	}
	return seen, nil
}

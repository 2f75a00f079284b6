// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// newConsumer returns a client that reads partitions from offsets on.
func newConsumer(cfg config, t *topic, from map[int32]int64, opts ...kgo.Opt) (*kgo.Client, error) {
	offsets := make(map[int32]kgo.Offset)
	for p, offset := range from {
		offsets[p] = kgo.NewOffset().At(offset)
	}
	if cfg.TransactionalID != "" {
		// Markers have offsets, too, up to which the reader has to come.
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	}
	return kgo.NewClient(append(append(cfg.connect(), opts...),
		kgo.MetadataMinAge(100*time.Millisecond),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.name: offsets}),
	)...)
}

func byPartition(offsets []int64) map[int32]int64 {
	m := make(map[int32]int64)
	for p, offset := range offsets {
		m[int32(p)] = offset
	}
	return m
}

// tail reads all partitions of the topic from given offsets on, in one goroutine, while others
// write to them.
type tail struct {
	client *kgo.Client
	each   func(*kgo.Record, time.Time) // called by one goroutine
	ended  chan struct{}

	mu   sync.Mutex
	next []int64 // by partition: all before has been read
	err  error   // why it ended early
}

// startTail reads from the given offsets on and calls each for every record, with the time at
// which it was there.
func startTail(cfg config, t *topic, from []int64, each func(*kgo.Record, time.Time)) (*tail, error) {
	client, err := newConsumer(cfg, t, byPartition(from))
	if err != nil {
		return nil, err
	}
	r := &tail{client: client, each: each, ended: make(chan struct{}), next: slices.Clone(from)}
	go r.run()
	return r, nil
}

func (r *tail) run() {
	defer close(r.ended)
	for {
		fetches := r.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		now := time.Now()
		fetches.EachRecord(func(kr *kgo.Record) {
			if !kr.Attrs.IsControl() {
				r.each(kr, now)
			}
		})
		r.mu.Lock()
		fetches.EachRecord(func(kr *kgo.Record) { r.next[kr.Partition] = kr.Offset + 1 })
		if errs := fetches.Errors(); len(errs) > 0 {
			r.err = fmt.Errorf("reading partition %d: %w", errs[0].Partition, errs[0].Err)
		}
		err := r.err
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// finish waits until everything before the given offsets has been read, and ends. It gives up when
// nothing has come for the timeout.
func (r *tail) finish(to []int64, timeout time.Duration) error {
	behind := r.behind(to)
	for last := time.Now(); behind > 0 && time.Since(last) < timeout && !r.hasEnded(); {
		time.Sleep(5 * time.Millisecond)
		if b := r.behind(to); b != behind {
			behind, last = b, time.Now()
		}
	}
	r.client.Close()
	<-r.ended
	switch {
	case r.err != nil:
		return r.err
	case behind > 0:
		return fmt.Errorf("the reader is %d offsets behind the end and got nothing for %v", behind, timeout)
	}
	return nil
}

func (r *tail) hasEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// behind counts the offsets that are still to come.
func (r *tail) behind(to []int64) (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range to {
		n += max(0, to[p]-r.next[p])
	}
	return n
}

// readBack reads the topic again between the given offsets.
func readBack(cfg config, t *topic, seen *reading, from, to []int64) error {
	r, err := startTail(cfg, t, from, func(kr *kgo.Record, _ time.Time) {
		if kr.Offset < to[kr.Partition] {
			seen.add(kr)
		}
	})
	if err != nil {
		return err
	}
	return r.finish(to, cfg.Timeout)
}

// readOnce reads the topic once between the given offsets and checks it without a ledger.
func readOnce(cfg config, t *topic, from, to []int64) verdict {
	pass := newPasses()
	for p, offset := range from {
		pass.begin(int32(p), offset)
	}
	r, err := startTail(cfg, t, from, func(kr *kgo.Record, _ time.Time) {
		if kr.Offset < to[kr.Partition] {
			pass.add(kr)
		}
	})
	if err == nil {
		err = r.finish(to, cfg.Timeout)
	}
	v := verdict{Reader: "one more pass", findings: pass.findings}
	if err != nil {
		v.Problem = err.Error()
	}
	return v
}

// consumer is one reader of mode consume: it reads its partitions from start to end, over and over.
type consumer struct {
	index      int
	client     *kgo.Client
	topic      string
	start, end map[int32]int64
	reads      *recorder
	check      *passes // nil without --validate
}

// newConsumers makes the consumers of mode consume. They share the partitions out; where there are
// more consumers than partitions, several read the same one.
func newConsumers(cfg config, t *topic, from, to []int64, reads, fetches *recorder) ([]*consumer, error) {
	if slices.Equal(from, to) {
		return nil, fmt.Errorf("topic %s is empty; write to it first: bench produce --topic %s", t.name, t.name)
	}
	var all []*consumer
	for i := range cfg.Concurrency {
		c := &consumer{index: i, topic: t.name, start: make(map[int32]int64), end: make(map[int32]int64), reads: reads}
		for p := i % t.partitions; p < t.partitions; p += cfg.Concurrency {
			if from[p] < to[p] {
				c.start[int32(p)], c.end[int32(p)] = from[p], to[p]
			}
		}
		if len(c.start) == 0 {
			continue // its partitions are empty
		}
		if cfg.Validate {
			c.check = newPasses()
		}
		var err error
		if c.client, err = newConsumer(cfg, t, c.start, kgo.WithHooks(fetchTimer{i, fetches})); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// run reads until the client is closed or something fails.
func (c *consumer) run(ctx context.Context) {
	for p, offset := range c.start {
		c.begin(p, offset)
	}
	for {
		fetches := c.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		n, bytes := 0, 0
		rewind := make(map[int32]kgo.EpochOffset)
		fetches.EachRecord(func(kr *kgo.Record) {
			switch end := c.end[kr.Partition]; {
			case kr.Offset >= end: // written since
				return
			case kr.Offset == end-1:
				rewind[kr.Partition] = kgo.EpochOffset{Epoch: -1, Offset: c.start[kr.Partition]}
			}
			n, bytes = n+1, bytes+len(kr.Value)
			if c.check != nil {
				c.check.add(kr)
			}
		})
		c.reads.count(c.index, now, n, bytes)
		for _, e := range fetches.Errors() {
			c.reads.error(c.index, e.Err)
			return
		}
		if len(rewind) > 0 {
			c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{c.topic: rewind})
			for p := range rewind {
				c.begin(p, c.start[p])
			}
		}
	}
}

func (c *consumer) begin(partition int32, offset int64) {
	if c.check != nil {
		c.check.begin(partition, offset)
	}
}

// fetchTimer notes how long each fetch request took.
type fetchTimer struct {
	caller  int
	fetches *recorder
}

const fetchKey = 1

// OnBrokerE2E is called by the client after each request (kgo.HookBrokerE2E). A request that failed
// is not counted: going back to the start breaks those under way off, and the client repeats the
// others; if that does not help, polling returns the error.
func (f fetchTimer) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if key == fetchKey && e2e.Err() == nil {
		now := time.Now()
		f.fetches.event(f.caller, now.Add(-e2e.DurationE2E()), now, e2e.BytesRead)
	}
}

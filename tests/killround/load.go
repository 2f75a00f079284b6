// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// record is one record: the n-th that a producer wrote to a partition.
type record struct {
	producer int
	n        int64
	offset   int64
}

// value is the record's bytes, at least 12, filled up to size.
func (r record) value(size int) []byte {
	v := make([]byte, max(size, 12))
	binary.BigEndian.PutUint32(v, uint32(r.producer))
	binary.BigEndian.PutUint64(v[4:], uint64(r.n))
	return v
}

func parseRecord(value []byte, offset int64) (record, error) {
	if len(value) < 12 {
		return record{}, fmt.Errorf("a value of %d bytes, which nobody wrote", len(value))
	}
	return record{
		producer: int(binary.BigEndian.Uint32(value)), n: int64(binary.BigEndian.Uint64(value[4:])), offset: offset,
	}, nil
}

// progress is what was acknowledged in some time.
type progress struct {
	acked      int
	longest    []time.Duration // per partition: without an acknowledged record
	longestAny time.Duration
}

func (p progress) worst() time.Duration { return slices.Max(p.longest) }

// load is the producers and what they were told.
type load struct {
	o       options
	clients []*kgo.Client
	quit    chan struct{}
	wg      sync.WaitGroup

	mu       sync.Mutex
	told     [][]record // acknowledged, per partition
	failed   []string
	last     []time.Time // of the newest acknowledgement, per partition
	lastAny  time.Time
	total    progress
	thisKill progress
}

func startLoad(ctx context.Context, bootstrap []string, o options) (*load, error) {
	now := time.Now()
	l := &load{
		o: o, quit: make(chan struct{}), told: make([][]record, o.partitions),
		last: slices.Repeat([]time.Time{now}, o.partitions), lastAny: now,
		total:    progress{longest: make([]time.Duration, o.partitions)},
		thisKill: progress{longest: make([]time.Duration, o.partitions)},
	}
	for range o.producers {
		cl, err := kgo.NewClient(
			kgo.SeedBrokers(bootstrap...), // idempotent with acks=all is the default
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.DefaultProduceTopic(topic),
			kgo.MaxBufferedRecords(5000),
			kgo.UnknownTopicRetries(-1),
			kgo.MetadataMinAge(o.metadataAge),
			kgo.ProducerBatchCompression(kgo.NoCompression()),
		)
		if err != nil {
			return nil, err
		}
		l.clients = append(l.clients, cl)
	}
	for i, cl := range l.clients {
		l.wg.Go(func() { l.produce(ctx, i, cl) })
	}
	return l, nil
}

// produce writes to all partitions in turn, paced to the producer's share of the rate.
func (l *load) produce(ctx context.Context, producer int, cl *kgo.Client) {
	const tick = 10 * time.Millisecond
	each := max(1, l.o.rate*int(tick)/int(time.Second)/l.o.producers)
	pace := time.NewTicker(tick)
	defer pace.Stop()
	next := make([]int64, l.o.partitions)
	p := producer % l.o.partitions
	for {
		select {
		case <-l.quit:
			return
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		for range each {
			r := record{producer: producer, n: next[p]}
			next[p]++
			cl.Produce(ctx, &kgo.Record{Partition: int32(p), Value: r.value(l.o.size)}, func(kr *kgo.Record, err error) {
				l.answer(int(kr.Partition), record{producer: r.producer, n: r.n, offset: kr.Offset}, err)
			})
			p = (p + 1) % l.o.partitions
		}
	}
}

// answer notes what a producer was told about a record.
func (l *load) answer(partition int, r record, err error) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = append(l.failed, fmt.Sprintf("partition %d, producer %d, record %d: %v", partition, r.producer, r.n, err))
		return
	}
	l.told[partition] = append(l.told[partition], r)
	for _, p := range []*progress{&l.total, &l.thisKill} {
		p.acked++
		p.longest[partition] = max(p.longest[partition], now.Sub(l.last[partition]))
		p.longestAny = max(p.longestAny, now.Sub(l.lastAny))
	}
	l.last[partition], l.lastAny = now, now
}

// waitForAcks lets the load run until each partition has an acknowledged record, and for d more.
// The time until then is the start of the clients and not counted.
func (l *load) waitForAcks(ctx context.Context, d time.Duration) {
	started := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !slices.ContainsFunc(l.told, func(t []record) bool { return len(t) == 0 })
	}
	for !started() && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	l.mu.Lock()
	clear(l.total.longest)
	l.total.longestAny = 0
	l.mu.Unlock()
	_ = pause(ctx, d) // whoever comes next looks at ctx
}

func (l *load) newRound() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.thisKill = progress{longest: make([]time.Duration, l.o.partitions)}
}

// round returns the progress since newRound; silence that still lasts counts.
func (l *load) round() progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.countSilence()
	return l.thisKill
}

// countSilence counts the time since the newest acknowledgement.
func (l *load) countSilence() {
	now := time.Now()
	for _, p := range []*progress{&l.total, &l.thisKill} {
		for i := range p.longest {
			p.longest[i] = max(p.longest[i], now.Sub(l.last[i]))
		}
		p.longestAny = max(p.longestAny, now.Sub(l.lastAny))
	}
}

// finish stops the producers, waits until everything is answered, and returns what went wrong.
func (l *load) finish(patience time.Duration) verdict {
	l.mu.Lock()
	l.countSilence()
	l.mu.Unlock()
	close(l.quit)
	l.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var found verdict
	for i, cl := range l.clients {
		if err := cl.Flush(ctx); err != nil {
			found = append(found, fmt.Sprintf("producer %d has records unanswered %v after the last kill: %v", i, patience, err))
		}
		cl.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.failed); n > 0 {
		found = append(found, fmt.Sprintf("%d records were answered with an error, the first: %s", n, l.failed[0]))
	}
	return found
}

func (l *load) acked() [][]record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

func (l *load) failures() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.failed)
}

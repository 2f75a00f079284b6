// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is one record: the n-th that a producer wrote to a partition.
type Record struct {
	Producer int
	N        int64
	Offset   int64
}

// value is the record's bytes, at least 12, filled up to size.
func (r Record) value(size int) []byte {
	v := make([]byte, max(size, 12))
	binary.BigEndian.PutUint32(v, uint32(r.Producer))
	binary.BigEndian.PutUint64(v[4:], uint64(r.N))
	return v
}

func parseRecord(value []byte, offset int64) (Record, error) {
	if len(value) < 12 {
		return Record{}, fmt.Errorf("a value of %d bytes, which nobody wrote", len(value))
	}
	return Record{
		Producer: int(binary.BigEndian.Uint32(value)), N: int64(binary.BigEndian.Uint64(value[4:])), Offset: offset,
	}, nil
}

// LoadOptions say what is written.
type LoadOptions struct {
	Topic      string
	Partitions int
	Producers  int // each writes to all partitions
	Rate       int // records per second of all together
	Size       int // bytes of a record's value
	// MetadataAge is how soon after one question a producer may ask again who leads. It bounds how
	// long a producer can miss a new leader that it was not told of. franz-go's default is 5 s.
	MetadataAge time.Duration
}

// Progress is what was acknowledged in some time.
type Progress struct {
	Acked      int
	Longest    []time.Duration // per partition: without an acknowledged record
	LongestAny time.Duration   // of the whole cluster
}

// Worst is the longest time that any partition was without an acknowledged record.
func (p Progress) Worst() time.Duration { return slices.Max(p.Longest) }

// Load is the producers (franz-go, idempotent, acks=all) and what they were told.
type Load struct {
	o       LoadOptions
	clients []*kgo.Client
	quit    chan struct{}
	wg      sync.WaitGroup

	mu     sync.Mutex
	told   [][]Record // acknowledged, per partition
	failed []string
	last   []time.Time // of the newest acknowledgement, per partition
	newest time.Time   // of the newest of all
	total  Progress
	round  Progress
}

// StartLoad starts the producers.
func StartLoad(ctx context.Context, bootstrap []string, o LoadOptions) (*Load, error) {
	now := time.Now()
	l := &Load{
		o: o, quit: make(chan struct{}), told: make([][]Record, o.Partitions),
		last: slices.Repeat([]time.Time{now}, o.Partitions), newest: now,
		total: Progress{Longest: make([]time.Duration, o.Partitions)},
		round: Progress{Longest: make([]time.Duration, o.Partitions)},
	}
	for range o.Producers {
		cl, err := kgo.NewClient(
			kgo.SeedBrokers(bootstrap...), // idempotent with acks=all is the default
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.DefaultProduceTopic(o.Topic),
			kgo.MaxBufferedRecords(5000),
			kgo.UnknownTopicRetries(-1),
			kgo.MetadataMinAge(o.MetadataAge),
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
func (l *Load) produce(ctx context.Context, producer int, cl *kgo.Client) {
	const tick = 10 * time.Millisecond
	each := max(1, l.o.Rate*int(tick)/int(time.Second)/l.o.Producers)
	pace := time.NewTicker(tick)
	defer pace.Stop()
	next := make([]int64, l.o.Partitions)
	p := producer % l.o.Partitions
	for {
		select {
		case <-l.quit:
			return
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		for range each {
			r := Record{Producer: producer, N: next[p]}
			next[p]++
			cl.Produce(ctx, &kgo.Record{Partition: int32(p), Value: r.value(l.o.Size)}, func(kr *kgo.Record, err error) {
				l.answer(int(kr.Partition), Record{r.Producer, r.N, kr.Offset}, err)
			})
			p = (p + 1) % l.o.Partitions
		}
	}
}

// answer notes what a producer was told about a record.
func (l *Load) answer(partition int, r Record, err error) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = append(l.failed, fmt.Sprintf("partition %d, producer %d, record %d: %v", partition, r.Producer, r.N, err))
		return
	}
	l.told[partition] = append(l.told[partition], r)
	l.total.Acked++
	l.round.Acked++
	l.countSilence(partition, now)
	l.last[partition], l.newest = now, now
}

// countSilence counts the time until now without an acknowledgement.
func (l *Load) countSilence(partition int, now time.Time) {
	for _, p := range []*Progress{&l.total, &l.round} {
		p.Longest[partition] = max(p.Longest[partition], now.Sub(l.last[partition]))
		p.LongestAny = max(p.LongestAny, now.Sub(l.newest))
	}
}

// WaitForStart waits until each partition has an acknowledged record. The time until then is the
// start of the clients and not counted.
func (l *Load) WaitForStart(ctx context.Context) error {
	err := l.until(ctx, func() bool {
		return !slices.ContainsFunc(l.told, func(t []Record) bool { return len(t) == 0 })
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range []*Progress{&l.total, &l.round} {
		clear(p.Longest)
		p.LongestAny = 0
	}
	return err
}

// WaitFor waits until n more records are acknowledged.
func (l *Load) WaitFor(ctx context.Context, n int) error {
	l.mu.Lock()
	goal := l.total.Acked + n
	l.mu.Unlock()
	return l.until(ctx, func() bool { return l.total.Acked >= goal })
}

func (l *Load) until(ctx context.Context, ok func() bool) error {
	for {
		l.mu.Lock()
		done := ok()
		l.mu.Unlock()
		if done {
			return nil
		}
		if err := Pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// NewRound forgets the progress so far for Round.
func (l *Load) NewRound() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.round = Progress{Longest: make([]time.Duration, l.o.Partitions)}
}

// Round returns the progress since NewRound, Total that since the start. Silence that still lasts
// counts.
func (l *Load) Round() Progress { return l.progress(&l.round) }

// Total returns the progress since the start.
func (l *Load) Total() Progress { return l.progress(&l.total) }

func (l *Load) progress(which *Progress) Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped() {
		for p := range l.last {
			l.countSilence(p, time.Now())
		}
	}
	p := *which
	p.Longest = slices.Clone(p.Longest)
	return p
}

func (l *Load) stopped() bool {
	select {
	case <-l.quit:
		return true
	default:
		return false
	}
}

// Finish stops the producers, waits until everything is answered, and returns what went wrong.
func (l *Load) Finish(patience time.Duration) Verdict {
	l.Total() // counts the silence until now
	close(l.quit)
	l.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var found Verdict
	for i, cl := range l.clients {
		if err := cl.Flush(ctx); err != nil {
			found = append(found, fmt.Sprintf("producer %d still has records unanswered after %v: %v", i, patience, err))
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

// Acked returns what was acknowledged, per partition.
func (l *Load) Acked() [][]Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

// Failures is how many records were answered with an error.
func (l *Load) Failures() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.failed)
}

// Pause waits, or returns ctx's error.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

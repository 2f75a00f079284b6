// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Pulse is a producer (acks=all, idempotent) that writes one small record at a fixed interval to one
// partition, whatever became of the ones before, and measures from the time at which each was due.
type Pulse struct {
	cl   *kgo.Client
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	times  *hdrhistogram.Histogram // us
	failed int
}

// Latency is of the requests of some time.
type Latency struct {
	Count         int64
	P50, P99, Max time.Duration
}

func (l Latency) String() string {
	return fmt.Sprintf("p50 %v, p99 %v, max %v of %d requests", l.P50, l.P99, l.Max, l.Count)
}

// StartPulse starts a pulse.
func StartPulse(ctx context.Context, bootstrap []string, topic string, partition int32, every time.Duration) (*Pulse, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	p := &Pulse{cl: cl, stop: stop, times: newTimes()}
	p.done.Go(func() { p.beat(ctx, partition, every) })
	return p, nil
}

func newTimes() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, time.Minute.Microseconds(), 3)
}

func (p *Pulse) beat(ctx context.Context, partition int32, every time.Duration) {
	for due := time.Now(); Pause(ctx, time.Until(due)) == nil; due = due.Add(every) {
		// A record without a context of its own: those under way at the end still count.
		p.cl.Produce(context.WithoutCancel(ctx), &kgo.Record{Partition: partition, Value: Record{}.value(100)}, func(_ *kgo.Record, err error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if err != nil || p.times.RecordValue(time.Since(due).Microseconds()) != nil {
				p.failed++
			}
		})
	}
}

// Take returns the latencies since the last Take.
func (p *Pulse) Take() (Latency, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	h := p.times
	p.times = newTimes()
	l := Latency{Count: h.TotalCount(), P50: us(h.ValueAtPercentile(50)), P99: us(h.ValueAtPercentile(99)), Max: us(h.Max())}
	if p.failed > 0 {
		return l, fmt.Errorf("%d records of the pulse failed", p.failed)
	}
	return l, nil
}

// Close ends the pulse and waits for what is under way.
func (p *Pulse) Close() {
	p.stop()
	p.done.Wait()
	p.cl.Close()
}

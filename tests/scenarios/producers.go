// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

// longestStep bounds the CPU time of a broker's steps.
const longestStep = 20 * time.Millisecond

// atOnce is how many producers write in one request.
const atOnce = 500

// manyProducers has very many idempotent producers write a batch each to one partition, and looks at what they cost:
// memory, the longest step, and the time that brokers take to start.
func manyProducers(ctx context.Context, w *world) error {
	if _, err := rig.LeadAll(ctx, w.Bootstrap(), topic, 1); err != nil {
		return err
	}
	before, err := w.MetricOfAll(ctx, "go_memstats_heap_alloc_bytes")
	if err != nil {
		return err
	}
	if _, err := w.longestSteps(ctx); err != nil { // what came before doesn't count
		return err
	}
	begin := time.Now()
	if err := w.invent(ctx, 0, w.ids); err != nil {
		return err
	}
	took := time.Since(begin)
	if err := rig.Pause(ctx, 3*time.Second); err != nil { // checkpoints that are due are written
		return err
	}
	after, err := w.MetricOfAll(ctx, "go_memstats_heap_alloc_bytes")
	if err != nil {
		return err
	}
	w.note("%d producers wrote in %v; the heaps of %d brokers grew by %.0f bytes a producer", w.ids, ms(took), replicas, (after-before)/replicas/float64(w.ids))
	for _, last := range []func(int) error{func(id int) error { _, err := w.Stop(id); return err }, func(id int) error { return w.Kill(id) }} {
		if err := last(1); err != nil {
			return err
		}
		if err := w.timeStart(ctx, "that", readyAfterKill); err != nil {
			return err
		}
		if _, err := rig.LeadAll(ctx, w.Bootstrap(), topic, 1); err != nil {
			return err
		}
		if err := w.invent(ctx, w.ids-atOnce, 2*atOnce); err != nil { // half of them again: they are known
			return err
		}
	}
	steps, err := w.longestSteps(ctx)
	if err == nil && steps.CPU > longestStep {
		err = fmt.Errorf("a step took %v of CPU time, more than %v", ms(steps.CPU), longestStep)
	}
	return err
}

// longestSteps returns and notes the longest of all brokers since it was last called.
func (w *world) longestSteps(ctx context.Context) (longest rig.Steps, err error) {
	for _, id := range w.Running() {
		s, err := rig.LongestSteps(ctx, w.MetricsAddr(id))
		if err != nil {
			return longest, err
		}
		longest = rig.Steps{Clock: max(longest.Clock, s.Clock), CPU: max(longest.CPU, s.CPU)}
	}
	w.note("the longest step took %v, %v of CPU time", longest.Clock.Round(100*time.Microsecond), longest.CPU.Round(100*time.Microsecond))
	return longest, nil
}

// invent lets count producers from an id on write a batch each to broker 1. If that loses its leadership, it gets it
// back, and what isn't known to be written is written again.
func (w *world) invent(ctx context.Context, first, count int) error {
	const tries = 10
	for id := first; id < first+count; id += atOnce {
		err := w.inventSome(ctx, id, min(atOnce, first+count-id))
		for range tries {
			if err == nil {
				break
			}
			if _, err = rig.LeadAll(ctx, w.Bootstrap(), topic, 1); err == nil {
				err = w.inventSome(ctx, id, min(atOnce, first+count-id))
			}
		}
		if err != nil {
			return fmt.Errorf("producers from %d on: %w", id, err)
		}
	}
	return nil
}

func (w *world) inventSome(ctx context.Context, first, count int) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", w.KafkaAddr(1))
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for id := first; id < first+count; id++ {
		b := rig.NewBatch(rig.Plain, 1)
		b.ProducerID, b.ProducerEpoch, b.FirstSequence = int64(1_000_000+id), 0, 0
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = rig.Seal(b, rig.AppendRecord(nil, 0, nil, []byte("x")))
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	resp, err := rig.Ask(c, req, time.Minute)
	if err != nil {
		return err
	}
	for _, p := range resp.(*kmsg.ProduceResponse).Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return err
		}
	}
	return nil
}

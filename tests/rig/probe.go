// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Probe measures for how long partitions have no leader, whatever clients know of it: it asks
// every broker again and again for the partitions' ends, which only a leader answers that a
// majority has just confirmed.
type Probe struct {
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
	topic string

	mu      sync.Mutex
	last    []time.Time // of the newest answer of a leader, per partition
	longest Gap
}

// Gap is a time in which a partition had no leader.
type Gap struct {
	Partition int
	End       time.Time
	Length    time.Duration
}

const (
	probeEvery = 5 * time.Millisecond
	probeTime  = 500 * time.Millisecond // for one answer
)

// StartProbe starts asking, and returns when a leader of each partition has answered.
func StartProbe(ctx context.Context, bootstrap []string, topic string, partitions int) (*Probe, error) {
	ctx, stop := context.WithCancel(ctx)
	p := &Probe{ctx: ctx, stop: stop, topic: topic, last: make([]time.Time, partitions)}
	for _, addr := range bootstrap {
		if err := p.Ask(addr); err != nil {
			stop()
			return nil, err
		}
	}
	for !p.allSeen() {
		if err := Pause(ctx, probeEvery); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Ask begins to ask one more broker.
func (p *Probe) Ask(addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DialTimeout(probeTime))
	if err != nil {
		return err
	}
	p.wg.Go(func() {
		defer cl.Close()
		for p.ctx.Err() == nil {
			p.ask(cl, listOffsets(p.topic, len(p.last), -1))
			_ = Pause(p.ctx, probeEvery) // the loop looks at ctx
		}
	})
	return nil
}

func (p *Probe) allSeen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !slices.ContainsFunc(p.last, time.Time.IsZero)
}

func (p *Probe) ask(cl *kgo.Client, req *kmsg.ListOffsetsRequest) {
	ctx, cancel := context.WithTimeout(p.ctx, probeTime)
	defer cancel()
	resp, err := cl.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, part := range t.Partitions {
			if part.ErrorCode == 0 {
				p.led(int(part.Partition), now)
			}
		}
	}
}

func (p *Probe) led(partition int, now time.Time) {
	gap := now.Sub(p.last[partition])
	if p.last[partition].IsZero() {
		gap = 0 // the first answer
	}
	if gap > p.longest.Length {
		p.longest = Gap{partition, now, gap}
	}
	p.last[partition] = now
}

// Finish stops asking. It returns the longest time that a partition was without a leader, at least
// the time between two answers.
func (p *Probe) Finish() Gap {
	p.stop()
	p.wg.Wait()
	now := time.Now()
	for i, last := range p.last {
		if now.Sub(last) > probeTime { // still without
			p.led(i, now)
		}
	}
	return p.longest
}

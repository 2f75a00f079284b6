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
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	last    []time.Time // of the newest answer of a leader, per partition; zero before the first
	longest []time.Duration
	over    int // times without a leader that were longer than a good handover
}

const (
	probeEvery = 5 * time.Millisecond
	probeTime  = 500 * time.Millisecond // for one answer

	// Handover is how long a partition may be without a leader when a broker stops in order.
	Handover = 200 * time.Millisecond
)

// StartProbe starts asking.
func StartProbe(ctx context.Context, bootstrap []string, topic string, partitions int) (*Probe, error) {
	ctx, stop := context.WithCancel(ctx)
	p := &Probe{stop: stop, last: make([]time.Time, partitions), longest: make([]time.Duration, partitions)}
	for _, addr := range bootstrap {
		cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DialTimeout(probeTime))
		if err != nil {
			stop()
			return nil, err
		}
		p.wg.Go(func() {
			defer cl.Close()
			for ctx.Err() == nil {
				p.ask(ctx, cl, listOffsets(topic, partitions, -1))
				_ = Pause(ctx, probeEvery) // the loop looks at ctx
			}
		})
	}
	return p, nil
}

func (p *Probe) ask(ctx context.Context, cl *kgo.Client, req *kmsg.ListOffsetsRequest) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
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
	if last := p.last[partition]; !last.IsZero() {
		gap := now.Sub(last)
		p.longest[partition] = max(p.longest[partition], gap)
		if gap > Handover {
			p.over++
		}
	}
	p.last[partition] = now
}

// Finish stops asking. It returns the longest time that a partition was without a leader, at least
// the time between two questions, and how many times were longer than Handover.
func (p *Probe) Finish() (longest time.Duration, over int) {
	p.stop()
	p.wg.Wait()
	now := time.Now()
	for i, last := range p.last {
		if now.Sub(last) > probeTime { // still without
			p.led(i, now)
		}
	}
	return slices.Max(p.longest), p.over
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// silenceBound is how long the polite consumer may get nothing; its producer writes every few milliseconds.
const silenceBound = 2 * time.Second

// reader is the polite consumer.
type reader struct {
	cl   *kgo.Client
	stop context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex
	last  time.Time
	worst time.Duration
}

func startReader(ctx context.Context, bootstrap []string) (*reader, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.ConsumeTopics(politeTopic), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	r := &reader{cl: cl, stop: stop, last: time.Now()}
	r.done.Go(func() {
		for ctx.Err() == nil {
			if cl.PollFetches(ctx).NumRecords() > 0 {
				r.got(time.Now())
			}
		}
	})
	return r, nil
}

func (r *reader) got(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.worst, r.last = max(r.worst, now.Sub(r.last)), now
}

func (r *reader) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.worst, r.last = 0, time.Now()
}

// longest is the longest time without a record since reset; one that lasts counts.
func (r *reader) longest() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(r.worst, time.Since(r.last))
}

func (r *reader) close() {
	r.stop()
	r.done.Wait()
	r.cl.Close()
}

// watchMachine measures how late a sleeper is woken, until the returned function is called, which tells the worst.
func watchMachine() func() time.Duration {
	quit, worst := make(chan struct{}), make(chan time.Duration)
	go func() {
		longest := time.Duration(0)
		for {
			due := time.Now().Add(time.Millisecond)
			select {
			case <-quit:
				worst <- longest
				return
			case <-time.After(time.Millisecond):
				longest = max(longest, time.Since(due))
			}
		}
	}()
	return func() time.Duration {
		close(quit)
		return <-worst
	}
}

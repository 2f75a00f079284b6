// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/tests/rig"
)

const partitions = 3

// topic creates one with a new name.
func (b *bench) topic(ctx context.Context, name string) (string, error) {
	name = b.name(name)
	return name, rig.CreateTopic(ctx, b.brokers, name, partitions, 1+2*min(1, len(b.brokers)/3))
}

// values are n texts that no other topic has.
func values(prefix string, n int) (made []string) {
	for i := range n {
		made = append(made, fmt.Sprintf("%s-%d", prefix, i))
	}
	return made
}

// write writes values to a topic, with keys.
func (b *bench) write(ctx context.Context, topic string, values []string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.GzipCompression())) // the codec that everybody has
	if err != nil {
		return err
	}
	defer cl.Close()
	var made []*kgo.Record
	for _, v := range values {
		made = append(made, kgo.KeyStringRecord("key of "+v, v))
	}
	return cl.ProduceSync(ctx, made...).FirstErr()
}

const (
	patience = 2 * time.Minute // for n values of a topic
	silence  = 2 * time.Second // after which no more are expected
)

// expect reads a topic, of transactions what is committed, until the expected values are there and no more come, and compares.
func (b *bench) expect(ctx context.Context, topic string, want []string) error {
	got, err := b.read(ctx, topic, len(want))
	if err != nil {
		return err
	}
	return b.same(topic, want, got)
}

// read reads a topic until n values are there and no more come, or for long enough.
func (b *bench) read(ctx context.Context, topic string, n int) ([]string, error) {
	return b.readUntil(ctx, topic, n, silence)
}

// readSome reads a topic until n values are there, or for long enough.
func (b *bench) readSome(ctx context.Context, topic string, n int) ([]string, error) {
	return b.readUntil(ctx, topic, n, 0)
}

func (b *bench) readUntil(ctx context.Context, topic string, n int, quiet time.Duration) (got []string, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	begin, last := time.Now(), time.Now()
	for time.Since(begin) < patience && (len(got) < n || time.Since(last) < quiet) && ctx.Err() == nil {
		polled, cancel := context.WithTimeout(ctx, time.Second)
		fetches := cl.PollFetches(polled)
		cancel()
		for _, r := range fetches.Records() {
			got, last = append(got, string(r.Value)), time.Now()
		}
	}
	return got, ctx.Err()
}

// same compares, whatever the order. Every check ends in it.
func (b *bench) same(what string, want, got []string) error {
	if b.spoil {
		want = append(slices.Clone(want), "nobody made this")
	}
	counts := make(map[string]int)
	for _, v := range want {
		counts[v]++
	}
	for _, v := range got {
		counts[v]--
	}
	var missing, more []string
	for v, n := range counts {
		if n > 0 {
			missing = append(missing, v)
		} else if n < 0 {
			more = append(more, v)
		}
	}
	if len(missing)+len(more) == 0 {
		return nil
	}
	slices.Sort(missing)
	slices.Sort(more)
	return fmt.Errorf("%s: of %d expected %d are missing, such as %q; %d are too many, such as %q", what, len(want),
		len(missing), missing[:min(3, len(missing))], len(more), more[:min(3, len(more))])
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// txnRecords is how many records the clients' programs commit, and how many they abort.
const txnRecords = 100

// transactions lets a client write transactions that it commits and others that it aborts, and copy what was committed to a
// second topic, each part in one transaction with the offsets of what it read. What is in both topics is judged by a reader
// of this process: each committed record once, no aborted one.
func (b *bench) transactions(ctx context.Context, c *client, topic string) error {
	copied := topic + "-copied"
	for _, name := range []string{topic, copied} {
		if err := b.createTopic(ctx, name, 3); err != nil {
			return err
		}
	}
	if err := c.transactions(ctx, topic, copied); err != nil {
		return err
	}
	for _, judged := range []string{topic, copied}[:c.txnTopics] {
		if err := b.committedOnly(ctx, judged); err != nil {
			return fmt.Errorf("%s: %w", judged, err)
		}
	}
	return nil
}

// committedOnly reads what is committed in a topic: c-0 to c-99, once each, and nothing else. It reads until nothing
// comes for a while.
func (b *bench) committedOnly(ctx context.Context, topic string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Bootstrap()...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer cl.Close()
	seen := make(map[string]bool)
	for {
		patience := 20 * time.Second
		if len(seen) == txnRecords {
			patience = time.Second // for what doesn't belong there
		}
		polled, cancel := context.WithTimeout(ctx, patience)
		fetches := cl.PollFetches(polled)
		cancel()
		if fetches.NumRecords() == 0 && polled.Err() != nil {
			break
		}
		for _, r := range fetches.Records() {
			v := string(r.Value)
			if !strings.HasPrefix(v, "c-") || seen[v] {
				return fmt.Errorf("record at %d/%d was aborted or is there twice: %s", r.Partition, r.Offset, v)
			}
			seen[v] = true
		}
	}
	if len(seen) != txnRecords {
		return fmt.Errorf("%d of %d committed records came", len(seen), txnRecords)
	}
	return ctx.Err()
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

const (
	topic      = "upgrade"
	written    = "upgrade-transactions"
	partitions = 6
	members    = 2  // of the consumer group
	inOne      = 5  // records of a transaction
	patience   = 60 // seconds for what must come about
)

// errorsSeen is what clients were told.
type errorsSeen struct {
	mu   sync.Mutex
	list rig.Verdict
}

func (e *errorsSeen) note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// group consumes the topic in a consumer group, and sees whether it gets everything.
type group struct {
	errorsSeen
	quit context.CancelFunc
	wg   sync.WaitGroup
	seen [partitions]int64 // the offset behind the newest record of each partition

	// notices count that franz-go told its application that the coordinator's broker didn't take a connection. It says of this that it is for
	// information: it asks who is the coordinator now, and goes on by itself.
	notices int
}

func startGroup(bootstrap []string) (*group, error) {
	ctx, quit := context.WithCancel(context.Background())
	g := &group{quit: quit}
	for range members {
		cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.ConsumerGroup("upgrade"), kgo.ConsumeTopics(topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(time.Second), kgo.BlockRebalanceOnPoll(),
			kgo.AutoCommitCallback(func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
				if ctx.Err() == nil {
					g.committed(resp, err)
				}
			}))
		if err != nil {
			quit()
			return nil, err
		}
		g.wg.Go(func() { g.consume(ctx, cl) })
	}
	return g, nil
}

// committed looks at the answer to a commit. A member of an earlier generation is told so: that is how a rebalance goes.
func (g *group) committed(resp *kmsg.OffsetCommitResponse, err error) {
	if err != nil {
		g.note("a commit: %v", err)
		return
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			err := kerr.ErrorForCode(p.ErrorCode)
			if err != nil && !errors.Is(err, kerr.RebalanceInProgress) && !errors.Is(err, kerr.IllegalGeneration) {
				g.note("a commit of partition %d: %v", p.Partition, err)
			}
		}
	}
}

func (g *group) consume(ctx context.Context, cl *kgo.Client) {
	defer cl.Close()
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		fetches.EachError(func(_ string, p int32, err error) {
			if ctx.Err() == nil && !g.isNotice(err) {
				g.note("a fetch of partition %d: %v", p, err)
			}
		})
		g.take(fetches.Records())
		cl.AllowRebalance()
	}
}

// isNotice reports whether an error is one of the group's session, by the network, and counts it.
func (g *group) isNotice(err error) bool {
	session, ok := errors.AsType[*kgo.ErrGroupSession](err)
	if !ok {
		return false
	}
	if _, ok := errors.AsType[*net.OpError](session.Err); !ok && !errors.Is(session.Err, io.EOF) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.notices++
	return true
}

func (g *group) take(records []*kgo.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range records {
		if next := g.seen[r.Partition]; r.Offset > next {
			g.list = append(g.list, fmt.Sprintf("the group got offset %d of partition %d after offset %d", r.Offset, r.Partition, next-1))
		}
		g.seen[r.Partition] = max(g.seen[r.Partition], r.Offset+1)
	}
}

// finish waits until the group has everything, and returns what was wrong.
func (g *group) finish(ctx context.Context, bootstrap []string) (records int64, wrong rig.Verdict) {
	defer func() {
		g.quit()
		g.wg.Wait()
	}()
	ends, err := rig.Offsets(ctx, bootstrap, topic, partitions, -1)
	if err != nil {
		return 0, rig.Verdict{err.Error()}
	}
	for range patience * 10 {
		g.mu.Lock()
		seen, list := g.seen, g.list
		g.mu.Unlock()
		records = 0
		for _, n := range seen {
			records += n
		}
		if [partitions]int64(ends) == seen {
			return records, list
		}
		if err := rig.Pause(ctx, 100*time.Millisecond); err != nil {
			break
		}
	}
	g.note("the group has %v, the partitions end at %v", g.seen, ends)
	return records, g.list
}

// transactions are written by one producer, one after the other.
type transactions struct {
	errorsSeen
	quit      context.CancelFunc
	wg        sync.WaitGroup
	committed int
}

func startTransactions(bootstrap []string) (*transactions, error) {
	ctx, quit := context.WithCancel(context.Background())
	t := &transactions{quit: quit}
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.TransactionalID("upgrade"), kgo.DefaultProduceTopic(written))
	if err != nil {
		quit()
		return nil, err
	}
	t.wg.Go(func() {
		defer cl.Close()
		for ctx.Err() == nil {
			if err := t.write(cl); err != nil {
				t.note("transaction %d: %v", t.committed, err)
				return
			}
			t.committed++
			_ = rig.Pause(ctx, 20*time.Millisecond)
		}
	})
	return t, nil
}

func (t *transactions) write(cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience*time.Second)
	defer cancel()
	if err := cl.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	var records []*kgo.Record
	for i := range inOne {
		records = append(records, &kgo.Record{Value: fmt.Appendf(nil, "%d/%d", t.committed, i)})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	return cl.EndTransaction(ctx, kgo.TryCommit)
}

// finish reads what is committed, and returns what was wrong.
func (t *transactions) finish(ctx context.Context, bootstrap []string) rig.Verdict {
	t.quit()
	t.wg.Wait()
	missing := make(map[string]bool)
	for n := range t.committed {
		for i := range inOne {
			missing[fmt.Sprintf("%d/%d", n, i)] = true
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.ConsumeTopics(written), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return rig.Verdict{err.Error()}
	}
	defer cl.Close()
	for len(missing) > 0 && ctx.Err() == nil {
		for _, r := range cl.PollFetches(ctx).Records() {
			if name := string(r.Value); !missing[name] && len(t.list) == 0 {
				t.note("%s of a transaction is there twice, or was never written", name)
			}
			delete(missing, string(r.Value))
		}
	}
	if len(missing) > 0 {
		t.note("%d records of committed transactions are missing", len(missing))
	}
	return t.list
}

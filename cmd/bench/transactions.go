// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// transactors are callers each of whose requests is a transaction of some records. A latency ends when it is committed.
type transactors struct {
	cfg     config
	clients []*kgo.Client // one per caller: a producer has one transaction at a time
	ledger  *ledger
	commits *recorder
}

func newTransactors(cfg config, commits *recorder) (*transactors, error) {
	t := &transactors{cfg: cfg, ledger: newLedger(rand.Uint64(), cfg.Concurrency), commits: commits}
	for i := range cfg.Concurrency {
		opts := append(producerOptions(cfg, cfg.TransactionRecords),
			kgo.TransactionalID(fmt.Sprintf("%s-%d", cfg.TransactionalID, i)),
			kgo.RecordPartitioner(kgo.RoundRobinPartitioner())) // or a small transaction would stay in one partition
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			return nil, fmt.Errorf("can't make a client: %w", err)
		}
		t.clients = append(t.clients, cl)
	}
	return t, nil
}

// send writes one transaction, and returns when it has ended.
func (t *transactors) send(caller int, due time.Time, done func()) {
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), t.cfg.Timeout)
	defer cancel()
	seqs := make([]uint64, t.cfg.TransactionRecords)
	for i := range seqs {
		seqs[i] = t.ledger.next(caller)
	}
	fate := failed
	if err := t.write(ctx, caller, due, seqs); err != nil {
		t.commits.error(caller, err)
	} else {
		fate = acked
		if t.commits.event(caller, due, time.Now(), len(seqs)*t.cfg.MessageSize) {
			fate |= measured
		}
	}
	for _, seq := range seqs {
		t.ledger.answered(caller, seq, fate)
	}
}

// write writes the records of a transaction and commits it, or else aborts it.
func (t *transactors) write(ctx context.Context, caller int, due time.Time, seqs []uint64) error {
	client := t.clients[caller]
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	var mu sync.Mutex
	var failure error
	for _, seq := range seqs {
		s := stamp{run: t.ledger.run, producer: uint32(caller), seq: seq, due: unixNanos(due)}
		client.Produce(ctx, &kgo.Record{Value: s.value(t.cfg.MessageSize)}, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if failure == nil {
				failure = err
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		failure = err
	}
	if failure != nil {
		_ = client.EndTransaction(ctx, kgo.TryAbort) // the first error is the one to tell
		return failure
	}
	return client.EndTransaction(ctx, kgo.TryCommit)
}

func (t *transactors) close() {
	for _, cl := range t.clients {
		cl.Close()
	}
}

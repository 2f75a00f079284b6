// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Fill writes records of a size, in batches of at most batch bytes, round robin to a topic's partitions,
// as fast as it can, until they are so many bytes, and returns how many were acknowledged: all, or
// there is an error.
func Fill(ctx context.Context, bootstrap []string, topic string, partitions int, bytes int64, size, batch int) (records int64, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedBytes(16<<20), kgo.ProducerBatchMaxBytes(int32(batch)), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(rand.Uint32()) // nothing that a file system could make smaller
	}
	var acked atomic.Int64
	var failed atomic.Pointer[error]
	n := bytes / int64(size)
	for i := range n {
		cl.Produce(ctx, &kgo.Record{Partition: int32(i % int64(partitions)), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
				return
			}
			acked.Add(1)
		})
		if failed.Load() != nil {
			break
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return acked.Load(), err
	}
	if p := failed.Load(); p != nil {
		return acked.Load(), fmt.Errorf("writing %d MB: %w", bytes>>20, *p)
	}
	return acked.Load(), nil
}

// Drain reads a topic from its start to the end that it has now, without keeping anything, and returns
// how many records that were. They must have offsets without a gap.
func Drain(ctx context.Context, bootstrap []string, topic string, partitions int) (records int64, err error) {
	next, err := Offsets(ctx, bootstrap, topic, partitions, -2)
	if err != nil {
		return 0, err
	}
	ends, err := Offsets(ctx, bootstrap, topic, partitions, -1)
	if err != nil {
		return 0, err
	}
	from, missing := make(map[int32]kgo.Offset), int64(0)
	for p := range ends {
		from[int32(p)] = kgo.NewOffset().At(next[p])
		missing += ends[p] - next[p]
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.Dialer(dialSmall))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	for missing > 0 && err == nil {
		fetches := cl.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 && (ctx.Err() != nil || !retriable(errs[0].Err)) {
			return records, fmt.Errorf("%d records are missing: partition %d: %w", missing, errs[0].Partition, errs[0].Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset != next[r.Partition] && err == nil {
				err = fmt.Errorf("partition %d: offset %d comes after offset %d", r.Partition, r.Offset, next[r.Partition]-1)
			}
			next[r.Partition] = r.Offset + 1
			if r.Offset < ends[r.Partition] {
				missing, records = missing-1, records+1
			}
		})
	}
	return records, err
}

// dialSmall connects with a small receive buffer: the kernel can't be interrupted while it copies what waits, which on
// a machine of its own would be in nobody's way.
func dialSmall(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return conn, conn.(*net.TCPConn).SetReadBuffer(256 << 10)
}

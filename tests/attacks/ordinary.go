// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

// ordinaryLoads are no attacks: what honest users send, and others must not feel either.
var ordinaryLoads = []attack{
	{name: "gzip JSON, compacted", quick: true, brokers: 3, whole: true, prepare: gzipJSON(45 << 20)},
	{name: "gzip JSON, compacted, continuous", brokers: 3, prepare: gzipJSON(1 << 40)},
}

// gzipJSON writes JSON documents of some 400 bytes with 20,000 keys, in gzip batches of half a megabyte, to a topic that
// is compacted all the time, until so many bytes are written before compression.
func gzipJSON(total int64) func(context.Context, *target) (func(context.Context) error, error) {
	return func(ctx context.Context, t *target) (func(context.Context) error, error) {
		const batchBytes = 512 << 10
		requests := fill(40, func(nth int) kmsg.Request { return produceRequest("documents", documents(nth, batchBytes)) })
		return func(ctx context.Context) error {
			ctx, done := context.WithCancel(ctx)
			defer done()
			var written atomic.Int64
			return t.repeat(ctx, 4, 0, func() kmsg.Request {
				if written.Add(batchBytes) > total {
					done()
				}
				return requests[written.Load()/batchBytes%int64(len(requests))]
			})
		}, createTopic(ctx, t, "documents", "compact")
	}
}

// documents is a batch of JSON documents about some of 20,000 things.
func documents(nth, size int) []byte {
	var records []byte
	count := 0
	for ; len(records) < size; count++ {
		id := (nth*7919 + count*104729) % 20_000
		value := fmt.Appendf(nil, `{"id":%d,"name":"customer %d","address":{"street":"%d Long Street","city":"Springfield","zip":"%05d"},`+
			`"orders":[{"sku":"A-%d","count":%d,"price":%d.95},{"sku":"B-%d","count":1,"price":19.90}],"note":"%x"}`,
			id, id, id%97, id*3, id*31, nth%9, count%300, count, randomBytes(40, 0xff))
		records = rig.AppendRecord(records, count, fmt.Appendf(nil, "customer-%d", id), value)
	}
	return rig.Seal(rig.NewBatch(rig.Gzipped, count), rig.Zip(records))
}

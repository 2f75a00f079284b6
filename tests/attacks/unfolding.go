// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

// unfoldingAttacks are few bytes that mean many.
var unfoldingAttacks = []attack{
	{name: "bombs to a plain topic", brokers: 3, prepare: bombs("")},
	{name: "bombs to a compacted topic", brokers: 3, prepare: bombs("compact")},
	{name: "bombs, then compaction", brokers: 3, prepare: bombsThenCompaction},
	{name: "searches by time in a bomb", brokers: 3, quick: true, prepare: searches},
	{name: "garbage behind checksums", brokers: 3, prepare: garbage},
	{name: "invented producers", brokers: 3, prepare: inventedProducers},
	{name: "random requests", brokers: 3, prepare: randomRequests},
}

// unfolds is how far a batch may unfold: 16 times max.message.bytes.
const unfolds = 16 << 20

// bombs sends 200 batches at once that unfold just within the bound, and beyond it.
func bombs(policy string) func(context.Context, *target) (func(context.Context) error, error) {
	return func(ctx context.Context, t *target) (func(context.Context) error, error) {
		var requests [][]kmsg.Request
		for _, raw := range [][]byte{bomb(unfolds-1<<20, 1<<20), bomb(unfolds-1<<20, 5), bomb(60<<20, 60<<20), bomb(60<<20, 100)} {
			n := min(200, 8<<20/len(raw))
			requests = append(requests, fill(n, func(int) kmsg.Request { return produceRequest("bombs", raw) }))
		}
		return func(ctx context.Context) error {
			return t.repeatAll(ctx, 4, 0, func() []kmsg.Request { return requests[rand.IntN(len(requests))] })
		}, createTopic(ctx, t, "bombs", policy)
	}
}

// repeat sends requests on some connections, the next one on each when the one before is answered and a time went by.
func (t *target) repeat(ctx context.Context, connections int, every time.Duration, next func() kmsg.Request) error {
	return each(ctx, connections, withConn(t, t.kafka, func(ctx context.Context, c net.Conn) {
		for ctx.Err() == nil {
			if _, err := ask(c, next()); err != nil || rig.Pause(ctx, every) != nil {
				return
			}
			t.done.Add(1)
		}
	}))
}

// repeatAll does the same with several requests at once.
func (t *target) repeatAll(ctx context.Context, connections int, every time.Duration, next func() []kmsg.Request) error {
	return each(ctx, connections, withConn(t, t.kafka, func(ctx context.Context, c net.Conn) {
		for ctx.Err() == nil {
			all := next()
			if err := rig.AskAll(c, all, 10*time.Second); err != nil || rig.Pause(ctx, every) != nil {
				return
			}
			t.done.Add(int64(len(all)))
		}
	}))
}

// createTopic makes a topic of one partition with as many replicas as there are brokers. A topic with a policy is
// compacted as soon as it can be.
func createTopic(ctx context.Context, t *target, name, policy string) error {
	bootstrap := t.Kafka
	if err := rig.CreateTopic(ctx, bootstrap, name, 1, len(bootstrap)); err != nil {
		return err
	}
	if err := lead1(ctx, t, name); err != nil || policy == "" {
		return err
	}
	return setPolicy(ctx, t, name, policy)
}

// lead1 makes broker 1, which is attacked, the leader of a topic of one partition.
func lead1(ctx context.Context, t *target, name string) error {
	_, err := rig.LeadAll(ctx, t.Kafka, name, 1)
	return err
}

func setPolicy(ctx context.Context, t *target, name, policy string) error {
	c := dial(ctx, t.kafka)
	if c == nil {
		return errNoConn
	}
	defer c.Close()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, name
	for _, kv := range [][2]string{{"cleanup.policy", policy}, {"min.cleanable.dirty.ratio", "0"}, {"segment.ms", "1000"}} {
		k := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		k.Name, k.Value = kv[0], &kv[1]
		r.Configs = append(r.Configs, k)
	}
	req.Resources = append(req.Resources, r)
	resp, err := ask(c, req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode)
}

// bombsThenCompaction writes bombs to a plain topic, and makes it a compacted one.
func bombsThenCompaction(ctx context.Context, t *target) (func(context.Context) error, error) {
	if err := createTopic(ctx, t, "later", ""); err != nil {
		return nil, err
	}
	c := dial(ctx, t.kafka)
	if c == nil {
		return nil, errNoConn
	}
	defer c.Close()
	for _, size := range []int{1 << 20, 5} {
		raw := bomb(unfolds-1<<20, size)
		for range 60 {
			if _, err := ask(c, produceRequest("later", raw)); err != nil {
				return nil, err
			}
		}
	}
	return func(ctx context.Context) error {
		if err := setPolicy(ctx, t, "later", "compact"); err != nil {
			return err
		}
		t.done.Add(1)
		<-ctx.Done()
		return nil
	}, nil
}

// searches asks for offsets by time of one partition 1,000 times in a request, behind a batch that unfolds far.
func searches(ctx context.Context, t *target) (func(context.Context) error, error) {
	if err := createTopic(ctx, t, "times", ""); err != nil {
		return nil, err
	}
	b := bomb(unfolds-1<<20, 100)
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 7
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = "times"
	for i := range 1000 {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = time.Now().UnixMilli() - int64(i)
		rt.Partitions = append(rt.Partitions, p)
	}
	req.Topics = append(req.Topics, rt)
	c := dial(ctx, t.kafka)
	if c == nil {
		return nil, errNoConn
	}
	defer c.Close()
	_, err := ask(c, produceRequest("times", b))
	return func(ctx context.Context) error {
		return t.repeat(ctx, 10, 0, func() kmsg.Request { return req })
	}, err
}

// garbage is batches with good checksums that hold no records, or others than their headers say.
func garbage(ctx context.Context, t *target) (func(context.Context) error, error) {
	requests := fill(200, func(int) kmsg.Request { return produceRequest("garbage", brokenBatch()) })
	return func(ctx context.Context) error {
		return t.repeat(ctx, 4, time.Millisecond, func() kmsg.Request { return requests[rand.IntN(len(requests))] })
	}, createTopic(ctx, t, "garbage", "")
}

func randomBytes(n int, mask byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32()) & mask
	}
	return b
}

func brokenBatch() []byte {
	junk := randomBytes(rand.IntN(200<<10), 0xff)
	b := rig.NewBatch(rand.IntN(8), 1+rand.IntN(5))
	switch rand.IntN(5) {
	case 0:
		b.NumRecords = rand.Int32()
	case 1:
		b.LastOffsetDelta = rand.Int32()
	case 2:
		junk = rig.Zip(junk)
		b.Attributes = rig.Gzipped
	case 3:
		b.FirstTimestamp, b.MaxTimestamp = rand.Int64(), -rand.Int64()
		junk = rig.AppendRecord(nil, 0, nil, junk)
		b.Attributes = rig.Plain
	}
	return rig.Seal(b, junk)
}

// inventedProducers writes each batch as another idempotent producer, 500 at once.
func inventedProducers(ctx context.Context, t *target) (func(context.Context) error, error) {
	bursts := fill(500, func(int) []kmsg.Request {
		return fill(500, func(int) kmsg.Request {
			b := rig.NewBatch(rig.Plain, 1)
			b.ProducerID, b.ProducerEpoch, b.FirstSequence = rand.Int64N(1<<40), 0, 0
			return produceRequest("producers", rig.Seal(b, rig.AppendRecord(nil, 0, nil, []byte("x"))))
		})
	})
	return func(ctx context.Context) error {
		var number atomic.Int64
		return t.repeatAll(ctx, 4, 50*time.Millisecond, func() []kmsg.Request { return bursts[int(number.Add(1))%len(bursts)] })
	}, createTopic(ctx, t, "producers", "")
}

// randomRequests are headers of every request with random bodies.
func randomRequests(_ context.Context, t *target) (func(context.Context) error, error) {
	frames := fill(2000, func(i int) []byte {
		body := append([]byte{0, byte(i % 93), 0, byte(rand.IntN(14)), 0, 0, 0, 1, 0xff, 0xff, 0}, randomBytes(rand.IntN(64<<10), byte(rand.Uint32()))...)
		return append(length(uint32(len(body))), body...)
	})
	return func(ctx context.Context) error {
		return each(ctx, 20, withConn(t, t.kafka, func(ctx context.Context, c net.Conn) {
			c.Write(frames[rand.IntN(len(frames))])
			c.SetReadDeadline(time.Now().Add(time.Second))
			waitForEnd(c)
		}))
	}, nil
}

// bomb is a small batch that unfolds to so many bytes, in records of a size.
func bomb(unfolded, size int) []byte {
	var records []byte
	count := 0
	for value := make([]byte, size); len(records) < unfolded; count++ {
		records = rig.AppendRecord(records, count, []byte{byte(count % 7), 'k'}, value)
	}
	return rig.Seal(rig.NewBatch(rig.Gzipped, count), rig.Zip(records))
}

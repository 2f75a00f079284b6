// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The load is what a small shop would have: orders in JSON, payments in transactions, clicks that are compressed, consumer groups that
// keep up, lag or are away, and a transaction that stays open.

// load is producers and consumers, until stop.
type load struct {
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	clients []*kgo.Client
}

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
	for _, c := range l.clients {
		c.CloseAllowingRebalance()
	}
}

func startLoad(ctx context.Context, bootstrap []string) (*load, error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel}
	admin, err := l.client(bootstrap)
	if err != nil {
		return nil, err
	}
	for name, partitions := range map[string]int32{"orders": 6, "payments": 3, "clicks": 6} {
		if err := create(ctx, admin, name, partitions); err != nil {
			return nil, err
		}
	}
	for topic, codec := range map[string]kgo.CompressionCodec{"orders": kgo.NoCompression(), "clicks": kgo.ZstdCompression()} {
		c, err := l.client(bootstrap, kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(5*time.Millisecond))
		if err != nil {
			return nil, err
		}
		l.wg.Go(func() { produce(ctx, c, topic) })
	}
	for group, pace := range map[string]time.Duration{"billing": 0, "shipping": 400 * time.Millisecond} {
		c, err := l.client(bootstrap, kgo.ConsumerGroup(group), kgo.ConsumeTopics("orders"), kgo.AutoCommitInterval(time.Second), kgo.FetchMaxPartitionBytes(16<<10))
		if err != nil {
			return nil, err
		}
		l.wg.Go(func() { consume(ctx, c, pace) })
	}
	if err := l.away(ctx, bootstrap); err != nil {
		return nil, err
	}
	return l, l.transactions(ctx, bootstrap)
}

func (l *load) client(bootstrap []string, more ...kgo.Opt) (*kgo.Client, error) {
	c, err := kgo.NewClient(append(more, kgo.SeedBrokers(bootstrap...), kgo.ClientID("shop"))...)
	if err == nil {
		l.clients = append(l.clients, c)
	}
	return c, err
}

func create(ctx context.Context, c *kgo.Client, name string, partitions int32) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 3
	req.Topics, req.TimeoutMillis = append(req.Topics, t), 10000
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

// away makes a group that has read something and is gone.
func (l *load) away(ctx context.Context, bootstrap []string) error {
	c, err := l.client(bootstrap, kgo.ConsumerGroup("reports"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit())
	if err != nil {
		return err
	}
	c.PollRecords(ctx, 500)
	if err := c.CommitUncommittedOffsets(ctx); err != nil {
		return err
	}
	return c.LeaveGroupContext(ctx)
}

// transactions leaves one open and goes on with others.
func (l *load) transactions(ctx context.Context, bootstrap []string) error {
	open, err := l.client(bootstrap, kgo.TransactionalID("refunds"), kgo.DefaultProduceTopic("payments"), kgo.TransactionTimeout(10*time.Minute))
	if err != nil {
		return err
	}
	if err := open.BeginTransaction(); err != nil {
		return err
	}
	if err := open.ProduceSync(ctx, &kgo.Record{Key: []byte("refund"), Value: []byte(`{"refund":1,"why":"never ended"}`)}).FirstErr(); err != nil {
		return err
	}
	c, err := l.client(bootstrap, kgo.TransactionalID("cashier"), kgo.DefaultProduceTopic("payments"))
	if err != nil {
		return err
	}
	l.wg.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			if c.BeginTransaction() != nil {
				return
			}
			c.ProduceSync(ctx, &kgo.Record{Key: fmt.Appendf(nil, "payment-%d", n), Value: fmt.Appendf(nil, `{"payment":%d,"cents":%d}`, n, rand.IntN(10000))})
			if c.EndTransaction(ctx, kgo.TryCommit) != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	return nil
}

// produce writes some hundred records a second, in waves.
func produce(ctx context.Context, c *kgo.Client, topic string) {
	goods := []string{"tea", "coffee", "cups", "a kettle", "sugar"}
	for n := 0; ctx.Err() == nil; n++ {
		value := fmt.Appendf(nil, `{"id":%d,"customer":"c-%04d","goods":[{"what":%q,"count":%d}],"cents":%d,"note":"bitte vor 12 Uhr, Tür links"}`,
			n, rand.IntN(5000), goods[rand.IntN(len(goods))], 1+rand.IntN(5), 100+rand.IntN(9900))
		if topic == "clicks" {
			value = fmt.Appendf(nil, `{"page":"/goods/%d","customer":"c-%04d","seen":[%s],"note":"Tür links"}`, rand.IntN(100), rand.IntN(5000), strings.Repeat(`{"what":"banner"},`, 20)+`{}`)
		}
		c.Produce(ctx, &kgo.Record{
			Key: fmt.Appendf(nil, "%s-%d", topic, n), Value: value,
			Headers: []kgo.RecordHeader{{Key: "trace", Value: fmt.Appendf(nil, "%016x", rand.Uint64())}, {Key: "source", Value: []byte("shop")}},
		}, nil)
		if n%4 == 0 {
			time.Sleep(time.Duration(4+rand.IntN(12)) * time.Millisecond)
		}
	}
}

func consume(ctx context.Context, c *kgo.Client, pace time.Duration) {
	for ctx.Err() == nil {
		c.PollRecords(ctx, 200)
		if pace > 0 {
			time.Sleep(pace)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

// crowdAttacks are a thousand connections that each ask for something ordinary.
var crowdAttacks = []attack{
	{name: "1000 readers at the end", brokers: 3, prepare: crowd(func(int) kmsg.Request { return waitingFetch() })},
	{name: "1000 writers", brokers: 3, prepare: crowd(func(int) kmsg.Request { return oneRecord("crowd") })},
	{name: "1000 ask for metadata", brokers: 3, prepare: crowd(func(int) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		req.Version = 12
		return req
	})},
	{name: "1000 groups", brokers: 3, prepare: crowd(join)},
	{name: "1000 members of a group", brokers: 3, prepare: crowd(func(int) kmsg.Request { return join(0) })},
	{name: "1000 commit offsets", brokers: 3, prepare: crowd(func(int) kmsg.Request { return offsetCommit(10) })},
	{name: "idle crowd at 1024 files, a restart", brokers: 3, replicas: 3, files: 1024, prepare: now(crowdEverywhere), beside: restartOne},
}

// crowd has 1,000 connections ask, each about once a second, and all at once to begin with.
func crowd(request func(i int) kmsg.Request) func(context.Context, *target) (func(context.Context) error, error) {
	return func(ctx context.Context, t *target) (func(context.Context) error, error) {
		n := 1000
		if t.Quick {
			n = 100
		}
		var number atomic.Int64
		return func(ctx context.Context) error {
			return each(ctx, n, withConn(t, t.kafka, func(ctx context.Context, c net.Conn) {
				req := request(int(number.Add(1)))
				for ctx.Err() == nil {
					if _, err := ask(c, req); err != nil {
						return
					}
					t.done.Add(1)
					_ = rig.Pause(ctx, time.Duration(rand.IntN(2000))*time.Millisecond)
				}
			}))
		}, createTopic(ctx, t, "crowd", "")
	}
}

func waitingFetch() kmsg.Request {
	req := fetchRequest("crowd", 1<<20)
	req.MaxWaitMillis, req.MinBytes = 500, 1<<20
	return req
}

func oneRecord(topic string) kmsg.Request {
	return produceRequest(topic, rig.Seal(rig.NewBatch(rig.Plain, 1), rig.AppendRecord(nil, 0, nil, []byte("x"))))
}

func join(i int) kmsg.Request {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = 3, fmt.Sprintf("group-%d", i), 6000, 6000, "consumer"
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	req.Protocols = append(req.Protocols, p)
	return req
}

// crowdEverywhere is 1,500 clients at each broker that say nothing.
func crowdEverywhere(ctx context.Context, t *target) error {
	var all sync.WaitGroup
	for _, addr := range t.Kafka {
		all.Go(func() {
			each(ctx, 1500, withConn(t, addr, func(_ context.Context, c net.Conn) { waitForEnd(c) }))
		})
	}
	all.Wait()
	return nil
}

// restartOne restarts a broker, which must come back among its peers.
func restartOne(ctx context.Context, c *rig.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := rig.Pause(ctx, 2*time.Second); err != nil {
		return err
	}
	if _, err := c.Stop(3); err != nil {
		return err
	}
	if err := c.Restart(ctx, 3); err != nil {
		return fmt.Errorf("a broker didn't come back while idle clients were connected: %w", err)
	}
	for ctx.Err() == nil {
		partitions, err := rig.Describe(ctx, c.Bootstrap(), politeTopic)
		if err == nil && len(partitions[0].ISR) == 3 {
			return nil
		}
		_ = rig.Pause(ctx, 100*time.Millisecond)
	}
	return errors.New("a broker that was restarted while idle clients were connected isn't in sync again")
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// nameAttacks ask for very much in one request: many names, one name many times.
var nameAttacks = []attack{
	{name: "names: creation", brokers: 3, quick: true, whole: true, prepare: inTurn(creations)},
	{name: "names: topics", brokers: 3, whole: true, prepare: inTurn(topicRequests)},
	{name: "names: configurations", brokers: 3, whole: true, prepare: inTurn(configRequests)},
	{name: "names: records", brokers: 3, whole: true, prepare: inTurn(recordRequests)},
	{name: "names: groups", brokers: 3, whole: true, prepare: inTurn(groupRequests)},
	{name: "names: replicas", brokers: 3, whole: true, prepare: inTurn(replicaRequests)},
	{name: "automatic creation", brokers: 3, prepare: now(automaticCreation)},
	{name: "as many partitions as there may be", brokers: 3, prepare: now(manyPartitions)},
}

// many is a request with n elements.
type many struct {
	name string
	make func(n int) kmsg.Request
}

// inTurn sends such requests one after the other, each on two connections at once.
func inTurn(list []many) func(context.Context, *target) (func(context.Context) error, error) {
	return func(_ context.Context, t *target) (func(context.Context) error, error) {
		n := 100_000
		if t.Quick {
			n = 5000
		}
		requests := fill(len(list), func(i int) kmsg.Request { return list[i].make(n) })
		return func(ctx context.Context) error {
			for i, req := range requests {
				if err := t.begin(ctx, list[i].name); err != nil {
					return err
				}
				t.sendTwice(ctx, req)
			}
			return nil
		}, nil
	}
}

func (t *target) sendTwice(ctx context.Context, req kmsg.Request) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var sent sync.WaitGroup
	for range 2 {
		sent.Go(func() { withConn(t, t.kafka, func(_ context.Context, c net.Conn) { ask(c, req) })(ctx) })
	}
	sent.Wait()
}

func nth(i int) string { return fmt.Sprintf("name-%06d", i) }

func numbers(n int) []int32 { return fill(n, func(i int) int32 { return int32(i % 1000) }) }

func creation(name func(i int) string, validate bool) func(n int) kmsg.Request {
	return func(n int) kmsg.Request {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis, req.ValidateOnly = 7, 5000, validate
		req.Topics = fill(n, func(i int) kmsg.CreateTopicsRequestTopic {
			t := kmsg.NewCreateTopicsRequestTopic()
			t.Topic, t.NumPartitions, t.ReplicationFactor = name(i), 1, 1
			return t
		})
		return req
	}
}

func same(int) string { return politeTopic }

var creations = []many{
	{"CreateTopics, validate only", creation(nth, true)},
	{"CreateTopics, one name", creation(func(int) string { return "one" }, false)},
	{"CreateTopics, long names", creation(func(i int) string { return strings.Repeat("x", 240) + nth(i) }, true)},
	{"CreateTopics, replicas by hand", func(n int) kmsg.Request {
		req := creation(nth, true)(1).(*kmsg.CreateTopicsRequest)
		t := &req.Topics[0]
		t.NumPartitions, t.ReplicationFactor = -1, -1
		t.ReplicaAssignment = fill(n, func(i int) kmsg.CreateTopicsRequestTopicReplicaAssignment {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = int32(i), []int32{1, 2, 3}
			return a
		})
		return req
	}},
	{"CreateTopics, configurations", func(n int) kmsg.Request {
		req := creation(nth, true)(1).(*kmsg.CreateTopicsRequest)
		req.Topics[0].Configs = fill(n, func(i int) kmsg.CreateTopicsRequestTopicConfig {
			k := kmsg.NewCreateTopicsRequestTopicConfig()
			k.Name, k.Value = nth(i), kmsg.StringPtr("1")
			return k
		})
		return req
	}},
	{"CreateTopics", creation(nth, false)},
}

var topicRequests = []many{
	{"Metadata", func(n int) kmsg.Request { return metadataOf(n, nth, false) }},
	{"Metadata, one name", func(n int) kmsg.Request { return metadataOf(n, same, false) }},
	{"DeleteTopics", func(n int) kmsg.Request { return deletion(n, nth) }},
	{"DeleteTopics, one name", func(n int) kmsg.Request { return deletion(n, func(int) string { return "none" }) }},
	{"CreatePartitions", func(n int) kmsg.Request { return morePartitions(n, nth) }},
	{"CreatePartitions, one name", func(n int) kmsg.Request { return morePartitions(n, same) }},
	{"DescribeTopicPartitions", func(n int) kmsg.Request {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit = 2000
		req.Topics = fill(n, func(i int) kmsg.DescribeTopicPartitionsRequestTopic {
			t := kmsg.NewDescribeTopicPartitionsRequestTopic()
			t.Topic = nth(i)
			return t
		})
		return req
	}},
}

func metadataOf(n int, name func(int) string, create bool) kmsg.Request {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = 12, create
	req.Topics = fill(n, func(i int) kmsg.MetadataRequestTopic {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name(i))
		return t
	})
	return req
}

func deletion(n int, name func(int) string) kmsg.Request {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis, req.TopicNames = 5, 5000, fill(n, name)
	return req
}

func morePartitions(n int, name func(int) string) kmsg.Request {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.TimeoutMillis, req.ValidateOnly = 3, 5000, true
	req.Topics = fill(n, func(i int) kmsg.CreatePartitionsRequestTopic {
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name(i), 1_000_000
		return t
	})
	return req
}

// automaticCreation asks for 5,000 topics that aren't there, in 58 KiB.
func automaticCreation(ctx context.Context, t *target) error {
	n := 5000
	if t.Quick {
		n = 500
	}
	return each(ctx, 1, withConn(t, t.kafka, func(_ context.Context, c net.Conn) {
		ask(c, metadataOf(n, func(i int) string { return fmt.Sprintf("auto-%d", i) }, true))
	}))
}

// manyPartitions makes topics of 5,000 partitions.
func manyPartitions(ctx context.Context, t *target) error {
	var number atomic.Int64
	return each(ctx, 2, withConn(t, t.kafka, func(_ context.Context, c net.Conn) {
		req := creation(func(int) string { return fmt.Sprint("wide-", number.Add(1)) }, false)(1).(*kmsg.CreateTopicsRequest)
		req.Topics[0].NumPartitions = 5000
		ask(c, req)
	}))
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

// fetchRequest is a Fetch of one partition from its start.
func fetchRequest(topic string, maxBytes int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 11
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 1000, 1, maxBytes
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = maxBytes
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// produceRequest holds batches, each for partition 0 of a topic.
func produceRequest(topic string, batches ...[]byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for _, raw := range batches {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = raw
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// withLength is a request with its length before it.
func withLength(req kmsg.Request) []byte { return rig.AppendRequest(nil, req) }

// ask sends a request and reads its answer, which must come within ten seconds.
func ask(c net.Conn, req kmsg.Request) (kmsg.Response, error) { return rig.Ask(c, req, 10*time.Second) }

// fill returns n elements.
func fill[T any](n int, element func(i int) T) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = element(i)
	}
	return all
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// requestTime bounds one admin request, retries included.
const requestTime = 15 * time.Second

// ask sends one request and returns the response.
func ask(ctx context.Context, bootstrap []string, req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	return cl.Request(ctx, req)
}

func createTopic(ctx context.Context, bootstrap []string, o options) error {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, int32(o.partitions), int16(min(3, o.brokers))
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics, req.TimeoutMillis = append(req.Topics, t), 10000
	res, err := ask(ctx, bootstrap, req)
	if err != nil {
		return fmt.Errorf("creating the topic: %w", err)
	}
	if err := kerr.ErrorForCode(res.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode); err != nil {
		return fmt.Errorf("creating the topic: %w", err)
	}
	return nil
}

func describeTopic(ctx context.Context, bootstrap []string) ([]kmsg.MetadataResponseTopicPartition, error) {
	t := kmsg.NewMetadataRequestTopic()
	name := topic
	t.Topic = &name
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, t)
	res, err := ask(ctx, bootstrap, req)
	if err != nil {
		return nil, fmt.Errorf("asking for metadata: %w", err)
	}
	meta := res.(*kmsg.MetadataResponse).Topics[0]
	return meta.Partitions, kerr.ErrorForCode(meta.ErrorCode)
}

// leadersOn counts the partitions that a broker leads.
func leadersOn(ctx context.Context, bootstrap []string, id int32) (n int, err error) {
	partitions, err := describeTopic(ctx, bootstrap)
	for _, p := range partitions {
		if p.Leader == id {
			n++
		}
	}
	return n, err
}

// readBack reads every partition from its start to the end that it has now.
func readBack(ctx context.Context, bootstrap []string, o options) ([][]record, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	ends, missing, err := endOffsets(ctx, bootstrap, o.partitions)
	if err != nil {
		return nil, err
	}
	from := make(map[int32]kgo.Offset)
	for p := range ends {
		from[int32(p)] = kgo.NewOffset().At(0)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	read := make([][]record, o.partitions)
	for missing > 0 {
		fetches := cl.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			return read, fmt.Errorf("%d records are missing: partition %d: %w", missing, errs[0].Partition, errs[0].Err)
		}
		for _, kr := range fetches.Records() {
			r, err := parseRecord(kr.Value, kr.Offset)
			if err != nil {
				return read, fmt.Errorf("partition %d, offset %d: %w", kr.Partition, kr.Offset, err)
			}
			read[kr.Partition] = append(read[kr.Partition], r)
			if kr.Offset < ends[kr.Partition] {
				missing--
			}
		}
	}
	return read, nil
}

// endOffsets asks each partition's leader for its end; total is their sum.
func endOffsets(ctx context.Context, bootstrap []string, partitions int) (ends []int64, total int64, err error) {
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for p := range partitions {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = int32(p), -1
		t.Partitions = append(t.Partitions, rp)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.Topics = append(req.Topics, t)
	res, err := ask(ctx, bootstrap, req)
	if err != nil {
		return nil, 0, fmt.Errorf("asking for the end offsets: %w", err)
	}
	ends = make([]int64, partitions)
	for _, p := range res.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return nil, 0, fmt.Errorf("end offset of partition %d: %w", p.Partition, err)
		}
		ends[p.Partition] = p.Offset
		total += p.Offset
	}
	return ends, total, nil
}

// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	requestTime = 15 * time.Second // bounds one admin request, retries included
	readTime    = 2 * time.Minute  // bounds reading a whole topic
)

// ask sends one request and returns the response. The client may begin with a broker that is cut off
// and knows no leader; then it asks again.
func ask[T kmsg.Response](ctx context.Context, bootstrap []string, req kmsg.Request) (T, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return none, err
	}
	defer cl.Close()
	for {
		resp, err := cl.Request(ctx, req)
		if err == nil {
			return resp.(T), nil
		}
		if !retriable(err) || Pause(ctx, 100*time.Millisecond) != nil {
			return none, fmt.Errorf("%s: %w", kmsg.NameForKey(req.Key()), err)
		}
	}
}

// CreateTopic creates a topic.
func CreateTopic(ctx context.Context, bootstrap []string, topic string, partitions, replicas int) error {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, int32(partitions), int16(replicas)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics, req.TimeoutMillis = append(req.Topics, t), 10000
	resp, err := ask[*kmsg.CreateTopicsResponse](ctx, bootstrap, req)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("creating the topic: %w", err)
	}
	return nil
}

// Describe returns a topic's partitions, by number.
func Describe(ctx context.Context, bootstrap []string, topic string) ([]kmsg.MetadataResponseTopicPartition, error) {
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, t)
	resp, err := ask[*kmsg.MetadataResponse](ctx, bootstrap, req)
	if err != nil {
		return nil, err
	}
	partitions := resp.Topics[0].Partitions
	slices.SortFunc(partitions, func(a, b kmsg.MetadataResponseTopicPartition) int { return int(a.Partition - b.Partition) })
	return partitions, kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

// LedBy counts a topic's partitions that a broker leads.
func LedBy(ctx context.Context, bootstrap []string, topic string, id int) (n int, err error) {
	partitions, err := Describe(ctx, bootstrap, topic)
	for _, p := range partitions {
		if int(p.Leader) == id {
			n++
		}
	}
	return n, err
}

// LeadAll makes a broker lead every partition of a topic that it has a replica of, and waits until it
// does. It returns how many those are.
func LeadAll(ctx context.Context, bootstrap []string, topic string, id int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	partitions, err := Describe(ctx, bootstrap, topic)
	if err != nil {
		return 0, err
	}
	var mine []int32
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 10000
	rt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	rt.Topic = topic
	for _, p := range partitions {
		at := slices.Index(p.Replicas, int32(id))
		if at < 0 {
			continue
		}
		mine = append(mine, p.Partition)
		rp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		rp.Partition, rp.Replicas = p.Partition, slices.Insert(slices.Delete(p.Replicas, at, at+1), 0, int32(id))
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	resp, err := ask[*kmsg.AlterPartitionAssignmentsResponse](ctx, bootstrap, req)
	if err != nil {
		return 0, err
	}
	for _, p := range resp.Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return 0, fmt.Errorf("placing partition %d: %w", p.Partition, err)
		}
	}
	return len(mine), electPreferred(ctx, bootstrap, topic, mine, id)
}

// electPreferred asks until a broker leads.
func electPreferred(ctx context.Context, bootstrap []string, topic string, partitions []int32, id int) error {
	for {
		req := kmsg.NewPtrElectLeadersRequest()
		req.TimeoutMillis = 2000
		t := kmsg.NewElectLeadersRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
		if _, err := ask[*kmsg.ElectLeadersResponse](ctx, bootstrap, req); err != nil {
			return err
		}
		n, err := LedBy(ctx, bootstrap, topic, id)
		if err != nil || n >= len(partitions) {
			return err
		}
		if Pause(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("broker %d leads only %d of its %d partitions", id, n, len(partitions))
		}
	}
}

// DeleteBelow deletes the records of all partitions below the given offsets.
func DeleteBelow(ctx context.Context, bootstrap []string, topic string, offsets []int64) error {
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = topic
	for p, o := range offsets {
		rp := kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Partition, rp.Offset = int32(p), o
		t.Partitions = append(t.Partitions, rp)
	}
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Topics, req.TimeoutMillis = append(req.Topics, t), 10000
	resp, err := ask[*kmsg.DeleteRecordsResponse](ctx, bootstrap, req)
	if err != nil {
		return err
	}
	for _, p := range resp.Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return fmt.Errorf("deleting records of partition %d: %w", p.Partition, err)
		}
	}
	return nil
}

// Offsets asks each partition's leader for its first offset (-2) or its end (-1), again and again
// while there is none.
func Offsets(ctx context.Context, bootstrap []string, topic string, partitions int, which int64) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	for {
		offsets, err := askOffsets(ctx, bootstrap, topic, partitions, which)
		if err == nil || !retriable(err) || Pause(ctx, 50*time.Millisecond) != nil {
			return offsets, err
		}
	}
}

func askOffsets(ctx context.Context, bootstrap []string, topic string, partitions int, which int64) ([]int64, error) {
	resp, err := ask[*kmsg.ListOffsetsResponse](ctx, bootstrap, listOffsets(topic, partitions, which))
	if err != nil {
		return nil, err
	}
	offsets := make([]int64, partitions)
	for _, p := range resp.Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return nil, fmt.Errorf("offsets of partition %d: %w", p.Partition, err)
		}
		offsets[p.Partition] = p.Offset
	}
	return offsets, nil
}

func listOffsets(topic string, partitions int, which int64) *kmsg.ListOffsetsRequest {
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for p := range partitions {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = int32(p), which
		t.Partitions = append(t.Partitions, rp)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.Topics = append(req.Topics, t)
	return req
}

// Read reads every partition of a topic from its start to the end that it has now.
func Read(ctx context.Context, bootstrap []string, topic string, partitions int) (Data, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	d := Data{Records: make([][]Record, partitions)}
	var err error
	if d.Start, err = Offsets(ctx, bootstrap, topic, partitions, -2); err != nil {
		return d, err
	}
	ends, err := Offsets(ctx, bootstrap, topic, partitions, -1)
	if err != nil {
		return d, err
	}
	from, missing := make(map[int32]kgo.Offset), int64(0)
	for p := range ends {
		from[int32(p)] = kgo.NewOffset().At(d.Start[p])
		missing += ends[p] - d.Start[p]
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return d, err
	}
	defer cl.Close()
	for missing > 0 {
		fetches := cl.PollFetches(ctx)
		for _, kr := range fetches.Records() {
			r, err := parseRecord(kr.Value, kr.Offset)
			if err != nil {
				return d, fmt.Errorf("partition %d, offset %d: %w", kr.Partition, kr.Offset, err)
			}
			d.Records[kr.Partition] = append(d.Records[kr.Partition], r)
			if kr.Offset < ends[kr.Partition] {
				missing--
			}
		}
		if errs := fetches.Errors(); len(errs) > 0 && (ctx.Err() != nil || !retriable(errs[0].Err)) {
			return d, fmt.Errorf("%d records are missing: partition %d: %w", missing, errs[0].Partition, errs[0].Err)
		}
	}
	return d, nil
}

func retriable(err error) bool {
	var k *kerr.Error
	return errors.As(err, &k) && k.Retriable
}

// DeleteTopic deletes a topic.
func DeleteTopic(ctx context.Context, bootstrap []string, topic string) error {
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.Topic = &topic
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames, req.Topics, req.TimeoutMillis = []string{topic}, append(req.Topics, t), 10000
	resp, err := ask[*kmsg.DeleteTopicsResponse](ctx, bootstrap, req)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("deleting the topic: %w", err)
	}
	return nil
}

// SetConfig sets a configuration of a topic.
func SetConfig(ctx context.Context, bootstrap []string, topic, key, value string) error {
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = key, &value
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.Configs = kmsg.ConfigResourceTypeTopic, topic, append(r.Configs, c)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, r)
	resp, err := ask[*kmsg.IncrementalAlterConfigsResponse](ctx, bootstrap, req)
	if err == nil {
		err = kerr.ErrorForCode(resp.Resources[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("setting %s: %w", key, err)
	}
	return nil
}

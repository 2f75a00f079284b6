// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topic is what is known of the topic under load.
type topic struct {
	admin      *kgo.Client
	name       string
	partitions int
	replicas   int
	timeout    time.Duration // of one question about the topic, retries included
}

// prepareTopic connects, and creates the topic if it is missing. The topic has leaders then.
func prepareTopic(ctx context.Context, cfg config) (*topic, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	admin, err := kgo.NewClient(append(cfg.connect(), kgo.MetadataMinAge(100*time.Millisecond))...)
	if err != nil {
		return nil, err
	}
	t := &topic{admin: admin, name: cfg.Topic, timeout: cfg.Timeout}
	brokers, found, err := t.describe(ctx)
	if err != nil {
		return nil, fmt.Errorf("can't ask %s for the topic: %w; is a broker there? name another with --brokers", strings.Join(cfg.Brokers, ","), err)
	}
	if cfg.Mode == modeConsume && found.ErrorCode == kerr.UnknownTopicOrPartition.Code {
		return nil, fmt.Errorf("there is no topic %s to consume; write to it first: bench produce --topic %s", cfg.Topic, cfg.Topic)
	}
	if found.ErrorCode == kerr.UnknownTopicOrPartition.Code {
		if err := t.create(ctx, max(cfg.Partitions, 1), replicas(cfg.Replicas, brokers)); err != nil {
			return nil, fmt.Errorf("can't create topic %s: %w", cfg.Topic, err)
		}
	}
	if err := t.awaitLeaders(ctx); err != nil {
		return nil, err
	}
	return t, t.matches(cfg)
}

func replicas(wanted, brokers int) int {
	if wanted > 0 {
		return wanted
	}
	return min(3, brokers)
}

// matches says no if the topic exists in another shape than was asked for.
func (t *topic) matches(cfg config) error {
	if cfg.Partitions > 0 && cfg.Partitions != t.partitions || cfg.Replicas > 0 && cfg.Replicas != t.replicas {
		return fmt.Errorf("topic %s exists with %d partitions and %d replicas; leave --partitions and --replication-factor out, or name another --topic",
			t.name, t.partitions, t.replicas)
	}
	return nil
}

// describe returns how many brokers there are, and what they say of the topic.
func (t *topic) describe(ctx context.Context) (int, kmsg.MetadataResponseTopic, error) {
	res, err := t.metadata().RequestWith(ctx, t.admin)
	if err != nil {
		return 0, kmsg.MetadataResponseTopic{}, err
	}
	if len(res.Topics) != 1 {
		return 0, kmsg.MetadataResponseTopic{}, fmt.Errorf("asked for one topic, the answer has %d", len(res.Topics))
	}
	return len(res.Brokers), res.Topics[0], nil
}

// metadata is the request for the topic's metadata; it does not create the topic.
func (t *topic) metadata() *kmsg.MetadataRequest {
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &t.name
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, rt)
	return req
}

func (t *topic) create(ctx context.Context, partitions, replicas int) error {
	ct := kmsg.NewCreateTopicsRequestTopic()
	ct.Topic, ct.NumPartitions, ct.ReplicationFactor = t.name, int32(partitions), int16(replicas)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics, req.TimeoutMillis = append(req.Topics, ct), int32(t.timeout.Milliseconds())
	res, err := req.RequestWith(ctx, t.admin)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(res.Topics[0].ErrorCode); err != nil {
		if m := res.Topics[0].ErrorMessage; m != nil {
			return fmt.Errorf("%w (%s)", err, *m)
		}
		return err
	}
	return nil
}

// awaitLeaders waits until every partition has a leader.
func (t *topic) awaitLeaders(ctx context.Context) error {
	for {
		_, meta, err := t.describe(ctx)
		if err == nil {
			err = kerr.ErrorForCode(meta.ErrorCode)
		}
		for _, p := range meta.Partitions {
			if p.Leader < 0 {
				err = fmt.Errorf("partition %d has no leader", p.Partition)
			}
		}
		if err == nil {
			t.partitions, t.replicas = len(meta.Partitions), len(meta.Partitions[0].Replicas)
			return nil
		}
		if isFinal(err) || !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("topic %s is not ready: %w", t.name, err)
		}
	}
}

// isFinal says whether a broker answered with an error that will not pass.
func isFinal(err error) bool {
	var code *kerr.Error
	return errors.As(err, &code) && !code.Retriable
}

// Timestamps that ListOffsets takes for the two ends of a partition.
const (
	atStart = -2
	atEnd   = -1
)

// offsets asks the leaders for one end of every partition, until all have answered.
func (t *topic) offsets(ctx context.Context, timestamp int64) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	for {
		offsets, err := t.offsetsOnce(ctx, timestamp)
		if err == nil {
			return offsets, nil
		}
		if isFinal(err) || !pause(ctx, 100*time.Millisecond) {
			return nil, fmt.Errorf("can't ask for the ends of topic %s: %w", t.name, err)
		}
	}
}

func (t *topic) offsetsOnce(ctx context.Context, timestamp int64) ([]int64, error) {
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = t.name
	for p := range t.partitions {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = int32(p), timestamp
		rt.Partitions = append(rt.Partitions, rp)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(ctx, t.admin)
	if err != nil {
		return nil, err
	}
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != t.partitions {
		return nil, fmt.Errorf("the answer lacks some of the %d partitions", t.partitions)
	}
	offsets := make([]int64, t.partitions)
	for _, p := range res.Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return nil, fmt.Errorf("partition %d: %w", p.Partition, err)
		}
		offsets[p.Partition] = p.Offset
	}
	return offsets, nil
}

// pause returns false if ctx ended before d was over.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

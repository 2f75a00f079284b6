// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/tests/rig"
)

// Commands to the catalog whose requests are over.

// lateDeletion asks broker 3, which has lost the others, to delete the topic. That times out, and once more it is
// asked when it is stopped already. While it is, the topic is deleted, made again and written to. When it goes on, the
// new topic must stay.
func lateDeletion(ctx context.Context, w *world) error {
	var conns [2]net.Conn
	for i := range conns {
		c, err := net.Dial("tcp", w.KafkaAddr(3))
		if err != nil {
			return err
		}
		defer c.Close()
		conns[i] = c
	}
	others := []string{w.KafkaAddr(1), w.KafkaAddr(2)}
	var offsets []int64
	return steps(
		func() error { return w.Kill(1, 2) },
		func() error { return timesOut(conns[0]) },
		func() error { return w.Pause(3) },
		func() error { return neverAnswered(conns[1]) },
		func() error { return w.RestartAll(ctx, []int{1, 2}) },
		func() error { return rig.DeleteTopic(ctx, others, topic) },
		func() error { return rig.CreateTopic(ctx, others, topic, w.partitions, replicas) },
		func() (err error) { offsets, err = w.writeEach(ctx, others); return err },
		func() error { return w.Resume(3) },
		func() error { return rig.Pause(ctx, 5*time.Second) },
		func() error { return w.allThere(ctx, offsets) },
	)
}

func deletion(limit time.Duration) *kmsg.DeleteTopicsRequest {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis, req.TopicNames = 5, int32(limit.Milliseconds()), []string{topic}
	return req
}

// timesOut asks for the deletion and expects that it isn't known to be done.
func timesOut(c net.Conn) error {
	const limit = 2 * time.Second
	resp, err := rig.Ask(c, deletion(limit), 5*limit)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode; code != kerr.RequestTimedOut.Code {
		return fmt.Errorf("without a majority DeleteTopics is answered with error %d", code)
	}
	return nil
}

// neverAnswered sends the same to a broker that is stopped, and gives up.
func neverAnswered(c net.Conn) error {
	if _, err := c.Write(rig.AppendRequest(nil, deletion(time.Minute))); err != nil {
		return err
	}
	return c.Close()
}

// writeEach writes one record to each partition and returns the offsets after them.
func (w *world) writeEach(ctx context.Context, bootstrap []string) ([]int64, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var ends []int64
	for p := range w.partitions {
		r := &kgo.Record{Partition: int32(p), Value: []byte("kept")}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			return nil, err
		}
		ends = append(ends, r.Offset+1)
	}
	return ends, nil
}

// allThere fails unless all brokers know the topic, with the ends that it must have.
func (w *world) allThere(ctx context.Context, want []int64) error {
	for id := 1; id <= replicas; id++ {
		have, err := rig.Offsets(ctx, []string{w.KafkaAddr(id)}, topic, w.partitions, -1)
		if err != nil {
			return fmt.Errorf("broker %d: the topic that was made again: %w", id, err)
		}
		for p := range want {
			if have[p] != want[p] {
				return fmt.Errorf("broker %d: partition %d ends at %d, with the acknowledged record at %d", id, p, have[p], want[p]-1)
			}
		}
	}
	return nil
}

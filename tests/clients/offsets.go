// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupRecords is what __consumer_offsets says of a group, to those that read it as Burrow does.
type groupRecords struct {
	committed map[string]int64 // by topic and partition
	kinds     map[int16]bool   // of all records
}

// shown compares what can be read of the group in __consumer_offsets with what OffsetFetch says.
func (g *groupTest) shown(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(g.cluster.Bootstrap()...), kgo.ConsumeTopics("__consumer_offsets"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Group = g.topic
	fetch.Groups = []kmsg.OffsetFetchRequestGroup{{Group: g.topic, MemberEpoch: -1}}
	got, err := fetch.RequestWith(ctx, cl)
	if err != nil || len(got.Groups) != 1 {
		return fmt.Errorf("asking for committed offsets: %+v: %w", got, err)
	}
	want := make(map[string]int64)
	for _, t := range got.Groups[0].Topics {
		for _, p := range t.Partitions {
			want[fmt.Sprint(t.Topic, p.Partition)] = p.Offset
		}
	}
	seen := groupRecords{make(map[string]int64), make(map[int16]bool)}
	for !seen.shows(want, g.protocol) {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("reading __consumer_offsets: %w; it shows %+v, OffsetFetch says %v", err, seen, want)
		}
		for _, r := range fetches.Records() {
			if err := seen.take(r, g.topic); err != nil {
				return err
			}
		}
	}
	return nil
}

// shows reports whether all of a group was seen: its offsets, and what the coordinator knows of its members.
func (s *groupRecords) shows(want map[string]int64, protocol string) bool {
	for at, offset := range want {
		if got, ok := s.committed[at]; !ok || got != offset {
			return false
		}
	}
	if protocol == "consumer" {
		return s.kinds[3] && s.kinds[6] // the epochs of the group and of its assignment
	}
	return s.kinds[2]
}

func (s *groupRecords) take(r *kgo.Record, group string) error {
	if len(r.Key) < 4 {
		return fmt.Errorf("a key of %d bytes in __consumer_offsets", len(r.Key))
	}
	kind := int16(binary.BigEndian.Uint16(r.Key))
	name := r.Key[4:min(len(r.Key), 4+int(binary.BigEndian.Uint16(r.Key[2:])))]
	if string(name) != group || r.Value == nil {
		return nil
	}
	s.kinds[kind] = true
	switch kind {
	case 1:
		k, v := kmsg.NewOffsetCommitKey(), kmsg.NewOffsetCommitValue()
		if err := k.ReadFrom(r.Key); err != nil {
			return fmt.Errorf("the key %x: %w", r.Key, err)
		}
		if err := v.ReadFrom(r.Value); err != nil {
			return fmt.Errorf("the committed offset %x: %w", r.Value, err)
		}
		s.committed[fmt.Sprint(k.Topic, k.Partition)] = v.Offset
	case 2:
		v := kmsg.NewGroupMetadataValue()
		if err := v.ReadFrom(r.Value); err != nil {
			return fmt.Errorf("the metadata %x of group %s: %w", r.Value, group, err)
		}
	}
	return nil
}

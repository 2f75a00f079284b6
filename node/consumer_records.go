// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"slices"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// The entries of a coordinator are much like what Kafka writes to __consumer_offsets: batches of records whose
// keys begin with a version that says what they are. Clients read them in Kafka's own form (consumer_topic.go).
//
//	0, 1  a committed offset; a null value removes it
//	2     a group's generation; a null value removes the group, here with all its offsets
//	256   a group of the new protocol, in a form of our own (consumer_modern_state.go)
//	257   a member of such a group; a null value removes it

const (
	keyOffset       = 1
	keyGroup        = 2
	keyModernGroup  = 256
	keyModernMember = 257
	offsetValueForm = 4 // with topic ids
	groupValueForm  = 3 // with static members
)

// storedGroup is what the log says of a group.
type storedGroup struct {
	// At most one of these is set: the protocol that its members last spoke.
	metadata *kmsg.GroupMetadataValue
	modern   *modernState

	place  *place         // of metadata
	topics []topicOffsets // ascending by name

	// Offsets that are pending (consumer_txn.go): how many for each partition, and in all.
	pending map[namedPartition]int
	waiting int
}

type topicOffsets struct {
	name       string
	partitions []*committedOffset // ascending by partition; pointers, because whoever removes all moves the rest each time
}

// committedOffset is where a group will go on reading a partition.
type committedOffset struct {
	partition   int32
	offset      int64
	leaderEpoch int32 // of the last record read, -1: unknown
	metadata    string
	committed   int64   // wall clock, ms
	topicID     GroupID // which of the topics that ever had the name, see topicMeta.id
	place       *place
}

func (s *storedGroup) empty() bool {
	return s.metadata == nil && s.modern == nil && len(s.topics) == 0 && s.waiting == 0
}

// topic returns the position of a topic, and whether it is there.
func (s *storedGroup) topic(name string) (int, bool) {
	return sort.Find(len(s.topics), func(i int) int { return strings.Compare(name, s.topics[i].name) })
}

func (t *topicOffsets) partition(p int32) (int, bool) {
	return sort.Find(len(t.partitions), func(i int) int { return int(p) - int(t.partitions[i].partition) })
}

// offsets returns how many there are.
func (s *storedGroup) offsets() (count int) {
	for i := range s.topics {
		count += len(s.topics[i].partitions)
	}
	return count
}

// find returns a committed offset, nil if there is none.
func (s *storedGroup) find(topic string, partition int32) *committedOffset {
	i, ok := s.topic(topic)
	if !ok {
		return nil
	}
	j, ok := s.topics[i].partition(partition)
	if !ok {
		return nil
	}
	return s.topics[i].partitions[j]
}

func (s *storedGroup) put(topic string, o committedOffset) {
	i, ok := s.topic(topic)
	if !ok {
		s.topics = slices.Insert(s.topics, i, topicOffsets{name: topic})
	}
	t := &s.topics[i]
	if j, ok := t.partition(o.partition); ok {
		t.partitions[j] = &o
	} else {
		t.partitions = slices.Insert(t.partitions, j, &o)
	}
}

func (s *storedGroup) remove(topic string, partition int32) {
	i, ok := s.topic(topic)
	if !ok {
		return
	}
	t := &s.topics[i]
	if j, ok := t.partition(partition); ok {
		t.partitions = slices.Delete(t.partitions, j, j+1)
	}
	if len(t.partitions) == 0 {
		s.topics = slices.Delete(s.topics, i, i+1)
	}
}

// newestCommit returns when an offset was last committed, in ms; 0 if none is there.
func (s *storedGroup) newestCommit() int64 {
	newest := int64(0)
	for _, t := range s.topics {
		for i := range t.partitions {
			newest = max(newest, t.partitions[i].committed)
		}
	}
	return newest
}

// batchBytes is a little more than what a batch of the records takes.
func batchBytes(records []kafka.Record) int {
	sum := 64
	for i := range records {
		sum += recordBytes(&records[i])
	}
	return sum
}

// recordBytes is what a record adds to batchBytes.
func recordBytes(r *kafka.Record) int { return 24 + len(r.Key) + len(r.Value) }

func appendGroupBatch(dst []byte, records []kafka.Record, unixMs int64) []byte {
	dst = slices.Grow(dst, batchBytes(records))
	spec := kafka.NewBatchSpec(records...)
	spec.FirstTimestamp = unixMs
	return kafka.AppendBatch(dst, spec)
}

func offsetKey(group, topic string, partition int32) []byte {
	key := kmsg.OffsetCommitKey{Version: keyOffset, Group: group, Topic: topic, Partition: partition}
	return key.AppendTo(make([]byte, 0, 16+len(group)+len(topic)))
}

func groupKey(group string) []byte {
	key := kmsg.GroupMetadataKey{Version: keyGroup, Group: group}
	return key.AppendTo(nil)
}

func offsetRecord(group, topic string, o *committedOffset) kafka.Record {
	v := offsetValue(o)
	binary.BigEndian.PutUint64(v.TopicID[8:], uint64(o.topicID))
	return kafka.Record{Key: offsetKey(group, topic, o.partition), Value: v.AppendTo(make([]byte, 0, 64+len(o.metadata)))}
}

func offsetValue(o *committedOffset) kmsg.OffsetCommitValue {
	v := kmsg.NewOffsetCommitValue()
	v.Version = offsetValueForm
	v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = o.offset, o.leaderEpoch, o.metadata, o.committed
	return v
}

func offsetTombstone(group, topic string, partition int32) kafka.Record {
	return kafka.Record{Key: offsetKey(group, topic, partition)}
}

func groupMetadataRecord(group string, v *kmsg.GroupMetadataValue) kafka.Record {
	return kafka.Record{Key: groupKey(group), Value: v.AppendTo(nil)}
}

func groupTombstone(group string) kafka.Record { return kafka.Record{Key: groupKey(group)} }

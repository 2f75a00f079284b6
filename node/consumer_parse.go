// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// The entries of a coordinator are its leader's own decisions, but the log may hold what another release wrote. An
// entry with a record that this one can't parse changes nothing, on all replicas alike: so all of it is parsed, by a
// pure function of its bytes, before any of it is applied. A later release may add a kind of record; it must write it
// only when every broker knows it.

// errGroupRecord says that a record of a coordinator means nothing to this release.
var errGroupRecord = errors.New("not a record of consumer groups that this release knows")

// groupRecord is one record, parsed. At most one of offset, metadata and modern is set; none in a tombstone of Kafka's
// older kinds, which has a topic if it is an offset's.
type groupRecord struct {
	ms        int64 // when it was written
	group     string
	topic     string
	partition int32
	offset    *committedOffset
	metadata  *kmsg.GroupMetadataValue
	modern    *modernChange
}

// modernChange is a record of a group of the new protocol: its state but for the members, or a member. A tombstone has
// neither.
type modernChange struct {
	member string // "": it is about the group
	state  *modernState
	now    *modernMember
}

func (c *modernChange) isTombstone() bool { return c.state == nil && c.now == nil }

// parseGroupBatch parses all records of an entry.
func parseGroupBatch(batch []byte) (records []groupRecord, err error) {
	err = kafka.Records(batch, func(_, ms int64, key, value []byte) error {
		r, err := parseGroupRecord(key, value)
		r.ms = ms
		records = append(records, r)
		return err
	})
	return records, err
}

// parseGroupRecord parses one record. Nothing in the result aliases the bytes, which belong to the log.
func parseGroupRecord(key, value []byte) (groupRecord, error) {
	if len(key) < 2 {
		return groupRecord{}, fmt.Errorf("%w: its key has %d bytes", errGroupRecord, len(key))
	}
	switch kind := binary.BigEndian.Uint16(key); kind {
	case 0, keyOffset:
		return parseOffsetRecord(key, value)
	case keyGroup:
		return parseMetadataRecord(key, value)
	case keyModernGroup, keyModernMember:
		return parseModernRecord(key, value)
	default:
		return groupRecord{}, fmt.Errorf("%w: its key is of kind %d", errGroupRecord, kind)
	}
}

func parseOffsetRecord(key, value []byte) (groupRecord, error) {
	var k kmsg.OffsetCommitKey
	if err := k.ReadFrom(key); err != nil || k.Topic == "" {
		return groupRecord{}, fmt.Errorf("%w: the key of an offset of topic %.60q: %v", errGroupRecord, k.Topic, err)
	}
	r := groupRecord{group: k.Group, topic: k.Topic, partition: k.Partition}
	if value == nil {
		return r, nil
	}
	var v kmsg.OffsetCommitValue
	if err := v.ReadFrom(value); err != nil || v.Version > offsetValueForm {
		return r, fmt.Errorf("%w: an offset in form %d: %v", errGroupRecord, v.Version, err)
	}
	r.offset = &committedOffset{
		partition: k.Partition, offset: v.Offset, leaderEpoch: v.LeaderEpoch, metadata: v.Metadata,
		committed: v.CommitTimestamp, topicID: GroupID(binary.BigEndian.Uint64(v.TopicID[8:])),
	}
	return r, nil
}

func parseMetadataRecord(key, value []byte) (groupRecord, error) {
	var k kmsg.GroupMetadataKey
	if err := k.ReadFrom(key); err != nil {
		return groupRecord{}, fmt.Errorf("%w: the key of a group: %v", errGroupRecord, err)
	}
	r := groupRecord{group: k.Group}
	if value == nil {
		return r, nil
	}
	v := new(kmsg.GroupMetadataValue)
	err := v.ReadFrom(bytes.Clone(value))
	if err != nil || v.Version > groupValueForm || len(v.Members) > 0 && (v.Protocol == nil || v.Leader == nil) {
		return r, fmt.Errorf("%w: a group in form %d with %d members: %v", errGroupRecord, v.Version, len(v.Members), err)
	}
	r.metadata = v
	return r, nil
}

func parseModernRecord(key, value []byte) (groupRecord, error) {
	n := 4
	if len(key) >= n {
		n += int(binary.BigEndian.Uint16(key[2:]))
	}
	if len(key) < n || (binary.BigEndian.Uint16(key) == keyModernMember) != (len(key) > n) {
		return groupRecord{}, fmt.Errorf("%w: the key %x of a group of the new protocol", errGroupRecord, key)
	}
	c := &modernChange{member: string(key[n:])}
	r := groupRecord{group: string(key[4:n]), modern: c}
	switch {
	case value == nil:
	case c.member == "":
		c.state = new(modernState)
		if err := json.Unmarshal(value, c.state); err != nil {
			return r, fmt.Errorf("%w: a group of the new protocol: %v", errGroupRecord, err)
		}
	default:
		c.now = new(modernMember)
		if err := json.Unmarshal(value, c.now); err != nil || c.now.ID != c.member {
			return r, fmt.Errorf("%w: member %.60q of a group of the new protocol: %v", errGroupRecord, c.member, err)
		}
	}
	return r, nil
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"

	"chronik/kafka"
	"chronik/node/consumers"
)

// The records of __consumer_offsets as Kafka 4.3 writes them. Committed offsets and groups of the classic protocol are
// in that form in entries, too; for the new protocol (KIP-848) Kafka has five kinds of records where entries
// have two. Keys begin with the number of the kind, values with a version.
const (
	kafkaGroup        = 3 // a group's epoch
	kafkaMember       = 5 // what a member is
	kafkaTarget       = 6 // for which epoch targets were made
	kafkaTargetMember = 7 // what a member shall own
	kafkaCurrent      = 8 // what a member owns
)

// States of a member in its record of kind 8.
const (
	memberStable = iota
	memberRevokes
	memberWaits
)

func kafkaKey(kind uint16, names ...string) []byte {
	key := binary.BigEndian.AppendUint16(nil, kind)
	for _, n := range names {
		key = append(binary.BigEndian.AppendUint16(key, uint16(len(n))), n...)
	}
	return key
}

// records are what clients read at a place, in the order of offsets.
func (p *place) records() []kafka.Record {
	switch p.kind {
	case placeOffset:
		return []kafka.Record{kafkaOffset(p)}
	case placeModern:
		return p.group.stored.modern.kafkaRecords(p.group.id)
	case placeMember:
		return p.group.stored.modern.member(p.name).kafkaRecords(p.group)
	}
	return []kafka.Record{p.entry()}
}

// kafkaOffset is a committed offset in version 3, the last one that all readers know. In entries the topic's id
// is a number of our own.
func kafkaOffset(p *place) kafka.Record {
	v := offsetValue(p.group.stored.find(p.name, p.partition))
	v.Version = 3
	return kafka.Record{Key: offsetKey(p.group.id, p.name, p.partition), Value: v.AppendTo(nil)}
}

func (s *modernState) kafkaRecords(group string) []kafka.Record {
	epoch := func(e int32) []byte {
		v := &kafkaValue{}
		v.int32(e)
		return v.done()
	}
	return []kafka.Record{
		{Key: kafkaKey(kafkaGroup, group), Value: epoch(s.Epoch)},
		{Key: kafkaKey(kafkaTarget, group), Value: epoch(s.TargetEpoch)},
	}
}

func (m *modernMember) kafkaRecords(g *consumerGroup) []kafka.Record {
	what := &kafkaValue{}
	what.nullable(m.Instance)
	what.nullable(m.Rack)
	what.string(m.ClientID)
	what.string(m.Host)
	what.length(len(m.Topics))
	for _, t := range m.Topics {
		what.string(t)
	}
	what.string(m.Regex)
	what.int32(m.RebalanceMs)
	if m.Assignor == "" {
		what.nullable(nil)
	} else {
		what.string(m.Assignor)
	}

	target := &kafkaValue{}
	target.partitions(g.coordinator.node, m.Target)

	current := &kafkaValue{}
	current.int32(m.Epoch)
	current.int32(m.Previous)
	current.b = append(current.b, m.kafkaState())
	current.partitions(g.coordinator.node, m.Owned)
	current.partitions(g.coordinator.node, m.Revoking)

	return []kafka.Record{
		{Key: kafkaKey(kafkaMember, g.id, m.ID), Value: what.done()},
		{Key: kafkaKey(kafkaTargetMember, g.id, m.ID), Value: target.done()},
		{Key: kafkaKey(kafkaCurrent, g.id, m.ID), Value: current.done()},
	}
}

func (m *modernMember) kafkaState() byte {
	switch {
	case len(m.Revoking) > 0:
		return memberRevokes
	case !m.Owned.Equal(m.Target):
		return memberWaits
	}
	return memberStable
}

// kafkaValue writes a value of version 0 in the flexible format (KIP-482).
type kafkaValue struct{ b []byte }

func (v *kafkaValue) int32(n int32) { v.b = binary.BigEndian.AppendUint32(v.b, uint32(n)) }

func (v *kafkaValue) length(n int) { v.b = binary.AppendUvarint(v.b, uint64(n)+1) }

func (v *kafkaValue) string(s string) { v.length(len(s)); v.b = append(v.b, s...) }

func (v *kafkaValue) nullable(s *string) {
	if s == nil {
		v.b = append(v.b, 0)
	} else {
		v.string(*s)
	}
}

// partitions writes those whose topic still exists: others have no id any more.
func (v *kafkaValue) partitions(n *Node, a consumers.Assignment) {
	var ids [][16]byte
	var parts [][]int32
	for _, t := range a {
		if p := n.catalog.byGroup[t.Topic]; p != nil {
			ids, parts = append(ids, p.Topic.uuid), append(parts, t.Partitions)
		}
	}
	v.length(len(ids))
	for i := range ids {
		v.b = append(v.b, ids[i][:]...)
		v.length(len(parts[i]))
		for _, p := range parts[i] {
			v.int32(p)
		}
		v.b = append(v.b, 0) // no tags
	}
}

func (v *kafkaValue) done() []byte { return append(append([]byte{0, 0}, v.b...), 0) }

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// What a coordinator's entries do to its groups and to the log of them that clients read.

// write puts a place for a group's records at the end of the log, instead of the one where they were.
func (g *consumerGroup) write(was *place, p place) *place {
	l := &g.coordinator.log
	l.drop(was)
	p.group = g
	return l.add(&p)
}

func (g *consumerGroup) put(ms int64, topic string, o committedOffset) {
	var was *place
	if old := g.stored.find(topic, o.partition); old != nil {
		was = old.place
		g.coordinator.offsetBytes -= old.bytes()
	}
	g.coordinator.offsetBytes += o.bytes()
	o.place = g.write(was, place{kind: placeOffset, ms: ms, name: topic, partition: o.partition})
	g.stored.put(topic, o)
}

func (g *consumerGroup) removeOffset(ms int64, topic string, partition int32) {
	if o := g.stored.find(topic, partition); o != nil {
		g.coordinator.log.drop(o.place)
		g.coordinator.log.bury(ms, offsetKey(g.id, topic, partition))
		g.coordinator.offsetBytes -= o.bytes()
		g.stored.remove(topic, partition)
	}
}

func (g *consumerGroup) putClassic(ms int64, v *kmsg.GroupMetadataValue) {
	g.buryModern(ms)
	g.stored.place = g.write(g.stored.place, place{kind: placeClassic, ms: ms})
	g.stored.metadata, g.stored.modern = v, nil
}

// applyModern takes a record of a group of the new protocol or of one of its members.
func (g *consumerGroup) applyModern(ms int64, c *modernChange) {
	member := c.member
	if c.isTombstone() {
		g.removeMember(ms, member)
		return
	}
	g.buryClassic(ms)
	g.coordinator.log.drop(g.stored.modern.placeOf(member)) // before it changes: a checkpoint may need what it was
	g.stored.applyModern(c)
	s := g.stored.modern
	if member == "" {
		s.place = g.write(s.place, place{kind: placeModern, ms: ms})
		return
	}
	m := s.member(member)
	m.place = g.write(m.place, place{kind: placeMember, ms: ms, name: member})
}

func (g *consumerGroup) removeMember(ms int64, member string) {
	s := g.stored.modern
	if s == nil || s.member(member) == nil {
		return // removed twice
	}
	g.buryMember(ms, s.member(member))
	s.release(member)
	s.remove(member)
	if s.place == nil && len(s.members) == 0 {
		g.stored.modern = nil
	}
}

// bury puts tombstones in the place of everything that the log says of a group.
func (g *consumerGroup) bury(ms int64) {
	g.coordinator.node.out.Work.Parts += g.stored.offsets()/2 + g.members()
	for _, t := range g.stored.topics {
		for i := range t.partitions {
			g.coordinator.offsetBytes -= t.partitions[i].bytes()
			g.coordinator.log.drop(t.partitions[i].place)
			g.coordinator.log.bury(ms, offsetKey(g.id, t.name, t.partitions[i].partition))
		}
	}
	g.buryClassic(ms)
	g.buryModern(ms)
}

func (g *consumerGroup) buryClassic(ms int64) {
	if p := g.stored.place; p != nil {
		g.coordinator.log.drop(p)
		g.coordinator.log.bury(ms, groupKey(g.id))
		g.stored.place = nil
	}
}

func (g *consumerGroup) buryModern(ms int64) {
	s := g.stored.modern
	if s == nil {
		return
	}
	for _, m := range s.members {
		g.buryMember(ms, m)
	}
	if s.place != nil {
		g.coordinator.log.drop(s.place)
		g.coordinator.log.bury(ms, kafkaKey(kafkaTarget, g.id), kafkaKey(kafkaGroup, g.id))
	}
}

func (g *consumerGroup) buryMember(ms int64, m *modernMember) {
	g.coordinator.log.drop(m.place)
	g.coordinator.log.bury(ms, kafkaKey(kafkaCurrent, g.id, m.ID), kafkaKey(kafkaTargetMember, g.id, m.ID), kafkaKey(kafkaMember, g.id, m.ID))
}

// entry is the record that brings a place's state back, as it stands in entries; a tombstone has no value.
func (p *place) entry() kafka.Record {
	switch p.kind {
	case placeOffset:
		return offsetRecord(p.group.id, p.name, p.group.stored.find(p.name, p.partition))
	case placeClassic:
		return groupMetadataRecord(p.group.id, p.group.stored.metadata)
	case placeModern:
		return p.group.stored.modern.record(p.group.id)
	case placeMember:
		return p.group.stored.modern.member(p.name).record(p.group.id)
	}
	return kafka.Record{Key: []byte(p.name)}
}

// The bytes of a coordinator's checkpoint. All numbers are varints.
//
//	version, end of the log, number of places
//	by place: offset and time less those of the one before, key and value with their lengths; no value: a tombstone
//	since version 2: number of producers of transactions, then those (offsetProducer.appendTo)
//
// Until the log could be read, a checkpoint was a row of batches, which begin with 0, or nothing.
const groupsStateVersion = 2

func (c *coordinator) appendHead(b []byte) []byte {
	b = append(b, groupsStateVersion)
	b = binary.AppendVarint(b, c.log.end)
	return binary.AppendUvarint(b, uint64(c.log.count))
}

// snapshot implements machine.
func (c *coordinator) snapshot(uint64) pieces {
	head, offset, ms := c.appendHead(nil), int64(0), int64(0)
	producers := c.txns.all()
	c.node.out.Work.Parts += len(producers) / 32
	tail := binary.AppendUvarint(nil, uint64(len(producers)))
	c.log.beginWriting()
	return func(b []byte) (_ []byte, more bool) {
		switch p := c.log.nextToWrite(); {
		case head != nil:
			b, head = append(b, head...), nil
		case p != nil:
			b = p.appendTo(b, offset, ms)
			offset, ms = p.offset, p.ms
			c.log.wrote(p)
		case tail != nil:
			b, tail = append(b, tail...), nil
		default:
			b = producers[0].appendTo(b)
			producers = producers[1:]
		}
		return b, c.log.nextToWrite() != nil || tail != nil || len(producers) > 0
	}
}

// state implements machine.
func (c *coordinator) state(uint64) []byte {
	b, offset, ms := c.appendHead(nil), int64(0), int64(0)
	c.log.from(0, func(p *place) bool {
		b = p.appendTo(b, offset, ms)
		offset, ms = p.offset, p.ms
		return true
	})
	producers := c.txns.all()
	b = binary.AppendUvarint(b, uint64(len(producers)))
	for i := range producers {
		b = producers[i].appendTo(b)
	}
	return b
}

// appendTo appends a place after one with an offset and a time.
func (p *place) appendTo(b []byte, offset, ms int64) []byte {
	r := p.was
	if r == nil {
		now := p.entry()
		r = &now
	}
	b = binary.AppendVarint(b, p.offset-offset)
	b = binary.AppendVarint(b, p.ms-ms)
	b = append(binary.AppendUvarint(b, uint64(len(r.Key))), r.Key...)
	return append(binary.AppendUvarint(b, uint64(len(r.Value))), r.Value...)
}

var errGroupsState = errors.New("malformed state of a coordinator of consumer groups")

func (c *coordinator) restoreLog(b []byte) error {
	r := newReader(b)
	version := r.byte()
	if version > groupsStateVersion {
		return fmt.Errorf("%w: version %d, this broker knows 1 to %d; start a newer release", errGroupsState, version, groupsStateVersion)
	}
	end, ms, offset := r.varint(), int64(0), int64(0)
	for range r.count(4) {
		offset += r.varint()
		c.log.end = offset
		ms += r.varint()
		key, value := r.bytes(), r.bytes()
		switch {
		case r.bad || len(key) < 2:
			return fmt.Errorf("%w: it doesn't end where its numbers say", errGroupsState)
		case value == nil:
			c.log.bury(ms, key)
		default:
			rec, err := parseGroupRecord(key, value)
			if err != nil {
				return fmt.Errorf("%w: %w", errGroupsState, err)
			}
			rec.ms = ms
			c.applyRecord(&rec)
		}
	}
	c.log.end = end
	if version >= 2 {
		c.readTransactions(&r.scan)
	}
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("%w: it doesn't end where its numbers say", errGroupsState)
	}
	return nil
}

// restoreOld takes the state that an earlier release wrote, which doesn't say at which offsets records are. Replicas
// took it at different entries. So that offsets don't go back from one to the next, they begin
// with the time of the newest record, in ms, and the next leader tells all where they have come to (beginAt).
func (c *coordinator) restoreOld(b []byte) error {
	c.old = true
	var wrong error
	err := kafka.SplitBatches(b, func(batch []byte) {
		if wrong == nil {
			wrong = c.applyBatch(batch)
		}
	})
	if err = cmp.Or(err, wrong); err != nil {
		return fmt.Errorf("%w: %w", errGroupsState, err)
	}
	newest := int64(0)
	c.log.from(0, func(p *place) bool {
		p.ms = p.group.wroteAt(p)
		p.in.newest = max(p.in.newest, p.ms)
		newest = max(newest, p.ms)
		return true
	})
	c.log.shift(newest)
	return err
}

// wroteAt tells from what a place holds when it was written.
func (g *consumerGroup) wroteAt(p *place) int64 {
	switch p.kind {
	case placeOffset:
		return g.stored.find(p.name, p.partition).committed
	case placeClassic:
		return g.stored.metadata.CurrentStateTimestamp
	}
	return 0
}

// beginAt is an entry without records, by which all replicas come to a leader's offset.
func beginAt(offset int64) []byte {
	spec := kafka.NewBatchSpec()
	spec.BaseOffset = offset
	return kafka.AppendBatch(nil, spec)
}

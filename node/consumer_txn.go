// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// offsetTransactions is what a coordinator's entries say of transactions: the offsets that are pending, because they were
// committed in a transaction whose marker hasn't come, and who the newest of their producers are. Its entries are a
// transactional batch of offsets, and the same marker as in a partition.
type offsetTransactions struct {
	byID map[int64]*offsetProducer
	busy list.List // producers with pending offsets
	idle list.List // the others, whoever was silent for longest first
}

// offsetProducer is what is known of a producer, as a partition's window does: its epoch, and its newest marker.
type offsetProducer struct {
	id               int64
	epoch            int16
	coordinatorEpoch int32
	number           uint64          // of the newest decision whose marker came; 0: none had a number
	pending          []pendingOffset // never changed in place: a checkpoint may hold it
	place            *list.Element
}

// pendingOffset is an offset that waits for a marker.
type pendingOffset struct {
	group, topic string
	committedOffset
}

func (o *pendingOffset) key() namedPartition { return namedPartition{o.topic, o.partition} }

// bytes is about what it takes.
func (o *pendingOffset) bytes() int64 {
	return o.committedOffset.bytes() + int64(len(o.group)+len(o.topic))
}

// Bounds of what a coordinator keeps.
const (
	maxPendingOffsets = 2 * maxRecords // of one transaction: its marker is applied in one step
	maxBusyProducers  = 1 << 13
	maxIdleProducers  = 1 << 13 // beyond that whoever was silent for longest is forgotten
)

var (
	errPendingSplit = errors.New("a batch of a transaction holds something else than offsets")
	errTooManyBusy  = kafka.Errorf(kerr.CoordinatorLoadInProgress, "%d transactions have offsets that wait for their end, the most that a coordinator takes", maxBusyProducers)
)

// touch returns a producer, as one that was heard of now.
func (t *offsetTransactions) touch(id int64, epoch int16) *offsetProducer {
	p := t.byID[id]
	if p == nil {
		p = &offsetProducer{id: id, epoch: epoch, coordinatorEpoch: -1}
		if t.byID == nil {
			t.byID = make(map[int64]*offsetProducer)
		}
		t.byID[id] = p
	} else if len(p.pending) == 0 {
		t.idle.Remove(p.place)
		p.place = nil
	}
	return p
}

// file puts a producer where it belongs, and forgets the one that was silent for longest if there are too many.
func (t *offsetTransactions) file(p *offsetProducer) {
	switch {
	case len(p.pending) > 0 && p.place == nil:
		p.place = t.busy.PushBack(p)
	case len(p.pending) == 0 && p.place == nil:
		p.place = t.idle.PushBack(p)
	}
	if t.idle.Len() > maxIdleProducers {
		delete(t.byID, t.idle.Remove(t.idle.Front()).(*offsetProducer).id)
	}
}

// adopt takes what another one knows, which nobody uses after that. Lists can't be copied.
func (t *offsetTransactions) adopt(from *offsetTransactions) {
	*t = offsetTransactions{byID: from.byID}
	for _, l := range []*list.List{&from.idle, &from.busy} {
		for e := l.Front(); e != nil; e = e.Next() {
			p := e.Value.(*offsetProducer)
			p.place = nil
			t.file(p)
		}
	}
}

// take takes the pending offsets of a producer.
func (t *offsetTransactions) take(p *offsetProducer) (pending []pendingOffset) {
	if pending = p.pending; len(pending) > 0 {
		t.busy.Remove(p.place)
		p.pending, p.place = nil, nil
	}
	return pending
}

// isOpen reports whether a producer has pending offsets in this epoch.
func (t *offsetTransactions) isOpen(id int64, epoch int16) bool {
	p := t.byID[id]
	return p != nil && len(p.pending) > 0 && p.epoch == epoch
}

// appendPending makes an entry of offsets of a transaction.
func appendPending(producer int64, epoch int16, records []kafka.Record, unixMs int64) []byte {
	spec := kafka.NewBatchSpec(records...)
	spec.FirstTimestamp, spec.Attributes = unixMs, kafka.TransactionalFlag
	spec.ProducerID, spec.ProducerEpoch = producer, epoch
	return kafka.AppendBatch(nil, spec)
}

// judge decides whether offsets of a transaction are taken.
func (p *offsetProducer) judge(b *kafka.Batch) error {
	switch {
	case p == nil:
	case b.ProducerEpoch < p.epoch:
		return kafka.Errorf(kerr.InvalidProducerEpoch, "producer %d has epoch %d here, the offsets are of epoch %d", b.ProducerID, p.epoch, b.ProducerEpoch)
	case b.ProducerEpoch > p.epoch && len(p.pending) > 0:
		return kafka.Errorf(kerr.InvalidTxnState, "a transaction of producer %d in epoch %d is open, the offsets are of epoch %d", b.ProducerID, p.epoch, b.ProducerEpoch)
	case len(p.pending)+int(b.Count) > maxPendingOffsets:
		return kafka.Errorf(kerr.InvalidCommitOffsetSize, "%d offsets of a transaction wait for its end, and it has %d more; a coordinator takes %d", len(p.pending), b.Count, maxPendingOffsets)
	}
	return nil
}

// applyTransactional applies a batch of offsets of a transaction, or a marker. It returns an error if that is refused, on
// all replicas alike, which is unusual only if this release can't read it.
func (c *coordinator) applyTransactional(b *kafka.Batch, raw []byte) (refused, unreadable error) {
	if b.IsControl() {
		m, err := kafka.ParseMarker(raw)
		if err != nil {
			return err, err
		}
		return c.applyMarker(&m, b.MaxTimestamp), nil
	}
	records, err := parseGroupBatch(raw)
	for i := range records {
		if records[i].offset == nil {
			err = cmp.Or(err, errPendingSplit)
		}
	}
	if err != nil {
		return err, err
	}
	c.node.out.Work.Parts += len(records) / 2
	if err := c.txns.byID[b.ProducerID].judge(b); err != nil {
		return err, nil
	}
	p := c.txns.touch(b.ProducerID, b.ProducerEpoch)
	p.epoch = b.ProducerEpoch
	for i := range records {
		r := &records[i]
		o := pendingOffset{group: r.group, topic: r.topic, committedOffset: *r.offset}
		p.pending = append(p.pending, o)
		c.ensure(r.group).stored.awaits(&o)
		c.offsetBytes += o.bytes()
	}
	c.txns.file(p)
	return nil, nil
}

// applyMarker ends a transaction: its offsets become those of their groups, or are dropped. The rules are those of a
// partition (records.applyMarker).
func (c *coordinator) applyMarker(m *kafka.Marker, ms int64) error {
	c.markers.note(m.ProducerID)
	e := Event{Kind: EventMarkerIgnored, N: m.ProducerID}
	if c.group != nil { // not while the log is read
		e.Group = c.group.id
	}
	known := c.txns.byID[m.ProducerID]
	switch {
	case known == nil:
	case m.Number != 0 && m.Number <= known.number:
		c.node.event(e)
		return nil
	case m.ProducerEpoch < known.epoch:
		c.node.event(e)
		return kafka.Errorf(kerr.InvalidProducerEpoch, "producer %d has epoch %d here, the marker epoch %d", m.ProducerID, known.epoch, m.ProducerEpoch)
	case m.Number == 0 && m.CoordinatorEpoch < known.coordinatorEpoch:
		c.node.event(e)
		return kafka.Errorf(kerr.TransactionCoordinatorFenced, "a coordinator in epoch %d spoke last for producer %d, the marker is of epoch %d", known.coordinatorEpoch, m.ProducerID, m.CoordinatorEpoch)
	}
	p := c.txns.touch(m.ProducerID, m.ProducerEpoch)
	pending := c.txns.take(p)
	p.epoch, p.coordinatorEpoch, p.number = m.ProducerEpoch, m.CoordinatorEpoch, max(p.number, m.Number)
	c.txns.file(p)
	c.node.out.Work.Parts += len(pending)
	for i := range pending {
		c.settle(&pending[i], m.Commit, ms)
	}
	if len(pending) > 0 {
		e.Kind, e.N = EventTransactionEnded, int64(len(pending))
		c.wakeFetches()
	}
	c.node.event(e)
	return nil
}

// settle ends the wait of an offset.
func (c *coordinator) settle(o *pendingOffset, commit bool, ms int64) {
	g := c.find(o.group)
	g.stored.awaitsNoMore(o)
	if c.offsetBytes -= o.bytes(); commit {
		g.put(ms, o.topic, o.committedOffset)
	}
	switch {
	case g.classic != nil:
		g.classic.forgetIfUnused()
	case g.stored.empty():
		c.forget(g)
	}
}

// dropPending forgets the pending offsets of a group that is deleted, as Kafka does.
func (c *coordinator) dropPending(g *consumerGroup) {
	if len(g.stored.pending) == 0 {
		return
	}
	for e := c.txns.busy.Front(); e != nil; {
		p := e.Value.(*offsetProducer)
		e = e.Next()
		c.node.out.Work.Parts += 1 + len(p.pending)/8
		var left []pendingOffset
		for i := range p.pending {
			if o := &p.pending[i]; o.group != g.id {
				left = append(left, *o)
			} else {
				g.stored.awaitsNoMore(o)
				c.offsetBytes -= o.bytes()
			}
		}
		if len(left) == len(p.pending) {
			continue
		}
		if c.txns.take(p); len(left) > 0 {
			p.pending = left
		}
		c.txns.file(p)
	}
}

// awaits notes that an offset of the group is pending.
func (s *storedGroup) awaits(o *pendingOffset) {
	if s.pending == nil {
		s.pending = make(map[namedPartition]int)
	}
	s.pending[o.key()]++
	s.waiting++
}

func (s *storedGroup) awaitsNoMore(o *pendingOffset) {
	s.waiting--
	if s.pending[o.key()]--; s.pending[o.key()] == 0 {
		delete(s.pending, o.key())
	}
}

// unstable reports whether the offset of a partition may be about to change.
func (s *storedGroup) unstable(topic string, partition int32) bool {
	return s.pending[namedPartition{topic, partition}] > 0
}

// all lists the producers as they are now, for a checkpoint: the idle ones first, in their order.
func (t *offsetTransactions) all() []offsetProducer {
	all := make([]offsetProducer, 0, len(t.byID))
	for _, l := range []*list.List{&t.idle, &t.busy} {
		for e := l.Front(); e != nil; e = e.Next() {
			all = append(all, *e.Value.(*offsetProducer))
		}
	}
	return all
}

// appendTo appends a producer to a checkpoint: id, epoch, coordinator's epoch, number, number of pending offsets, then
// group, topic, partition, offset, leader epoch, metadata, time and topic's id of each.
func (p *offsetProducer) appendTo(b []byte) []byte {
	b = binary.AppendVarint(b, p.id)
	b = binary.AppendVarint(b, int64(p.epoch))
	b = binary.AppendVarint(b, int64(p.coordinatorEpoch))
	b = binary.AppendUvarint(b, p.number)
	b = binary.AppendUvarint(b, uint64(len(p.pending)))
	for i := range p.pending {
		o := &p.pending[i]
		b = appendBytes(appendBytes(b, []byte(o.group)), []byte(o.topic))
		b = binary.AppendVarint(b, int64(o.partition))
		b = binary.AppendVarint(b, o.offset)
		b = binary.AppendVarint(b, int64(o.leaderEpoch))
		b = appendBytes(b, []byte(o.metadata))
		b = binary.AppendVarint(b, o.committed)
		b = binary.AppendUvarint(b, uint64(o.topicID))
	}
	return b
}

// readTransactions reads what all producers' appendTo wrote.
func (c *coordinator) readTransactions(r *scan) {
	for range r.count(5) {
		id, epoch := r.varint(), int16(r.varint())
		if r.bad || c.txns.byID[id] != nil {
			r.fail()
			return
		}
		p := c.txns.touch(id, epoch)
		p.coordinatorEpoch, p.number = int32(r.varint()), r.uvarint()
		for range r.count(8) {
			o := pendingOffset{group: string(r.bytes()), topic: string(r.bytes())}
			o.partition, o.offset, o.leaderEpoch = int32(r.varint()), r.varint(), int32(r.varint())
			o.metadata, o.committed, o.topicID = string(r.bytes()), r.varint(), GroupID(r.uvarint())
			if r.bad {
				return
			}
			p.pending = append(p.pending, o)
			c.ensure(o.group).stored.awaits(&o)
			c.offsetBytes += o.bytes()
		}
		c.txns.file(p)
	}
}

// check compares what is pending with what the groups know of it, and returns how many bytes that takes.
func (t *offsetTransactions) check(c *coordinator) (bytes int64, err error) {
	pending, seen := make(map[string]map[namedPartition]int), 0
	for _, l := range []*list.List{&t.idle, &t.busy} {
		for e := l.Front(); e != nil; e = e.Next() {
			p := e.Value.(*offsetProducer)
			seen++
			if p.place != e || t.byID[p.id] != p || (len(p.pending) > 0) != (l == &t.busy) {
				return 0, fmt.Errorf("producer %d with %d pending offsets is in the wrong list, or isn't found", p.id, len(p.pending))
			}
			for i := range p.pending {
				o := &p.pending[i]
				if pending[o.group] == nil {
					pending[o.group] = make(map[namedPartition]int)
				}
				pending[o.group][o.key()]++
				bytes += o.bytes()
			}
		}
	}
	for _, g := range c.groups {
		sum := 0
		//det:ok sums have no order
		for key, n := range pending[g.id] {
			if sum += n; g.stored.pending[key] != n {
				return 0, fmt.Errorf("group %q knows of %d pending offsets of %v, there are %d", g.id, g.stored.pending[key], key, n)
			}
		}
		if len(g.stored.pending) != len(pending[g.id]) || g.stored.waiting != sum {
			return 0, fmt.Errorf("group %q has pending offsets of %d partitions, and counts %d, %d in all, not %d", g.id, len(pending[g.id]), len(g.stored.pending), sum, g.stored.waiting)
		}
		delete(pending, g.id)
	}
	return bytes, cmp.Or(
		broken(len(pending) == 0, "pending offsets are of groups that are there"),
		differ("producers of transactions", int64(len(t.byID)), int64(seen)),
		bounded("producers without pending offsets", int64(t.idle.Len()), maxIdleProducers+1),
	)
}

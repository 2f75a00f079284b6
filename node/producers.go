// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// producers are the idempotent producers that a partition remembers, in the order of their newest batches. So whoever
// was silent for longest is found at once, and a checkpoint needs no sorting.
//
// While a checkpoint is being written, a window that is about to change before it is written leaves a copy of itself in
// its place in the list, which is gone in all other respects.
type producers struct {
	byID           map[int64]*producerWindow
	oldest, newest *producerWindow
	toWrite        *producerWindow // into a checkpoint, with those after it
	writeUntil     int64           // but not those whose newest batch is at this offset or later
}

func newProducers() producers { return producers{byID: make(map[int64]*producerWindow)} }

// add notes a batch that a producer's window has accepted.
func (ps *producers) add(b *kafka.Batch, base, appended int64, now Time) {
	w := ps.byID[b.ProducerID]
	if w == nil {
		w = &producerWindow{id: b.ProducerID, epoch: b.ProducerEpoch}
		ps.byID[b.ProducerID] = w
	} else if ps.isToWrite(w) {
		w = ps.replace(w)
	} else {
		ps.unlink(w)
	}
	w.add(b, base)
	w.appended, w.seen = appended, now
	ps.link(w)
}

// link puts a window at the end of the list.
func (ps *producers) link(w *producerWindow) {
	if w.before = ps.newest; w.before != nil {
		w.before.after = w
	} else {
		ps.oldest = w
	}
	ps.newest = w
}

func (ps *producers) unlink(w *producerWindow) {
	if w.before != nil {
		w.before.after = w.after
	} else {
		ps.oldest = w.after
	}
	if w.after != nil {
		w.after.before = w.before
	} else {
		ps.newest = w.before
	}
	w.before, w.after = nil, nil
}

// forget forgets a producer, unless it has written since.
func (ps *producers) forget(id, newest int64) bool {
	w := ps.byID[id]
	if w == nil || w.last().base != newest {
		return false
	}
	if w.gone = ps.isToWrite(w); !w.gone {
		ps.unlink(w)
	}
	delete(ps.byID, id)
	return true
}

// isToWrite reports whether a window belongs to a checkpoint for which it isn't written yet.
func (ps *producers) isToWrite(w *producerWindow) bool {
	return ps.toWrite != nil && w.last().base >= ps.toWrite.last().base && w.last().base < ps.writeUntil
}

// replace leaves a window where it is until it is written, and returns one that takes its place in all other respects.
func (ps *producers) replace(w *producerWindow) *producerWindow {
	next := &producerWindow{id: w.id, epoch: w.epoch}
	next.batches = append(make([]sequencedBatch, 0, windowBatches), w.batches...)
	w.gone, ps.byID[w.id] = true, next
	return next
}

// ids lists the producers, whoever was silent for longest first.
func (ps *producers) ids() []int64 {
	ids := make([]int64, 0, len(ps.byID))
	for w := ps.oldest; w != nil; w = w.after {
		if !w.gone {
			ids = append(ids, w.id)
		}
	}
	return ids
}

// producerIDs lists the producers, whoever was silent for longest first.
func (p *records) producerIDs() []int64 { return p.producers.ids() }

// describeProducer returns what DescribeProducers says of one; false if it isn't there.
func (p *records) describeProducer(id int64) (a kmsg.DescribeProducersResponseTopicPartitionActiveProducer, ok bool) {
	w := p.producers.byID[id]
	if w == nil {
		return a, false
	}
	newest := w.last()
	a = kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
	a.ProducerID, a.ProducerEpoch = w.id, int32(w.epoch)
	a.LastSequence, a.LastTimestamp = newest.last, newest.timestamp
	a.CoordinatorEpoch, a.CurrentTxnStartOffset = -1, -1
	return a, true
}

// Producers are forgotten when they have written nothing for producer.id.expiration.ms, as in Kafka: a day is far
// longer than any client tries the same batch again. Which of them that are is decided by the leader, by the time of
// appending (ADR 10), and said in the partition's log by their ids, so that all replicas forget the same ones at the
// same entry whatever their own clocks and settings say. A producer that comes back is taken like a new one, at any
// sequence, as Kafka does it.

// commandForget is an entry's kind (retention.go): number of producers (uvarint), then id and offset of the newest batch
// of each (varints). One that has written since stays.
const commandForget = 2

// maxForget bounds the producers in one such entry, so the work of a step. A leader looks once in a second.
const maxForget = 4096

// silent returns the command that forgets the producers that were silent for so many ms, nil if there are none.
func (p *records) silent(a age, ms int64) []byte {
	list, count := []byte(nil), 0
	for w := p.producers.oldest; w != nil && count < maxForget && a.over(w.appended, w.seen, ms); w = w.after {
		if w.gone {
			continue
		}
		list = binary.AppendVarint(binary.AppendVarint(list, w.id), w.last().base)
		count++
	}
	if count == 0 {
		return nil
	}
	return append(binary.AppendUvarint([]byte{commandForget}, uint64(count)), list...)
}

// applyForget applies such an entry. It returns how many producers it names, and how many of them are forgotten.
func (p *records) applyForget(r *scan) (named, forgotten int, ok bool) {
	type silent struct{ id, newest int64 }
	var all []silent
	for range r.count(2) {
		all = append(all, silent{r.varint(), r.varint()})
	}
	if r.bad || len(r.b) > 0 {
		return 0, 0, false
	}
	for _, w := range all {
		if p.producers.forget(w.id, w.newest) {
			forgotten++
		}
	}
	return len(all), forgotten, true
}

// pieces writes the windows: their number, then the oldest first, each as differences to what came before.
func (ps *producers) pieces() pieces {
	head, base, appended := binary.AppendUvarint(nil, uint64(len(ps.byID))), int64(0), int64(0)
	ps.toWrite, ps.writeUntil = ps.oldest, math.MaxInt64
	if ps.newest != nil {
		ps.writeUntil = ps.newest.last().base + 1
	}
	return func(b []byte) (_ []byte, more bool) {
		if head != nil {
			b, head = append(b, head...), nil
		} else if w := ps.toWrite; w != nil {
			b = w.appendTo(b, base, appended)
			base, appended = w.last().base, w.appended
			ps.wrote(w)
		}
		return b, ps.toWrite != nil
	}
}

// wrote goes on to the window after one that was written.
func (ps *producers) wrote(w *producerWindow) {
	if ps.toWrite = w.after; ps.toWrite != nil && ps.toWrite.last().base >= ps.writeUntil {
		ps.toWrite = nil
	}
	if w.gone {
		ps.unlink(w)
	}
}

// appendTo writes the same at once.
func (ps *producers) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(ps.byID)))
	base, appended := int64(0), int64(0)
	for w := ps.oldest; w != nil; w = w.after {
		if !w.gone {
			b = w.appendTo(b, base, appended)
			base, appended = w.last().base, w.appended
		}
	}
	return b
}

// appendTo appends a window after one with a newest batch and a time of appending.
func (w *producerWindow) appendTo(b []byte, base, appended int64) []byte {
	b = binary.AppendVarint(b, w.id)
	b = binary.AppendVarint(b, int64(w.epoch))
	b = binary.AppendVarint(b, w.appended-appended)
	b = binary.AppendUvarint(b, uint64(len(w.batches)))
	timestamp := w.appended
	for _, s := range w.batches {
		b = binary.AppendVarint(b, int64(s.first))
		b = binary.AppendVarint(b, int64(s.last)-int64(s.first))
		b = binary.AppendVarint(b, s.base-base)
		b = binary.AppendVarint(b, s.timestamp-timestamp)
		base, timestamp = s.base, s.timestamp
	}
	return b
}

// readProducers reads what they write.
func readProducers(r *scan, now Time) producers {
	ps := newProducers()
	base, appended := int64(0), int64(0)
	count := r.count(4)
	ps.byID = make(map[int64]*producerWindow, count)
	for range count {
		w := &producerWindow{id: r.varint(), epoch: int16(r.varint()), seen: now}
		appended += r.varint()
		w.appended = appended
		batches, timestamp := r.count(4), appended
		w.batches = make([]sequencedBatch, 0, min(batches, windowBatches))
		for range batches {
			s := sequencedBatch{first: int32(r.varint())}
			s.last = int32(int64(s.first) + r.varint())
			base, timestamp = base+r.varint(), timestamp+r.varint()
			s.base, s.timestamp = base, timestamp
			w.batches = append(w.batches, s)
		}
		ps.restore(w, r)
	}
	return ps
}

// readProducersBefore reads what states up to version 2 have: windows by id, without a time of appending.
func readProducersBefore(r *scan, now Time) producers {
	var all []*producerWindow
	for range r.count(3) {
		w := &producerWindow{id: r.varint(), epoch: int16(r.varint()), seen: now}
		for range r.count(4) {
			w.batches = append(w.batches, sequencedBatch{int32(r.varint()), int32(r.varint()), r.varint(), r.varint()})
		}
		if len(w.batches) == 0 {
			r.fail()
			break
		}
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b *producerWindow) int { return cmp.Compare(a.last().base, b.last().base) })
	ps := newProducers()
	for _, w := range all {
		ps.restore(w, r)
	}
	return ps
}

// restore takes a window that was read. They are in the order of their newest batches.
func (ps *producers) restore(w *producerWindow, r *scan) {
	if len(w.batches) == 0 || len(w.batches) > windowBatches || ps.byID[w.id] != nil ||
		ps.newest != nil && ps.newest.last().base >= w.last().base {
		r.fail()
		return
	}
	ps.byID[w.id] = w
	ps.link(w)
}

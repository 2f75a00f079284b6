// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// producers are the idempotent producers that a partition remembers, in the order of their newest batches and markers. So
// whoever was silent for longest is found at once, and a checkpoint needs no sorting.
//
// While a checkpoint is being written, a window that is about to change before it is written leaves a copy of itself in
// its place in the list, which is gone in all other respects.
type producers struct {
	byID           map[int64]*producerWindow
	oldest, newest *producerWindow
	toWrite        *producerWindow // into a checkpoint, with those after it
	writeUntil     int64           // but not those that changed at this turn or later
}

func newProducers() producers { return producers{byID: make(map[int64]*producerWindow)} }

// touch returns the window of a producer that has sent a batch or ended a transaction, for it to be noted: a new one in
// that epoch if there is none.
func (ps *producers) touch(id int64, epoch int16, turn, appended int64, now Time) *producerWindow {
	w := ps.byID[id]
	if w == nil {
		w = newWindow(id, epoch)
		ps.byID[id] = w
	} else if ps.isToWrite(w) {
		w = ps.replace(w)
	} else {
		ps.unlink(w)
	}
	w.at, w.appended, w.seen = turn, appended, now
	ps.link(w)
	return w
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

// forget forgets a producer, unless it was heard of since a turn, or has a transaction open.
func (ps *producers) forget(id, turn int64) bool {
	w := ps.byID[id]
	if w == nil || w.at != turn || w.began >= 0 {
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
	return ps.toWrite != nil && w.at >= ps.toWrite.at && w.at < ps.writeUntil
}

// replace leaves a window where it is until it is written, and returns one that takes its place in all other respects.
func (ps *producers) replace(w *producerWindow) *producerWindow {
	next := &producerWindow{id: w.id, epoch: w.epoch, number: w.number, began: w.began, coordinatorEpoch: w.coordinatorEpoch}
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
	a = kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
	a.ProducerID, a.ProducerEpoch = w.id, int32(w.epoch)
	a.LastSequence, a.LastTimestamp = -1, -1
	if newest := w.last(); newest != nil {
		a.LastSequence, a.LastTimestamp = newest.last, newest.timestamp
	} else if w.appended != stampUnknown {
		a.LastTimestamp = w.appended // of a marker
	}
	a.CoordinatorEpoch, a.CurrentTxnStartOffset = w.coordinatorEpoch, w.began
	return a, true
}

// Producers are forgotten when they have written nothing for producer.id.expiration.ms, as in Kafka: a day is far
// longer than any client tries the same batch again. Which of them that are is decided by the leader, by the time of
// appending (ADR 10), and said in the partition's log by their ids, so that all replicas forget the same ones at the
// same entry whatever their own clocks and settings say. A producer that comes back is taken like a new one, at any
// sequence, as Kafka does it.

// commandForget is an entry's kind (retention.go): number of producers (uvarint), then id and turn of the newest change of
// each (varints). One that was heard of since stays. Until there were transactions, the turn was the offset of the newest
// batch; it still is in a partition without a marker that took no offset.
const commandForget = 2

// maxForget bounds the producers in one such entry, so the work of a step, and maxOpenLooked those that are passed over since
// they have a transaction open. A leader looks once in a second.
const (
	maxForget     = 4096
	maxOpenLooked = 4096
)

// silent returns the command that forgets the producers that were silent for so many ms, nil if there are none.
func (p *records) silent(a age, ms int64) []byte {
	list, count, open := []byte(nil), 0, 0
	for w := p.producers.oldest; w != nil && count < maxForget && open < maxOpenLooked && a.over(w.appended, w.seen, ms); w = w.after {
		if w.began >= 0 {
			open++
		}
		if w.gone || w.began >= 0 {
			continue
		}
		list = binary.AppendVarint(binary.AppendVarint(list, w.id), w.at)
		count++
	}
	if count == 0 {
		return nil
	}
	return append(binary.AppendUvarint([]byte{commandForget}, uint64(count)), list...)
}

// applyForget applies such an entry. It returns how many producers it names, and how many of them are forgotten.
func (p *records) applyForget(r *scan) (named, forgotten int, ok bool) {
	type silent struct{ id, turn int64 }
	var all []silent
	for range r.count(2) {
		all = append(all, silent{r.varint(), r.varint()})
	}
	if r.bad || len(r.b) > 0 {
		return 0, 0, false
	}
	for _, w := range all {
		if p.producers.forget(w.id, w.turn) {
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
		ps.writeUntil = ps.newest.at + 1
	}
	return func(b []byte) (_ []byte, more bool) {
		if head != nil {
			b, head = append(b, head...), nil
		} else if w := ps.toWrite; w != nil {
			b, base = w.appendTo(b, base, appended)
			appended = w.appended
			ps.wrote(w)
		}
		return b, ps.toWrite != nil
	}
}

// wrote goes on to the window after one that was written.
func (ps *producers) wrote(w *producerWindow) {
	if ps.toWrite = w.after; ps.toWrite != nil && ps.toWrite.at >= ps.writeUntil {
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
			b, base = w.appendTo(b, base, appended)
			appended = w.appended
		}
	}
	return b
}

// What follows the batches of a window, if their number says so: what it knows of transactions, and its turn if that isn't
// the offset of its newest batch.
const (
	windowHasTransactions = 8
	windowHasTurn         = 16
)

// appendTo appends a window after others with a newest batch and a time of appending, and returns the newest batch.
func (w *producerWindow) appendTo(b []byte, base, appended int64) ([]byte, int64) {
	count := uint64(len(w.batches))
	if w.number > 0 || w.began >= 0 || w.coordinatorEpoch >= 0 {
		count |= windowHasTransactions
	}
	if last := w.last(); last == nil || last.base != w.at {
		count |= windowHasTurn
	}
	b = binary.AppendVarint(b, w.id)
	b = binary.AppendVarint(b, int64(w.epoch))
	b = binary.AppendVarint(b, w.appended-appended)
	b = binary.AppendUvarint(b, count)
	timestamp := w.appended
	for _, s := range w.batches {
		b = binary.AppendVarint(b, int64(s.first))
		b = binary.AppendVarint(b, int64(s.last)-int64(s.first))
		b = binary.AppendVarint(b, s.base-base)
		b = binary.AppendVarint(b, s.timestamp-timestamp)
		base, timestamp = s.base, s.timestamp
	}
	if count&windowHasTransactions != 0 {
		b = binary.AppendUvarint(b, w.number)
		b = binary.AppendVarint(b, int64(w.coordinatorEpoch))
		b = binary.AppendVarint(b, w.began)
	}
	if count&windowHasTurn != 0 {
		b = binary.AppendVarint(b, w.at-base)
	}
	return b, base
}

// readProducers reads what they write.
func readProducers(r *scan, now Time) producers {
	ps := newProducers()
	base, appended := int64(0), int64(0)
	count := r.count(4)
	ps.byID = make(map[int64]*producerWindow, count)
	for range count {
		w := newWindow(r.varint(), int16(r.varint()))
		appended += r.varint()
		w.appended, w.seen = appended, now
		flags, timestamp := r.uvarint(), appended
		batches := flags % windowHasTransactions
		w.batches = make([]sequencedBatch, 0, min(batches, windowBatches))
		for range batches {
			s := sequencedBatch{first: int32(r.varint())}
			s.last = int32(int64(s.first) + r.varint())
			base, timestamp = base+r.varint(), timestamp+r.varint()
			s.base, s.timestamp = base, timestamp
			w.batches = append(w.batches, s)
		}
		w.at = base
		if flags&windowHasTransactions != 0 {
			w.number, w.coordinatorEpoch, w.began = r.uvarint(), int32(r.varint()), r.varint()
		}
		if flags&windowHasTurn != 0 {
			w.at += r.varint()
		}
		ps.restore(w, r)
	}
	return ps
}

// readProducersBefore reads what states up to version 2 have: windows by id, without a time of appending.
func readProducersBefore(r *scan, now Time) producers {
	var all []*producerWindow
	for range r.count(3) {
		w := newWindow(r.varint(), int16(r.varint()))
		w.seen = now
		for range r.count(4) {
			w.batches = append(w.batches, sequencedBatch{int32(r.varint()), int32(r.varint()), r.varint(), r.varint()})
		}
		if len(w.batches) == 0 {
			r.fail()
			break
		}
		w.at = w.last().base
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b *producerWindow) int { return cmp.Compare(a.at, b.at) })
	ps := newProducers()
	for _, w := range all {
		ps.restore(w, r)
	}
	return ps
}

// restore takes a window that was read. They are in the order of their turns.
func (ps *producers) restore(w *producerWindow, r *scan) {
	if len(w.batches) > windowBatches || ps.byID[w.id] != nil || w.began < -1 || ps.newest != nil && ps.newest.at >= w.at {
		r.fail()
		return
	}
	ps.byID[w.id] = w
	ps.link(w)
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// transactions is what a partition's entries say of transactions (KIP-98): which are open, and which were aborted. Their
// producers' windows say the rest.
type transactions struct {
	open []openTransaction // in the order of their first offsets; of those that ended some are still there, never the first
	gone int               // so many of them
	// aborted are those with a record or a marker that can be read, in the order of their markers, and the same by
	// producer.
	aborted    []abortedTransaction
	abortedFor map[int64][]abortedTransaction
	// unplaced counts the markers that ended nothing, and so took no offset.
	unplaced int64
}

// openTransaction is a transaction whose marker hasn't come.
type openTransaction struct {
	producer int64
	first    int64 // offset of its first record here
	ended    bool
}

// abortedTransaction is one whose marker, at offset last, says abort.
type abortedTransaction struct {
	producer    int64
	first, last int64
}

// lastStable returns the last stable offset: no record below it is part of an open transaction.
func (p *records) lastStable() int64 {
	if len(p.open) == 0 {
		return p.highWatermark
	}
	return max(p.open[0].first, p.start)
}

// transactionOpen reports whether a producer has a transaction open here, in this epoch.
func (p *records) transactionOpen(producer int64, epoch int16) bool {
	w := p.producers.byID[producer]
	return w != nil && w.began >= 0 && w.epoch == epoch
}

// begin notes that a transaction begins at an offset.
func (t *transactions) begin(producer, first int64) {
	t.open = append(t.open, openTransaction{producer: producer, first: first})
}

// end notes that the one that began there has ended.
func (t *transactions) end(first int64) {
	i := sort.Search(len(t.open), func(i int) bool { return t.open[i].first >= first })
	t.open[i].ended = true
	t.gone++
	for len(t.open) > 0 && t.open[0].ended {
		t.open = t.open[1:]
		t.gone--
	}
	if 2*t.gone > len(t.open) {
		t.open = slices.DeleteFunc(t.open, func(o openTransaction) bool { return o.ended })
		t.gone = 0
	}
}

// abort notes an aborted transaction.
func (t *transactions) abort(a abortedTransaction) {
	t.aborted = append(t.aborted, a)
	if t.abortedFor == nil {
		t.abortedFor = make(map[int64][]abortedTransaction)
	}
	t.abortedFor[a.producer] = append(t.abortedFor[a.producer], a)
}

// abortedAt finds the aborted transaction of a producer that has an offset, its marker's included.
func (t *transactions) abortedAt(producer, offset int64) (a abortedTransaction, ok bool) {
	all := t.abortedFor[producer]
	i := sort.Search(len(all), func(i int) bool { return all[i].last >= offset })
	if i == len(all) || all[i].first > offset {
		return a, false
	}
	return all[i], true
}

// isAborted reports whether a batch of records is part of an aborted transaction.
func (t *transactions) isAborted(b *kafka.Batch, base int64) bool {
	if !b.IsTransactional() || b.IsControl() {
		return false
	}
	_, ok := t.abortedAt(b.ProducerID, base)
	return ok
}

// decided returns the entry up to which no transaction is open, at most end. It goes by whole spans.
func (p *records) decided(end uint64) uint64 {
	if len(p.open) == 0 {
		return end
	}
	return min(end, p.seek(p.lastStable()).index)
}

// prune forgets aborted transactions of which nothing can be read any more.
func (t *transactions) prune(start int64) {
	for len(t.aborted) > 0 && t.aborted[0].last < start {
		t.forgetFirst(t.aborted[0].producer)
		t.aborted = t.aborted[1:]
	}
}

func (t *transactions) forgetFirst(producer int64) {
	if rest := t.abortedFor[producer][1:]; len(rest) > 0 {
		t.abortedFor[producer] = rest
	} else {
		delete(t.abortedFor, producer)
	}
}

// judgeMarker decides what a marker means. One that was applied before, as its number tells, changes nothing: it must not
// end the next transaction. One of an older epoch is refused, and so is one of a client that speaks for a coordinator that
// was deposed, as in Kafka.
func (w *producerWindow) judgeMarker(m *kafka.Marker) verdict {
	switch {
	case w == nil:
	case m.Number != 0 && m.Number <= w.number:
		return verdict{duplicate: true}
	case m.ProducerEpoch < w.epoch:
		return verdict{err: kafka.Errorf(kerr.InvalidProducerEpoch, "producer %d has epoch %d here, the marker epoch %d", m.ProducerID, w.epoch, m.ProducerEpoch)}
	case m.Number == 0 && m.CoordinatorEpoch < w.coordinatorEpoch:
		return verdict{err: kafka.Errorf(kerr.TransactionCoordinatorFenced, "a coordinator in epoch %d spoke last for producer %d, the marker is of epoch %d", w.coordinatorEpoch, m.ProducerID, m.CoordinatorEpoch)}
	}
	return verdict{}
}

// mark notes a marker, and returns the first offset of the transaction that it ends, -1 if none was open.
func (w *producerWindow) mark(m *kafka.Marker) int64 {
	if m.ProducerEpoch != w.epoch {
		w.epoch, w.batches = m.ProducerEpoch, w.batches[:0]
	}
	began := w.began
	w.began, w.coordinatorEpoch, w.number = -1, m.CoordinatorEpoch, max(w.number, m.Number)
	return began
}

// applyMarker applies a control batch. One that ends a transaction takes an offset. Where none is open, the window still
// remembers that epoch and that number, so that a batch or a marker that comes too late is refused.
func (p *records) applyMarker(index uint64, b *kafka.Batch, raw []byte, now Time) outcome {
	m, err := kafka.ParseMarker(raw)
	if err != nil {
		p.spans.refuse(index, p.highWatermark)
		return outcome{verdict: verdict{err: err}, refused: err}
	}
	v := p.producers.byID[m.ProducerID].judgeMarker(&m)
	if v.err != nil || v.duplicate {
		p.spans.refuse(index, p.highWatermark)
		return outcome{verdict: v, producer: m.ProducerID, marker: true}
	}
	stable, base, appended := p.lastStable(), p.highWatermark, p.appendedAt(b)
	first := p.producers.touch(m.ProducerID, m.ProducerEpoch, p.turn(), appended, now).mark(&m)
	if first < 0 {
		p.unplaced++
		p.spans.refuse(index, base)
		return outcome{producer: m.ProducerID, marker: true}
	}
	p.spans.add(index, base, b, appended, now)
	p.highWatermark++
	p.end(first)
	if !m.Commit {
		p.abort(abortedTransaction{m.ProducerID, first, base})
	}
	return outcome{
		verdict: verdict{offset: base, timestamp: b.MaxTimestamp}, producer: m.ProducerID, marker: true,
		grew: int64(b.Size()), ended: true, stable: p.lastStable() > stable,
	}
}

// turn is the place, in the order in which producers' windows change, of a change that is to come. It is the
// partition's next offset, and beyond it the number of the markers that took none.
func (p *records) turn() int64 { return p.highWatermark + p.unplaced }

// reopen finds the open transactions in the producers' windows.
func (p *records) reopen() {
	p.open, p.gone = nil, 0
	for w := p.producers.oldest; w != nil; w = w.after {
		if w.began >= 0 {
			p.open = append(p.open, openTransaction{producer: w.id, first: w.began})
		}
	}
	slices.SortFunc(p.open, func(a, b openTransaction) int { return cmp.Compare(a.first, b.first) })
}

// appendAborted appends those whose markers have an offset from from on: number, then producer, last, and last less
// first.
func (t *transactions) appendAborted(b []byte, from int64) []byte {
	at := sort.Search(len(t.aborted), func(i int) bool { return t.aborted[i].last >= from })
	b = binary.AppendUvarint(b, uint64(len(t.aborted)-at))
	for _, a := range t.aborted[at:] {
		b = binary.AppendVarint(b, a.producer)
		b = binary.AppendVarint(b, a.last)
		b = binary.AppendUvarint(b, uint64(a.last-a.first))
	}
	return b
}

// readAborted adds those of a checkpoint, which has all whose markers have an offset from from on.
func (t *transactions) readAborted(r *scan, from int64) {
	for n := len(t.aborted); n > 0 && t.aborted[n-1].last >= from; n-- {
		t.aborted = t.aborted[:n-1]
	}
	for range r.count(3) {
		a := abortedTransaction{producer: r.varint(), last: r.varint()}
		a.first = a.last - int64(r.uvarint())
		if n := len(t.aborted); a.first < 0 || a.first >= a.last || n > 0 && t.aborted[n-1].last >= a.last {
			r.fail()
			return
		}
		t.aborted = append(t.aborted, a)
	}
}

// index makes the index by producer.
func (t *transactions) index() {
	all := t.aborted
	t.aborted, t.abortedFor = nil, nil
	for _, a := range all {
		t.abort(a)
	}
}

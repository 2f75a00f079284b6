// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The bytes of a partition's checkpoint. All numbers are varints.
//
//	version, high watermark, log start, time of the last append (since version 2), number of markers without an offset
//	(since version 5)
//	leader epochs:  number, then epoch and start each
//	producers:      before version 4. In version 3 with their length, as below; earlier: number, then by id: id, epoch,
//	                number of batches, then first, last, base, timestamp each
//	spans:          number, then base, index, bytes, count, newest, time of append (since version 2),
//	                number of refused, then those
//	aborted:        since version 5: see transactions.appendAborted
//	producers:      since version 4, to the end: see producers.pieces
//
// The spans, and the aborted transactions, are those since the checkpoint before; everything else is whole. So a partition opens
// with the spans of all its checkpoints and the rest of the newest.
//
// In version 1 newest was the largest timestamp of the span and all before it.
const partitionStateVersion = 5

var errState = errors.New("malformed state of a partition")

// snapshot writes a checkpoint in pieces; since is the entry of the one before.
func (p *records) snapshot(since uint64) pieces {
	head := p.appendSince(p.appendHead(nil), since)
	next := p.producers.pieces()
	return func(b []byte) (_ []byte, more bool) {
		if head != nil {
			b, head = append(b, head...), nil
			return b, true
		}
		return next(b)
	}
}

// state writes the same at once.
func (p *records) state(since uint64) []byte {
	return p.producers.appendTo(p.appendSince(p.appendHead(nil), since))
}

// appendSince appends the spans that begin after an entry, and the transactions that were aborted in them.
func (p *records) appendSince(b []byte, since uint64) []byte {
	b, from := p.spans.appendSince(b, since, p.highWatermark)
	return p.appendAborted(b, from)
}

// appendHead appends what comes before the spans.
func (p *records) appendHead(b []byte) []byte {
	b = binary.AppendUvarint(b, partitionStateVersion)
	b = binary.AppendVarint(b, p.highWatermark)
	b = binary.AppendVarint(b, p.start)
	b = binary.AppendVarint(b, p.appended)
	b = binary.AppendVarint(b, p.unplaced)
	b = binary.AppendUvarint(b, uint64(len(p.epochs)))
	for _, e := range p.epochs {
		b = binary.AppendVarint(b, int64(e.epoch))
		b = binary.AppendVarint(b, e.start)
	}
	return b
}

// appendSince appends the spans that begin after an entry, and closes the last one: what comes later
// belongs to the next checkpoint. It returns the first offset in them, or else the end.
func (s *spans) appendSince(b []byte, since uint64, end int64) (_ []byte, from int64) {
	first, _ := slices.BinarySearchFunc(*s, since+1, func(sp span, index uint64) int {
		if sp.index < index {
			return -1
		}
		return 1
	})
	b, from = binary.AppendUvarint(b, uint64(len(*s)-first)), end
	if first < len(*s) {
		from = (*s)[first].base
	}
	for i := first; i < len(*s); i++ {
		sp := &(*s)[i]
		b = binary.AppendVarint(b, sp.base)
		b = binary.AppendUvarint(b, sp.index)
		b = binary.AppendVarint(b, sp.bytes)
		b = binary.AppendVarint(b, int64(sp.count))
		b = binary.AppendVarint(b, sp.newest)
		b = binary.AppendVarint(b, sp.appended)
		b = binary.AppendUvarint(b, uint64(len(sp.refused)))
		for _, index := range sp.refused {
			b = binary.AppendUvarint(b, index)
		}
	}
	if n := len(*s); n > 0 {
		(*s)[n-1].closed = true
	}
	return b, from
}

// restore takes the states of the checkpoints that are there, oldest first.
func (p *records) restore(checkpoints [][]byte, now Time) error {
	p.spans, p.transactions = nil, transactions{}
	for i, b := range checkpoints {
		if err := p.restoreOne(b, i == len(checkpoints)-1, now); err != nil {
			return err
		}
	}
	p.reopen()
	p.index()
	p.prune(p.start)
	return nil
}

// adopt takes the state of another broker's checkpoint. The records that the spans speak of stay there, and the log begins
// after the checkpoint.
func (p *records) adopt(q *records) {
	p.highWatermark, p.start, p.appended = q.highWatermark, q.highWatermark, q.appended
	p.spans, p.epochs, p.producers = nil, q.epochs, q.producers
	p.transactions = transactions{open: q.open, gone: q.gone, unplaced: q.unplaced}
}

// restoreOne takes one checkpoint. What it says of producers counts only if it is the newest.
func (p *records) restoreOne(b []byte, newest bool, now Time) error {
	r := &scan{b: b}
	version := r.uvarint()
	if version < 1 || version > partitionStateVersion {
		return fmt.Errorf("%w: version %d, this broker knows 1 to %d; start a newer release", errState, version, partitionStateVersion)
	}
	p.highWatermark, p.start = r.varint(), r.varint()
	if version >= 2 {
		p.appended = r.varint()
	}
	p.unplaced = 0
	if version >= 5 {
		p.unplaced = r.varint()
	}
	p.epochs = nil
	for range r.count(2) {
		p.epochs = append(p.epochs, epochStart{int32(r.varint()), r.varint()})
	}
	part := r
	switch {
	case version < 3:
		p.producers = readProducersBefore(r, now)
	case version == 3:
		part = &scan{b: r.bytes()}
	}
	newer := readSpans(r, version, now)
	p.spans = append(p.spans.without(newer), newer...)
	if version >= 5 {
		from := p.highWatermark
		if len(newer) > 0 {
			from = newer[0].base
		}
		p.readAborted(r, from)
	}
	if version >= 3 && newest {
		p.producers = readProducers(part, now)
	} else if version >= 3 {
		part.b = nil
	}
	if r.bad || part.bad || len(r.b)+len(part.b) > 0 {
		return fmt.Errorf("%w: it doesn't end where its numbers say", errState)
	}
	return nil
}

// without returns the spans but for those that newer ones replace. A checkpoint that replaced another one has the spans since
// the one before both; after a crash both may be there.
func (s spans) without(newer spans) spans {
	for len(s) > 0 && len(newer) > 0 && s[len(s)-1].index >= newer[0].index {
		s = s[:len(s)-1]
	}
	return s
}

func readSpans(r *scan, version uint64, now Time) spans {
	var s spans
	for range r.count(6) {
		sp := span{base: r.varint(), index: r.uvarint(), bytes: r.varint(), count: int32(r.varint()), newest: r.varint(), seen: now, closed: true}
		if version >= 2 {
			sp.appended = r.varint()
		}
		for range r.count(1) {
			sp.refused = append(sp.refused, r.uvarint())
		}
		s = append(s, sp)
	}
	return s
}

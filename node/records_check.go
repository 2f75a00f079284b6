// SPDX-License-Identifier: Apache-2.0

package node

import "fmt"

// check looks at the index of offsets, at the leader epochs, and at the producers.
func (p *records) check(applied uint64) error {
	if p.start < 0 || p.start > p.highWatermark {
		return fmt.Errorf("the log starts at offset %d, and ends at %d", p.start, p.highWatermark)
	}
	for i, e := range p.epochs {
		if e.start > p.highWatermark || i > 0 && (p.epochs[i-1].epoch >= e.epoch || p.epochs[i-1].start > e.start) {
			return fmt.Errorf("epoch %d begins at offset %d, at place %d; the log ends at %d", e.epoch, e.start, i, p.highWatermark)
		}
	}
	if err := p.spans.check(p.highWatermark, applied); err != nil {
		return err
	}
	if err := p.producers.check(p.turn(), p.appended); err != nil {
		return err
	}
	return p.checkTransactions()
}

// checkTransactions compares the open transactions with the producers' windows, and looks at the order of the aborted ones.
func (p *records) checkTransactions() error {
	open, gone := 0, 0
	for i, t := range p.open {
		w := p.producers.byID[t.producer]
		switch {
		case i > 0 && t.first <= p.open[i-1].first || i == 0 && t.ended || t.first >= p.highWatermark:
			return fmt.Errorf("the transaction that began at offset %d is at place %d; the log ends at %d", t.first, i, p.highWatermark)
		case t.ended:
			gone++
		case w == nil || w.began != t.first:
			return fmt.Errorf("a transaction of producer %d is open since offset %d, and it doesn't know", t.producer, t.first)
		}
	}
	for w := p.producers.oldest; w != nil; w = w.after {
		if !w.gone && w.began >= 0 {
			open++
		}
	}
	if open != len(p.open)-gone || gone != p.gone {
		return fmt.Errorf("%d producers have a transaction open, in the list are %d, and %d that ended, of which %d are counted", open, len(p.open)-gone, gone, p.gone)
	}
	places := make(map[int64]int, len(p.abortedFor))
	for i, a := range p.aborted {
		of := p.abortedFor[a.producer]
		if k := places[a.producer]; k >= len(of) || of[k] != a || k > 0 && a.first <= of[k-1].last {
			return fmt.Errorf("the aborted transaction %+v of its producer isn't found: %+v", a, of)
		}
		places[a.producer]++
		if a.first >= a.last || a.last >= p.highWatermark || a.last < p.start || i > 0 && a.last <= p.aborted[i-1].last {
			return fmt.Errorf("the aborted transaction %+v is at place %d; the log begins at %d and ends at %d", a, i, p.start, p.highWatermark)
		}
	}
	//det:ok whether all are right has no order
	for id, of := range p.abortedFor {
		if places[id] != len(of) {
			return fmt.Errorf("producer %d has %d aborted transactions, and %d in the order of all", id, len(of), places[id])
		}
	}
	return nil
}

// check looks at the order of spans: each begins where the one before ends, and lists its own entries.
func (s spans) check(end int64, applied uint64) error {
	for i := range s {
		sp := &s[i]
		switch {
		case i > 0 && (sp.index <= s[i-1].index || sp.base < s[i-1].base):
			return fmt.Errorf("span %d begins at entry %d and offset %d, the one before at %d and %d", i, sp.index, sp.base, s[i-1].index, s[i-1].base)
		case sp.index > applied || sp.base > end || sp.bytes < 0 || sp.count < 0:
			return fmt.Errorf("span %d begins at entry %d and offset %d, with %d batches of %d bytes; applied are %d, and the log ends at %d", i, sp.index, sp.base, sp.count, sp.bytes, applied, end)
		case sp.empty && i == len(s)-1:
			return fmt.Errorf("span %d has no records, and is the last", i)
		}
		last := sp.index - 1
		for _, index := range sp.refused {
			if index <= last || index > applied || i+1 < len(s) && index >= s[i+1].index {
				return fmt.Errorf("entry %d takes no offsets, says span %d, which begins at entry %d", index, i, sp.index)
			}
			last = index
		}
	}
	return nil
}

// check compares the list of producers with the index, and looks at the order in which they wrote.
func (ps *producers) check(end, appended int64) error { // end: a turn that is to come
	count, before := 0, (*producerWindow)(nil)
	toWrite := ps.toWrite == nil
	for w := ps.oldest; w != nil; before, w = w, w.after {
		toWrite = toWrite || w == ps.toWrite
		switch {
		case w.before != before:
			return fmt.Errorf("producer %d is not where the list of producers says", w.id)
		case before != nil && w.at <= before.at:
			return fmt.Errorf("producer %d was heard of at turn %d, and comes after one that was at %d", w.id, w.at, before.at)
		case before != nil && (w.seen < before.seen || w.appended < before.appended && before.appended != stampUnknown):
			return fmt.Errorf("producer %d wrote before the one that comes before it, and would expire too late", w.id)
		case w.gone && !ps.isToWrite(w):
			return fmt.Errorf("producer %d is forgotten, is not to be written, and is still there", w.id)
		case !w.gone && ps.byID[w.id] != w:
			return fmt.Errorf("producer %d is in the list, and isn't found", w.id)
		}
		if err := w.check(end, appended); err != nil {
			return fmt.Errorf("producer %d: %w", w.id, err)
		}
		if !w.gone {
			count++
		}
	}
	if ps.newest != before || count != len(ps.byID) || !toWrite {
		return fmt.Errorf("%d producers are in the list, %d are found by id; the next one to be written is there: %v", count, len(ps.byID), toWrite)
	}
	return nil
}

// check looks at a producer's window: its sequences follow each other, and so do the offsets.
func (w *producerWindow) check(end, appended int64) error {
	if len(w.batches) > windowBatches || w.appended > appended && w.appended != stampUnknown {
		return fmt.Errorf("%d batches, the last of %d; the partition's is of %d", len(w.batches), w.appended, appended)
	}
	for i, b := range w.batches {
		if b.base < 0 || b.base > w.at || w.at >= end || i > 0 && (b.base <= w.batches[i-1].base || b.first != nextSequence(w.batches[i-1].last)) {
			return fmt.Errorf("batch %d has sequence %d and offset %d", i, b.first, b.base)
		}
	}
	return nil
}

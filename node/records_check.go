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
	return p.producers.check(p.highWatermark, p.appended)
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
func (ps *producers) check(end, appended int64) error {
	count, before := 0, (*producerWindow)(nil)
	toWrite := ps.toWrite == nil
	for w := ps.oldest; w != nil; before, w = w, w.after {
		toWrite = toWrite || w == ps.toWrite
		switch {
		case w.before != before:
			return fmt.Errorf("producer %d is not where the list of producers says", w.id)
		case before != nil && w.last().base <= before.last().base:
			return fmt.Errorf("producer %d wrote at offset %d, and comes after one that wrote at %d", w.id, w.last().base, before.last().base)
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
	if len(w.batches) == 0 || len(w.batches) > windowBatches || w.appended > appended && w.appended != stampUnknown {
		return fmt.Errorf("%d batches, the last of %d; the partition's is of %d", len(w.batches), w.appended, appended)
	}
	for i, b := range w.batches {
		if b.base < 0 || b.base >= end || i > 0 && (b.base <= w.batches[i-1].base || b.first != nextSequence(w.batches[i-1].last)) {
			return fmt.Errorf("batch %d has sequence %d and offset %d", i, b.first, b.base)
		}
	}
	return nil
}

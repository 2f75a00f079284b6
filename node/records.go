// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"sort"

	"chronik/kafka"
)

// records is the state that a partition's committed entries build, the same on every replica but for the spans. An entry
// is a record batch as the client sent it; apply gives it its offset. A batch's base offset and leader epoch lie outside
// its checksum and are filled in on the way out. In the log the base offset's place holds the time at
// which the leader appended the batch (partition.stamp), the rest is as it came in.
type records struct {
	// highWatermark is the offset that the next record gets. Everything below is committed, applied
	// and can be read. Invariant: it never falls.
	highWatermark int64
	start         int64 // the first offset that can be read
	appended      int64 // when the newest batch was appended, in ms; 0: unknown. It never falls either.
	spans         spans
	epochs        []epochStart
	producers     producers
	transactions
}

// newRecords returns the state of a partition without entries.
func newRecords() records { return records{producers: newProducers()} }

// epochStart is the first offset of a leader epoch (KIP-101). Epochs without records count too.
type epochStart struct {
	epoch int32
	start int64
}

// outcome is what an entry has done.
type outcome struct {
	verdict   verdict // of a batch
	producer  int64   // whose batch it was
	marker    bool    // it was one
	ended     bool    // that ended a transaction
	stable    bool    // and by that moved the last stable offset
	grew      int64   // bytes of the batch, if it got offsets
	moved     bool    // the log's start moved
	named     int     // producers that were to be forgotten
	forgotten int     // and were
	refused   error   // the entry means nothing to this version: it changes nothing, on all replicas alike
}

// apply takes the next committed entry.
func (p *records) apply(index uint64, epoch int32, data []byte, now Time) outcome {
	p.noteEpoch(epoch)
	if len(data) == 0 {
		return outcome{}
	}
	if data[0] != 0 {
		return p.applyCommand(index, data)
	}
	b, err := kafka.ParseBatch(data)
	if err != nil {
		p.spans.refuse(index, p.highWatermark)
		return outcome{verdict: verdict{err: err}, refused: err}
	}
	if b.IsControl() {
		return p.applyMarker(index, &b, data, now)
	}
	v := verdict{}
	if b.IsIdempotent() {
		v = p.producers.byID[b.ProducerID].judge(&b)
	}
	if v.err != nil || v.duplicate {
		p.spans.refuse(index, p.highWatermark)
		return outcome{verdict: v, producer: b.ProducerID}
	}
	return outcome{verdict: verdict{offset: p.append(index, &b, now), timestamp: b.MaxTimestamp}, grew: int64(b.Size())}
}

// applyCommand applies an entry that isn't a batch.
func (p *records) applyCommand(index uint64, data []byte) (o outcome) {
	r := &scan{b: data}
	kind := r.byte()
	if kind == commandForget {
		if named, forgotten, ok := p.applyForget(r); ok {
			return outcome{named: named, forgotten: forgotten}
		}
	}
	if kind == commandTrial {
		return outcome{}
	}
	offset := r.varint()
	if kind != commandLogStart || r.bad {
		p.spans.refuse(index, p.highWatermark)
		return outcome{refused: fmt.Errorf("a command of kind %d and %d bytes, which this version doesn't know", kind, len(data))}
	}
	if offset = min(offset, p.highWatermark); offset > p.start {
		p.start = offset
		p.spans.trim(offset)
		p.prune(offset)
		o.moved = true
	}
	return o
}

// Commands in a partition's log. An entry begins with its kind; 0 is a record batch.
const (
	commandLogStart = 1   // offset varint: nothing below it is to be read any more
	commandTrial    = 200 // does nothing, see level_trial.go
)

func logStartCommand(offset int64) []byte {
	return binary.AppendVarint([]byte{commandLogStart}, offset)
}

// maxStamp keeps the first byte of a stamp 0, which tells batches from commands.
const maxStamp = 1<<56 - 1

// stampUnknown stands for a time of appending that nobody could tell: a partition with one replica may have a
// leader that has heard no other clock yet. Such records have the age for which a process has held them.
const stampUnknown = maxStamp

// append gives a batch its offsets.
func (p *records) append(index uint64, b *kafka.Batch, now Time) int64 {
	base, appended := p.highWatermark, p.appendedAt(b)
	p.spans.add(index, base, b, appended, now)
	if b.IsIdempotent() {
		w := p.producers.touch(b.ProducerID, b.ProducerEpoch, p.turn(), appended, now)
		if w.add(b, base); b.IsTransactional() && w.began < 0 {
			w.began = base
			p.begin(w.id, base)
		}
	}
	p.highWatermark += b.Offsets()
	return base
}

// appendedAt returns when a batch was appended. Times never fall from one to the next.
func (p *records) appendedAt(b *kafka.Batch) int64 {
	if b.BaseOffset == stampUnknown {
		return stampUnknown
	}
	p.appended = max(p.appended, b.BaseOffset)
	return p.appended
}

func (p *records) noteEpoch(epoch int32) {
	if n := len(p.epochs); n == 0 || p.epochs[n-1].epoch < epoch {
		p.epochs = append(p.epochs, epochStart{epoch, p.highWatermark})
	}
}

// epochEnd answers OffsetForLeaderEpoch (KIP-279) in the current epoch: the largest epoch at most the one asked for, and
// the offset after its last record; -1, -1 for an epoch that this leader hasn't seen.
func (p *records) epochEnd(epoch, current int32) (int32, int64) {
	if epoch == current {
		return epoch, p.highWatermark
	}
	i := sort.Search(len(p.epochs), func(i int) bool { return p.epochs[i].epoch > epoch })
	if epoch > current || i == 0 {
		return -1, -1
	}
	end := p.highWatermark
	if i < len(p.epochs) {
		end = p.epochs[i].start
	}
	return p.epochs[i-1].epoch, end
}

// epochOf returns the leader epoch of the record at an offset.
func (p *records) epochOf(offset int64) int32 {
	i := sort.Search(len(p.epochs), func(i int) bool { return p.epochs[i].start > offset })
	return p.epochs[i-1].epoch
}

// retain returns the entry from which the span with the log's start begins, the first that readers need; one past the
// last applied if there is none.
func (p *records) retain(applied uint64) uint64 {
	if p.start >= p.highWatermark || len(p.spans) == 0 {
		return applied + 1
	}
	return p.spans[p.spans.at(p.start)].index
}

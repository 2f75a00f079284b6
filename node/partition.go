// SPDX-License-Identifier: Apache-2.0

package node

import (
	"sort"

	"chronik/kafka"
)

// partition is the state that a partition's committed entries build. An entry is a record batch as
// the client sent it; apply gives it its offset. A batch's base offset and leader epoch lie outside
// its checksum and are filled in on the way out. In the log the base offset's place holds the time at
// which the leader appended the batch (stamp), the rest is as it came in.
type partition struct {
	node  *Node
	group *group
	meta  *partitionMeta

	// highWatermark is the offset that the next record gets. Everything below is committed, applied
	// and can be read. Invariant: it never falls.
	highWatermark int64
	start         int64 // the first offset that can be read
	appended      int64 // when the newest batch was appended, in ms; 0: unknown. It never falls either.
	spans         spans
	epochs        []epochStart
	producers     producers
	compacted     cursor // up to here this replica's entries were compacted since it opened
	forgetting    bool   // as leader: it is proposed to forget producers that were silent
	expiring      bool   // as leader: a deletion of old records is on its way
	readers
}

// epochStart is the first offset of a leader epoch (KIP-101). Epochs without records count too.
type epochStart struct {
	epoch int32
	start int64
}

// apply implements machine. Its result is a verdict for a batch, and see applyCommand.
func (p *partition) apply(index, term uint64, data []byte) any {
	p.noteEpoch(leaderEpoch(term))
	if len(data) == 0 {
		return nil
	}
	if data[0] != 0 {
		return p.applyCommand(index, data)
	}
	b, err := kafka.ParseBatch(data)
	if err != nil {
		return p.refuse(index, err)
	}
	v := verdict{}
	if b.IsIdempotent() {
		v = p.producers.byID[b.ProducerID].judge(&b)
	}
	switch {
	case v.err != nil:
		p.spans.refuse(index, p.highWatermark)
		p.node.event(Event{Kind: EventSequenceRefused, Group: p.meta.Group, N: b.ProducerID})
		return v
	case v.duplicate:
		p.spans.refuse(index, p.highWatermark)
		p.node.event(Event{Kind: EventDuplicateBatch, Group: p.meta.Group, N: v.offset})
		return v
	}
	return verdict{offset: p.append(index, &b), timestamp: b.MaxTimestamp}
}

// refuse applies an entry that means nothing to this version: it changes nothing, on all replicas alike.
func (p *partition) refuse(index uint64, err error) verdict {
	p.spans.refuse(index, p.highWatermark)
	p.node.event(Event{Kind: EventEntryRefused, Group: p.meta.Group, N: int64(index), Text: err.Error()})
	return verdict{err: err}
}

// maxStamp keeps the first byte of a stamp 0, which tells batches from commands.
const maxStamp = 1<<56 - 1

// stampUnknown stands for a time of appending that nobody could tell: a partition with one replica may have a
// leader that has heard no other clock yet. Such records have the age for which a process has held them.
const stampUnknown = maxStamp

// stamp writes the time of appending where a batch that came from a producer has its base offset, 0.
// The checksum doesn't cover it, and readers never see it.
func (p *partition) stamp(raw []byte) {
	ms := int64(stampUnknown)
	if p.node.clock.heard {
		ms = p.node.stampMs()
	}
	kafka.SetBaseOffset(raw, ms)
}

// append gives a batch its offsets and wakes who waits for them.
func (p *partition) append(index uint64, b *kafka.Batch) int64 {
	base := p.highWatermark
	appended := b.BaseOffset
	if appended != stampUnknown {
		p.appended = max(p.appended, appended)
		appended = p.appended
	}
	p.spans.add(index, base, b, appended, p.node.now)
	if b.IsIdempotent() {
		p.producers.add(b, base, appended, p.node.now)
	}
	p.highWatermark += b.Offsets()
	p.readers.grown(p.node, int64(b.Size()))
	return base
}

func (p *partition) noteEpoch(epoch int32) {
	if n := len(p.epochs); n == 0 || p.epochs[n-1].epoch < epoch {
		p.epochs = append(p.epochs, epochStart{epoch, p.highWatermark})
	}
}

// epochEnd answers OffsetForLeaderEpoch (KIP-279): the largest epoch at most the one asked for, and
// the offset after its last record; -1, -1 for an epoch that this leader hasn't seen.
func (p *partition) epochEnd(epoch int32) (int32, int64) {
	current := leaderEpoch(p.group.term)
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
func (p *partition) epochOf(offset int64) int32 {
	i := sort.Search(len(p.epochs), func(i int) bool { return p.epochs[i].start > offset })
	return p.epochs[i-1].epoch
}

// logStart is the first offset that can be read.
func (p *partition) logStart() int64 { return p.start }

// retain implements machine: the entry from which the span with the log's start begins.
func (p *partition) retain() uint64 {
	if p.start >= p.highWatermark || len(p.spans) == 0 {
		return p.group.applied + 1
	}
	return p.spans[p.spans.at(p.start)].index
}

func (p *partition) leading() {}

// following implements machine: clients that wait here have to look for the new leader.
func (p *partition) following() { p.wake() }

// wake lets parked fetches look again, at the end of this step.
func (p *partition) wake() { p.readers.wake(p.node) }

// leads reports whether this broker may answer for the partition: it leads, and an entry of its own
// term is applied, so it knows everything that was ever committed (raft paper, section 8).
func (p *partition) leads() bool { return p.group.serving }

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"sort"

	"chronik/kafka"
)

// partition is the state that a partition's committed entries build. An entry is a record batch as
// the client sent it; apply gives it its offset. A batch's base offset and leader epoch lie outside
// its checksum and are filled in on the way out, so the log keeps what came in.
type partition struct {
	node  *Node
	group *group
	meta  *partitionMeta

	// highWatermark is the offset that the next record gets. Everything below is committed, applied
	// and can be read. Invariant: it never falls.
	highWatermark int64
	batches       []batchRef // ascending by base offset; the entries that hold records
	epochs        []epochStart
	producers     map[int64]*producerWindow
	parked        []*fetch // waiting for records, in order of arrival
}

// batchRef says where a batch of records is.
type batchRef struct {
	base   int64  // offset of the first record
	index  uint64 // of its entry
	size   int32  // bytes
	epoch  int32  // leader epoch
	newest int64  // largest timestamp of this and all earlier batches, in ms
}

// epochStart is the first offset of a leader epoch (KIP-101). Epochs without records count too.
type epochStart struct {
	epoch int32
	start int64
}

// apply implements machine. Its result is a verdict.
func (p *partition) apply(index, term uint64, data []byte) any {
	p.noteEpoch(leaderEpoch(term))
	if len(data) == 0 {
		return nil
	}
	b, err := kafka.ParseBatch(data)
	assert(err == nil, "every entry of a partition is a checked batch: %v", err)
	window := p.producers[b.ProducerID]
	v := verdict{}
	if b.IsIdempotent() {
		v = window.judge(&b)
	}
	switch {
	case v.err != nil:
		p.node.event(Event{Kind: EventSequenceRefused, Group: p.meta.Group, N: b.ProducerID})
		return v
	case v.duplicate:
		p.node.event(Event{Kind: EventDuplicateBatch, Group: p.meta.Group, N: v.offset})
		return v
	}
	if b.IsIdempotent() {
		if window == nil {
			window = &producerWindow{epoch: b.ProducerEpoch}
			p.producers[b.ProducerID] = window
		}
		window.add(&b, p.highWatermark)
	}
	return verdict{offset: p.append(index, &b, leaderEpoch(term))}
}

// append gives a batch its offsets and wakes who waits for them.
func (p *partition) append(index uint64, b *kafka.Batch, epoch int32) int64 {
	ref := batchRef{base: p.highWatermark, index: index, size: int32(b.Size()), epoch: epoch, newest: b.MaxTimestamp}
	if n := len(p.batches); n > 0 {
		ref.newest = max(ref.newest, p.batches[n-1].newest)
	}
	p.batches = append(p.batches, ref)
	p.highWatermark += int64(b.Count)
	p.wake()
	return ref.base
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

// find returns the position in batches of the batch that holds an offset, or would hold it.
func (p *partition) find(offset int64) int {
	i := sort.Search(len(p.batches), func(i int) bool { return p.batches[i].base > offset })
	return max(i-1, 0)
}

// logStart is the first offset that can be read. Nothing is deleted yet.
func (p *partition) logStart() int64 { return 0 }

func (p *partition) leading() {}

// following implements machine: clients that wait here have to look for the new leader.
func (p *partition) following() { p.wake() }

// wake lets parked fetches look again, at the end of this step.
func (p *partition) wake() {
	for _, f := range p.parked {
		f.wake()
	}
}

func (p *partition) unpark(f *fetch) {
	for i, o := range p.parked {
		if o == f {
			p.parked = append(p.parked[:i], p.parked[i+1:]...)
			return
		}
	}
}

// leads reports whether this broker may answer for the partition: it leads, and an entry of its own
// term is applied, so it knows everything that was ever committed (raft paper, section 8).
func (p *partition) leads() bool { return p.group.serving }

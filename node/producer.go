// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// producerWindow is what a partition remembers of one idempotent producer (KIP-98): its epoch and
// its newest batches. It is built by apply alone, so every replica judges a retry alike, and a new
// leader knows what the old one accepted.
type producerWindow struct {
	id       int64
	appended int64            // when its newest batch was appended, in ms; 0: unknown
	seen     Time             // when this process applied that, or read it from a checkpoint
	at       int64            // when it changed last, in the order of all changes (records.turn)
	number   uint64           // of the newest decision whose marker came; 0: none had a number
	began    int64            // first offset of its open transaction, -1: none is open
	batches  []sequencedBatch // newest last, at most windowBatches; none if the newest thing of its epoch is a marker

	coordinatorEpoch int32 // of the newest marker, -1: none came
	epoch            int16

	gone          bool            // it stays in producers' list only until it is written into a checkpoint
	before, after *producerWindow // there
}

func newWindow(id int64, epoch int16) *producerWindow {
	return &producerWindow{id: id, epoch: epoch, began: -1, coordinatorEpoch: -1}
}

// last returns the newest batch, nil if there is none.
func (w *producerWindow) last() *sequencedBatch {
	if len(w.batches) == 0 {
		return nil
	}
	return &w.batches[len(w.batches)-1]
}

// windowBatches is how many batches a client may have in flight (max.in.flight of an idempotent
// producer), so how far back a retry can reach.
const windowBatches = 5

// sequencedBatch is one batch of a producer: sequences first to last got offsets from base on.
type sequencedBatch struct {
	first, last int32
	base        int64
	timestamp   int64 // the largest in it, in ms
}

// verdict is what became of a batch.
type verdict struct {
	offset    int64 // of its first record, also if it was there already
	duplicate bool
	timestamp int64 // of the batch, or of the one that was there already, in ms
	err       error
}

// judge decides whether a producer's batch is new. The rules are Kafka's:
//
//   - one of the last five batches again: a duplicate, answered with its old offset;
//   - a producer that the partition doesn't know is accepted at any sequence;
//   - a new epoch has to start at sequence 0, an old one is fenced;
//   - otherwise the sequence must follow the last one, and be 0 after a marker that began the epoch; it wraps from
//     2^31-1 to 0;
//   - while a transaction of the producer is open, nothing else of it is taken, nor anything of its next epoch.
func (w *producerWindow) judge(b *kafka.Batch) verdict {
	switch {
	case w == nil:
		return verdict{}
	case b.ProducerEpoch < w.epoch:
		return verdict{err: kafka.Errorf(kerr.InvalidProducerEpoch, "producer %d has epoch %d here, the batch epoch %d", b.ProducerID, w.epoch, b.ProducerEpoch)}
	case b.ProducerEpoch > w.epoch && w.began >= 0:
		return verdict{err: kafka.Errorf(kerr.InvalidTxnState, "a transaction of producer %d in epoch %d is open, the batch is of epoch %d", b.ProducerID, w.epoch, b.ProducerEpoch)}
	case b.ProducerEpoch > w.epoch:
		if b.BaseSequence != 0 {
			return verdict{err: kafka.Errorf(kerr.OutOfOrderSequenceNumber, "producer %d begins epoch %d at sequence %d instead of 0", b.ProducerID, b.ProducerEpoch, b.BaseSequence)}
		}
		return verdict{}
	}
	for _, old := range w.batches {
		if old.first == b.BaseSequence && old.last == b.LastSequence() {
			return verdict{offset: old.base, duplicate: true, timestamp: old.timestamp}
		}
	}
	newest := int32(-1)
	if last := w.last(); last != nil {
		newest = last.last
	}
	switch {
	case w.began >= 0 && !b.IsTransactional():
		return verdict{err: kafka.Errorf(kerr.InvalidTxnState, "a transaction of producer %d is open, the batch is none of it", b.ProducerID)}
	case b.BaseSequence != nextSequence(newest):
		return verdict{err: kafka.Errorf(kerr.OutOfOrderSequenceNumber, "producer %d sent sequence %d after %d", b.ProducerID, b.BaseSequence, newest)}
	}
	return verdict{}
}

// add notes an accepted batch.
func (w *producerWindow) add(b *kafka.Batch, base int64) {
	if b.ProducerEpoch != w.epoch {
		w.epoch, w.batches = b.ProducerEpoch, w.batches[:0]
	}
	if len(w.batches) == windowBatches {
		copy(w.batches, w.batches[1:])
		w.batches = w.batches[:windowBatches-1]
	}
	if len(w.batches) == 1 && cap(w.batches) == 1 { // many producers never write a second one
		w.batches = append(make([]sequencedBatch, 0, windowBatches), w.batches...)
	}
	w.batches = append(w.batches, sequencedBatch{b.BaseSequence, b.LastSequence(), base, b.MaxTimestamp})
}

func nextSequence(s int32) int32 {
	if s == 1<<31-1 {
		return 0
	}
	return s + 1
}

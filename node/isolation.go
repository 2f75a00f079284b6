// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// readCommitted is the isolation level of a client that is to see no record of a transaction before it is committed. The
// other one, 0, shows all.
const readCommitted = 1

// endFor returns the offset up to which a client of an isolation level reads, and where its fetches wait for more.
func (p *partition) endFor(level int8) (int64, *parkedFetches) {
	if level == readCommitted {
		return p.lastStable(), &p.stable
	}
	return p.highWatermark, &p.parkedFetches
}

// abortedList is the list of aborted transactions that goes with some records: those of which a record or the marker is
// among them, and no others. When a client reads a record of one it begins to leave out those of its producer, until it
// meets the marker. So a transaction that is listed and of which compaction has left neither records nor marker would
// cost the producer's next one.
type abortedList struct {
	part   *partition // nil: the client doesn't want to know
	list   []kmsg.FetchResponseTopicPartitionAbortedTransaction
	within map[int64]int64 // by producer: the first offset of one that is listed, and whose marker the answer hasn't
}

func newAbortedList(p *partition, level int8) abortedList {
	if level != readCommitted {
		return abortedList{}
	}
	return abortedList{part: p, list: []kmsg.FetchResponseTopicPartitionAbortedTransaction{}}
}

// of returns the aborted transaction that a batch is of, or ends.
func (l *abortedList) of(b *kafka.Batch, base int64) (first int64, ok bool) {
	if l.part == nil || !b.IsTransactional() {
		return 0, false
	}
	a, ok := l.part.abortedAt(b.ProducerID, base)
	return a.first, ok
}

// add notes a batch that the answer has.
func (l *abortedList) add(b *kafka.Batch, base int64) {
	first, ok := l.of(b, base)
	if !ok {
		return
	}
	if last, some := l.within[b.ProducerID]; !some || last != first {
		a := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
		a.ProducerID, a.FirstOffset = b.ProducerID, first
		l.list = append(l.list, a)
	}
	if b.IsControl() {
		delete(l.within, b.ProducerID)
		return
	}
	if l.within == nil {
		l.within = make(map[int64]int64)
	}
	l.within[b.ProducerID] = first
}

// mustEnd reports whether the answer must end before a batch without records: it was the marker of a transaction that is
// listed. That is so when the records came from memory, as they were before compaction.
func (l *abortedList) mustEnd(b *kafka.Batch, base int64) bool {
	if !b.IsControl() {
		return false
	}
	first, ok := l.of(b, base)
	last, some := l.within[b.ProducerID]
	return ok && some && last == first
}

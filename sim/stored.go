// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/plan"
	"chronik/wal"
)

// When the load of a world has ended, compaction comes to rest, and what it has left depends on the keys that there are and
// hardly on what was ever written.

// quietTime is how long nothing may be compacted to call it rest, longer than the compactor's own pauses.
const quietTime = node.Time(10 * second)

// restless bounds how often that may pass without anybody coming further in a partition. Where memory holds a few keys only, there
// are many passes over all of it, each of which takes seconds.
const restless = 120

// checkStored waits until compaction and retention rest on all brokers, and counts what they store.
func (w *world) checkStored() {
	if !slices.ContainsFunc(w.plan.Topics, func(t plan.Topic) bool { return t.Keys > 0 || t.RetentionBytes > 0 }) {
		return
	}
	before, far := w.compactions(), w.compactedTo
	for n := 0; ; n++ {
		w.runUntil(w.now+quietTime, func() bool { return false })
		now := w.compactions()
		if now == before {
			break
		}
		if w.compactedTo > far {
			far, n = w.compactedTo, 0
		}
		if before = now; n == restless {
			w.fail("compactor-restless", "brokers still read or write for compaction %v after all faults ended", plan.Duration(w.now-w.healedAt))
		}
	}
	for _, b := range w.brokers {
		if b.node == nil || b.away {
			continue
		}
		log, _, err := wal.Open(b.disk.image(), w.config(b).Log)
		if err != nil {
			w.fail("recovery-durable", "broker %d could not start again after a power loss now: %v", b.number, err)
		}
		for _, g := range w.judge.groups {
			t := w.plan.Topic(g.topic)
			v, ok := b.node.Inspect(g.id)
			switch {
			case !ok || v.Closed || t == nil || w.doomed[g.topic]:
			case t.Keys > 0:
				w.checkCompacted(b, log, g, &v, t.Keys)
			case t.RetentionBytes > 0:
				w.checkRetained(b, log, g, v.FirstIndex, t.RetentionBytes)
			}
		}
	}
}

// compactedUpTo notes that a broker has compacted its replica of a group up to an offset.
func (w *world) compactedUpTo(b *broker, g node.GroupID, offset int64) {
	k := compactedKey{b.number, g}
	if before := w.compacted[k]; offset > before {
		w.compacted[k] = offset
		w.compactedTo += offset - before
	}
}

type compactedKey struct {
	broker int
	group  node.GroupID
}

// compactions is what all brokers have read and written for compaction, in bytes.
func (w *world) compactions() (bytes int64) {
	for _, b := range w.brokers {
		if b.node != nil {
			s := b.node.Stats()
			bytes += s.CompactedBytes + int64(s.Log.Moved)
		}
	}
	return bytes
}

// stored is what the records of a group's log hold.
type stored struct {
	entries uint64 // that there are
	records int    // that they are in
	live    int    // batches with records in them
	sizes   []int  // of these
	bytes   int64  // of all entries
	retried int64  // of these, bytes of batches that are there already
	largest int64  // of them
	others  int    // changes of replicas, commands, and terms that begin
}

// sequence is what tells a producer's batch from its others. A retry may come into the log, and is refused when it is applied:
// it has no offset, and no bytes that count until it is compacted beside others.
type sequence struct {
	producer int64
	epoch    int16
	base     int32
}

func sequenceOf(b *kafka.Batch) sequence {
	return sequence{b.ProducerID, b.ProducerEpoch, b.BaseSequence}
}

// checkCompacted demands that a replica stores hardly more than a batch for each key and what lies between two of them,
// beside its newest entries, which stay as they are. What is left of a span of the index of offsets when it becomes empty is one record at
// least: later passes don't look at it again. A span ends with a checkpoint, and small segments make many.
func (w *world) checkCompacted(b *broker, log *wal.Log, g groupInfo, v *node.View, keys int) {
	s := w.stored(b, log, g.id, v.FirstIndex)
	newest := w.plan.Knobs.RetainEntries
	most := keys + newest + 1
	name := partitionName(g.topic, g.partition)
	if s.live > most+s.tooFew() {
		w.fail("stored", "broker %d stores %d batches of %s with records in them, which has %d keys and keeps its newest %d entries", b.number, s.live, name, keys, newest)
	}
	if most = 2*(most+s.others) + v.Spans + 8; s.records > most {
		w.fail("stored", "broker %d stores %d records for the %d entries of %s, of which %d batches are not empty; at most %d are to be expected", b.number, s.records, s.entries, name, s.live, most)
	}
}

// tooFew is how many of the batches at most have too few bytes to be compacted: min.cleanable.dirty.ratio is 0.01 here.
func (s *stored) tooFew() (count int) {
	sum, all := 0, 0
	for _, n := range s.sizes {
		all += n
	}
	slices.Sort(s.sizes)
	for _, n := range s.sizes {
		if sum += n; 100*sum >= all {
			break
		}
		count++
	}
	return count
}

// checkRetained demands that a replica stores hardly more than retention.bytes: whole spans of the index, of 64 KiB or 64
// batches, go from the partition, and from the log what lies before a checkpoint. Retries that were refused are in the log, but not in the partition,
// so they go with the records before them and count for nothing.
func (w *world) checkRetained(b *broker, log *wal.Log, g groupInfo, first uint64, limit int64) {
	s, k := w.stored(b, log, g.id, first), &w.plan.Knobs
	span := min(64<<10, 64*s.largest) + s.largest
	between := min(int64(k.CheckpointEntries)*s.largest, max(limit/4, 64<<10)+s.largest)
	newest := int64(k.RetainEntries) * s.largest
	if most := limit + 2*span + 2*between + newest + s.retried; s.bytes > most {
		w.fail("stored", "broker %d stores %d bytes of %s in %d entries, of which it is to keep %d; at most %d are to be expected", b.number, s.bytes, partitionName(g.topic, g.partition), s.entries, limit, most)
	}
}

// stored looks into a log, at the entries from one on: those before it are released, which may not be durable yet.
func (w *world) stored(b *broker, log *wal.Log, g node.GroupID, first uint64) (s stored) {
	st, _ := log.State(g)
	first = max(first, st.First)
	s.entries = st.Last + 1 - first
	term := st.PrevTerm
	seen := make(map[sequence]bool) // look-up only
	for next := first; next <= st.Last; {
		op, err := log.Read(g, next, st.Last+1, 1<<20)
		if err != nil {
			w.fail("recovery-durable", "broker %d, entry %d of group %d: %v", b.number, next, g, err)
		}
		ents, err := log.Entries(g, next, wal.Do(b.disk.image(), op))
		if err != nil {
			w.fail("recovery-durable", "broker %d, entry %d of group %d: %v", b.number, next, g, err)
		}
		for _, e := range ents {
			s.records++
			s.bytes, s.largest = s.bytes+int64(len(e.Data)), max(s.largest, int64(len(e.Data)))
			if next = e.Index + 1; e.Last > 0 {
				next = e.Last + 1
			}
			batch, err := kafka.ParseBatch(e.Data)
			isBatch := e.Last == 0 && e.Kind == 0 && len(e.Data) > 0 && e.Data[0] == 0 && err == nil
			switch {
			case isBatch && batch.Count > 0 && batch.IsControl():
				s.others++
			case isBatch && batch.Count > 0 && batch.ProducerID >= 0 && seen[sequenceOf(&batch)]: // it was refused when it was applied
				s.retried += int64(len(e.Data))
			case isBatch && batch.Count > 0:
				seen[sequenceOf(&batch)] = true
				s.live, s.sizes = s.live+1, append(s.sizes, len(e.Data))
			case e.Kind != 0 || e.Last == 0 && len(e.Data) > 0 && !isBatch:
				s.others++
			}
			if e.Term != term {
				term = e.Term
				s.others++
			}
		}
	}
	return s
}

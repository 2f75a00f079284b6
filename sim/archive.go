// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
	"chronik/wal"
)

// archive is all that ever was in a compacted partition to which transactions write. Compaction leaves too little to say what became
// of them: aborted records go, and in time markers do. So the judge keeps what brokers write to their disks, and takes each entry in
// turn when a first replica has applied it, which knows whether it took offsets. What replicas have in the end must be part of it.
type archive struct {
	name   string
	keys   int
	next   uint64 // entry
	offset int64  // of the next record
	bytes  int    // of all batches

	written map[entryAt][]byte // from entry next on; look-up only
	log     checker.TxnLog
}

type entryAt struct{ index, term uint64 }

// archived begins an archive of a group, if it needs one.
func (j *judge) archived(w *world, v *node.View) *archive {
	a, t := j.archives[v.Group], w.plan.Topic(v.Topic)
	if a == nil && t != nil && t.Keys > 0 && w.transactional[t.Name] {
		a = &archive{name: partitionName(v.Topic, v.Partition), keys: t.Keys, next: 1, written: make(map[entryAt][]byte)}
		a.log.Partition = a.name
		j.archives[v.Group] = a
	}
	return a
}

func (j *judge) archiveOf(name string) *archive {
	for _, g := range j.groups {
		if a := j.archives[g.id]; a != nil && a.name == name {
			return a
		}
	}
	return nil
}

// keep keeps a batch that was written to a disk, as it was at first.
func (a *archive) keep(e *wal.Entry) {
	k := entryAt{e.Index, e.Term}
	if e.Index < a.next || e.Kind != 0 || e.Last != 0 || len(e.Data) == 0 || e.Data[0] != 0 || a.written[k] != nil {
		return
	}
	a.written[k] = slices.Clone(e.Data)
}

// take takes what a replica has applied and no other one before.
func (a *archive) take(w *world, b *broker, v *node.View) {
	for ; a.next <= v.Applied; a.next++ {
		term, takes := b.node.TakesOffsets(v.Group, a.next)
		k := entryAt{a.next, term}
		if data := a.written[k]; takes && data != nil {
			a.add(w, data)
		}
		delete(a.written, k)
	}
}

// add adds a batch.
func (a *archive) add(w *world, data []byte) {
	b, err := kafka.ParseBatch(data)
	if err != nil {
		return // an entry that was damaged on its first disk
	}
	base := a.offset
	a.offset, a.bytes = base+b.Offsets(), a.bytes+len(data)
	r := checker.TxnRecord{Producer: b.ProducerID, Epoch: b.ProducerEpoch, Transactional: b.IsTransactional(), Marker: b.IsControl()}
	if b.IsControl() {
		r.Commit, r.Value = w.marker(a.name, data)
		a.log.Records, a.log.Keys = append(a.log.Records, r), append(a.log.Keys, -1)
		return
	}
	err = kafka.Unpack(data, 1<<20, func(_, _ int64, _, v []byte) error {
		r.Value, _ = parseValue(v)
		a.log.Records, a.log.Keys = append(a.log.Records, r), append(a.log.Keys, keyOf(r.Value, a.keys))
		return nil
	})
	if err != nil || a.offset != int64(len(a.log.Records)) {
		w.fail("content", "%s was given at offset %d a batch of %d offsets that can't be read: %v", a.name, base, b.Offsets(), err)
	}
}

// compare demands that what a replica still has is what was there.
func (a *archive) compare(w *world, r *reading) {
	for i, x := range r.records {
		if x.offset >= a.offset || a.log.Records[x.offset] != r.txns[i] {
			w.fail("one-record-at-offset", "%s has %+v at offset %d of %d, which isn't what was written there", a.name, r.txns[i], x.offset, a.offset)
		}
	}
}

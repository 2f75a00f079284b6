// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"chronik/checker"
	"chronik/node"
)

// This file is the part of the judge that listens to transactional clients, and to those who read what they commit.

// nextTxnRecord is the content of the next record of a transaction.
func (w *world) nextTxnRecord() checker.RecordID {
	w.txnRecords++
	return recordID(transactionCalls+w.txnRecords, 0)
}

// transactionCalls is where the numbers begin of calls that records of transactions come from.
const transactionCalls = 1 << 30

func (w *world) nextTxnOffset() int64 {
	w.txnOffsets++
	return w.txnOffsets
}

// granted notes that a process got a producer id and epoch.
func (j *judge) granted(p *txnProcess, s checker.Span, producer int64, epoch int16, fences bool) {
	w := p.world
	s.Client, s.Return = int64(p.client.spec.ID), int64(w.now)
	k := producerKey{producer, epoch}
	if producer < 0 || epoch < 0 || j.producers[k] {
		w.fail("producer-id", "%v is given producer id %d, epoch %d, which another client has", p, producer, epoch)
	}
	j.producers[k] = true
	j.histories.Txns.Grants = append(j.histories.Txns.Grants, checker.Grant{Span: s, TxnID: p.machine.spec.TxnID, Producer: producer, Epoch: epoch, Fences: fences})
	j.heard(p, uint64(producer)<<16^uint64(uint16(epoch)))
}

// heard adds what a process was answered to the trace.
func (j *judge) heard(p *txnProcess, what uint64) {
	p.world.result.Ops++
	p.world.hash.word(uint64(p.client.spec.ID)<<32 ^ what)
}

// began notes a transaction.
func (j *judge) began(p *txnProcess, x *transaction) {
	t := &j.histories.Txns
	x.place = len(t.Txns)
	s := p.span(p.world.now)
	s.Return = int64(node.Never)
	t.Txns = append(t.Txns, checker.Txn{Span: s, TxnID: p.machine.spec.TxnID, Producer: p.producer, Epoch: p.epoch, Outcome: checker.Unknown})
	p.tracef("begins transaction %d as producer %d.%d", x.place, p.producer, p.epoch)
}

// sendsInTxn notes that a batch is sent for the first time.
func (j *judge) sendsInTxn(p *txnProcess, x *transaction, b *txnBatch) {
	t := &j.histories.Txns.Txns[x.place]
	b.sends = len(t.Sends)
	for _, id := range b.values {
		t.Sends = append(t.Sends, checker.Send{Partition: b.part.name(), Value: id, Call: int64(p.world.now), Outcome: checker.Unknown, Input: j.outputs[id]})
		delete(j.outputs, id)
	}
	h := j.histories.Partition(b.part.name())
	s := p.span(p.world.now)
	s.Return = int64(node.Never)
	b.record = len(h.Produces)
	h.Produces = append(h.Produces, checker.Produce{Span: s, Outcome: checker.Unknown, Values: b.values, BaseOffset: -1, Idempotent: true})
}

// producedInTxn notes how sending a batch ended.
func (j *judge) producedInTxn(p *txnProcess, x *transaction, b *txnBatch, o checker.Outcome, offset int64) {
	for i := range b.values {
		j.histories.Txns.Txns[x.place].Sends[b.sends+i].Outcome = o
	}
	q := &j.histories.Partition(b.part.name()).Produces[b.record]
	q.Return, q.Outcome, q.BaseOffset = int64(p.world.now), o, offset
	if o == checker.OK {
		p.world.result.Acked += int64(len(b.values))
	}
	j.heard(p, uint64(b.values[0])^uint64(offset)<<8)
	p.tracef("records from %x on in %s: %s at offset %d", b.values[0], b.part.name(), o, offset)
}

// offers notes the offsets that a transaction is about to commit.
func (j *judge) offers(p *txnProcess, x *transaction) {
	t := &j.histories.Txns.Txns[x.place]
	for _, o := range x.offsets {
		t.Offsets = append(t.Offsets, checker.TxnOffset{Group: p.machine.spec.Group, Partition: o.input.name(), Offset: o.offset, ID: o.id})
	}
}

// endAsked notes that the end of a transaction is asked for, and returns when that was first.
func (j *judge) endAsked(p *txnProcess, x *transaction) node.Time {
	t := &j.histories.Txns.Txns[x.place]
	t.Asked, t.Commit = int64(p.world.now), !x.abort
	p.tracef("asks to end transaction %d, commit: %v", x.place, !x.abort)
	return p.world.now
}

// ended notes what its client knows of how a transaction ended.
func (j *judge) ended(p *txnProcess, x *transaction, o checker.Outcome) {
	t := &j.histories.Txns.Txns[x.place]
	t.Return, t.Outcome = int64(p.world.now), o
	j.heard(p, uint64(x.place)<<8^uint64(len(o)))
	if o == checker.OK && t.Commit {
		p.world.committed++
	}
}

func (j *judge) readCommitted(r checker.CommittedRead) {
	if t := j.histories.Truths[r.Partition]; t != nil { // more may have come than the verifier saw
		r.Next = min(r.Next, max(t.End(), r.Offset))
	}
	j.histories.Txns.Reads = append(j.histories.Txns.Reads, r)
	w := j.at.world
	w.result.Ops++
	w.hash.word(uint64(r.Client)<<48 ^ uint64(r.Stable)<<16 ^ uint64(len(r.Records)))
	if w.tracing() {
		w.tracef("client %d reads what is committed of %s, offset %d to %d: %d records, stable offset %d, high watermark %d", r.Client, r.Partition, r.Offset, r.Next, len(r.Records), r.Stable, r.HighWatermark)
	}
}

func (j *judge) stableEnd(e checker.StableEnd) {
	j.histories.Txns.Ends = append(j.histories.Txns.Ends, e)
	w := j.at.world
	w.result.Ops++
	w.hash.word(uint64(e.Client)<<48 ^ uint64(e.Offset))
	if w.tracing() {
		w.tracef("client %d is told that the last stable offset of %s is %d", e.Client, e.Partition, e.Offset)
	}
}

func (j *judge) readTxnOffset(p *txnProcess, began node.Time, partition string, offset, id int64, stable bool) {
	j.histories.Txns.OffsetReads = append(j.histories.Txns.OffsetReads, checker.TxnOffsetRead{
		Span: p.span(began), Group: p.machine.spec.Group, Partition: partition, Offset: offset, ID: id, Stable: stable,
	})
	j.heard(p, uint64(offset)<<8^uint64(id))
	p.tracef("reads committed offset %d of %s, commit %d, stable: %v", offset, partition, id, stable)
}

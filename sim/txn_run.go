// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// transaction is one under way. It is made of waves of batches, at most one for each partition.
type transaction struct {
	place   int // in the history
	began   node.Time
	touched bool // something may have reached a partition or coordinator
	waves   [][]*txnBatch
	batches []*txnBatch // of the wave under way
	unsure  bool        // a batch was given up that may still arrive
	patient node.Time   // until when its client waits for batches; 0: for ever
	aborts  bool        // in the end, because its client wants that
	abort   bool        // now
	retried bool        // a request that ends it, or that commits offsets, may arrive at any time

	offsets   []txnOffset
	announced bool // that there will be offsets
	offered   bool // the offsets
}

// txnOffset is an offset that a transaction commits.
type txnOffset struct {
	input  *txnInput
	offset int64
	id     int64
}

// next decides what a process does when nothing is under way; false: it waits.
func (p *txnProcess) next() bool {
	x, w := p.txn, p.world
	switch {
	case x != nil && p.busy():
		return false
	case !p.ready || p.bump && x == nil:
		p.callInit()
	case x == nil && w.now < p.nextAt:
		p.client.wakeAt(p.nextAt)
		return false
	case x == nil && !p.final && !p.goesOn():
		return false
	case x == nil && p.machine.spec.From != "":
		return p.consume()
	case x == nil && p.final && p.ended > 0:
		p.machine.done = true
		return false
	case x == nil:
		p.begin(nil)
	case x.abort:
		p.endTransaction()
	case len(x.waves) > 0:
		p.nextWave()
	case len(x.offsets) > 0 && !x.announced && !p.machine.spec.Modern:
		p.callAddOffsets()
	case len(x.offsets) > 0 && !x.offered:
		p.callOffsets()
	default:
		p.endTransaction()
	}
	return true
}

// callInit asks for a producer id and epoch: as a new process, or for the next epoch.
func (p *txnProcess) callInit() {
	fences := !p.ready
	began, m := p.world.now, p.machine
	p.ask("InitProducerId", toTxn, nil, func() kmsg.Request {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version = [...]int16{4, 5, 1, 3, 0}[p.machine.spec.ID%5]
		if p.machine.spec.Modern {
			req.Version = 5
		}
		req.TransactionalID, req.TransactionTimeoutMillis = &p.machine.spec.TxnID, int32(p.machine.spec.TxnTimeout/millisecond)
		if p.final { // it has to come to its end, however slow this world is
			req.TransactionTimeoutMillis = 60_000
		}
		req.ProducerID, req.ProducerEpoch = -1, -1
		if !fences {
			req.Version = max(req.Version, 3)
			req.ProducerID, req.ProducerEpoch = p.producer, p.epoch
		}
		return req
	}, func(resp kmsg.Response) {
		r := resp.(*kmsg.InitProducerIDResponse)
		switch {
		case p.world.committedTrouble(p, r.ErrorCode):
		case isFatal(r.ErrorCode):
			p.fenced("InitProducerId", r.ErrorCode)
		case r.ErrorCode != 0:
			p.unexpected("InitProducerId", r.ErrorCode)
		case !fences && r.ProducerID == p.producer && r.ProducerEpoch != p.epoch+1:
			p.world.fail("producer-id", "%v asks for the epoch after %d of producer %d, and gets epoch %d", p, p.epoch, p.producer, r.ProducerEpoch)
		default:
			p.world.judge.granted(p, checker.Span{Call: int64(began)}, r.ProducerID, r.ProducerEpoch, fences)
			p.take(r.ProducerID, r.ProducerEpoch)
			m.loose = m.loose || fences && (p.call.lost || p.call.twice)
			p.ready, p.bump = true, false
			p.finish()
		}
	})
	p.call.fences = fences
}

// committedTrouble is trouble of a code that isn't 0.
func (w *world) committedTrouble(p *txnProcess, code int16) bool { return code != 0 && p.trouble(code) }

// take takes a producer id and epoch. Sequences begin anew with each epoch.
func (p *txnProcess) take(producer int64, epoch int16) {
	p.tracef("is producer %d.%d", producer, epoch)
	p.producer, p.epoch = producer, epoch
	for _, t := range p.parts {
		t.sequence = 0
	}
}

// begin begins a transaction, which makes something of some records of an input, if there is one.
func (p *txnProcess) begin(in *txnInput) {
	m := p.machine
	x := &transaction{began: p.world.now}
	for _, t := range p.parts {
		t.added, t.acked = false, -1
	}
	n := 1 + m.draw().Below(int64(m.spec.Records))
	switch {
	case in != nil && p.final:
		n = min(1000, int64(len(in.records)))
	case in != nil:
		n = min(n, int64(len(in.records)))
	case p.final: // each partition gets something
		n = int64(len(p.parts))
	}
	wave, waves := []*txnBatch{}, int64(4)
	if p.final {
		waves = 100
	}
	for i := range n {
		part := p.parts[m.draw().Below(int64(len(p.parts)))]
		if p.final && in == nil {
			part = p.parts[i]
		}
		id := p.world.nextTxnRecord()
		if in != nil {
			p.world.judge.outputs[id] = in.inputOf(i, m.spec.Group)
		}
		b := batchFor(wave, part)
		if b == nil {
			b = &txnBatch{part: part}
			wave = append(wave, b)
		}
		b.values = append(b.values, id)
		if i < n-1 && m.draw().Ratio(1, waves) {
			x.waves, wave = append(x.waves, wave), nil
		}
	}
	x.waves = append(x.waves, wave)
	if in != nil {
		last := in.records[n-1].Offset + 1
		x.offsets = append(x.offsets, txnOffset{in, last, p.world.nextTxnOffset()})
	}
	p.txn = x
	m.begun++
	p.world.judge.began(p, x)
	if m.spec.Patience == 0 {
		p.patientFor(x, 2*second)
	}
	if x.aborts = !p.final && m.draw().Ratio(m.spec.Aborts, 100); x.aborts && m.draw().Ratio(1, 2) { // early
		x.waves = x.waves[:1+m.draw().Below(int64(len(x.waves)))]
	}
}

// patientFor draws whether a client waits for batches only for so long, as one does whose delivery.timeout.ms is over.
func (p *txnProcess) patientFor(x *transaction, most plan.Duration) {
	if m := p.machine; !p.final && m.draw().Ratio(m.spec.Aborts, 400) {
		x.patient = p.world.now + 1 + node.Time(m.draw().LogUniform(int64(millisecond), int64(most)))
	}
}

// batchFor returns the batch of a wave for a partition, nil if there is none.
func batchFor(wave []*txnBatch, part *txnPart) *txnBatch {
	for _, b := range wave {
		if b.part == part {
			return b
		}
	}
	return nil
}

// nextWave sends the next batches, after their partitions have been added if the protocol wants that.
func (p *txnProcess) nextWave() {
	x := p.txn
	var missing []*txnPart
	for _, b := range x.waves[0] {
		if !b.part.added {
			missing = append(missing, b.part)
		}
	}
	if len(missing) > 0 && !p.machine.spec.Modern {
		p.callAdd(missing)
		return
	}
	x.batches, x.waves = x.waves[0], x.waves[1:]
	if most := p.machine.spec.Patience; most > 0 {
		x.patient = 0
		p.patientFor(x, most)
	}
	p.client.again = true
}

// callAdd adds partitions to the transaction.
func (p *txnProcess) callAdd(parts []*txnPart) {
	p.txn.touched = true
	p.ask("AddPartitionsToTxn", toTxn, nil, func() kmsg.Request {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Version = [...]int16{0, 1, 2, 3}[p.machine.spec.ID%4]
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.machine.spec.TxnID, p.producer, p.epoch
		for _, t := range parts {
			i := len(req.Topics) - 1
			if i < 0 || req.Topics[i].Topic != t.topic.plan.Name {
				req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: t.topic.plan.Name})
				i++
			}
			req.Topics[i].Partitions = append(req.Topics[i].Partitions, t.partition)
		}
		return req
	}, func(resp kmsg.Response) {
		worst := int16(0)
		for _, t := range resp.(*kmsg.AddPartitionsToTxnResponse).Topics {
			for _, q := range t.Partitions {
				if worst == 0 || worst == kerr.OperationNotAttempted.Code {
					worst = q.ErrorCode
				}
			}
		}
		if !p.ruledOut("AddPartitionsToTxn", worst) {
			for _, t := range parts {
				t.added = true
			}
			p.finish()
		}
	})
}

// ruledOut takes the code of a request within a transaction, and reports whether it isn't done.
func (p *txnProcess) ruledOut(what string, code int16) bool {
	switch {
	case code == 0:
		return false
	case p.trouble(code):
	case isFatal(code):
		p.fenced(what, code)
	case code == kerr.TransactionAbortable.Code:
		p.tracef("%s is answered that it has to abort", what)
		p.txn.abort = true
		p.finish()
	default:
		p.unexpected(what, code)
	}
	return true
}

// callAddOffsets says that the transaction will have offsets of the group.
func (p *txnProcess) callAddOffsets() {
	p.txn.touched = true
	p.ask("AddOffsetsToTxn", toTxn, nil, func() kmsg.Request {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.Version = [...]int16{0, 1, 2, 3}[p.machine.spec.ID%4]
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.machine.spec.TxnID, p.producer, p.epoch, p.machine.spec.Group
		return req
	}, func(resp kmsg.Response) {
		if !p.ruledOut("AddOffsetsToTxn", resp.(*kmsg.AddOffsetsToTxnResponse).ErrorCode) {
			p.txn.announced = true
			p.finish()
		}
	})
}

// callOffsets commits the offsets, if the transaction is.
func (p *txnProcess) callOffsets() {
	x := p.txn
	x.touched = true
	p.world.judge.offers(p, x)
	p.ask("TxnOffsetCommit", toGroup, nil, func() kmsg.Request {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.Version = [...]int16{0, 2, 3, 4}[p.machine.spec.ID%4]
		if p.machine.spec.Modern {
			req.Version = 5
		}
		req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = p.machine.spec.TxnID, p.machine.spec.Group, p.producer, p.epoch, -1
		if p.isMember() {
			req.Version = max(req.Version, 3)
			req.MemberID, req.Generation = p.member.id, p.member.generation
		}
		for _, o := range x.offsets {
			rt := kmsg.NewTxnOffsetCommitRequestTopic()
			rt.Topic = o.input.topic.plan.Name
			rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = o.input.partition, o.offset, -1, commitText(o.id)
			rt.Partitions = append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
		}
		return req
	}, func(resp kmsg.Response) {
		r, answered, worst := resp.(*kmsg.TxnOffsetCommitResponse), 0, int16(0)
		for _, t := range r.Topics {
			for _, q := range t.Partitions {
				answered++
				if q.ErrorCode != 0 {
					worst = q.ErrorCode
				}
			}
		}
		if answered != len(x.offsets) {
			p.world.fail("protocol", "%v: %d offsets are answered with %d", p, len(x.offsets), answered)
		}
		x.retried = x.retried || p.call.lost
		if p.outOfGroup("TxnOffsetCommit", worst) {
			x.abort = true
			p.finish()
			return
		}
		if !p.ruledOut("TxnOffsetCommit", worst) {
			x.offered = true
			p.finish()
		}
	})
}

// endTransaction asks for the end of the transaction. What reached nobody needs none.
func (p *txnProcess) endTransaction() {
	x, m := p.txn, p.machine
	if !x.touched {
		p.over(checker.Failed)
		return
	}
	x.abort = x.abort || x.aborts
	began := p.world.judge.endAsked(p, x)
	p.ask("EndTxn", toTxn, nil, func() kmsg.Request {
		req := kmsg.NewPtrEndTxnRequest()
		req.Version = [...]int16{0, 1, 3, 4}[m.spec.ID%4]
		if m.spec.Modern {
			req.Version = 5
		}
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = m.spec.TxnID, p.producer, p.epoch, !x.abort
		return req
	}, func(resp kmsg.Response) {
		r := resp.(*kmsg.EndTxnResponse)
		x.retried = x.retried || p.call.lost
		switch code := r.ErrorCode; {
		case code == 0:
			if r.Version >= 5 {
				p.world.judge.granted(p, checker.Span{Call: int64(began)}, r.ProducerID, r.ProducerEpoch, false)
				p.take(r.ProducerID, r.ProducerEpoch)
			}
			p.call = nil
			p.over(checker.OK)
		case p.trouble(code):
		case isFatal(code):
			if !p.call.lost && !p.call.twice { // else an attempt may have had success
				p.world.judge.ended(p, x, checker.Failed)
			}
			p.fenced("EndTxn", code)
		default:
			p.unexpected("EndTxn", code)
		}
	})
}

// over ends the transaction.
func (p *txnProcess) over(o checker.Outcome) {
	x := p.txn
	p.world.judge.ended(p, x, o)
	p.tracef("transaction %d is over: %s", x.place, o)
	// In the old protocol what is still on its way could hit the next transaction.
	p.bump = p.bump || !p.machine.spec.Modern && (x.unsure || x.retried)
	for _, in := range p.inputs {
		if x.abort || o != checker.OK {
			in.records, in.position = nil, -1 // where the committed offset says
		} else if len(x.offsets) > 0 && x.offsets[0].input == in {
			in.drop(x.offsets[0].offset)
		}
	}
	p.txn = nil
	p.ended += btoi(!x.abort && o == checker.OK)
	p.nextAt = p.world.now
	if pause := int64(p.machine.spec.Pause); pause > 0 && !p.final {
		p.nextAt += node.Time(p.machine.draw().Exponential(pause))
	}
	p.client.again = true
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
	"chronik/sim/plan"
)

// txnBatch is a batch of a transaction.
type txnBatch struct {
	part     *txnPart
	values   []checker.RecordID
	sequence int32
	begun    bool // it has its sequence
	acked    bool
	broker   int    // where it is under way to; 0: nowhere
	attempt  uint64 // counts sends
	lost     bool   // an attempt was given up that may still arrive
	twice    bool   // an attempt arrives twice
	record   int    // place in the partition's history
	sends    int    // place of its first record in the transaction's
	retryAt  node.Time
}

// busy says that batches are under way.
func (p *txnProcess) busy() bool {
	for _, b := range p.txn.batches {
		if !b.acked {
			return true
		}
	}
	return false
}

// sendBatches sends what isn't under way of the wave.
func (p *txnProcess) sendBatches() {
	if p.txn == nil {
		return
	}
	if x := p.txn; x.patient > 0 && p.world.now >= x.patient && p.busy() {
		p.tracef("waits no longer")
		p.giveUp(nil)
		return
	}
	for _, b := range p.txn.batches {
		if b.acked || b.broker != 0 || p.world.now < b.retryAt {
			continue
		}
		v := &b.part.topic.partitions[b.part.partition]
		if b.part.topic.stale || v.leader == 0 {
			b.part.topic.stale = true
			p.client.askMetadata()
			continue
		}
		if cn := p.client.conn(v.leader); cn != nil {
			if p.mayEnd() {
				return
			}
			p.sendBatch(cn, b)
		}
	}
}

func (p *txnProcess) sendBatch(cn *conn, b *txnBatch) {
	x, w := p.txn, p.world
	if !b.begun {
		b.begun, b.sequence = true, b.part.sequence
		b.part.sequence += int32(len(b.values))
		w.judge.sendsInTxn(p, x, b)
	}
	x.touched = true
	b.broker = cn.broker.number
	b.attempt++
	attempt := b.attempt
	req := kmsg.NewPtrProduceRequest()
	req.Version = [...]int16{9, 7, 3, 11, 8}[p.machine.spec.ID%5]
	if p.machine.spec.Modern {
		req.Version = [...]int16{12, 13}[p.machine.spec.ID%2]
	}
	req.Version = byName(req.Version, produceByID, b.part.topic)
	req.TransactionID, req.Acks, req.TimeoutMillis = &p.machine.spec.TxnID, -1, int32(p.client.timeout()/millisecond)
	rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	if rt.Topic = b.part.topic.plan.Name; req.Version >= produceByID {
		rt.TopicID = b.part.topic.id
	}
	rp.Partition, rp.Records = b.part.partition, p.encode(b, req.Version)
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	p.tracef("sends %d records from %x on, sequence %d, to %s on broker %d", len(b.values), b.values[0], b.sequence, b.part.name(), b.broker)
	b.twice = p.double(req, b.broker) || b.twice
	cn.ask(w, req, func(resp kmsg.Response) { p.produced(x, b, attempt, resp.(*kmsg.ProduceResponse)) })
	p.mayLose(cn)
}

// encode builds the record batch.
func (p *txnProcess) encode(b *txnBatch, version int16) []byte {
	spec := kafka.NewBatchSpec(make([]kafka.Record, len(b.values))...)
	for i, id := range b.values {
		spec.Records[i].Value = value(id, plan.MinValue<<(uint64(id)>>20%4))
		if keys := b.part.topic.plan.Keys; keys > 0 {
			spec.Records[i].Key = keyBytes(id, keys)
		}
	}
	spec.Attributes = kafka.TransactionalFlag
	spec.FirstTimestamp = unixEpochMs + int64(p.txn.began)/1e6
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = p.producer, p.epoch, b.sequence
	raw := kafka.AppendBatch(nil, spec)
	codec := kafka.Codec(uint64(b.values[0]) >> 20 % 8)
	if codec > kafka.CodecZstd || codec == kafka.CodecZstd && version < 7 {
		codec = kafka.CodecNone
	}
	if codec == kafka.CodecNone {
		return raw
	}
	raw, err := p.world.codecs.CompressBatch(raw, codec)
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return raw
}

// mayBeForgotten says that a partition may have forgotten the producer, and since then ended a transaction that had no record there.
// From then on it knows the epoch, and no sequence but 0 follows, as in Kafka.
func (p *txnProcess) mayBeForgotten(t *txnPart) bool {
	forgets := p.world.plan.Knobs.ProducerExpiry
	return forgets > 0 && !p.machine.spec.Modern && p.world.now-t.ackedAt > at(forgets/2)
}

// again sends a batch once more, with the same sequence, after a pause.
func (p *txnProcess) again(b *txnBatch) {
	b.broker = 0
	b.retryAt = p.world.now + p.client.retryDelay()
	p.client.wakeAt(b.retryAt)
}

// produced takes the answer to one attempt.
func (p *txnProcess) produced(x *transaction, b *txnBatch, attempt uint64, resp *kmsg.ProduceResponse) {
	w := p.world
	if p.dead || p.txn != x || b.acked {
		return
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		w.fail("protocol", "a produce request for one partition is answered for %d topics", len(resp.Topics))
	}
	r := &resp.Topics[0].Partitions[0]
	switch code := r.ErrorCode; {
	case code == 0:
		p.acked(b, r.BaseOffset)
	case code == kerr.DuplicateSequenceNumber.Code:
		p.acked(b, -1)
	case attempt != b.attempt: // it says nothing about the next
	case isFatal(code):
		if !b.lost && !b.twice {
			w.judge.producedInTxn(p, x, b, checker.Failed, -1)
		}
		p.fenced("Produce", code)
	case code == kerr.TransactionAbortable.Code:
		p.giveUp(b)
	case code == kerr.OutOfOrderSequenceNumber.Code && p.mayBeForgotten(b.part):
		x.unsure = true // it takes the next epoch, as usual clients do
		p.giveUp(b)
	case code == kerr.CorruptMessage.Code && w.plan.Has(plan.FaultBits), retriable(code), code == kerr.NotCoordinator.Code, code == kerr.ConcurrentTransactions.Code:
		b.part.topic.stale, b.lost = code != kerr.ConcurrentTransactions.Code, true
		p.again(b)
	default:
		p.unexpected("Produce to "+b.part.name(), code)
	}
}

func (p *txnProcess) acked(b *txnBatch, offset int64) {
	b.acked = true
	b.part.acked, b.part.ackedAt = max(b.part.acked, offset), p.world.now
	p.world.judge.producedInTxn(p, p.txn, b, checker.OK, offset)
	p.client.again = true
}

// giveUp has the transaction abort because a batch can't be part of it, or, nil, because its client waits no longer.
func (p *txnProcess) giveUp(b *txnBatch) {
	x := p.txn
	x.abort, x.unsure = true, x.unsure || b != nil && b.lost
	for _, o := range x.batches {
		if x.unsure = x.unsure || o.begun && !o.acked && o != b; !o.acked {
			o.acked = true // as far as anybody waits for it
		}
	}
	p.client.again = true
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// Producing, as idempotent clients do it (KIP-98): a partition's batches carry consecutive
// sequences and are sent in order, up to InFlight of them before the first is answered. When one
// comes back with an error or its connection is lost, it and all after it are sent again, with
// the same sequences, until they are answered. A client that gives up on a batch doesn't know its
// fate, so it takes a new producer id and starts again at sequence 0.
//
// A client that isn't idempotent sends each batch once; after an error its fate is unknown.

type producerState struct {
	id      int64 // -1: none yet
	epoch   int16
	known   bool
	bump    bool // the next epoch of id is asked for, not another id
	asked   int  // broker that is asked for one; 0: none
	retryAt node.Time
}

// lane is what a client does to one partition: batches without an end, oldest first.
type lane struct {
	topic     *topicView
	partition int32
	batches   []*batch
	enqueued  int         // batches so far
	sequence  int32       // of the next batch that is numbered
	retryAt   node.Time   // nothing is sent before
	end       int64       // of the partition, as far as a client knows that keeps offsets
	sure      bool        // the last answer from this leader was good; until then one batch at a time
	acked     producerKey // of the last batch that was acknowledged
	ackedFrom int         // the first batch that was, under that id
}

// batch is one produce call.
type batch struct {
	call     *plan.Call
	began    node.Time
	ordinal  int // in its lane
	values   []checker.RecordID
	record   int  // place in the history
	numbered bool // has its producer id and sequence
	producer int64
	epoch    int16
	sequence int32
	base     int64  // where it is to be, if its client keeps offsets,
	tries    int    // and how often it was sent for there
	sent     bool   // under way
	attempt  uint64 // counts sends
	maybe    bool   // was sent once
	broker   int    // where to
	at       node.Time
}

func (c *client) lane(t *topicView, partition int32) *lane {
	for _, l := range c.lanes {
		if l.topic == t && l.partition == partition {
			return l
		}
	}
	l := &lane{topic: t, partition: partition, acked: producerKey{id: -1}, sequence: c.firstSequence()}
	c.lanes = append(c.lanes, l)
	return l
}

// enqueue begins a produce call.
func (c *client) enqueue(call *plan.Call) {
	l := c.lane(c.topic(call.Topic), call.Partition)
	b := &batch{call: call, began: c.world.now, producer: -1, ordinal: l.enqueued}
	l.enqueued++
	for i := range call.Records {
		b.values = append(b.values, recordID(call.ID, i))
	}
	l.batches = append(l.batches, b)
	b.record = c.world.judge.producing(c, b)
	c.wakeAt(b.began + at(c.spec.GiveUp))
}

// produce sends what can be sent.
func (c *client) produce() {
	for _, l := range c.lanes {
		c.giveUpBatches(l)
		if len(l.batches) > 0 && c.producerReady() && !c.spec.Joint {
			c.sendLane(l)
		}
	}
	if c.spec.Joint {
		c.sendJoint()
	}
}

// producerReady asks for a producer id first if the client is idempotent.
func (c *client) producerReady() bool {
	p := &c.producer
	if !c.spec.Idempotent || p.known {
		return true
	}
	if p.asked != 0 || c.world.now < p.retryAt {
		return false
	}
	cn := c.conn(c.nextBroker)
	if cn == nil {
		return false
	}
	p.asked = cn.broker.number
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version = c.version(kmsg.InitProducerID, 4, 0)
	req.TransactionTimeoutMillis = 60_000
	req.ProducerID, req.ProducerEpoch = -1, -1
	if p.bump {
		req.Version = max(req.Version, 3)
		req.ProducerID, req.ProducerEpoch = p.id, p.epoch
	}
	cn.ask(c.world, req, func(resp kmsg.Response) { c.gotProducer(resp.(*kmsg.InitProducerIDResponse)) })
	return false
}

func (c *client) gotProducer(r *kmsg.InitProducerIDResponse) {
	p := &c.producer
	p.asked = 0
	if r.ErrorCode != 0 {
		if !retriable(r.ErrorCode) {
			c.world.fail("unexpected-error", "client %d: InitProducerId answered %s", c.spec.ID, kafka.CodeName(r.ErrorCode))
		}
		p.retryAt = c.world.now + c.retryDelay()
		c.wakeAt(p.retryAt)
		return
	}
	if p.bump && (r.ProducerID != p.id || r.ProducerEpoch != p.epoch+1) {
		c.world.fail("producer-id", "client %d asks for the epoch after %d of producer %d, and gets producer %d, epoch %d", c.spec.ID, p.epoch, p.id, r.ProducerID, r.ProducerEpoch)
	}
	p.bump = false
	c.world.judge.producerID(c.world, c, r.ProducerID, r.ProducerEpoch)
	p.id, p.epoch, p.known = r.ProducerID, r.ProducerEpoch, true
}

// sendLane sends the lane's next batches while its window is open.
func (c *client) sendLane(l *lane) {
	cn := c.route(l)
	if cn == nil {
		return
	}
	for b := c.nextBatch(l); b != nil; b = c.nextBatch(l) {
		c.sendBatches(cn, []sending{{lane: l, batch: b}})
	}
}

// route returns the connection over which a lane's batches go now, nil if there is none.
func (c *client) route(l *lane) *conn {
	v := &l.topic.partitions[l.partition]
	if l.topic.stale || v.leader == 0 {
		l.topic.stale = true
		c.askMetadata()
		return nil
	}
	if c.world.now < l.retryAt {
		c.wakeAt(l.retryAt)
		return nil
	}
	return c.conn(v.leader)
}

// nextBatch returns the lane's next batch that can be sent, nil if there is none or its window is full.
func (c *client) nextBatch(l *lane) *batch {
	window := c.spec.InFlight
	if !l.sure && c.spec.Idempotent && !c.spec.Eager {
		window = 1
	}
	for _, b := range l.batches {
		if b.ordinal >= l.batches[0].ordinal+window {
			return nil // an answered batch in between still fills the broker's memory of this producer
		}
		if first := l.batches[0]; first.numbered && first.key() != c.producerOf(b) {
			return nil // sequences keep the order of one epoch of a producer only
		}
		if !b.sent {
			return b
		}
	}
	return nil
}

// key is under which producer and epoch a batch was sent.
func (b *batch) key() producerKey { return producerKey{b.producer, b.epoch} }

// producerOf is the producer that a batch was sent under or would be.
func (c *client) producerOf(b *batch) producerKey {
	if b.numbered {
		return b.key()
	}
	return producerKey{c.producer.id, c.producer.epoch}
}

// firstSequence is the first of a new producer id.
func (c *client) firstSequence() int32 {
	if c.spec.Wraps == 0 {
		return 0
	}
	return 1<<31 - 1 - c.spec.Wraps
}

// number gives a batch that is sent for the first time its place among those of its producer.
func (c *client) number(l *lane, b *batch) {
	if !b.numbered && c.spec.Idempotent {
		b.numbered = true
		b.producer, b.epoch, b.sequence = c.producer.id, c.producer.epoch, l.sequence
		l.sequence = int32((int64(l.sequence) + int64(len(b.values))) & (1<<31 - 1))
	}
}

// produceVersion is one of the versions in use, by client.
func (c *client) produceVersion() int16 {
	return c.version(kmsg.Produce, [...]int16{9, 7, 3, 8}[c.spec.ID%4], 0)
}

// encode builds the record batch.
func (c *client) encode(b *batch) []byte {
	spec := kafka.NewBatchSpec(make([]kafka.Record, len(b.values))...)
	for i, id := range b.values {
		spec.Records[i].Value = value(id, b.call.Size)
		if keys := c.topic(b.call.Topic).plan.Keys; keys > 0 {
			spec.Records[i].Key = keyBytes(id, keys)
		}
	}
	spec.FirstTimestamp = unixEpochMs + int64(b.began)/1e6 + c.skewOf(b.values[0])
	for i, id := range b.values {
		spec.Records[i].TimestampDelta = c.skewOf(id) - c.skewOf(b.values[0])
	}
	if b.numbered {
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = b.producer, b.epoch, b.sequence
	}
	spec.BaseOffset = b.base
	raw := kafka.AppendBatch(nil, spec)
	codec := c.codec(b.call)
	if codec == kafka.CodecNone {
		return raw
	}
	raw, err := c.world.codecs.CompressBatch(raw, codec)
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return raw
}

// codec is how a call's records are compressed: half of them aren't, so that plain batches have to wait for
// compressed ones of the same producer, which are checked elsewhere.
func (c *client) codec(call *plan.Call) kafka.Codec {
	codec := kafka.Codec(call.ID % 8)
	switch {
	case codec == kafka.CodecZstd && !c.zstd(), codec > kafka.CodecZstd:
		return kafka.CodecNone
	}
	return codec
}

// skewOf is by how many ms a record's timestamp differs from when its call began.
func (c *client) skewOf(id checker.RecordID) int64 {
	ms := uint64(c.spec.Skew / millisecond)
	if ms == 0 {
		return 0
	}
	return int64(keyed.Mix(uint64(id))%(2*ms+1)) - int64(ms)
}

// produced takes the answer to one attempt.
func (c *client) produced(l *lane, b *batch, attempt uint64, r *kmsg.ProduceResponseTopicPartition) {
	w, place := c.world, -1
	for i, o := range l.batches {
		if o == b {
			place = i
		}
	}
	if place < 0 {
		return // given up before
	}
	if c.world.tracing() {
		c.world.tracef("client %d  call %d attempt %d is answered %s", c.spec.ID, b.call.ID, attempt, kafka.CodeName(r.ErrorCode))
	}
	switch code := r.ErrorCode; {
	case code == 0:
		l.sure = true
		l.noteAck(b)
		c.placed(l, b, r.BaseOffset)
		c.endBatch(l, b, checker.OK, r.BaseOffset)
		if c.spec.Bumps && c.producer.known && c.draw().Ratio(1, 8) { // as clients do after errors that these never get
			c.newProducer()
		}
	case code == kerr.DuplicateSequenceNumber.Code:
		l.noteAck(b)
		c.endBatch(l, b, checker.OK, -1)
	case attempt != b.attempt:
		// An error of an attempt that was given up already says nothing about the next.
	case code == kerr.OffsetOutOfRange.Code && c.spec.Keeps:
		c.displaced(l, b, place, r.BaseOffset)
	case code == kerr.OutOfOrderSequenceNumber.Code && b.numbered:
		c.outOfOrder(l, b, place)
	case code == kerr.RequestTimedOut.Code && b.call.Acks == 1 && !c.sendsAgain() && c.world.now < b.at.Add(20*time.Second):
		c.unexpected(b.call, code, "a produce request with acks=1, whose time-out means nothing,")
	case code == kerr.CorruptMessage.Code && !w.plan.Has(plan.FaultBits):
		c.unexpected(b.call, code, "the produce request")
	case (retriable(code) || code == kerr.CorruptMessage.Code) && c.sendsAgain():
		l.topic.stale = true
		c.rewind(l, place)
	case retriable(code), code == kerr.CorruptMessage.Code:
		l.topic.stale = true
		c.endBatch(l, b, checker.Unknown, -1)
	default:
		c.unexpected(b.call, code, "the produce request")
	}
}

func (l *lane) noteAck(b *batch) {
	if l.acked != b.key() {
		l.acked, l.ackedFrom = b.key(), b.ordinal
	}
	l.ackedFrom = min(l.ackedFrom, b.ordinal)
}

// outOfOrder takes a refused sequence. It is right for a batch after one that is on its way again,
// and for a producer's first batch, if a later one came before it: a partition accepts any first
// sequence of a producer that it doesn't know. So it is for a topic that was deleted and made again. Otherwise the broker
// forgot something.
func (c *client) outOfOrder(l *lane, b *batch, place int) {
	switch {
	case place > 0:
		c.rewind(l, place)
	case l.acked == b.key() && l.ackedFrom < b.ordinal && !c.world.doomed[b.call.Topic]:
		c.world.fail("sequence", "client %d, call %d: producer %d's sequence %d on %s is refused as out of order, though the batch before it was acknowledged",
			c.spec.ID, b.call.ID, b.producer, b.sequence, partitionName(b.call.Topic, b.call.Partition))
	case !c.spec.Eager && !c.world.doomed[b.call.Topic]:
		c.world.fail("sequence", "client %d, call %d: producer %d's first sequence %d on %s is refused as out of order, though nothing else was sent before it was answered",
			c.spec.ID, b.call.ID, b.producer, b.sequence, partitionName(b.call.Topic, b.call.Partition))
	default:
		for len(l.batches) > 0 && l.batches[0].maybe {
			c.endBatch(l, l.batches[0], checker.Unknown, -1)
		}
		c.newProducer()
	}
}

// rewind sends the batch at a place and all after it again, after a pause.
func (c *client) rewind(l *lane, place int) {
	for _, b := range l.batches[place:] {
		b.sent = false
	}
	l.sure = false
	l.retryAt = c.world.now + c.retryDelay()
	c.wakeAt(l.retryAt)
	if l.topic.stale {
		c.askAgain = max(c.askAgain, c.world.now+1)
	}
}

// producerLost rewinds what was under way to a broker.
func (c *client) producerLost(broker int) {
	if c.producer.asked == broker {
		c.producer.asked = 0 // at worst an id is wasted
		c.producer.retryAt = c.world.now + c.retryDelay()
	}
	for _, l := range c.lanes {
		for i := 0; i < len(l.batches); i++ {
			b := l.batches[i]
			if !b.sent || b.broker != broker {
				continue
			}
			if c.sendsAgain() {
				c.rewind(l, i)
				break
			}
			c.endBatch(l, b, checker.Unknown, -1)
			i--
		}
	}
}

// giveUpBatches ends the batches whose time is over. If one of them was sent, its fate is unknown,
// and so is that of everything sent after it.
func (c *client) giveUpBatches(l *lane) {
	abandoned := c.world.abandoned(l.topic.plan.Name)
	unknown := false
	for len(l.batches) > 0 {
		b := l.batches[0]
		late := abandoned || b.began+at(c.spec.GiveUp) <= c.world.now
		if !late && !(unknown && b.maybe) {
			break
		}
		unknown = unknown || b.maybe
		c.endBatch(l, b, c.fate(b), -1)
	}
	if unknown && c.spec.Idempotent {
		c.newProducer()
	}
}

func (c *client) fate(b *batch) checker.Outcome {
	if b.maybe {
		return checker.Unknown
	}
	return checker.Failed
}

// newProducer gives up the producer id, or its epoch. Other lanes' batches that were sent under it keep it, with
// their sequences; what was not sent yet gets the new one, from its first sequence, which is 0 for another epoch.
func (c *client) newProducer() {
	first, p := c.firstSequence(), &c.producer
	if p.bump = p.bump || p.known && c.spec.Bumps && p.epoch < lastEpoch; p.bump {
		first = 0
	}
	p.known = false
	for _, l := range c.lanes {
		for _, b := range l.batches {
			if b.numbered && !b.maybe {
				panic("a batch is numbered when it is sent")
			}
		}
		l.sequence = first
		l.sure = false
	}
}

// lastEpoch is the last that clients use of a producer id.
const lastEpoch = 1<<15 - 3

// endBatch records what the client knows of a produce call.
func (c *client) endBatch(l *lane, b *batch, outcome checker.Outcome, offset int64) {
	for i, o := range l.batches {
		if o == b {
			l.batches = slices.Delete(l.batches, i, i+1)
			break
		}
	}
	c.world.judge.produced(c.world, c, b, outcome, offset)
	c.finished()
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
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
	asked   int // broker that is asked for one; 0: none
	retryAt node.Time
}

// lane is what a client does to one partition: batches without an end, oldest first.
type lane struct {
	topic     *topicView
	partition int32
	batches   []*batch
	enqueued  int       // batches so far
	sequence  int32     // of the next batch that is numbered
	retryAt   node.Time // nothing is sent before
	sure      bool      // the last answer from this leader was good; until then one batch at a time
	acked     int64     // producer id of the last batch that was acknowledged
	ackedFrom int       // the first batch that was, under that id
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
	l := &lane{topic: t, partition: partition, acked: -1}
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
		if len(l.batches) > 0 && c.producerReady() {
			c.sendLane(l)
		}
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
	req.Version = 4
	req.TransactionTimeoutMillis = 60_000
	req.ProducerID, req.ProducerEpoch = -1, -1
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
	c.world.judge.producerID(c.world, c, r.ProducerID, r.ProducerEpoch)
	p.id, p.epoch, p.known = r.ProducerID, r.ProducerEpoch, true
}

// sendLane sends the lane's next batches while its window is open.
func (c *client) sendLane(l *lane) {
	v := &l.topic.partitions[l.partition]
	if l.topic.stale || v.leader == 0 {
		l.topic.stale = true
		c.askMetadata()
		return
	}
	if c.world.now < l.retryAt {
		c.wakeAt(l.retryAt)
		return
	}
	cn := c.conn(v.leader)
	if cn == nil {
		return
	}
	window := c.spec.InFlight
	if !l.sure && c.spec.Idempotent && !c.spec.Eager {
		window = 1
	}
	for i := 0; i < len(l.batches); i++ {
		b := l.batches[i]
		if b.ordinal >= l.batches[0].ordinal+window {
			return // an answered batch in between still fills the broker's memory of this producer
		}
		if first := l.batches[0]; first.numbered && first.producer != c.producerOf(b) {
			return // sequences keep the order of one producer id only
		}
		if !b.sent {
			c.sendBatch(cn, l, b)
			if b.call.Acks == 0 && !c.spec.Idempotent {
				c.endBatch(l, b, checker.Unknown, -1) // nobody will answer
				i--
			}
		}
	}
}

// producerOf is the producer id that a batch was sent under or would be.
func (c *client) producerOf(b *batch) int64 {
	if b.numbered {
		return b.producer
	}
	return c.producer.id
}

func (c *client) sendBatch(cn *conn, l *lane, b *batch) {
	w := c.world
	if !b.numbered && c.spec.Idempotent {
		b.numbered = true
		b.producer, b.epoch, b.sequence = c.producer.id, c.producer.epoch, l.sequence
		l.sequence = int32((int64(l.sequence) + int64(len(b.values))) & (1<<31 - 1))
	}
	b.sent, b.maybe, b.broker = true, true, cn.broker.number
	b.attempt++
	req := kmsg.NewPtrProduceRequest()
	req.Version = c.produceVersion()
	req.Acks = b.call.Acks
	if c.spec.Idempotent {
		req.Acks = -1
	}
	req.TimeoutMillis = int32(c.timeout() / millisecond)
	if req.Acks != -1 && b.call.ID%2 == 1 { // left alone, as Kafka doesn't look at it
		req.TimeoutMillis = int32(b.call.ID%6)/2 - 1
	}
	b.at = w.now
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = l.topic.plan.Name
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition = l.partition
	rp.Records = c.encode(b)
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	attempt := b.attempt
	if w.tracing() {
		w.tracef("client %d  call %d goes to broker %d, conn %d: producer %d sequence %d attempt %d", c.spec.ID, b.call.ID, b.broker, cn.id, b.producer, b.sequence, attempt)
	}
	if req.Acks == 0 {
		cn.ask(w, req, nil)
		return
	}
	cn.ask(w, req, func(resp kmsg.Response) { c.produced(l, b, attempt, resp.(*kmsg.ProduceResponse)) })
}

// produceVersion is one of the versions in use, by client.
func (c *client) produceVersion() int16 { return [...]int16{9, 7, 3, 8}[c.spec.ID%4] }

// encode builds the record batch.
func (c *client) encode(b *batch) []byte {
	spec := kafka.NewBatchSpec(make([]kafka.Record, len(b.values))...)
	for i, id := range b.values {
		spec.Records[i].Value = value(id, b.call.Size)
		if keys := c.topic(b.call.Topic).plan.Keys; keys > 0 {
			spec.Records[i].Key = strconv.AppendInt(nil, int64(keyOf(id, keys)), 10)
		}
	}
	spec.FirstTimestamp = unixEpochMs + int64(b.began)/1e6
	if b.numbered {
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = b.producer, b.epoch, b.sequence
	}
	raw := kafka.AppendBatch(nil, spec)
	codec := c.codec(b.call)
	if codec == kafka.CodecNone {
		return raw
	}
	raw, err := kafka.CompressBatch(raw, codec)
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
	case codec == kafka.CodecZstd && c.produceVersion() < 7, codec > kafka.CodecZstd:
		return kafka.CodecNone
	}
	return codec
}

// produced takes the answer to one attempt.
func (c *client) produced(l *lane, b *batch, attempt uint64, resp *kmsg.ProduceResponse) {
	place := -1
	for i, o := range l.batches {
		if o == b {
			place = i
		}
	}
	if place < 0 {
		return // given up before
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		c.world.fail("protocol", "a produce request for one partition is answered with %d topics", len(resp.Topics))
	}
	r := &resp.Topics[0].Partitions[0]
	if c.world.tracing() {
		c.world.tracef("client %d  call %d attempt %d is answered %s", c.spec.ID, b.call.ID, attempt, kafka.CodeName(r.ErrorCode))
	}
	switch code := r.ErrorCode; {
	case code == 0:
		l.sure = true
		l.noteAck(b)
		c.endBatch(l, b, checker.OK, r.BaseOffset)
	case code == kerr.DuplicateSequenceNumber.Code:
		l.noteAck(b)
		c.endBatch(l, b, checker.OK, -1)
	case attempt != b.attempt:
		// An error of an attempt that was given up already says nothing about the next.
	case code == kerr.OutOfOrderSequenceNumber.Code && b.numbered:
		c.outOfOrder(l, b, place)
	case code == kerr.RequestTimedOut.Code && b.call.Acks == 1 && !c.spec.Idempotent && c.world.now < b.at.Add(20*time.Second):
		c.unexpected(b.call, code, "a produce request with acks=1, whose time-out means nothing,")
	case retriable(code) && c.spec.Idempotent:
		l.topic.stale = true
		c.rewind(l, place)
	case retriable(code):
		l.topic.stale = true
		c.endBatch(l, b, checker.Unknown, -1)
	default:
		c.unexpected(b.call, code, "the produce request")
	}
}

func (l *lane) noteAck(b *batch) {
	if l.acked != b.producer {
		l.acked, l.ackedFrom = b.producer, b.ordinal
	}
	l.ackedFrom = min(l.ackedFrom, b.ordinal)
}

// outOfOrder takes a refused sequence. It is right for a batch after one that is on its way again,
// and for a producer's first batch, if a later one came before it: a partition accepts any first
// sequence of a producer that it doesn't know. Otherwise the broker forgot something.
func (c *client) outOfOrder(l *lane, b *batch, place int) {
	switch {
	case place > 0:
		c.rewind(l, place)
	case l.acked == b.producer && l.ackedFrom < b.ordinal:
		c.world.fail("sequence", "client %d, call %d: producer %d's sequence %d on %s is refused as out of order, though the batch before it was acknowledged",
			c.spec.ID, b.call.ID, b.producer, b.sequence, partitionName(b.call.Topic, b.call.Partition))
	case !c.spec.Eager:
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
			if c.spec.Idempotent {
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

// newProducer gives up the producer id. Other lanes' batches that were sent under it keep it, with
// their sequences; what was not sent yet gets the new one, from sequence 0.
func (c *client) newProducer() {
	c.producer.known = false
	for _, l := range c.lanes {
		for _, b := range l.batches {
			if b.numbered && !b.maybe {
				panic("a batch is numbered when it is sent")
			}
		}
		l.sequence = 0
		l.sure = false
	}
}

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

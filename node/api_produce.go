// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
)

// Produce, versions 3 to 13.
//
//	v3  record batches (magic 2); older versions are refused
//	v5  log start offset in the answer
//	v7  zstd
//	v8  error messages
//	v9  flexible
//	v10 the leader in the answer of one that isn't (KIP-951)
//	v12 the same, from clients that know KIP-890
//	v13 topics by id (KIP-516)
//
// Every batch becomes one entry of its partition's log. acks 1 and all answer after the entry is
// committed: durable on a majority. acks 0 has no answer; an error closes the connection instead.
// A batch of a transaction waits until the coordinator knows that its partition takes part (produce_txn.go).
// Batches for a partition that is named twice are an INVALID_REQUEST, all of them. Kafka appends the last one and drops the others
// without a word (its KafkaApis has a map).

// acksAll is what a producer says that wants all replicas in sync to have its records.
const acksAll = -1

// produce is a request on its way: its partitions in the order of the request.
type produce struct {
	request *request
	resp    *kmsg.ProduceResponse
	acks    int16
	left    int                 // partitions without a result, and one until all have been looked at
	failed  bool                // any partition
	others  bool                // Kafka would wait for other replicas, too
	named   map[BrokerID]bool   // whose addresses are in the answer
	topic   string              // whose partitions are looked at
	err     error               // why none of them is written to
	twice   map[producedTo]bool // partitions that it names several times
}

// errTwice refuses what would be answered by a partition's number, and is there several times.
var errTwice = kafka.Errorf(kerr.InvalidRequest, "the partition is named several times in the request; none of its batches was taken")

// producePatience is how long a request waits for its records at least, where Kafka wouldn't wait for
// anybody and so doesn't look at the time-out. It is the time-out that Kafka's own producer sends.
const producePatience = 30 * time.Second

func (n *Node) handleProduce(r *request, m kmsg.Request) {
	n.produceAll(r, m.(*kmsg.ProduceRequest), nil)
}

// produceAll puts everything on its way, unless it is refused as a whole.
func (n *Node) produceAll(r *request, req *kmsg.ProduceRequest, refusal error) {
	p := &produce{request: r, resp: kmsg.NewPtrProduceResponse(), acks: req.Acks, left: 1}
	if isEachOnce(req) {
		n.produceEach(p, req, refusal)
		return
	}
	named := make(map[producedTo]bool)
	n.eachPart(r, len(req.Topics), func(i int) int { return len(req.Topics[i].Partitions) }, func(i, j int) {
		switch name := partProduced(req, i, j); {
		case !named[name]:
			named[name] = true
		case p.twice == nil:
			p.twice = map[producedTo]bool{name: true}
		default:
			p.twice[name] = true
		}
	}, func() { n.produceEach(p, req, refusal) })
}

// producedTo is a partition as a produce request names it: its topic has a name or an id.
type producedTo struct {
	topic string
	id    [16]byte
	index int32
}

func partProduced(req *kmsg.ProduceRequest, i, j int) producedTo {
	t := &req.Topics[i]
	return producedTo{t.Topic, t.TopicID, t.Partitions[j].Partition}
}

// isEachOnce reports whether a request names no partition twice, if that can be seen at a glance: most name a few.
func isEachOnce(req *kmsg.ProduceRequest) bool {
	var named [16]producedTo
	n := 0
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			name := partProduced(req, i, j)
			if n == len(named) || slices.Contains(named[:n], name) {
				return false
			}
			named[n] = name
			n++
		}
		if i == len(named) {
			return false
		}
	}
	return true
}

func (n *Node) produceEach(p *produce, req *kmsg.ProduceRequest, refusal error) {
	r := p.request
	p.resp.Topics = make([]kmsg.ProduceResponseTopic, len(req.Topics))
	n.eachPart(r, len(req.Topics), func(i int) int {
		in, t := &req.Topics[i], &p.resp.Topics[i]
		*t = kmsg.NewProduceResponseTopic()
		t.Topic, t.TopicID = in.Topic, in.TopicID
		t.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(in.Partitions))
		p.left += len(t.Partitions)
		p.topic, p.err = n.topicName(req.Version >= 13, in.Topic, in.TopicID)
		if p.err == nil {
			p.err = r.topicRight(acl.Write, p.topic)
		}
		p.err = cmp.Or(refusal, p.err)
		return len(t.Partitions)
	}, func(i, j int) {
		in, out := &req.Topics[i].Partitions[j], &p.resp.Topics[i].Partitions[j]
		switch {
		case p.err != nil:
			p.refuse(in, out, p.err)
		case p.twice != nil && p.twice[partProduced(req, i, j)]:
			p.refuse(in, out, errTwice)
		default:
			n.producePartition(p, p.topic, in, out, req.TransactionID)
		}
	}, func() {
		p.partitionDone()
		r.expireAfter(patience(p.others, req.TimeoutMillis), p.expire)
	})
}

// patience is how long a request waits for what it writes. In Kafka the time-out bounds the wait for other
// replicas, so it means something only where a request waits for others; clients leave it at 0, 1 or -1 elsewhere.
// An error for what is about to be written makes them write it twice.
func patience(others bool, timeoutMs int32) time.Duration {
	if others {
		return millis(timeoutMs)
	}
	return max(millis(timeoutMs), producePatience)
}

// refuse answers for a partition to which nothing is written.
func (p *produce) refuse(in *kmsg.ProduceRequestTopicPartition, out *kmsg.ProduceResponseTopicPartition, err error) {
	*out = kmsg.NewProduceResponseTopicPartition()
	out.Partition, out.BaseOffset, out.LogAppendTime, out.LogStartOffset = in.Partition, -1, -1, -1
	p.partitionFailed(out, err)
}

// producePartition puts one batch on its way: to be checked, then into the log.
func (n *Node) producePartition(p *produce, topic string, in *kmsg.ProduceRequestTopicPartition, out *kmsg.ProduceResponseTopicPartition, txnID *string) {
	*out = kmsg.NewProduceResponseTopicPartition()
	out.Partition, out.BaseOffset, out.LogAppendTime, out.LogStartOffset = in.Partition, -1, -1, -1
	part, b, err := n.producible(p, topic, in, txnID)
	if meta := n.catalog.partition(topic, in.Partition); meta != nil && code(err) == kerr.NotLeaderForPartition.Code {
		p.notLeader(out, meta)
		return
	}
	if err != nil {
		p.partitionFailed(out, err)
		return
	}
	p.others = p.others || p.acks < 0 && !part.group.alone()
	out.ErrorCode = kerr.RequestTimedOut.Code // until it has a result
	a := &arrival{
		request: p.request, part: part, batch: b, raw: in.Records,
		kept:   p.acks == kafka.AcksKept,
		refuse: func(err error) { p.notPlaced(out, part.meta, err) },
	}
	a.propose = func() { n.proposeBatch(p, part, &a.batch, in.Records, out) }
	if b.IsTransactional() {
		a.txnID = *txnID
	}
	n.arrive(a)
}

// proposeBatch puts a checked batch on its way into the log.
func (n *Node) proposeBatch(p *produce, part *partition, b *kafka.Batch, raw []byte, out *kmsg.ProduceResponseTopicPartition) {
	kept := p.acks == kafka.AcksKept
	if kept {
		if err := part.placesKept(b); err != nil {
			if code(err) == kerr.OffsetOutOfRange.Code {
				out.BaseOffset = part.highWatermark
			}
			p.notPlaced(out, part.meta, err)
			return
		}
	}
	appendTime := !kept && n.usesAppendTime(part.meta.Topic)
	if appendTime {
		kafka.SetAppendTime(raw, n.stampMs())
	}
	part.stamp(raw)
	part.group.propose(raw, func(result any, err error) {
		if p.request.settled {
			return
		}
		if errors.Is(err, errDiskFull) {
			p.partitionFailed(out, errStorage)
			return
		}
		if errors.Is(err, errTooMuchUnderway) {
			p.partitionFailed(out, err)
			return
		}
		if err != nil {
			p.notLeader(out, part.meta)
			return
		}
		v := result.(verdict)
		if v.err != nil {
			p.partitionFailed(out, v.err)
			return
		}
		out.ErrorCode, out.BaseOffset, out.LogStartOffset = 0, v.offset, part.logStart()
		if appendTime {
			out.LogAppendTime = v.timestamp
		}
		p.partitionDone()
	})
}

// producible finds the partition for a batch and says why it can't take it, but for what is wrong inside it.
func (n *Node) producible(p *produce, topic string, in *kmsg.ProduceRequestTopicPartition, txnID *string) (*partition, kafka.Batch, error) {
	kept := p.acks == kafka.AcksKept
	if (p.acks < acksAll || p.acks > 1) && !kept {
		return nil, kafka.Batch{}, kafka.Errorf(kerr.InvalidRequiredAcks, "acks %d; use 0, 1 or -1 (all)", p.acks)
	}
	part, err := n.partitionFor(topic, in.Partition)
	if err != nil {
		return nil, kafka.Batch{}, err
	}
	check := kafka.CheckHeader
	if kept {
		check = kafka.CheckKept
	}
	b, err := check(in.Records)
	switch {
	case err != nil:
		return nil, b, err
	case b.IsTransactional() && txnID == nil:
		return nil, b, kafka.Errorf(kerr.TransactionalIDAuthorizationFailed, "a batch of a transaction, and no transactional id")
	case b.IsTransactional() && checkTransactionalID(*txnID) != nil:
		return nil, b, checkTransactionalID(*txnID)
	case int32(len(in.Records)) > n.maxMessageBytes(part.meta.Topic):
		return nil, b, kafka.Errorf(kerr.MessageTooLarge, "the batch has %d bytes, max.message.bytes is %d", len(in.Records), n.maxMessageBytes(part.meta.Topic))
	case b.Codec() == kafka.CodecZstd && p.request.header.Version < 7:
		return nil, b, kafka.Errorf(kerr.UnsupportedCompressionType, "zstd needs Produce v7 (KIP-110)")
	}
	return part, b, nil
}

// notPlaced answers for a batch that wasn't proposed.
func (p *produce) notPlaced(out *kmsg.ProduceResponseTopicPartition, meta *partitionMeta, err error) {
	if errors.Is(err, errNotLeader) {
		p.notLeader(out, meta)
		return
	}
	p.partitionFailed(out, err)
}

func (p *produce) partitionFailed(out *kmsg.ProduceResponseTopicPartition, err error) {
	p.failed = true
	out.ErrorCode = p.request.code(err)
	text := err.Error()
	if bad, ok := errors.AsType[*kafka.BadRecords](err); ok {
		for _, i := range bad.Which {
			r := kmsg.NewProduceResponseTopicPartitionErrorRecord()
			r.RelativeOffset, r.ErrorMessage = i, &text
			out.ErrorRecords = append(out.ErrorRecords, r)
		}
	}
	if p.request.header.Version >= 8 {
		out.ErrorMessage = &text
	}
	p.partitionDone()
}

// notLeader answers for a partition that this broker doesn't lead, and says who does, so that the
// client needn't ask for metadata.
func (p *produce) notLeader(out *kmsg.ProduceResponseTopicPartition, meta *partitionMeta) {
	n := p.request.node
	if leader, epoch := n.leaderOf(meta); leader >= 0 && leader != n.self && p.request.header.Version >= 10 {
		out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = int32(leader), epoch
		if m := n.member(leader); m != nil {
			p.nameBroker(m)
		}
	}
	p.partitionFailed(out, kerr.NotLeaderForPartition)
}

// nameBroker adds a broker's address to the answer, once.
func (p *produce) nameBroker(m *Member) {
	if p.named[m.ID] {
		return
	}
	if p.named == nil {
		p.named = make(map[BrokerID]bool)
	}
	p.named[m.ID] = true
	if b, ok := m.endpoint(p.request.conn.listener.Name); ok {
		p.resp.Brokers = append(p.resp.Brokers, b)
	}
}

// endpoint is a broker's address in the answers to produce and fetch requests; false if clients of the listener don't reach it.
func (m *Member) endpoint(listener string) (kmsg.ProduceResponseBroker, bool) {
	b := kmsg.NewProduceResponseBroker()
	name, port, ok := m.at(listener)
	if !ok {
		return b, false
	}
	b.NodeID, b.Host, b.Port = int32(m.ID), name, port
	if rack := m.Rack; rack != "" { // a copy: members change while answers are encoded
		b.Rack = &rack
	}
	return b, true
}

func (p *produce) partitionDone() {
	if p.left--; p.left == 0 {
		p.answer()
	}
}

// expire answers with what there is: a partition without a result may or may not get one later.
func (p *produce) expire() {
	p.failed = true
	p.answer()
}

func (p *produce) answer() {
	switch {
	case p.acks != 0:
		p.request.reply(p.resp)
	case p.failed:
		p.request.refuse("a produce request with acks=0 failed; closing is the only way to tell")
	default:
		p.request.replyNothing()
	}
}

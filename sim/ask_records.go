// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/sim/plan"
)

// Asks about records and offsets.

const (
	noSuchTopic = "no-such-topic"
	ownTopic    = "__consumer_offsets" // the brokers'
)

// what is what is special about the ask.
func (a *asking) what() string {
	_, what, _ := strings.Cut(string(a.spec.Kind), "/")
	return what
}

// named is the topic that a request names.
func (a *asking) named() string {
	switch a.what() {
	case "no-such-topic":
		return noSuchTopic
	case "brokers-own":
		return ownTopic
	}
	return a.spec.Topic
}

// id is the id of the topic that a request names by that. An unknown one is nobody's.
func (a *asking) id() [16]byte {
	if id, ok := a.world.topicIDs[a.named()]; ok && a.what() != "no-such-id" {
		return id
	}
	return [16]byte{1: byte(a.spec.ID), 2: byte(a.spec.ID >> 8), 15: 0xff}
}

// leaderEpoch is what a request says who leads.
func (a *asking) leaderEpoch() int32 {
	switch a.what() {
	case "fenced":
		return 0
	case "future":
		return 1 << 30
	}
	return -1
}

// request makes the ask's request; nil if there is nothing for it in this world now.
func (a *asking) request() kmsg.Request {
	var req kmsg.Request
	switch a.spec.Kind.API() {
	case "Produce":
		req = a.produce()
	case "Fetch":
		req = a.fetch()
	case "ListOffsets":
		req = a.listOffsets()
	case "OffsetForLeaderEpoch":
		req = a.epochs()
	case "DeleteRecords":
		req = a.deleteRecords()
	case "InitProducerID":
		req = a.initProducer()
	case "Metadata":
		req = a.metadata()
	default:
		if req = a.groupRequest(); req == nil {
			if req = a.adminRequest(); req == nil {
				req = a.describeRequest()
			}
		}
	}
	if req == nil {
		return nil
	}
	if req.GetVersion() == 0 { // else the kind has a version of its own
		req.SetVersion(a.spec.Version)
	}
	return req
}

// foreign is a record that no broker may take.
func (a *asking) foreign(size int) kafka.BatchSpec {
	spec := kafka.NewBatchSpec(kafka.Record{Key: []byte("0"), Value: value(recordID(1<<22+a.spec.ID, 0), size)})
	spec.FirstTimestamp = unixEpochMs + int64(a.world.now)/1e6
	return spec
}

// produce sends what must be refused.
func (a *asking) produce() kmsg.Request {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 3000
	spec := a.foreign(plan.MinValue)
	var raw []byte
	switch a.what() {
	case "too-large":
		raw = kafka.AppendBatch(nil, a.foreign(plan.MaxBatchBytes))
	case "corrupt":
		raw = kafka.AppendBatch(nil, spec)
		raw[len(raw)-1-int(a.pick(10))] ^= 1
	case "bad-acks":
		req.Acks = 2
	case "transactional":
		spec.Attributes, spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = kafka.TransactionalFlag, 1<<41, 0, 0
		if a.pick(2) == 0 {
			req.TransactionID = kmsg.StringPtr("asks")
		}
	case "old-format":
		raw = kafka.AppendBatch(nil, spec)
		raw[16] = byte(a.pick(2))
	case "old-zstd":
		req.Version = min(a.spec.Version, 6)
		raw, _ = a.world.codecs.CompressBatch(kafka.AppendBatch(nil, spec), kafka.CodecZstd)
	case "no-key":
		if a.topic.Keys == 0 {
			return nil
		}
		spec.Records[0].Key = nil
	case "bad-time":
		if b := a.world.brokers[a.broker-1]; !a.topic.Recent || a.world.plan.ClockLies() || b.node == nil || !b.node.HasHeardClocks() {
			return nil // a broker that can't be sure of the time takes it, such as one that has just started
		}
		spec.FirstTimestamp = 1000
	case "nothing":
		raw = []byte{}
	case "gap", "zombie":
		if !a.asProducer(&spec) {
			return nil
		}
	}
	if raw == nil {
		raw = kafka.AppendBatch(nil, spec)
	}
	if codec := kafka.Codec(a.pick(4)); (a.what() == "no-key" || a.what() == "bad-time") && codec != kafka.CodecNone {
		raw, _ = a.world.codecs.CompressBatch(raw, codec)
	}
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = a.named(), a.id()
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = a.spec.Partition, raw
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	if a.what() == "twice" {
		req.Topics = append(req.Topics, t)
	} else if a.what() == "no-such-id" {
		req.Version = produceByID
	}
	return req
}

// asProducer makes a batch one of a producer whose last batch is acknowledged: far ahead of that, or of the epoch before.
func (a *asking) asProducer(spec *kafka.BatchSpec) bool {
	w := a.world
	if w.plan.Knobs.ProducerExpiry > 0 || !w.clocksRight || w.doomed[a.spec.Topic] || a.topic.Auto {
		return false // it may be forgotten by now
	}
	for _, c := range w.clients {
		for _, l := range c.lanes {
			if l.topic.plan != a.topic || l.partition != a.spec.Partition || l.acked.id < 0 {
				continue
			}
			a.producer, a.key = c, l.acked
			spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = l.acked.id, l.acked.epoch, (l.sequence+1<<24)&(1<<31-1)
			if a.what() == "gap" {
				return true
			}
			if l.acked.epoch > 0 {
				spec.ProducerEpoch--
				return true
			}
		}
	}
	return false
}

// overtaken says that the producer in whose name an ask wrote has gone on to another epoch or id than the one of which a batch was
// acknowledged. Its leader may know that by now.
func (a *asking) overtaken() bool {
	return a.producer != nil && (producerKey{a.producer.producer.id, a.producer.producer.epoch}) != a.key
}

func (a *asking) fetch() kmsg.Request {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = -1, 100, 1, 1<<20
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = a.named(), a.id()
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.PartitionMaxBytes = a.spec.Partition, a.leaderEpoch(), -1, 1<<16
	switch a.what() {
	case "session":
		req.SessionID, req.SessionEpoch = 7, 1
		req.Version = max(a.spec.Version, 7)
	case "beyond":
		p.FetchOffset = 1 << 40
	case "fenced", "future":
		req.Version = max(a.spec.Version, fetchWithEpoch)
	case "diverging":
		p.LastFetchedEpoch, p.FetchOffset = max(a.epoch, 1)-int32(a.pick(2)), 1<<39
		req.Version = max(a.spec.Version, 12)
	case "no-such-id":
		req.Version = max(a.spec.Version, fetchByID)
	case "rack":
		req.Rack = "r1"
		req.Version = max(a.spec.Version, 11)
	case "plain":
		req.IsolationLevel = int8(a.pick(2))
	}
	t.Partitions = append(t.Partitions, p)
	if a.what() == "several" {
		t.Partitions = append(t.Partitions, p)
		for i := range a.topic.Partitions {
			if p.Partition = i; i != a.spec.Partition {
				t.Partitions = append(t.Partitions, p)
			}
		}
		groups := kmsg.NewFetchRequestTopic()
		groups.Topic, groups.TopicID = ownTopic, [16]byte{15: 0xfb}
		p.Partition = 0
		groups.Partitions = append(groups.Partitions, p)
		req.Topics = append(req.Topics, groups)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func (a *asking) listOffsets() kmsg.Request {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	add := func(topic string, partition int32, ms int64) {
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != topic {
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.Timestamp = partition, a.leaderEpoch(), ms
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	switch a.what() {
	case "twice":
		add(a.named(), a.spec.Partition, -1)
		add(a.named(), a.spec.Partition, -2)
	case "no-such-time":
		add(a.named(), a.spec.Partition, -7)
	case "fenced", "future":
		req.Version = max(a.spec.Version, 4)
		add(a.named(), a.spec.Partition, a.someTime())
	case "any":
		for i := range a.topic.Partitions {
			add(a.named(), i, a.someTime())
		}
		if a.pick(2) == 1 {
			add(ownTopic, int32(a.pick(2)), a.pick(3)-3)
		}
	default:
		add(a.named(), a.spec.Partition, a.someTime())
	}
	return req
}

// someTime is a time of records, or a number that stands for one.
func (a *asking) someTime() int64 {
	if n := a.pick(8); n < 5 {
		return n - 5
	}
	return unixEpochMs + a.pick(int64(a.world.now)/1e6+1)
}

func (a *asking) epochs() kmsg.Request {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	t := kmsg.NewOffsetForLeaderEpochRequestTopic()
	t.Topic = a.named()
	for i := range a.topic.Partitions {
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = i, a.leaderEpoch(), int32(a.pick(10))
		if a.pick(4) == 0 {
			p.LeaderEpoch = 1 << 30
		}
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func (a *asking) deleteRecords() kmsg.Request {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 3000
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = a.named()
	for range 1 + a.pick(2) {
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Partition, p.Offset = a.spec.Partition, 1<<40
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func (a *asking) initProducer() kmsg.Request {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = 1000, -1, -1
	switch a.what() {
	case "odd":
		req.Version, req.ProducerID = max(a.spec.Version, 3), 5
	case "transactional":
		req.TransactionalID = kmsg.StringPtr([]string{"asks", ""}[a.pick(2)])
	case "next":
		req.Version, req.ProducerID, req.ProducerEpoch = max(a.spec.Version, 3), 1<<40, int16(a.pick(100))
	}
	return req
}

// check compares what an answer says with what is known.
func (a *asking) check(req kmsg.Request, resp kmsg.Response) {
	switch resp := resp.(type) {
	case *kmsg.FetchResponse:
		if a.what() == "plain" || a.what() == "rack" {
			a.fetched(req.(*kmsg.FetchRequest), resp)
		}
	case *kmsg.ListOffsetsResponse:
		a.listed(req.(*kmsg.ListOffsetsRequest), resp)
	case *kmsg.MetadataResponse:
		if a.what() == "old-ids" {
			a.finalIDs(resp)
			return
		}
		a.learned(resp)
	case *kmsg.DescribeConfigsResponse:
		if a.what() == "settings" {
			a.finalSettings(resp)
		}
		a.configured(resp)
	case *kmsg.IncrementalAlterConfigsResponse:
		if a.what() == "extreme" {
			a.extremeAnswered(req.(*kmsg.IncrementalAlterConfigsRequest), resp)
		}
	case *kmsg.CreateTopicsResponse:
		a.refusedTopics(resp)
	case *kmsg.DescribeLogDirsResponse:
		a.sizes(resp)
	case *kmsg.DescribeTopicPartitionsResponse:
		a.described(req.(*kmsg.DescribeTopicPartitionsRequest), resp)
	}
}

// fetched puts what was read into the history, as of any client.
func (a *asking) fetched(req *kmsg.FetchRequest, resp *kmsg.FetchResponse) {
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		a.world.fail("protocol", "ask %d: a fetch of one partition is answered with %d topics", a.spec.ID, len(resp.Topics))
	}
	r := &resp.Topics[0].Partitions[0]
	if r.ErrorCode != 0 || r.PreferredReadReplica >= 0 {
		return
	}
	id := noTopicID
	if req.Version >= fetchByID {
		id = a.id()
	}
	p := &pendingCall{call: &plan.Call{Topic: a.spec.Topic, Partition: a.spec.Partition}, attempt: a.sentAt}
	records, _ := a.client.records(p, id, r.RecordBatches)
	a.world.judge.fetched(a.world, a.client, p, checker.Fetch{
		Span: a.client.span(p), LeaderEpoch: -1, Records: records, HighWatermark: r.HighWatermark, LogStart: max(r.LogStartOffset, 0),
	})
}

// listed takes the ends of partitions into the history, and demands that a time is answered with a record of that time or later.
func (a *asking) listed(req *kmsg.ListOffsetsRequest, resp *kmsg.ListOffsetsResponse) {
	w := a.world
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			r, asked := &resp.Topics[i].Partitions[j], &req.Topics[i].Partitions[j]
			switch name := resp.Topics[i].Topic; {
			case r.ErrorCode != 0 || name != a.spec.Topic:
			case asked.Timestamp == -1 && !w.doomed[name]:
				h := w.judge.histories.Partition(partitionName(name, r.Partition))
				h.Ends = append(h.Ends, checker.End{
					Span: checker.Span{Client: int64(a.client.spec.ID), Call: int64(a.sentAt), Return: int64(w.now)}, Offset: r.Offset,
				})
			case asked.Timestamp >= 0 && r.Offset >= 0 && r.Timestamp < asked.Timestamp:
				w.fail("offset-by-time", "ask %d: the first record of %s from time %d on is said to be at offset %d, whose time is %d", a.spec.ID, partitionName(name, r.Partition), asked.Timestamp, r.Offset, r.Timestamp)
			case asked.Timestamp < -4 && r.Offset != -1:
				w.fail("offset-by-time", "ask %d: tiered storage of %s is said to begin or end at offset %d, and there is none", a.spec.ID, partitionName(name, r.Partition), r.Offset)
			}
		}
	}
}

// learned notes topic ids.
func (a *asking) learned(resp *kmsg.MetadataResponse) {
	a.client.checkBrokers(resp)
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if spec := a.planned(t.Topic, t.ErrorCode); spec != nil {
			if id, known := a.world.topicIDs[spec.Name]; known && id != t.TopicID && t.TopicID != noTopicID {
				a.world.noteIDs(id, t.TopicID)
			}
			if t.TopicID != noTopicID {
				a.world.topicIDs[spec.Name] = t.TopicID
			}
			a.checkCount(spec, len(t.Partitions))
		}
	}
}

// planned is the topic of the plan that an answer tells of, nil if it isn't one.
func (a *asking) planned(name *string, code int16) *plan.Topic {
	if name == nil || code != 0 {
		return nil
	}
	return a.world.plan.Topic(*name)
}

// checkCount demands that a topic has as many partitions as the plan says.
func (a *asking) checkCount(t *plan.Topic, partitions int) {
	if partitions != int(t.Partitions) && !t.Grows {
		a.world.fail("metadata", "ask %d: topic %s has %d partitions, broker %d shows %d", a.spec.ID, t.Name, t.Partitions, a.broker, partitions)
	}
}

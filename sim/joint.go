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

// Requests that hold more than one partition. Usual simulated clients ask about one at a time; real ones put into a request
// whatever they have for a broker.

// sending is a batch on its way in a request.
type sending struct {
	lane    *lane
	batch   *batch
	attempt uint64
	topic   [16]byte // its id, if it is named by that
}

// sendJoint sends what can be sent, a request for each broker, with a batch of each partition.
func (c *client) sendJoint() {
	if !c.lingered() {
		return
	}
	for {
		type request struct {
			conn *conn
			list []sending
		}
		var requests []request
		for _, l := range c.lanes {
			if len(l.batches) == 0 || !c.producerReady() {
				continue
			}
			cn := c.route(l)
			if cn == nil {
				continue
			}
			b := c.nextBatch(l)
			if b == nil {
				continue
			}
			found := false
			for i := range requests {
				if r := &requests[i]; r.conn == cn && r.list[0].batch.call.Acks == b.call.Acks {
					r.list, found = append(r.list, sending{lane: l, batch: b}), true
					break
				}
			}
			if !found {
				requests = append(requests, request{cn, []sending{{lane: l, batch: b}}})
			}
		}
		if len(requests) == 0 {
			return
		}
		for _, r := range requests {
			c.sendBatches(r.conn, r.list)
		}
	}
}

// lingered waits a little from the first batch that can be sent on, so that others come to it, as linger.ms does.
func (c *client) lingered() bool {
	waits := false
	for _, l := range c.lanes {
		waits = waits || c.nextBatch(l) != nil
	}
	if !waits {
		c.lingerUntil = 0
		return false
	}
	if c.lingerUntil == 0 {
		c.lingerUntil = c.world.now + node.Time(c.draw().Below(int64(100*millisecond)))
	}
	if c.world.now < c.lingerUntil {
		c.wakeAt(c.lingerUntil)
		return false
	}
	return true
}

// sendBatches sends batches of different partitions in one request.
func (c *client) sendBatches(cn *conn, list []sending) {
	w, first := c.world, list[0].batch
	req := kmsg.NewPtrProduceRequest()
	req.Version = c.produceVersion()
	for _, s := range list {
		req.Version = byName(req.Version, produceByID, s.lane.topic)
	}
	req.Acks = first.call.Acks
	if c.spec.Idempotent {
		req.Acks = -1
	}
	if c.spec.Keeps {
		req.Acks = kafka.AcksKept
	}
	req.TimeoutMillis = int32(c.timeout() / millisecond)
	if req.Acks >= 0 && first.call.ID%2 == 1 { // left alone, as Kafka doesn't look at it
		req.TimeoutMillis = int32(first.call.ID%6)/2 - 1
	}
	for i := range list {
		s := &list[i]
		b := s.batch
		c.number(s.lane, b)
		c.place(s.lane, b)
		b.sent, b.maybe, b.broker, b.at = true, true, cn.broker.number, w.now
		b.attempt++
		s.attempt = b.attempt
		c.addBatch(req, s)
		if w.tracing() {
			w.tracef("client %d  call %d goes to broker %d, conn %d: producer %d sequence %d attempt %d", c.spec.ID, b.call.ID, b.broker, cn.id, b.producer, b.sequence, s.attempt)
		}
	}
	if req.Acks != 0 {
		c.double(req, cn.broker.number)
		cn.ask(w, req, func(resp kmsg.Response) { c.answeredProduce(list, resp.(*kmsg.ProduceResponse)) })
		return
	}
	cn.ask(w, req, nil)
	for _, s := range list {
		c.endBatch(s.lane, s.batch, checker.Unknown, -1) // nobody will answer
	}
}

// addBatch puts a batch into a request.
func (c *client) addBatch(req *kmsg.ProduceRequest, s *sending) {
	t := s.lane.topic
	at := len(req.Topics) - 1
	if at < 0 || req.Topics[at].Topic != t.plan.Name {
		rt := kmsg.NewProduceRequestTopic()
		rt.Topic = t.plan.Name
		if req.Version >= produceByID {
			rt.TopicID = t.id
		}
		req.Topics = append(req.Topics, rt)
		at++
	}
	s.topic = req.Topics[at].TopicID
	c.world.judge.produces(c, s.batch.call.ID, s.topic)
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition = s.lane.partition
	rp.Records = c.encode(s.batch)
	req.Topics[at].Partitions = append(req.Topics[at].Partitions, rp)
}

// answeredProduce takes the answer to a request: each of its partitions must be there once.
func (c *client) answeredProduce(list []sending, resp *kmsg.ProduceResponse) {
	answered := 0
	for i := range resp.Topics {
		answered += len(resp.Topics[i].Partitions)
	}
	if answered != len(list) {
		c.world.fail("protocol", "a produce request for %d partitions is answered for %d", len(list), answered)
	}
	for _, s := range list {
		r := s.find(resp)
		if r == nil {
			c.world.fail("protocol", "the answer to a produce request says nothing of %s", partitionName(s.lane.topic.plan.Name, s.lane.partition))
		}
		c.produced(s.lane, s.batch, s.attempt, r)
	}
}

// find returns what an answer says of a batch, nil if nothing.
func (s *sending) find(resp *kmsg.ProduceResponse) *kmsg.ProduceResponseTopicPartition {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.TopicID != s.topic || s.topic == noTopicID && t.Topic != s.lane.topic.plan.Name {
			continue
		}
		for j := range t.Partitions {
			if t.Partitions[j].Partition == s.lane.partition {
				return &t.Partitions[j]
			}
		}
	}
	return nil
}

// fetching is a partition that a fetch asks for.
type fetching struct {
	topic     *topicView
	id        [16]byte // by which it is named
	partition int32
	epoch     int32
	position  int64
}

// addFetch puts a partition into a fetch.
func (c *client) addFetch(req *kmsg.FetchRequest, f *fetching, bytes int32) {
	if req.Version >= fetchByID {
		f.id = f.topic.id
	}
	at := len(req.Topics) - 1
	if at < 0 || req.Topics[at].Topic != f.topic.plan.Name {
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic, rt.TopicID = f.topic.plan.Name, f.id
		req.Topics = append(req.Topics, rt)
		at++
	}
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition = f.partition
	rp.CurrentLeaderEpoch = f.epoch
	rp.FetchOffset = f.position
	rp.LastFetchedEpoch = -1
	rp.LogStartOffset = -1
	rp.PartitionMaxBytes = bytes
	req.Topics[at].Partitions = append(req.Topics[at].Partitions, rp)
}

// fetchable lists the partitions that a fetch at a broker asks for: that of the call, and for some clients all others that it
// leads.
func (c *client) fetchable(call *plan.Call, broker int) (list []fetching) {
	first := c.topic(call.Topic)
	add := func(t *topicView, partition int32) {
		v := &t.partitions[partition]
		list = append(list, fetching{topic: t, partition: partition, epoch: v.epoch, position: v.position})
	}
	add(first, call.Partition)
	if !c.spec.Joint {
		return list
	}
	for _, t := range c.topics {
		for i := range t.partitions {
			if other := t != first || int32(i) != call.Partition; other && t.partitions[i].leader == broker && !t.stale && len(list) < mostFetched {
				add(t, int32(i))
			}
		}
	}
	return list
}

// mostFetched bounds the partitions of a fetch.
const mostFetched = 8

// find returns what an answer says of a partition, nil if nothing.
func (f *fetching) find(resp *kmsg.FetchResponse) *kmsg.FetchResponseTopicPartition {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.TopicID != f.id || f.id == noTopicID && t.Topic != f.topic.plan.Name {
			continue
		}
		for j := range t.Partitions {
			if t.Partitions[j].Partition == f.partition {
				return &t.Partitions[j]
			}
		}
	}
	return nil
}

// fetchedOthers takes what an answer says of the partitions beside that of the call. Errors there are for the next metadata.
func (c *client) fetchedOthers(p *pendingCall, version int16, others []fetching, resp *kmsg.FetchResponse) {
	for i := range others {
		f := &others[i]
		r := f.find(resp)
		if r == nil {
			c.world.fail("protocol", "the answer to a fetch says nothing of %s", partitionName(f.topic.plan.Name, f.partition))
		}
		if c.sentElsewhere(f, p.broker, r) {
			continue
		}
		call := *p.call
		call.Topic, call.Partition = f.topic.plan.Name, f.partition
		other := *p
		other.call = &call
		c.takeFetched(&other, f, version, r)
	}
}

// takeFetched takes what an answer says of one partition. It returns false if the client has to ask again.
func (c *client) takeFetched(p *pendingCall, f *fetching, version int16, r *kmsg.FetchResponseTopicPartition) bool {
	w, v, name := c.world, &f.topic.partitions[f.partition], partitionName(f.topic.plan.Name, f.partition)
	outside := r.ErrorCode == kerr.OffsetOutOfRange.Code
	switch {
	case outside && w.doomed[p.call.Topic]:
		v.position = 0 // deleted and created again
		return false
	case outside && w.judge.trimmed[name] && r.LogStartOffset > f.position:
		v.position = max(v.position, r.LogStartOffset)
		w.judge.restart(w, c, p, v.position)
		return false
	case outside && (version < fetchWithEpoch || f.epoch < 0) && r.HighWatermark < f.position:
		return false // a deposed leader can't know that it is asked as the current one
	case outside:
		w.fail("offset-out-of-range", "client %d fetches %s at offset %d, which it reached by reading committed records, and is told that it is out of range (high watermark %d, log start %d)",
			c.spec.ID, name, f.position, r.HighWatermark, r.LogStartOffset)
	case retriable(r.ErrorCode):
		f.topic.stale = true
		return false
	case r.ErrorCode != 0:
		c.unexpected(p.call, r.ErrorCode, "the fetch")
	}
	if c.wrongSum(p.broker, r.RecordBatches) {
		return false
	}
	records, next := c.records(p, f.id, r.RecordBatches)
	if f.id == f.topic.id || f.id == noTopicID {
		v.position = max(v.position, next)
	}
	epoch := f.epoch
	if p.broker != v.leader {
		epoch = -1 // a follower's high watermark is behind its leader's
	}
	w.judge.fetched(w, c, p, checker.Fetch{
		Span: c.span(p), Offset: f.position, LeaderEpoch: epoch,
		Records: records, HighWatermark: r.HighWatermark, LogStart: r.LogStartOffset,
	})
	return true
}

// sentElsewhere notes where a partition is read next: at a replica in the client's rack, if the leader says so, and at the leader
// again after an error, and from time to time.
func (c *client) sentElsewhere(f *fetching, broker int, r *kmsg.FetchResponseTopicPartition) bool {
	v := &f.topic.partitions[f.partition]
	if broker == v.nearest && (r.ErrorCode != 0 || c.draw().Ratio(1, 8)) {
		v.nearest = 0
	}
	n := int(r.PreferredReadReplica)
	if r.ErrorCode != 0 || n < 0 {
		return false
	}
	if c.spec.Rack == 0 || c.brokerNumber(r.PreferredReadReplica) == 0 || c.world.rackOf(n) != rackName(c.spec.Rack) || n == broker {
		c.world.fail("nearest-replica", "client %d of rack %d is sent from broker %d to broker %d of rack %q to read %s", c.spec.ID, c.spec.Rack, broker, n, c.world.rackOf(n), partitionName(f.topic.plan.Name, f.partition))
	}
	v.nearest = n
	return true
}

// fetchWithEpoch is the first version of Fetch that says which leader is asked.
const fetchWithEpoch = 9

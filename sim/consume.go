// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
	"chronik/node"
	"chronik/sim/plan"
)

// Everything but producing is done one call after another: fetches, questions for the end of a
// partition, and what administrators do (admin.go). A call is tried again until it is answered or its
// client gives up.

type serialState struct {
	queue   []*pendingCall // the first is under way
	retryAt node.Time
}

// pendingCall is a call that is not produce.
type pendingCall struct {
	call    *plan.Call
	begun   bool
	began   node.Time // when it became the first in the queue
	attempt node.Time // when the request under way was sent
	broker  int       // where to; 0: nothing under way
	number  uint64    // counts attempts
	refused bool      // the last answer was that it can't be done now
	maybe   bool      // an attempt had no answer: it may have taken effect
	wish    int       // of the attempt, see late.go; -1: none
	before  uint32    // remove: broker.removed when it began
	start   int64     // trim: where the log was known to start when the attempt was sent
}

// administers says that a call goes to any broker, and not to the leader of its partition.
func administers(c *plan.Call) bool {
	switch c.Kind {
	case plan.CallCreate, plan.CallDelete, plan.CallGrow, plan.CallConfigure, plan.CallMove, plan.CallElect, plan.CallRemove, callMoving, callPlaced:
		return true
	}
	return false
}

// runSerial sends the request of the first call.
func (c *client) runSerial() {
	s := &c.serial
	for len(s.queue) > 0 {
		p := s.queue[0]
		if !p.begun {
			p.begun, p.began = true, c.world.now
			if p.call.Kind == plan.CallRemove {
				p.before = c.world.brokers[p.call.Brokers[0]-1].removed
			}
			c.wakeAt(p.began + at(c.spec.GiveUp))
		}
		late := p.began+at(c.spec.GiveUp) <= c.world.now || c.world.healing && p.refused
		if p.call.Kind == plan.CallRemove && (p.maybe || p.broker != 0) {
			late = false // an operator has to know whether the broker is still in the cluster
		}
		if !late && !c.world.abandoned(p.call.Topic) {
			break
		}
		c.giveUpSerial(p)
	}
	if len(s.queue) == 0 || s.queue[0].broker != 0 {
		return
	}
	if c.world.now < s.retryAt {
		c.wakeAt(s.retryAt)
		return
	}
	c.sendSerial(s.queue[0])
}

// giveUpSerial ends the first call without an answer. If a request is under way its connection ends, as it does when a
// request's time is up: as long as it is open the broker may do what was asked.
func (c *client) giveUpSerial(p *pendingCall) {
	c.unanswered(p)
	cn := c.conns[p.broker] // nil if nothing is under way
	c.world.judge.gaveUp(c.world, c, p)
	c.endSerial(p)
	if cn != nil {
		cn.hangUp(c.world)
		c.disconnected(cn)
		c.wakeAt(c.world.now + node.Time(millisecond)) // the rest of what was under way is tried again
	}
}

// unanswered notes that nobody knows what came of an attempt that is under way.
func (c *client) unanswered(p *pendingCall) {
	if p.broker == 0 {
		return
	}
	p.maybe = true
	switch p.call.Kind {
	case plan.CallCreate, plan.CallDelete:
		c.world.judge.catalog(c.world, c, p, checker.Unknown, false)
	case plan.CallMove:
		c.world.judge.moved(c.world, c, p, checker.Unknown)
	}
}

// endSerial removes the first call.
func (c *client) endSerial(p *pendingCall) {
	c.world.judge.stopWishing(c.world, p)
	s := &c.serial
	s.queue[0] = nil
	s.queue = s.queue[1:]
	s.retryAt = 0
	c.finished()
	c.again = true
}

// serialNeedsNoTopic says that the first call doesn't need the topic to exist.
func (c *client) serialNeedsNoTopic(t *topicView) bool {
	if len(c.serial.queue) == 0 {
		return false
	}
	call := c.serial.queue[0].call
	return call.Topic == t.plan.Name && administers(call)
}

func (c *client) sendSerial(p *pendingCall) {
	t := c.topic(p.call.Topic)
	v := &t.partitions[p.call.Partition]
	to := v.leader
	if p.call.Kind == plan.CallFetch && v.nearest > 0 {
		to = v.nearest
	}
	if administers(p.call) {
		if to = c.controller; c.spec.Stays {
			to = c.spec.Home
		}
	}
	if to == 0 || t.stale {
		t.stale = true
		c.askMetadata()
		return
	}
	cn := c.conn(to)
	if cn == nil {
		return
	}
	p.broker, p.attempt, p.refused = to, c.world.now, false
	p.number++
	p.wish = c.world.judge.wished(c.world, p.call, to)
	if w := c.world; w.tracing() {
		w.tracef("client %d  call %d goes to broker %d, conn %d: %s %s, offset %d, brokers %v, attempt %d",
			c.spec.ID, p.call.ID, to, cn.id, p.call.Kind, partitionName(p.call.Topic, p.call.Partition), p.call.Offset, p.call.Brokers, p.number)
	}
	switch p.call.Kind {
	case plan.CallFetch:
		c.sendFetch(cn, p)
	case plan.CallLatest:
		c.sendLatest(cn, p, v)
	case plan.CallTrim:
		c.sendTrim(cn, p)
	case plan.CallCreate:
		c.sendCreate(cn, p, t)
	case plan.CallDelete:
		c.sendDelete(cn, p, t)
	case plan.CallMove:
		c.sendMove(cn, p)
	case plan.CallElect:
		c.sendElect(cn, p)
	case plan.CallRemove:
		c.sendRemove(cn, p)
	case plan.CallGrow:
		c.sendGrow(cn, p)
	case plan.CallConfigure:
		c.sendConfigure(cn, p)
	case callByTime, callByEpoch, callStable:
		c.sendQuestion(cn, p)
	case callMoving:
		c.sendMoving(cn, p)
	case callPlaced:
		c.sendPlaced(cn, p)
	}
}

// answered wraps what to do with an answer: nothing if the attempt was given up.
func (c *client) answered(p *pendingCall, f func(kmsg.Response)) func(kmsg.Response) {
	number := p.number
	return func(resp kmsg.Response) {
		if len(c.serial.queue) == 0 || c.serial.queue[0] != p || p.number != number || p.broker == 0 {
			return
		}
		f(resp)
	}
}

// retrySerial tries the first call again after an error, elsewhere if metadata says so.
func (c *client) retrySerial(p *pendingCall) {
	c.world.judge.stopWishing(c.world, p)
	p.broker = 0
	c.topic(p.call.Topic).stale = true
	c.serial.retryAt = c.world.now + c.retryDelay()
	c.wakeAt(c.serial.retryAt)
}

// serialLost retries the first call if its connection is gone.
func (c *client) serialLost(broker int) {
	if len(c.serial.queue) == 0 || c.serial.queue[0].broker != broker {
		return
	}
	p := c.serial.queue[0]
	c.unanswered(p)
	c.retrySerial(p)
}

// fetchVersion is one of the versions in use, by client; from 9 on the leader epoch is sent, without
// which a deposed leader can't be told from the current one.
func (c *client) fetchVersion() int16 {
	return c.version(kmsg.Fetch, [...]int16{12, 11, 9, 10}[c.spec.ID%4], 5) // before that nobody says where a log starts
}

func (c *client) sendFetch(cn *conn, p *pendingCall) {
	list := c.fetchable(p.call, cn.broker.number)
	req := kmsg.NewPtrFetchRequest()
	req.Version = c.fetchVersion()
	for _, f := range list {
		req.Version = byName(req.Version, fetchByID, f.topic)
	}
	req.ReplicaID = -1
	req.MaxWaitMillis = min(c.mostWait(), int32(c.draw().LogUniform(1, max(1, int64(c.spec.Timeout/millisecond)/4))))
	req.MinBytes = 1
	req.MaxBytes = 1 << 20
	req.Rack = rackName(c.spec.Rack)
	bytes := int32(c.draw().LogUniform(1, 1<<20))
	if c.spec.Joint && !c.usesSessions() && p.call.ID%4 == 0 { // named twice: the last counts
		again := list[0]
		again.position = 0
		c.addFetch(req, &again, bytes)
		req.IsolationLevel = 1 // which changes nothing, as there are no transactions
	}
	use := c.nameInSession(cn, req, list, bytes)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) {
		got := resp.(*kmsg.FetchResponse)
		if use != nil && !c.inSession(cn, p, use, got) {
			c.retrySerial(p)
			return
		}
		c.fetched(p, req.Version, list, got)
	}))
}

func (c *client) fetched(p *pendingCall, version int16, list []fetching, resp *kmsg.FetchResponse) {
	if resp.ErrorCode != 0 {
		c.unexpected(p.call, resp.ErrorCode, "the fetch as a whole")
	}
	answered := 0
	for i := range resp.Topics {
		answered += len(resp.Topics[i].Partitions)
	}
	r := list[0].find(resp)
	if answered != len(list) || r == nil {
		c.world.fail("protocol", "a fetch of %d partitions is answered with %d", len(list), answered)
	}
	c.fetchedOthers(p, version, list[1:], resp)
	if c.sentElsewhere(&list[0], p.broker, r) {
		c.serial.retryAt, p.broker = 0, 0
		c.again = true
		return
	}
	if !c.takeFetched(p, &list[0], version, r) {
		c.retrySerial(p)
		return
	}
	c.endSerial(p)
}

// span is when the answered attempt of a call happened.
func (c *client) span(p *pendingCall) checker.Span {
	return checker.Span{Client: int64(c.spec.ID), Call: int64(p.attempt), Return: int64(c.world.now)}
}

// records parses what a fetch brought and demands that every byte is what was once produced. next is the
// offset after the last batch, which may have lost its last records to compaction.
func (c *client) records(p *pendingCall, topic [16]byte, raw []byte) (records []checker.Record, next int64) {
	w := c.world
	name := partitionName(p.call.Topic, p.call.Partition)
	err := kafka.SplitBatches(raw, func(one []byte) {
		b, err := kafka.ParseBatch(one)
		if err != nil {
			w.fail("content", "client %d reads %s: %v", c.spec.ID, name, err)
		}
		next = b.BaseOffset + int64(b.LastOffsetDelta) + 1
		seen := c.note(name, &b)
		if b.IsControl() && b.Count == 0 {
			return // a marker that compaction has spent
		}
		if b.IsControl() {
			commit, id := w.marker(name, one)
			seen.add(b.BaseOffset, b.FirstTimestamp, b.LeaderEpoch)
			seen.addTxn(&b, id, commit)
			records = append(records, checker.Record{Offset: b.BaseOffset, Value: id, LeaderEpoch: b.LeaderEpoch, Marker: true})
			return
		}
		err = kafka.Unpack(one, 1<<20, func(delta, ms int64, _, v []byte) error {
			offset := b.BaseOffset + delta
			id, ok := parseValue(v)
			if !ok {
				w.fail("content", "client %d reads at offset %d of %s a value that nobody wrote: %.40q", c.spec.ID, offset, name, v)
			}
			c.checkTopic(topic, int(id>>20))
			seen.add(offset, ms, b.LeaderEpoch)
			seen.addTxn(&b, id, false)
			records = append(records, checker.Record{Offset: offset, Value: id, LeaderEpoch: b.LeaderEpoch})
			return nil
		})
		if err != nil {
			w.fail("content", "client %d reads %s: %v", c.spec.ID, name, err)
		}
	})
	if err != nil {
		w.fail("content", "client %d reads %s: %v", c.spec.ID, name, err)
	}
	return records, next
}

func (c *client) sendLatest(cn *conn, p *pendingCall, v *partitionView) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = c.version(kmsg.ListOffsets, 6, 0)
	req.ReplicaID = -1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = p.call.Topic
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition = p.call.Partition
	rp.CurrentLeaderEpoch = v.epoch
	rp.Timestamp = -1 // the end
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	cn.ask(c.world, req, c.answered(p, func(resp kmsg.Response) { c.latest(p, resp.(*kmsg.ListOffsetsResponse)) }))
}

func (c *client) latest(p *pendingCall, resp *kmsg.ListOffsetsResponse) {
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		c.world.fail("protocol", "a question for one partition is answered with %d topics", len(resp.Topics))
	}
	r := &resp.Topics[0].Partitions[0]
	switch {
	case retriable(r.ErrorCode):
		c.retrySerial(p)
		return
	case r.ErrorCode != 0:
		c.unexpected(p.call, r.ErrorCode, "ListOffsets")
	}
	c.world.judge.end(c.world, c, p, checker.End{Span: c.span(p), Offset: r.Offset})
	c.endSerial(p)
}

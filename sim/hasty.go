// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node"
	"chronik/sim/plan"
)

// hasty is a client that asks one broker for more than its quotas allow, all the time.
type hasty struct {
	client  *client
	spec    *plan.Hasty
	until   node.Time
	next    node.Time // the next request
	asking  bool
	gone    bool
	answers int // that told something of a wait, or not
	waits   int // that told to wait

	tours bool // it goes when it was told to wait, or has asked often enough for that
}

const (
	hastyClients = visitorClients + 512
	mostOfTour   = 32 // requests: a quota that counts is exceeded by then
)

// hurry lets a hasty client come.
func (w *world) hurry(spec *plan.Hasty) *hasty {
	c := newClient(w, &plan.Client{ID: hastyClients + spec.ID, InFlight: 1, Timeout: 4 * second, GiveUp: 4 * second, Home: spec.Broker})
	h := &hasty{client: c, spec: spec, until: w.now + at(spec.For)}
	c.hasty = h
	w.secure.hasty = append(w.secure.hasty, h)
	c.advance()
	return h
}

// clientID is what a client's requests say of it.
func (c *client) clientID() string {
	if c.hasty != nil {
		return c.hasty.spec.Client
	}
	return "sim"
}

func (h *hasty) due() node.Time { return h.client.sooner(node.Never, h.next) }

// lost is called when the connection is gone.
func (h *hasty) lost() {
	h.asking = false
	h.rest(0)
}

// rest waits for some time, and a bit.
func (h *hasty) rest(d node.Time) {
	c := h.client
	h.next = c.world.now + d + 1 + node.Time(c.draw().Below(int64(h.spec.Pause)))
	c.wakeAt(h.next)
}

// isDone says that a tour has seen enough.
func (h *hasty) isDone() bool { return h.tours && (h.waits > 0 || h.answers >= mostOfTour) }

func (h *hasty) leave() {
	h.gone, h.asking = true, false
	h.client.goAway()
}

func (h *hasty) advance() {
	c := h.client
	w := c.world
	switch {
	case h.gone || h.asking:
		return
	case w.now >= h.until && !w.healing || h.isDone(): // when all is healed it is seen off
		h.leave()
		return
	case w.now < h.next:
		c.wakeAt(h.next)
		return
	}
	cn := c.conn(h.spec.Broker)
	if cn == nil {
		return
	}
	h.asking = true
	// It is patient: for so long an answer may take, and before that the connection may be muted.
	patience := at(c.timeout()) + max(0, cn.mutedTill-w.now)
	cn.askFor(w, h.request(), patience, func(resp kmsg.Response) { h.answered(cn, resp) })
}

// answered takes an answer, and waits as it is told or doesn't.
func (h *hasty) answered(cn *conn, resp kmsg.Response) {
	c := h.client
	w := c.world
	h.asking = false
	h.answers++
	told := toldToWait(resp)
	if told > 0 {
		h.waits++
		if w.tracing() {
			w.tracef("client %d  is told to wait for %d ms on conn %d", c.spec.ID, told, cn.id)
		}
	}
	switch {
	case told == 0:
		h.rest(0)
	case h.spec.Manner == plan.HastyRash:
		h.next = 0
	case h.spec.Manner == plan.HastySlips && c.draw().Ratio(1, 2):
		cn.hangUp(w)
		c.disconnected(cn)
	default:
		h.rest(node.Time(told) * node.Time(millisecond))
	}
}

// toldToWait is for how many ms a client shall ask for nothing.
func toldToWait(resp kmsg.Response) int64 {
	if t, ok := resp.(kmsg.ThrottleResponse); ok {
		ms, _ := t.Throttle()
		return int64(ms)
	}
	return 0
}

// request is one that changes nothing.
func (h *hasty) request() kmsg.Request {
	c, p := h.client, h.client.world.plan
	d := c.draw()
	topic := p.Topics[d.Below(int64(len(p.Topics)))].Name
	switch h.spec.Wants {
	case plan.HastyProduce:
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TimeoutMillis = [...]int16{3, 7, 9}[d.Next().Below(3)], -1, 1000
		t, r := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
		r.Records = kafka.AppendBatch(nil, kafka.NewBatchSpec(kafka.Record{Value: make([]byte, h.spec.Size)}))
		r.Records[len(r.Records)-1] ^= 1 // its checksum is wrong
		t.Topic = topic
		t.Partitions = append(t.Partitions, r)
		req.Topics = append(req.Topics, t)
		return req
	case plan.HastyFetch:
		return h.fetch()
	case plan.HastyCreate:
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.ValidateOnly, req.TimeoutMillis = [...]int16{4, 6, 7}[d.Next().Below(3)], true, 1000
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = plan.Missing(topic), int32(h.spec.Size), 1
		req.Topics = append(req.Topics, t)
		return req
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = [...]int16{3, 9, 12}[d.Next().Below(3)], nil
	return req
}

// fetch asks for records of all partitions, some of which the broker leads.
func (h *hasty) fetch() kmsg.Request {
	c := h.client
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MinBytes, req.MaxBytes, req.MaxWaitMillis = [...]int16{4, 11, 12}[c.draw().Below(3)], -1, 0, int32(h.spec.Size), 0
	for i := range c.world.plan.Topics {
		spec := &c.world.plan.Topics[i]
		t := kmsg.NewFetchRequestTopic()
		t.Topic = spec.Name
		for p := range spec.Partitions {
			r := kmsg.NewFetchRequestTopicPartition()
			r.Partition, r.CurrentLeaderEpoch, r.LastFetchedEpoch, r.LogStartOffset, r.PartitionMaxBytes = p, -1, -1, -1, int32(h.spec.Size)
			r.FetchOffset = c.draw().Below(8)
			t.Partitions = append(t.Partitions, r)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

// settleHasty demands that no hasty client has been forgotten, and then has each broker asked for too much.
func (w *world) settleHasty() {
	s := w.secure
	answered := make([]int, len(s.hasty))
	longest := w.now
	for i, h := range s.hasty {
		answered[i] = h.answers
		if cn := h.client.conns[h.spec.Broker]; cn != nil {
			longest = max(longest, cn.mutedTill)
		}
		if h.gone || w.brokers[h.spec.Broker-1].node == nil {
			answered[i] = -1
		}
		h.next = 0
		h.client.advance()
	}
	var last *hasty
	if !w.runUntil(longest+w.patience(), w.afterAnswers(func() bool {
		for i, h := range s.hasty {
			if last = h; h.answers == answered[i] {
				return false
			}
		}
		return true
	})) {
		w.fail("forgotten", "client %d, which was told to wait, has no answer of broker %d within %v after that", last.client.spec.ID, last.spec.Broker, plan.Duration(w.patience()))
	}
	w.seeOff()
	w.tour()
}

func (w *world) seeOff() {
	for _, h := range w.secure.hasty {
		h.leave()
	}
}

// tour has each broker asked for more than is allowed by one client of each sort.
func (w *world) tour() {
	var tours []*hasty
	var specs []plan.Hasty
	for _, b := range w.brokers {
		if b.node == nil {
			continue
		}
		for i := range w.plan.Hasty {
			spec := w.plan.Hasty[i]
			spec.ID, spec.Broker, spec.Manner, spec.Pause = 100+len(specs)%100, b.number, plan.HastyRash, millisecond
			specs = append(specs, spec)
		}
	}
	for i := range specs {
		h := w.hurry(&specs[i])
		h.tours = true
		tours = append(tours, h)
	}
	var last *hasty
	if !w.runUntil(w.now+w.patience(), w.afterAnswers(func() bool {
		for _, h := range tours {
			if last = h; !h.isDone() {
				return false
			}
		}
		return true
	})) {
		w.fail("liveness", "client %d isn't answered by broker %d", last.client.spec.ID, last.spec.Broker)
	}
	w.seeOff()
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/txn"
)

// producer is a transactional producer in a test, as raw as the protocol.
type producer struct {
	c     *many
	id    string // transactional
	is    txn.Producer
	v2    bool
	seq   map[string]int32 // by topic
	limit int32            // its time-out, in ms
}

func (c *many) transactional(id string, v2 bool) *producer {
	c.t.Helper()
	p := &producer{c: c, id: id, is: txn.None, v2: v2, seq: map[string]int32{}, limit: 60_000}
	c.findTransactions(id)
	return p
}

// findTransactions asks for the coordinator of a transactional id until there is one that serves.
func (c *many) findTransactions(id string) {
	c.t.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey, find.CoordinatorType = 3, id, 1
	c.ask(c.up(), find)
	c.until("the transactional id has a coordinator", func() bool { return c.coordinatorOf(id) > 0 })
}

// up returns a broker that isn't cut off.
func (c *many) up() BrokerID {
	for _, id := range c.ids {
		if m := c.nodes[id]; m.node != nil && !m.cut {
			return id
		}
	}
	return -1
}

// coordinatorOf returns the broker that serves a transactional id, -1 if none does.
func (c *many) coordinatorOf(id string) BrokerID {
	for _, b := range c.ids {
		if m := c.nodes[b]; m.node != nil && !m.cut {
			if _, err := m.node.transactionsOf(id); err == nil {
				return b
			}
		}
	}
	return -1
}

func (p *producer) ask(req kmsg.Request) kmsg.Response {
	p.c.t.Helper()
	return p.c.ask(p.c.coordinatorOf(p.id), req)
}

// initialize asks for a producer; with keep it says which it had.
func (p *producer) initialize(keep bool) string {
	p.c.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = 5, &p.id, p.limit, -1, -1
	if keep {
		req.ProducerID, req.ProducerEpoch = p.is.ID, p.is.Epoch
	}
	resp := p.ask(req).(*kmsg.InitProducerIDResponse)
	if resp.ErrorCode == 0 {
		p.is, p.seq = txn.Producer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch}, map[string]int32{}
	}
	return kafka.CodeName(resp.ErrorCode)
}

// add tells the coordinator of a topic's partition, as older clients do.
func (p *producer) add(topics ...string) string {
	p.c.t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, p.id, p.is.ID, p.is.Epoch
	for _, t := range topics {
		req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: t, Partitions: []int32{0}})
	}
	resp := p.ask(req).(*kmsg.AddPartitionsToTxnResponse)
	return kafka.CodeName(resp.Topics[0].Partitions[0].ErrorCode)
}

// request makes a produce request of the transaction.
func (p *producer) request(topic, value string) *kmsg.ProduceRequest {
	spec := kafka.NewBatchSpec(kafka.Record{Value: []byte(value)})
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Attributes = p.is.ID, p.is.Epoch, p.seq[topic], kafka.TransactionalFlag
	req := produceRequest(topic, -1, kafka.AppendBatch(nil, spec))
	req.Version, req.TransactionID, req.TimeoutMillis = 11, &p.id, 10_000
	if p.v2 {
		req.Version = 12
	}
	return req
}

func (p *producer) send(topic, value string) string {
	p.c.t.Helper()
	resp := p.c.ask(p.c.leader(topic), p.request(topic, value)).(*kmsg.ProduceResponse)
	e := resp.Topics[0].Partitions[0].ErrorCode
	if e == 0 {
		p.seq[topic]++
	}
	return kafka.CodeName(e)
}

func (p *producer) end(commit bool) string {
	p.c.t.Helper()
	return p.ends(p.is, commit)
}

func (p *producer) ends(as txn.Producer, commit bool) string {
	p.c.t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 4, p.id, as.ID, as.Epoch, commit
	if p.v2 {
		req.Version = 5
	}
	resp := p.ask(req).(*kmsg.EndTxnResponse)
	if resp.ErrorCode == 0 && p.v2 {
		if now := (txn.Producer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch}); now != p.is {
			p.is, p.seq = now, map[string]int32{}
		}
	}
	return kafka.CodeName(resp.ErrorCode)
}

// status is what DescribeTransactions says.
func (p *producer) status() string {
	p.c.t.Helper()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{p.id}
	s := p.ask(req).(*kmsg.DescribeTransactionsResponse).TransactionStates[0]
	if s.ErrorCode != 0 {
		return kafka.CodeName(s.ErrorCode)
	}
	topics := ""
	for _, t := range s.Topics {
		topics += fmt.Sprintf(" %s%v", t.Topic, t.Partitions)
	}
	return s.State + topics
}

func (p *producer) untilStatus(want string) {
	p.c.t.Helper()
	p.c.until("the transaction is "+want, func() bool { return p.c.coordinatorOf(p.id) > 0 && p.status() == want })
}

func expecting(t *testing.T) func(got, want string) {
	return func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTransactions(t *testing.T) {
	for _, v2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("v2=%v", v2), func(t *testing.T) {
			c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.TransactionPartitions = 2 })
			c.create("a", 1, 2, 3)
			c.create("b", 2, 3, 1)
			expect := expecting(t)
			p := c.transactional("tx", v2)
			expect(p.status(), "TRANSACTIONAL_ID_NOT_FOUND")
			expect(p.initialize(false), "NONE")
			expect(p.status(), "Empty")
			if !v2 {
				expect(p.send("a", "not added"), "TRANSACTION_ABORTABLE")
				expect(p.add("a", "b"), "NONE")
			}
			expect(p.send("a", "one"), "NONE")
			expect(p.send("a", "two"), "NONE")
			expect(p.send("b", "three"), "NONE")
			expect(p.status(), "Ongoing a[0] b[0]")
			first := p.is
			expect(p.end(true), "NONE")
			if (p.is.Epoch == first.Epoch+1) != v2 {
				t.Errorf("producer %v after %v", p.is, first)
			}
			p.untilStatus("CompleteCommit")
			expect(p.ends(first, true), "NONE") // the answer was lost
			expect(p.ends(first, false), "INVALID_TXN_STATE")

			if !v2 {
				expect(p.add("a"), "NONE")
			}
			expect(p.send("a", "four"), "NONE")
			if v2 {
				expect(p.ends(first, true), "PRODUCER_FENCED")
			}
			expect(p.end(false), "NONE")
			p.untilStatus("CompleteAbort")

			// Another with the same transactional id fences it.
			q := c.transactional("tx", v2)
			expect(q.initialize(false), "NONE")
			if !v2 {
				expect(p.add("a"), "PRODUCER_FENCED")
			}
			expect(p.send("a", "zombie"), "INVALID_PRODUCER_EPOCH")
			expect(p.end(true), "PRODUCER_FENCED")
			for _, id := range c.ids {
				if err := c.nodes[id].node.Check(true); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestTransactionTimesOut: nobody ends it, so the coordinator does, and its producer can go on after it has learned so.
func TestTransactionTimesOut(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("a", 1, 2, 3)
	expect := expecting(t)
	p := c.transactional("tx", true)
	p.limit = 500
	expect(p.initialize(false), "NONE")
	expect(p.send("a", "one"), "NONE")
	p.untilStatus("CompleteAbort")
	expect(p.send("a", "late"), "INVALID_PRODUCER_EPOCH")
	expect(p.end(true), "INVALID_TXN_STATE")
	expect(p.end(false), "NONE")
	expect(p.send("a", "two"), "NONE")
	expect(p.end(true), "NONE")
}

// TestCoordinatorOfTransactionsMoves cuts the coordinator off after a decision. The next one sends the markers, and the old one
// answers nobody from memory.
func TestCoordinatorOfTransactionsMoves(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.TransactionPartitions = 1 })
	c.create("a", 1, 2, 3)
	expect := expecting(t)
	p := c.transactional("tx", true)
	expect(p.initialize(false), "NONE")
	expect(p.send("a", "one"), "NONE")
	old := c.coordinatorOf("tx")
	first := p.is
	expect(p.end(true), "NONE")
	c.nodes[old].cut = true
	for _, other := range c.ids {
		if other != old {
			c.nodes[other].in.Lost = append(c.nodes[other].in.Lost, old)
		}
	}
	c.until("another coordinator serves", func() bool { return c.coordinatorOf("tx") > 0 })
	c.until("the partition has a leader", func() bool { return c.leader("a") > 0 && !c.nodes[c.leader("a")].cut })
	expect(p.ends(first, true), "NONE")
	p.untilStatus("CompleteCommit")
	expect(p.send("a", "two"), "NONE")
	late := kmsg.NewPtrEndTxnRequest()
	late.Version, late.TransactionalID, late.ProducerID, late.ProducerEpoch, late.Commit = 5, "tx", first.ID, first.Epoch, true
	if got := kafka.CodeName(c.ask(old, late).(*kmsg.EndTxnResponse).ErrorCode); got == "NONE" {
		t.Errorf("the deposed coordinator answers %s", got)
	}
	c.nodes[old].cut = false
	expect(p.end(false), "NONE")
	p.untilStatus("CompleteAbort")
}

// TestCoordinatorOfTransactionsStartsAnew: the state comes from a checkpoint and the entries after it, and what was ongoing or decided goes
// on. A broker that has lost its disk gets it from another.
func TestCoordinatorOfTransactionsStartsAnew(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) {
		small(cfg)
		cfg.TransactionPartitions, cfg.CheckpointEntries, cfg.CheckStates = 1, 10, true
	})
	c.create("a", 1, 2, 3)
	expect := expecting(t)
	var open []*producer
	for i := range 30 {
		p := c.transactional(fmt.Sprint("tx", i), true)
		expect(p.initialize(false), "NONE")
		expect(p.send("a", "one"), "NONE")
		if i%3 == 0 {
			open = append(open, p)
			continue
		}
		expect(p.end(i%3 == 1), "NONE")
	}
	for _, id := range c.ids {
		c.kill(id)
	}
	for _, id := range c.ids {
		c.start(id)
	}
	c.until("there is a coordinator again", func() bool { return c.coordinatorOf("tx0") > 0 && c.leader("a") > 0 })
	for _, p := range open {
		expect(p.status(), "Ongoing a[0]")
	}
	lost := c.coordinatorOf("tx0")
	c.kill(lost)
	c.until("another coordinates", func() bool { return c.coordinatorOf("tx0") > 0 && c.leader("a") > 0 && c.leader("a") != lost })
	c.nodes[lost] = nil
	c.ids = slices.DeleteFunc(c.ids, func(id BrokerID) bool { return id == lost })
	c.add(lost, 3, 2)
	for _, p := range open {
		expect(p.end(true), "NONE")
		p.untilStatus("CompleteCommit")
	}
	c.until("the new replica knows them, too", func() bool {
		n := c.nodes[lost].node
		meta := n.transactionsPartition("tx0")
		if meta == nil || n.transactions[meta.Group] == nil {
			return false
		}
		x := n.transactions[meta.Group].ids.Find("tx0")
		return x != nil && x.Status == txn.CompleteCommit
	})
}

// TestDeletedTopicInATransaction: it needs no marker.
func TestDeletedTopicInATransaction(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("a", 1, 2, 3)
	c.create("b", 1, 2, 3)
	expect := expecting(t)
	p := c.transactional("tx", true)
	expect(p.initialize(false), "NONE")
	expect(p.send("a", "one"), "NONE")
	expect(p.send("b", "two"), "NONE")
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TimeoutMillis, del.TopicNames = 5, 5000, []string{"b"}
	if e := c.ask(1, del).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode; e != 0 {
		t.Fatal(kafka.CodeName(e))
	}
	expect(p.status(), "Ongoing a[0]")
	expect(p.end(true), "NONE")
	p.untilStatus("CompleteCommit")
}

// TestTransactionalIDExpires: what nobody uses is forgotten.
func TestTransactionalIDExpires(t *testing.T) {
	c := newMany(t, 1, func(cfg *Config) {
		small(cfg)
		cfg.TransactionalIDExpiration, cfg.OffsetsCheckInterval = time.Minute, time.Second
	})
	c.create("a", 1)
	expect := expecting(t)
	p := c.transactional("tx", true)
	expect(p.initialize(false), "NONE")
	used := c.transactional("open", true)
	expect(used.initialize(false), "NONE")
	expect(used.send("a", "one"), "NONE")
	c.unixMs += 70_000
	p.untilStatus("TRANSACTIONAL_ID_NOT_FOUND")
	expect(used.status(), "Ongoing a[0]")
	list := kmsg.NewPtrListTransactionsRequest()
	list.Version, list.DurationFilterMillis = 1, 1
	resp := c.ask(1, list).(*kmsg.ListTransactionsResponse)
	if len(resp.TransactionStates) != 1 || resp.TransactionStates[0].TransactionalID != "open" {
		t.Errorf("%+v", resp)
	}
	list.StateFilters, list.DurationFilterMillis = []string{"CompleteAbort", "Odd"}, -1
	if resp = c.ask(1, list).(*kmsg.ListTransactionsResponse); len(resp.TransactionStates) != 0 || len(resp.UnknownStateFilters) != 1 {
		t.Errorf("%+v", resp)
	}
}

func TestFeatures(t *testing.T) {
	o := newOne(t, nil)
	for version, supported := range []int{0, 0, 0, 1, 2} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = int16(version), "test", "1"
		resp := o.ask(req).(*kmsg.ApiVersionsResponse)
		if len(resp.SupportedFeatures) != supported || (len(resp.FinalizedFeatures) == 2) != (version >= 3) {
			t.Errorf("version %d: %+v", version, resp)
		}
	}
	update := kmsg.NewPtrUpdateFeaturesRequest()
	update.Version = 1
	for _, f := range []struct {
		name  string
		level int16
	}{{"transaction.version", 2}, {"transaction.version", 1}, {"metadata.version", 2}} {
		one := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		one.Feature, one.MaxVersionLevel = f.name, f.level
		update.FeatureUpdates = append(update.FeatureUpdates, one)
	}
	got := ""
	for _, r := range o.ask(update).(*kmsg.UpdateFeaturesResponse).Results {
		got += kafka.CodeName(r.ErrorCode) + " "
	}
	if got != "NONE INVALID_UPDATE_VERSION INVALID_UPDATE_VERSION " {
		t.Error(got)
	}
	update.Version = 2
	if e := o.ask(update).(*kmsg.UpdateFeaturesResponse).ErrorCode; e != kerr.InvalidUpdateVersion.Code {
		t.Error(kafka.CodeName(e))
	}
}

// The time that a coordinator believes jumps after it has proposed the beginning of a transaction and before that is applied.
func TestTimeJumpsAsATransactionBegins(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.TransactionPartitions = 1 })
	c.create("a", 1, 2, 3)
	expect := expecting(t)
	p := c.transactional("tx", true)
	p.limit = 12_000
	expect(p.initialize(false), "NONE")
	p.untilStatus("Empty")
	c.pass(5 * time.Second) // a time is believed after a while
	n := c.nodes[c.coordinatorOf("tx")].node
	m, err := n.transactionsOf("tx")
	if err != nil {
		t.Fatal(err)
	}
	jumped := false
	c.watch = func(*Input, *Output) {
		if last, _ := m.group.view.LastIndex(); !jumped && m.group.applied < last {
			n.clock.earliest.offset += time.Hour.Milliseconds()
			jumped = true
		}
	}
	expect(p.send("a", "one"), "NONE")
	c.pass(5 * time.Second)
	if got := m.ids.Find("tx").Status; !jumped || got != txn.Ongoing {
		t.Errorf("a transaction that may take 12 s is %s after 5; the time jumped: %v", got, jumped)
	}
}

// TestTimeOutWhileCoordinatorsChange: no coordinator leads for as long as the transaction may take, and it ends all the same.
func TestTimeOutWhileCoordinatorsChange(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.TransactionPartitions = 1 })
	c.create("a", 1, 2, 3)
	expect := expecting(t)
	p := c.transactional("tx", true)
	p.limit = 12_000
	expect(p.initialize(false), "NONE")
	expect(p.send("a", "one"), "NONE")
	began := c.now
	for range 3 {
		old := c.coordinatorOf("tx")
		c.kill(old)
		c.until("another coordinator serves", func() bool { id := c.coordinatorOf("tx"); return id > 0 && id != old })
		c.start(old)
		c.pass(5 * time.Second)
	}
	p.untilStatus("CompleteAbort")
	if took := c.now.Sub(began); took > 20*time.Second {
		t.Errorf("it was aborted after %v", took)
	}
}

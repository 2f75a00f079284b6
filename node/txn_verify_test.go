// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/txn"
)

// apart makes a cluster in which topic "a" is led by a broker that isn't the coordinator of "tx".
func apart(t *testing.T, v2 bool) (c *many, p *producer, coordinator, leader BrokerID) {
	t.Helper()
	c = newMany(t, 3, func(cfg *Config) { small(cfg); cfg.TransactionPartitions = 1 })
	p = c.transactional("tx", v2)
	coordinator = c.coordinatorOf("tx")
	leader = coordinator%3 + 1
	c.create("a", int32(leader))
	if e := p.initialize(false); e != "NONE" {
		t.Fatal(e)
	}
	return c, p, coordinator, leader
}

// groupOf returns the raft group of a topic's only partition.
func (c *many) groupOf(topic string) GroupID {
	return c.nodes[c.up()].node.catalog.partition(topic, 0).Group
}

// wait steps all brokers for a while.
func (c *many) wait(d time.Duration) {
	for end := c.now.Add(d); c.now < end; {
		c.round()
	}
}

// TestJoinIsCommitted: a partition takes part once that is committed, and not before.
func TestJoinIsCommitted(t *testing.T) {
	c, p, coordinator, _ := apart(t, true)
	n, answers := c.nodes[coordinator].node, 0
	n.answerJoin("tx", p.is, c.groupOf("a"), true, func(err error) {
		if answers++; err != nil || !n.transactionOf("tx").Has(uint64(c.groupOf("a"))) {
			t.Errorf("%v, %+v", err, n.transactionOf("tx"))
		}
	})
	if answers > 0 {
		t.Error("it is answered at once")
	}
	c.until("it is answered", func() bool { return answers > 0 })
	for name, err := range map[*txn.Producer]*kerr.Error{
		{ID: p.is.ID + 1, Epoch: 0}:             kerr.InvalidProducerIDMapping,
		{ID: p.is.ID, Epoch: p.is.Epoch + 1}:    kerr.ProducerFenced,
		{ID: p.is.ID, Epoch: p.is.Epoch}:        kerr.TransactionAbortable,
		{ID: p.is.ID, Epoch: p.is.Epoch - 1<<5}: kerr.ProducerFenced,
	} {
		var got error
		n.answerJoin("tx", *name, 99, false, func(err error) { got = err })
		c.until("it is answered", func() bool { return got != nil })
		if code(got) != err.Code {
			t.Errorf("%v: %v", name, got)
		}
	}
}

func (n *Node) transactionOf(id string) *txn.Transaction {
	return n.transactions[n.transactionsPartition(id).Group].ids.Find(id)
}

// TestMarkersAreRepeated: a broker that says that it doesn't lead has no marker.
func TestMarkersAreRepeated(t *testing.T) {
	c, p, coordinator, leader := apart(t, true)
	expect := expecting(t)
	expect(p.send("a", "one"), "NONE")
	c.nodes[leader].cut = true
	expect(p.end(true), "NONE")
	n := c.nodes[coordinator].node
	k := markerKey{coordinator: n.transactionsPartition("tx").Group, group: c.groupOf("a"), number: n.transactionOf("tx").Number}
	n.receiveMarked(newReader(appendMarked(nil, k, kerr.NotLeaderForPartition)[1:]))
	c.wait(2 * time.Second)
	expect(p.status(), "PrepareCommit a[0]")
	expect(p.end(false), "CONCURRENT_TRANSACTIONS")
	c.nodes[leader].cut = false
	p.untilStatus("CompleteCommit")
	c.until("an entry says so", func() bool { return n.transactionOf("tx").Status == txn.CompleteCommit })
	if part := c.nodes[leader].node.partitions[k.group]; part.lastStable() != part.highWatermark {
		t.Errorf("last stable offset %d of %d", part.lastStable(), part.highWatermark)
	}
}

// TestUnknownPartitionIsNotDeleted: a coordinator whose catalog is behind waits until it knows the partition.
func TestUnknownPartitionIsNotDeleted(t *testing.T) {
	c, p, coordinator, _ := apart(t, true)
	expect := expecting(t)
	n := c.nodes[coordinator].node
	joined := false
	n.answerJoin("tx", p.is, n.catalog.nextGroup, true, func(err error) { joined = err == nil })
	c.until("it takes part", func() bool { return joined })
	expect(p.end(true), "NONE")
	c.wait(2 * time.Second)
	expect(p.status(), "PrepareCommit")
	c.create("b", 1)
	p.untilStatus("CompleteCommit")
}

// TestAnswerIsStaleAfterAMarker: an answer that comes after a marker may be about the transaction that the marker ends.
func TestAnswerIsStaleAfterAMarker(t *testing.T) {
	c, p, coordinator, leader := apart(t, false)
	expect := expecting(t)
	expect(p.add("a"), "NONE")
	c.nodes[coordinator].cut = true // it hears no question
	m := c.nodes[leader]
	n, g := m.node, c.groupOf("a")
	m.in.Requests = append(m.in.Requests, Request{Conn: 9, Frame: kafka.AppendRequest(nil, 1, "test", p.request("a", "late"))})
	c.until("the partition's leader asks", func() bool { return len(n.joins.open) == 1 })
	first := n.joins.last
	n.addMarker(g, txnMarker{producerID: p.is.ID, epoch: p.is.Epoch, coordinatorEpoch: 1, commit: true, number: 1 << 40}, func(error) {})
	n.joins.open[first].answered(nil)
	if n.joins.last != first+1 {
		t.Error("it doesn't ask again")
	}
	c.wait(time.Second)
	if at := n.partitions[g].highWatermark; at != 0 {
		t.Errorf("the batch is in the log, which ends at %d", at)
	}
}

// TestBatchesWaitInOrder: batches of one connection stay in order while the first asks the coordinator.
func TestBatchesWaitInOrder(t *testing.T) {
	c, p, _, leader := apart(t, true)
	m := c.nodes[leader]
	m.replies = nil
	for i := range int32(5) {
		m.in.Requests = append(m.in.Requests, Request{Conn: 1, Frame: kafka.AppendRequest(nil, i, "test", p.request("a", fmt.Sprint(i)))})
		p.seq["a"]++
	}
	c.until("all are answered", func() bool { return len(m.replies) == 5 })
	for i, r := range m.replies {
		resp := kmsg.NewPtrProduceResponse()
		resp.SetVersion(12)
		if _, err := kafka.ParseResponse(kafka.Frame(r.Frame).Bytes(), resp); err != nil {
			t.Fatal(err)
		}
		if out := resp.Topics[0].Partitions[0]; out.ErrorCode != 0 || out.BaseOffset != int64(i) {
			t.Errorf("batch %d: offset %d, %s", i, out.BaseOffset, kafka.CodeName(out.ErrorCode))
		}
	}
	if asked := m.node.joins.last; asked > 1 {
		t.Errorf("%d questions", asked)
	}
}

// TestAnswerToAnEarlierProcess: a broker that starts anew asks by other numbers, so what it is answered late isn't taken for the
// answer to another question.
func TestAnswerToAnEarlierProcess(t *testing.T) {
	c, p, coordinator, leader := apart(t, true)
	c.nodes[coordinator].cut = true
	m := c.nodes[leader]
	ask := func() uint64 {
		m.in.Requests = append(m.in.Requests, Request{Conn: 9, Frame: kafka.AppendRequest(nil, 1, "test", p.request("a", "one"))})
		c.until("the partition's leader asks", func() bool { return len(m.node.joins.open) == 1 })
		return m.node.joins.last
	}
	first := ask()
	c.kill(leader)
	m.cfg.Seed = 1 << 40 // another one for each start
	c.start(leader)
	c.until("it leads again", func() bool { return c.leader("a") == leader })
	ask()
	m.node.receiveJoined(newReader(append(binary.AppendUvarint(nil, first), 0)))
	c.wait(time.Second)
	if at := m.node.partitions[c.groupOf("a")].highWatermark; at != 0 || len(m.node.joins.open) != 1 {
		t.Errorf("the batch is in the log, which ends at %d; %d questions are open", at, len(m.node.joins.open))
	}
}

// TestQuestionsEnd: where no coordinator is to be found, the batch is refused for now.
func TestQuestionsEnd(t *testing.T) {
	c, p, coordinator, leader := apart(t, true)
	c.nodes[coordinator].cut = true
	begun := c.now
	req := p.request("a", "one")
	resp := c.ask(leader, req).(*kmsg.ProduceResponse)
	if out := resp.Topics[0].Partitions[0]; c.now.Sub(begun) > joinPatience+time.Second || out.ErrorCode != kerr.NotEnoughReplicas.Code && out.ErrorCode != 0 {
		t.Errorf("after %v: %s", c.now.Sub(begun), kafka.CodeName(out.ErrorCode))
	}
	if n := c.nodes[leader].node; len(n.joins.open) > 0 {
		t.Errorf("%d questions are left", len(n.joins.open))
	}
}

// TestItemsOfTransactions cuts items of an envelope off, and sends numbers that nobody sends.
func TestItemsOfTransactions(t *testing.T) {
	c, p, coordinator, leader := apart(t, true)
	n := c.nodes[coordinator].node
	marker := appendMarker(nil, 1, 2, &txnMarker{producerID: 1 << 40, epoch: 300, number: 1 << 20})
	q := join{number: 1 << 20, id: "tx", producer: p.is, group: 77}
	for _, item := range [][]byte{marker, appendMarked(nil, markerKey{1, 2, 300}, kerr.NotLeaderForPartition), q.append(nil)} {
		for end := range item {
			r := newReader(item[:end])
			if n.receiveItem(leader, r.byte(), r); !r.bad {
				t.Errorf("% x of % x is taken", item[:end], item)
			}
		}
		r := newReader(item)
		if n.receiveItem(leader, r.byte(), r); r.bad || len(r.b) > 0 {
			t.Errorf("% x isn't taken", item)
		}
	}
	for _, bad := range [][]byte{
		appendMarker(nil, 1, 2, &txnMarker{producerID: -1, number: 1}),
		appendMarker(nil, 1, 2, &txnMarker{producerID: 1, epoch: -1, number: 1}),
		appendMarker(nil, 1, 2, &txnMarker{producerID: 1}),
		(&join{number: 1, id: "", producer: p.is, group: 1}).append(nil),
		(&join{number: 1, id: "tx", producer: p.is}).append(nil),
		(&join{number: 1, id: "tx", producer: txn.None, group: 1}).append(nil),
	} {
		r := newReader(bad)
		if n.receiveItem(leader, r.byte(), r); !r.bad {
			t.Errorf("% x is taken", bad)
		}
	}
	c.wait(time.Second)
}

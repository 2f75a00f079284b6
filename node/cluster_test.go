// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/wal"
)

// many is a cluster on disks and a network that answer at once. Faults that tests draw are the
// simulator's; here they are written down.
type many struct {
	t      testing.TB
	change func(*Config)
	now    Time
	unixMs int64
	nodes  map[BrokerID]*member
	ids    []BrokerID
	noDisk bool // what is written is forgotten
	watch  func(in *Input, out *Output)
	lost   func(from, to BrokerID) bool // messages that get lost; nil: none
}

type member struct {
	cfg     Config
	dir     memDir
	node    *Node // nil: down
	in      Input
	replies []Reply
	events  [EventKinds]int
	cut     bool  // from the other brokers
	full    bool  // its disk
	aheadMs int64 // its wall clock
	lastID  int32
	said    []Event // in the last round
	mayEnd  bool    // it is no failure that it ends by itself
	end     *End
}

func newMany(t testing.TB, n int, change func(*Config)) *many {
	c := &many{t: t, change: change, nodes: make(map[BrokerID]*member), unixMs: 1e12}
	for id := range n {
		c.add(BrokerID(id+1), n, 1)
	}
	c.until("every broker is ready", func() bool {
		for _, m := range c.nodes {
			if m.events[EventReady] == 0 {
				return false
			}
		}
		return true
	})
	return c
}

// add starts a broker on an empty disk; it knows brokers 1 to known.
func (c *many) add(id BrokerID, known int, incarnation uint32) {
	var others []BrokerID
	for i := range known {
		if other := BrokerID(i + 1); other != id {
			others = append(others, other)
		}
	}
	c.addKnowing(id, incarnation, others...)
}

// addKnowing does the same; it knows some brokers.
func (c *many) addKnowing(id BrokerID, incarnation uint32, others ...BrokerID) {
	cfg := Config{ClusterID: "test", BrokerID: id, Incarnation: incarnation, AutoCreateTopics: true, ClockPatience: time.Second, Log: wal.Options{SegmentBytes: 64 << 10}}
	for _, b := range append(others, id) {
		cfg.Members = append(cfg.Members, Member{ID: b, Host: "localhost", Port: 8999 + int32(b)})
	}
	if c.change != nil {
		c.change(&cfg)
	}
	if c.nodes[id] == nil {
		c.ids = append(c.ids, id)
	}
	c.nodes[id] = &member{cfg: cfg, dir: memDir{}}
	c.start(id)
}

func (c *many) start(id BrokerID) {
	m := c.nodes[id]
	n, err := Open(m.cfg, m.dir, c.now)
	if err != nil {
		c.t.Fatal(err)
	}
	m.node, m.in = n, Input{}
}

func (c *many) kill(id BrokerID) { c.nodes[id].node = nil }

// round steps every broker once and delivers what they say.
func (c *many) round() {
	c.now = c.now.Add(5 * time.Millisecond)
	c.unixMs += 5
	for _, id := range c.ids {
		m := c.nodes[id]
		if m.node == nil {
			continue
		}
		in := m.in
		m.in = Input{}
		in.Now, in.UnixMs = c.now, c.unixMs+m.aheadMs
		out := m.node.Step(&in)
		checkNotes(c.t, m.node, out)
		if c.watch != nil {
			c.watch(&in, out)
		}
		if m.end = out.End; m.end != nil && !m.mayEnd {
			c.t.Fatalf("broker %d: %v", id, m.end)
		}
		for _, op := range out.Ops {
			res := wal.Result{Op: op}
			switch {
			case c.noDisk:
			case m.full && op.Kind == wal.OpPrepare:
				res.Err = wal.ErrNoSpace
			default:
				res = wal.Do(m.dir, op)
			}
			m.in.Results = append(m.in.Results, res)
		}
		for i := range out.Tasks {
			m.in.Done = append(m.in.Done, out.Tasks[i].Do())
		}
		m.said = slices.Clone(out.Events)
		for _, e := range out.Events {
			m.events[e.Kind]++
		}
		m.replies = append(m.replies, out.Replies...)
		if m.end != nil {
			m.node = nil
		}
		for _, msg := range out.Messages {
			if to := c.nodes[msg.To]; to != nil && to.node != nil && !m.cut && !to.cut && (c.lost == nil || !c.lost(id, msg.To)) {
				to.in.Messages = append(to.in.Messages, Message{From: id, Data: slices.Concat(msg.Pieces...)})
			}
		}
	}
}

func (c *many) until(what string, ok func() bool) {
	c.t.Helper()
	for range 4000 {
		if ok() {
			return
		}
		c.round()
	}
	c.t.Fatalf("in 20 s it didn't come about that %s", what)
}

func (c *many) ask(id BrokerID, req kmsg.Request) kmsg.Response {
	c.t.Helper()
	return c.askBy(id, 1, "", req)
}

// askBy asks over a connection that came in by a listener.
func (c *many) askBy(id BrokerID, conn ConnID, listener string, req kmsg.Request) kmsg.Response {
	c.t.Helper()
	m := c.nodes[id]
	m.lastID++
	m.replies = nil
	m.in.Requests = append(m.in.Requests, Request{Conn: conn, Listener: listener, Frame: kafka.AppendRequest(nil, m.lastID, "test", req)})
	c.until(fmt.Sprintf("broker %d answers %T", id, req), func() bool { return len(m.replies) > 0 })
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if _, err := kafka.ParseResponse(kafka.Frame(m.replies[0].Frame).Bytes(), resp); err != nil || m.replies[0].Close {
		c.t.Fatalf("answer of %T: %v", req, err)
	}
	return resp
}

func (c *many) create(topic string, replicas ...int32) {
	c.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 10000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = topic, -1, -1
	a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	a.Replicas = replicas
	in.ReplicaAssignment = append(in.ReplicaAssignment, a)
	req.Topics = append(req.Topics, in)
	if r := c.ask(1, req).(*kmsg.CreateTopicsResponse).Topics[0]; r.ErrorCode != 0 {
		c.t.Fatal(*r.ErrorMessage)
	}
	c.until("the topic has a leader", func() bool { return c.leader(topic) > 0 })
}

// leader returns who serves partition 0 of a topic, -1 if nobody does.
func (c *many) leader(topic string) BrokerID {
	for _, id := range c.ids {
		if m := c.nodes[id]; m.node != nil && !m.cut {
			if p := m.node.catalog.partition(topic, 0); p != nil && m.node.partitions[p.Group] != nil && m.node.partitions[p.Group].leads() {
				return id
			}
		}
	}
	return -1
}

func (c *many) view(id BrokerID, topic string) (View, bool) {
	n := c.nodes[id].node
	p := n.catalog.partition(topic, 0)
	if p == nil {
		return View{}, false
	}
	return n.Inspect(p.Group)
}

// produce writes records one by one, to whoever leads.
func (c *many) produce(topic string, values ...string) {
	c.t.Helper()
	for _, v := range values {
		for {
			c.until("somebody leads", func() bool { return c.leader(topic) > 0 })
			req := produceRequest(topic, -1, nil)
			spec := kafka.NewBatchSpec(kafka.Record{Value: []byte(v)})
			spec.FirstTimestamp = c.unixMs
			req.Topics[0].Partitions[0].Records = kafka.AppendBatch(nil, spec)
			p := c.ask(c.leader(topic), req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			if p.ErrorCode == 0 {
				break
			}
		}
	}
}

func (c *many) read(topic string, offset int64) []string {
	c.t.Helper()
	var got []string
	for {
		c.until("somebody leads", func() bool { return c.leader(topic) > 0 })
		p := c.ask(c.leader(topic), fetchRequest(topic, offset)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode == kerr.NotLeaderForPartition.Code {
			continue
		}
		if p.ErrorCode != 0 {
			c.t.Fatalf("fetch at %d: %s", offset, kafka.CodeName(p.ErrorCode))
		}
		if offset == p.HighWatermark {
			return got
		}
		_ = kafka.SplitBatches(p.RecordBatches, func(one []byte) {
			_ = kafka.Records(one, func(at, _ int64, _, value []byte) error {
				if at >= offset {
					got, offset = append(got, fmt.Sprintf("%d=%.10s", at, value)), at+1
				}
				return nil
			})
		})
	}
}

func values(from, n int) (vs, read []string) {
	for i := from; i < from+n; i++ {
		vs = append(vs, fmt.Sprintf("v%d%s", i, strings.Repeat(" ", 600)))
		read = append(read, fmt.Sprintf("%d=%.10s", i, vs[len(vs)-1]))
	}
	return vs, read
}

// small makes checkpoints frequent and keeps nothing beyond what is needed.
func small(c *Config) {
	c.HotEntries, c.CheckpointEntries, c.CheckpointBytes, c.RetainEntries = 10, 20, 10_000, 1
}

func (c *many) deleteRecords(topic string, offset int64) {
	c.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = 2, 5000
	rt, rp := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Offset = offset
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	if p := c.ask(c.leader(topic), req).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LowWatermark != offset {
		c.t.Fatalf("%+v", p)
	}
}

func (c *many) reassign(topic string, replicas ...int32) {
	c.t.Helper()
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 10000
	rt, rp := kmsg.NewAlterPartitionAssignmentsRequestTopic(), kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	rp.Replicas = replicas
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	if p := c.ask(1, req).(*kmsg.AlterPartitionAssignmentsResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		c.t.Fatal(*p.ErrorMessage)
	}
}

func (c *many) replicas(topic string) []BrokerID {
	p := c.nodes[1].node.catalog.partition(topic, 0)
	if p.moving() {
		return nil
	}
	return brokersOf(p.Replicas)
}

// notLeading returns one of the brokers 1 to 3 that doesn't lead the catalog.
func notLeading(c *many) BrokerID {
	return BrokerID(c.nodes[1].node.controller())%3 + 1
}

func (c *many) unregister(id, broker BrokerID) int16 {
	c.t.Helper()
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = int32(broker)
	return c.ask(id, req).(*kmsg.UnregisterBrokerResponse).ErrorCode
}

// votes reports whether a broker's replica is a voter of a group, and the group isn't changing.
func (c *many) votes(id BrokerID, group GroupID) bool {
	g := c.nodes[id].node.group(group)
	return slices.Contains(g.conf.Voters, g.self) && len(g.conf.Learners)+len(g.conf.VotersOutgoing) == 0
}

// TestLeadersSpreadAgain kills a broker and brings it back: it leads again what it is preferred for.
// A broker that is cut off still gives ids to producers: whoever asks it first needn't wait for the end
// of the cut.
func TestProducerIDsFromABrokerCutOff(t *testing.T) {
	c := newMany(t, 3, nil)
	for range 100 {
		c.round()
	}
	c.nodes[3].cut = true
	before := c.now
	seen := map[int64]bool{}
	for range 2 * producerIDBlock / 3 {
		resp := c.ask(3, kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse)
		if resp.ErrorCode != 0 || seen[resp.ProducerID] {
			t.Fatalf("%+v", resp)
		}
		seen[resp.ProducerID] = true
	}
	for _, id := range []BrokerID{1, 2} {
		if resp := c.ask(id, kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse); seen[resp.ProducerID] {
			t.Fatalf("%+v", resp)
		}
	}
	for range producerIDBlock/3 + 1 { // what is left
		c.ask(3, kmsg.NewPtrInitProducerIDRequest())
	}
	if took := c.now.Sub(before); took > 10*time.Second {
		t.Fatal(took)
	}
	resp := c.ask(3, kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse)
	if kerr.ErrorForCode(resp.ErrorCode) != kerr.CoordinatorLoadInProgress {
		t.Fatalf("%+v", resp)
	}
}

func TestLostLeaderIsReplacedAtOnce(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 1, 2, 3)
	c.until("1 leads", func() bool { return c.leader("t") == 1 })
	c.kill(1)
	before := c.now
	for _, id := range []BrokerID{2, 3} {
		c.nodes[id].in.Lost = []BrokerID{1}
	}
	c.until("another leads", func() bool { return c.leader("t") > 0 })
	if took := c.now.Sub(before); took > 200*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
			if to := c.nodes[msg.To]; to != nil && to.node != nil && !m.cut && !to.cut {
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
	m := c.nodes[id]
	m.lastID++
	m.replies = nil
	m.in.Requests = append(m.in.Requests, Request{Conn: 1, Frame: kafka.AppendRequest(nil, m.lastID, "test", req)})
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

func TestOpenFromCheckpoints(t *testing.T) {
	c := newMany(t, 1, small)
	c.create("t", 1)
	vs, want := values(0, 300)
	c.produce("t", vs...)
	for range 2 {
		c.kill(1)
		c.start(1)
		c.until("it leads again", func() bool { return c.leader("t") == 1 })
		if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
			t.Fatal(diff)
		}
	}
	if n := c.nodes[1].events[EventCheckpoint]; n < 10 {
		t.Errorf("%d checkpoints", n)
	}
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

// TestFollowerBehindTheLogStart cuts a broker off while the log moves beyond what it has. It gets
// the state at the log's start, in pieces, and then the entries; the producer's window is in it.
func TestFollowerBehindTheLogStart(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.ReplicationBytes = 100 })
	c.create("t", 1, 2, 3)
	req := produceRequest("t", -1, batch(7, 0, 0, "first"))
	c.ask(c.leader("t"), req)
	behind := c.leader("t")%3 + 1
	c.nodes[behind].cut = true
	vs, want := values(1, 200)
	c.produce("t", vs...)
	c.deleteRecords("t", 150)
	vs, more := values(201, 50)
	c.produce("t", vs...)
	want = append(want, more...)
	c.nodes[behind].cut = false
	c.until("the broker has caught up", func() bool {
		v, _ := c.view(behind, "t")
		return v.HighWatermark == 251
	})
	if c.nodes[behind].events[EventSnapshotInstalled] == 0 {
		t.Error("it caught up without a checkpoint")
	}
	for _, other := range []BrokerID{1, 2, 3} { // it has to lead on its own knowledge
		if other != behind {
			c.nodes[other].cut = other == c.leader("t") && other != behind
		}
	}
	c.until("another leads", func() bool { return c.leader("t") > 0 })
	if diff := cmp.Diff(want[149:], c.read("t", 150)); diff != "" {
		t.Error(diff)
	}
	if p := c.ask(c.leader("t"), fetchRequest("t", 149)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != kerr.OffsetOutOfRange.Code || p.LogStartOffset != 150 {
		t.Errorf("below the start: %s, log start %d", kafka.CodeName(p.ErrorCode), p.LogStartOffset)
	}
	p := c.ask(c.leader("t"), produceRequest("t", -1, batch(7, 0, 0, "first"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if p.BaseOffset != 0 || p.ErrorCode != 0 {
		t.Errorf("a retry after everything: offset %d, %s; want its old offset 0", p.BaseOffset, kafka.CodeName(p.ErrorCode))
	}
}

func TestRetention(t *testing.T) {
	c := newMany(t, 1, func(cfg *Config) { small(cfg); cfg.RetentionMs = 5000 })
	c.create("t", 1)
	vs, _ := values(0, 200)
	c.produce("t", vs...)
	for range 1300 { // 6.5 s
		c.round()
	}
	vs, want := values(200, 100)
	c.produce("t", vs...)
	c.until("old records are gone", func() bool { v, _ := c.view(1, "t"); return v.LogStart == 200 })
	if diff := cmp.Diff(want, c.read("t", 200)); diff != "" {
		t.Error(diff)
	}
	if v, _ := c.view(1, "t"); v.FirstIndex < 150 {
		t.Errorf("the log still begins at entry %d", v.FirstIndex)
	}
}

func TestRetentionBytes(t *testing.T) {
	c := newMany(t, 1, func(cfg *Config) { small(cfg); cfg.RetentionBytes = 100_000 })
	c.create("t", 1)
	vs, _ := values(0, 600)
	c.produce("t", vs...)
	for range 300 {
		c.round()
	}
	v, _ := c.view(1, "t")
	if kept := (600 - v.LogStart) * 670; kept < 100_000 || kept > 180_000 {
		t.Errorf("about %d bytes are kept, from offset %d on", kept, v.LogStart)
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

func TestReplicasMove(t *testing.T) {
	for name, change := range map[string]func(*Config){"whole log": nil, "log that was cut": small} {
		t.Run(name, func(t *testing.T) {
			c := newMany(t, 3, change)
			c.add(4, 4, 2) // joins an existing cluster
			c.addKnowing(5, 2, notLeading(c))
			c.until("the new brokers are ready", func() bool {
				return c.nodes[4].events[EventReady] > 0 && c.nodes[5].events[EventReady] > 0
			})
			c.create("t", 1, 2, 3)
			vs, want := values(0, 150)
			c.produce("t", vs...)
			if change != nil {
				c.deleteRecords("t", 100)
				vs, more := values(150, 50)
				c.produce("t", vs...)
				want = append(want, more...)[100:]
			}
			for _, to := range [][]int32{{4, 5, 3}, {1, 2, 3}, {4, 5}, {2, 4, 5}} {
				c.reassign("t", to...)
				c.until(fmt.Sprintf("the replicas are on %v", to), func() bool {
					return fmt.Sprint(c.replicas("t")) == fmt.Sprint(to) && c.leader("t") > 0
				})
				c.until("the others have forgotten theirs", func() bool {
					for _, id := range c.ids {
						if _, has := c.view(id, "t"); has != strings.Contains(fmt.Sprint(to), fmt.Sprint(id)) {
							return false
						}
					}
					return true
				})
			}
			if diff := cmp.Diff(want, c.read("t", int64(200*btoi(change != nil)-100*btoi(change != nil)))); diff != "" {
				t.Error(diff)
			}
		})
	}
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

// TestDefaultReplicasFitTheCluster creates topics without a number on a cluster that became smaller than
// what is configured.
func TestDefaultReplicasFitTheCluster(t *testing.T) {
	c := newMany(t, 2, func(cfg *Config) { cfg.DefaultReplicas = 5 })
	c.nodes[2].mayEnd = true
	c.until("one can leave", func() bool { return c.unregister(1, 2) == 0 })
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = 9, true
	topic := kmsg.NewMetadataRequestTopic()
	name := "t"
	topic.Topic = &name
	req.Topics = append(req.Topics, topic)
	c.until("the topic is there", func() bool {
		resp := c.ask(1, req).(*kmsg.MetadataResponse)
		return resp.Topics[0].ErrorCode == 0 && len(resp.Topics[0].Partitions[0].Replicas) == 1
	})
}

// votes reports whether a broker's replica is a voter of a group, and the group isn't changing.
func (c *many) votes(id BrokerID, group GroupID) bool {
	g := c.nodes[id].node.group(group)
	return slices.Contains(g.conf.Voters, g.self) && len(g.conf.Learners)+len(g.conf.VotersOutgoing) == 0
}

// TestDiskLost brings a broker back with an empty disk and a new incarnation. It gets everything
// again by itself, under new raft ids.
func TestDiskLost(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	vs, want := values(0, 100)
	c.produce("t", vs...)
	c.add(3, 3, 7)
	c.until("it is ready", func() bool { return c.nodes[3].events[EventReady] > 0 })
	c.until("it has everything", func() bool {
		v, ok := c.view(3, "t")
		return ok && v.HighWatermark == 100
	})
	c.until("it votes", func() bool { return c.votes(3, 1) })
	c.until("it votes on the catalog", func() bool { return c.votes(3, 0) })
	c.kill(c.leader("t")%3 + 1) // now the new replica is needed for a majority
	vs, more := values(100, 10)
	c.produce("t", vs...)
	if diff := cmp.Diff(append(want, more...), c.read("t", 0)); diff != "" {
		t.Error(diff)
	}
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

func TestLeadersSpreadAgain(t *testing.T) {
	c := newMany(t, 3, nil)
	c.create("t", 2, 3, 1)
	c.until("the preferred replica leads", func() bool { return c.leader("t") == 2 })
	c.kill(2)
	c.until("another leads", func() bool { return c.leader("t") > 0 })
	c.start(2)
	c.until("the preferred replica leads again", func() bool { return c.leader("t") == 2 })
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version, req.TimeoutMillis = 2, 5000
	rt := kmsg.NewElectLeadersRequestTopic()
	rt.Topic, rt.Partitions = "t", []int32{0}
	req.Topics = append(req.Topics, rt)
	if p := c.ask(1, req).(*kmsg.ElectLeadersResponse).Topics[0].Partitions[0]; p.ErrorCode != kerr.ElectionNotNeeded.Code {
		t.Errorf("electing the leader that leads: %s", kafka.CodeName(p.ErrorCode))
	}
	c.kill(2)
	c.until("another leads", func() bool { return c.leader("t") > 0 })
	c.start(2)
	c.until("it is alive for broker 1", func() bool { return c.nodes[1].node.alive(2) })
	p := c.ask(1, req).(*kmsg.ElectLeadersResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || c.leader("t") != 2 {
		t.Errorf("electing the preferred replica: %s, leader %d", kafka.CodeName(p.ErrorCode), c.leader("t"))
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

// rot changes a byte of every record of a group's entry on a broker's disk.
func (c *many) rot(id BrokerID, value string) {
	found := false
	for _, f := range c.nodes[id].dir {
		for at := 0; ; {
			i := strings.Index(string(f.b[at:]), value)
			if i < 0 {
				break
			}
			at += i + len(value)
			f.b[at-1] ^= 1
			found = true
		}
	}
	if !found {
		c.t.Fatalf("%q is not on the disk of broker %d", value, id)
	}
}

// TestDamagedReplicaIsReplaced lets a record rot on the leader's disk. A consumer that asks for it
// gets it from another broker, never what is on that disk, and the replica is made whole.
func TestDamagedReplicaIsReplaced(t *testing.T) {
	c := newMany(t, 3, small)
	c.create("t", 1, 2, 3)
	vs, want := values(0, 200)
	c.produce("t", vs...)
	bad := c.leader("t")
	c.rot(bad, "v50      ")
	c.until("everything is read", func() bool {
		if c.leader("t") < 0 {
			return false
		}
		p := c.ask(c.leader("t"), fetchRequest("t", 50)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		return p.ErrorCode == 0 && len(p.RecordBatches) > 0
	})
	if c.nodes[bad].events[EventReplicaDamaged] == 0 {
		t.Error("the damage wasn't told of")
	}
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Error(diff)
	}
	c.until("the replica is whole again", func() bool { v, ok := c.view(bad, "t"); return ok && v.HighWatermark == 200 })
	c.until("it leads again, being preferred", func() bool { return bad != 1 || c.leader("t") == bad })
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Error("from the new replica: ", diff)
	}
}

func TestDamageOfTheOnlyReplica(t *testing.T) {
	c := newMany(t, 1, small)
	c.create("t", 1)
	vs, want := values(0, 200)
	c.produce("t", vs...)
	c.rot(1, "v50      ")
	fetch := func(offset int64) kmsg.FetchResponseTopicPartition {
		return c.ask(1, fetchRequest("t", offset)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	}
	if p := fetch(50); p.ErrorCode != kerr.KafkaStorageError.Code {
		t.Errorf("the record that is gone: %s with %d bytes", kafka.CodeName(p.ErrorCode), len(p.RecordBatches))
	}
	if p := fetch(49); p.ErrorCode != 0 || p.HighWatermark != 200 || len(p.RecordBatches) == 0 {
		t.Errorf("the record before it: %s with %d bytes", kafka.CodeName(p.ErrorCode), len(p.RecordBatches))
	}
	if diff := cmp.Diff(want[60:], c.read("t", 60)); diff != "" {
		t.Error("what isn't damaged: ", diff)
	}
}

// TestCatchUpIsPaced lets a follower catch up on 300 KB at 100 KB a second, which the leader has in memory or
// reads back.
func TestCatchUpIsPaced(t *testing.T) {
	for _, hot := range []int{10, 1000} {
		c, behind := newBehind(t, hot)
		before := c.now
		c.until("it has caught up", func() bool { v, _ := c.view(behind, "t"); return v.HighWatermark == 450 })
		if took := c.now.Sub(before); took < 2*time.Second || took > 5*time.Second {
			t.Errorf("with %d entries in memory it took %v, want about 3 s", hot, took)
		}
	}
}

// TestCatchUpUnderLoad lets a follower catch up although more is written than the pace of catching up, half
// a megabyte a second.
func TestCatchUpUnderLoad(t *testing.T) {
	for _, hot := range []int{10, 1000} {
		c, behind := newBehind(t, hot)
		begin := c.now
		for next := int64(450); ; next++ {
			v, _ := c.view(behind, "t")
			if v.HighWatermark >= next-20 { // twice what is in memory
				break
			}
			if c.now.Sub(begin) > 10*time.Second {
				t.Fatalf("with %d entries in memory: after 10 s the follower lacks %d of %d records", hot, next-v.HighWatermark, next)
			}
			c.produce("t", strings.Repeat("x", 6000))
		}
	}
}

// newBehind is three brokers one of which lacks 300 KB, which it gets at 100 KB a second.
func newBehind(t *testing.T, hotEntries int) (c *many, behind BrokerID) {
	c = newMany(t, 3, func(cfg *Config) {
		cfg.HotEntries, cfg.ColdReadBytes, cfg.CatchUpBytesPerSecond = hotEntries, 100_000, 100_000
	})
	c.create("t", 1, 2, 3)
	behind = c.leader("t")%3 + 1
	c.nodes[behind].cut = true
	vs, _ := values(0, 450)
	c.produce("t", vs...)
	c.nodes[behind].cut = false
	return c, behind
}

// TestScrub finds rot that nobody has asked for, and repairs it.
func TestScrub(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.ScrubBytesPerSecond = 1 << 20 })
	c.create("t", 1, 2, 3)
	vs, want := values(0, 400)
	c.produce("t", vs...)
	bad := c.leader("t")%3 + 1
	c.rot(bad, "v50      ")
	for end := c.now.Add(scrubPause); c.now < end; { // the first round is over, since there was nothing yet
		c.round()
	}
	c.until("the rot is found", func() bool { return c.nodes[bad].events[EventReplicaDamaged] > 0 })
	c.until("the replica is whole again", func() bool {
		v, ok := c.view(bad, "t")
		return ok && v.HighWatermark == 400 && c.votes(bad, 1)
	})
	if diff := cmp.Diff(want, c.read("t", 0)); diff != "" {
		t.Error(diff)
	}
}

// TestDiskFull lets the leader's disk fill up: another broker takes over and clients go on. Then all
// disks are full: writes are refused and reads go on, until there is room again.
func TestDiskFull(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.HotEntries = 10 })
	c.create("t", 1, 2, 3)
	first := c.leader("t")
	c.nodes[first].full = true
	var want []string
	for i := 0; c.leader("t") == first || c.leader("t") < 0; i++ {
		vs, more := values(len(want), 1)
		c.produce("t", vs...)
		want = append(want, more...)
		if i > 2000 {
			t.Fatal("the broker with the full disk still leads")
		}
	}
	vs, more := values(len(want), 100)
	c.produce("t", vs...)
	want = append(want, more...)

	for _, m := range c.nodes {
		m.full = true
	}
	var refusal int16
	c.until("writes are refused", func() bool {
		c.until("somebody leads", func() bool { return c.leader("t") > 0 })
		p := c.ask(c.leader("t"), produceRequest("t", -1, plain(strings.Repeat("x", 600)))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode == 0 {
			want = append(want, fmt.Sprintf("%d=xxxxxxxxxx", p.BaseOffset))
		}
		refusal = p.ErrorCode
		return refusal == kerr.KafkaStorageError.Code
	})
	got := c.read("t", 0)
	if len(got) > len(want) {
		got = got[:len(want)] // what timed out may be there
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("with full disks: ", diff)
	}
	for _, m := range c.nodes {
		m.full = false
	}
	vs, _ = values(0, 100)
	c.produce("t", vs...)
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3"

	"chronik/kafka"
)

// fill writes to a topic until all disks are full, and says how many batches were taken.
func (c *many) fill(topic string) (taken int64) {
	c.t.Helper()
	for _, m := range c.nodes {
		m.full = true
	}
	for {
		p := c.try(topic)
		if p.ErrorCode == kerr.KafkaStorageError.Code && c.allFull() {
			return taken
		}
		if p.ErrorCode == 0 {
			taken = p.BaseOffset + 1
		}
	}
}

func (c *many) allFull() bool {
	for _, m := range c.nodes {
		if !m.node.full {
			return false
		}
	}
	return true
}

func (c *many) try(topic string) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	c.until("the topic has a leader", func() bool { return c.leader(topic) > 0 })
	return c.ask(c.leader(topic), produceRequest(topic, -1, batch(-1, -1, -1, strings.Repeat("x", 5000)))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
}

// goesOn demands that records are taken again, though the disks can't grow: the log's own files are free.
func (c *many) goesOn(topic string) {
	c.t.Helper()
	c.until("records are taken again", func() bool {
		for _, m := range c.nodes {
			if m.node.full {
				return false
			}
		}
		return true
	})
	p := c.try(topic)
	for range 20 { // leaderships move back
		if p.ErrorCode == kerr.NotLeaderForPartition.Code {
			p = c.try(topic)
		}
	}
	if p.ErrorCode != 0 {
		c.t.Errorf("a record is answered with error %d", p.ErrorCode)
	}
}

// When all disks are full, what makes room goes through, and records are taken again within seconds.
func TestWayOutOfFullDisks(t *testing.T) {
	for name, out := range map[string]func(c *many, taken int64){
		"delete topic": func(c *many, _ int64) {
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.Version, req.TimeoutMillis, req.TopicNames = 4, 5000, []string{"t"}
			if e := c.ask(2, req).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode; e != 0 {
				c.t.Errorf("DeleteTopics is answered with error %d", e)
			}
		},
		"delete records": func(c *many, taken int64) {
			for range 20 { // leaderships move while some brokers still have room
				c.round()
			}
			c.until("t has a leader", func() bool { return c.leader("t") > 0 })
			c.deleteRecords("t", taken)
		},
		"shorten retention": func(c *many, _ int64) {
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			req.Version = 1
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
			one := "1"
			r.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: retentionBytesConfig, Value: &one}}
			req.Resources = append(req.Resources, r)
			if e := c.ask(3, req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode; e != 0 {
				c.t.Errorf("AlterConfigs is answered with error %d", e)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newMany(t, 3, func(cfg *Config) { cfg.CheckpointBytes, cfg.RetentionMs = 100_000, -1 })
			c.create("t", 1, 2, 3)
			c.create("u", 1, 2, 3)
			for range 100 { // some segments
				c.try("t")
			}
			taken := c.fill("t")
			out(c, taken)
			c.goesOn("u")
		})
	}
}

// Of two topics that fill the disks side by side one is deleted. That gives half of all room back, though no file is free of
// the other.
func TestWayOutBetweenOtherRecords(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.CheckpointBytes, cfg.RetentionMs = 100_000, -1 })
	c.create("t", 1, 2, 3)
	c.create("u", 1, 2, 3)
	for range 60 {
		c.try("t")
		c.try("u")
	}
	for _, m := range c.nodes {
		m.full = true
	}
	kept := int64(0)
	for full := 0; full < 2; { // both are refused
		full = 0
		for _, topic := range []string{"t", "u"} {
			p := c.try(topic)
			full += btoi(p.ErrorCode == kerr.KafkaStorageError.Code && c.allFull())
			if topic == "u" && p.ErrorCode == 0 {
				kept = p.BaseOffset + 1
			}
		}
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis, req.TopicNames = 4, 5000, []string{"t"}
	if e := c.ask(2, req).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode; e != 0 {
		t.Errorf("DeleteTopics is answered with error %d", e)
	}
	for taken := range kept / 2 {
		c.goesOn("u")
		if t.Failed() {
			t.Fatalf("%d records were kept, and then %d taken", kept, taken)
		}
	}
}

// A broker learns that its disk is full only when a file can't be made. What comes before must not take more than the files
// that there are, or what deletes records waits behind it.
func TestWayOutAfterABurst(t *testing.T) {
	for name, burst := range map[string]struct{ batches, bytes int }{
		"many batches":                  {100, 5000},
		"batches larger than a segment": {5, 90_000},
	} {
		t.Run(name, func(t *testing.T) {
			c := newMany(t, 3, func(cfg *Config) { cfg.CheckpointBytes, cfg.RetentionMs = 100_000, -1 })
			c.create("t", 1, 2, 3)
			c.create("u", 1, 2, 3)
			for _, m := range c.nodes {
				m.full = true
			}
			raw := batch(-1, -1, -1, strings.Repeat("x", burst.bytes))
			c.askAtOnce(func(int) kmsg.Request { return produceRequest("t", -1, raw) }, slices.Repeat([]BrokerID{c.leader("t")}, burst.batches)...)
			c.fill("t")
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.Version, req.TimeoutMillis, req.TopicNames = 4, 5000, []string{"t"}
			if e := c.ask(2, req).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode; e != 0 {
				t.Errorf("DeleteTopics is answered with error %d", e)
			}
			c.goesOn("u")
		})
	}
}

// A burst and large batches only wait until there are files for them, if there is space.
func TestAppendsWaitForFiles(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.RetentionMs = -1 })
	c.create("t", 1, 2, 3)
	sizes := []int{5000, 90_000, 30_000, 200_000, 100}
	raw := func(i int) []byte { return batch(-1, -1, -1, strings.Repeat("x", sizes[i%len(sizes)])) }
	for i, a := range c.askAtOnce(func(i int) kmsg.Request { return produceRequest("t", -1, raw(i)) }, slices.Repeat([]BrokerID{c.leader("t")}, 40)...) {
		if p := a.(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != int64(i) {
			t.Fatalf("batch %d is answered with error %d, offset %d", i, p.ErrorCode, p.BaseOffset)
		}
	}
	for _, m := range c.nodes {
		if m.events[EventDiskFull] > 0 {
			t.Error("a disk is full")
		}
	}
}

// While all disks are full nothing is created, and who wants it is told at once.
func TestNothingGrowsOnFullDisks(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.RetentionMs = -1 })
	c.create("t", 1, 2, 3)
	c.fill("t")
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 10000
	for i := range 3 {
		in := kmsg.NewCreateTopicsRequestTopic()
		in.Topic, in.NumPartitions, in.ReplicationFactor = fmt.Sprint("new", i), 1, 3
		req.Topics = append(req.Topics, in)
	}
	for _, r := range c.ask(1, req).(*kmsg.CreateTopicsResponse).Topics {
		if r.ErrorCode != kerr.KafkaStorageError.Code || !strings.Contains(*r.ErrorMessage, "delete topics or records") {
			t.Errorf("error %d, %v", r.ErrorCode, r.ErrorMessage)
		}
	}
}

// Checkpoints on a full disk leave the last quarter of the reserve, however often one is wanted.
func TestCheckpointsLeaveRoom(t *testing.T) {
	c := newMany(t, 1, func(cfg *Config) { cfg.RetentionMs = -1 })
	c.create("t", 1)
	c.create("u", 1)
	for i := range 500 { // a state of some size
		if p := c.ask(1, produceRequest("u", -1, batch(int64(i*7919+1), 0, 0, "x"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
			t.Fatalf("error %d", p.ErrorCode)
		}
	}
	for range 100 { // some segments
		c.try("t")
	}
	c.fill("t")
	n := c.nodes[1].node
	for i := range 30 {
		c.deleteRecords("u", int64(i+1))
		n.group(n.catalog.partition("u", 0).Group).checkpoint()
		c.round()
	}
	if left := n.left(); left < n.log.SegmentBytes()/5 {
		t.Errorf("%d bytes are left of a segment of %d", left, n.log.SegmentBytes())
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis, req.TopicNames = 4, 5000, []string{"t"}
	if e := c.ask(1, req).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode; e != 0 {
		t.Errorf("DeleteTopics is answered with error %d", e)
	}
	c.goesOn("u")
}

// A broker on a full disk takes a small checkpoint all the same. It tells it of deleted records for which it never had room.
func TestFullFollowerTakesACheckpoint(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.RetentionMs = -1 })
	c.create("t", 1, 2, 3)
	c.nodes[3].full = true
	taken := int64(0)
	for range 150 {
		if p := c.try("t"); p.ErrorCode == 0 {
			taken = p.BaseOffset + 1
		}
	}
	if !c.nodes[3].node.full {
		t.Fatal("broker 3 has room")
	}
	c.deleteRecords("t", taken)
	replica := func(id BrokerID) *group {
		n := c.nodes[id].node
		return n.group(n.catalog.partition("t", 0).Group)
	}
	c.until("broker 3 has what the leader has", func() bool { return replica(3).applied >= replica(c.leader("t")).applied })
	if c.nodes[3].events[EventSnapshotInstalled] == 0 {
		t.Error("it had room for all entries")
	}
}

// A replica that joins counts as well, although it doesn't vote: as long as it lacks deleted records for which it has no room,
// its broker takes no records at all.
func TestFullLearnerTakesACheckpoint(t *testing.T) {
	c := newMany(t, 2, func(cfg *Config) { cfg.RetentionMs = -1 })
	c.create("t", 1)
	c.create("u", 2)
	taken := int64(0)
	for range 150 {
		taken = c.try("t").BaseOffset + 1
	}
	c.nodes[2].full = true
	c.reassign("t", 1, 2)
	c.until("broker 2 is full", func() bool { return c.nodes[2].node.full })
	c.deleteRecords("t", taken)
	c.until("broker 2 has a replica", func() bool { return slices.Equal(c.replicas("t"), []BrokerID{1, 2}) })
	c.goesOn("u")
}

// A broker with room doesn't count for a majority as long as it may have to catch up: it may be full by the time that it has.
func TestFarBehindDoesNotCount(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.RetentionMs = -1 })
	c.create("t", 3, 1, 2)
	c.nodes[2].cut, c.nodes[3].full = true, true
	for range 200 {
		if c.try("t"); c.nodes[3].node.full && c.leader("t") == 1 {
			break
		}
	}
	for range 5 {
		if p := c.try("t"); p.ErrorCode != kerr.KafkaStorageError.Code {
			t.Errorf("error %d", p.ErrorCode)
		}
	}
}

// A replica on a full disk lacks records and can't get them. It doesn't become a voter before there is space: if one of two
// voters lacks records, a command that deletes them isn't committed either.
func TestFullReplicaDoesNotVote(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.RetentionMs = -1 })
	c.create("t", 1, 2)
	c.create("u", 3)
	c.nodes[3].full = true
	for range 200 {
		if c.try("u"); c.nodes[3].node.full {
			break
		}
	}
	taken := int64(0)
	for range 5 {
		if p := c.try("t"); p.ErrorCode == 0 {
			taken = p.BaseOffset + 1
		}
	}
	if !c.nodes[3].node.full || taken == 0 {
		t.Fatalf("broker 3 is full: %v, %d records are taken", c.nodes[3].node.full, taken)
	}
	c.reassign("t", 1, 3)
	for range 400 { // 2 s, in which replicas are compared ten times
		c.round()
	}
	c.deleteRecords("t", taken)
	if c.replicas("t") != nil {
		t.Error("broker 3 has become a voter")
	}
	c.nodes[3].full = false
	c.until("broker 3 votes", func() bool { return slices.Equal(c.replicas("t"), []BrokerID{1, 3}) })
}

// A leader took a batch before it heard that the others are full, and they have no room for it. What deletes records would
// stand behind it for ever. So one of the others leads, without it.
func TestWayOutBehindWhatNobodyTakes(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.RetentionMs = -1 })
	c.create("t", 1, 2, 3)
	c.create("u", 2, 3)
	c.produce("t", "kept")
	taken := int64(0)
	c.nodes[2].full, c.nodes[3].full = true, true
	c.until("brokers 2 and 3 are full", func() bool {
		if p := c.try("u"); p.ErrorCode == 0 {
			taken = p.BaseOffset + 1
		}
		return c.nodes[2].node.full && c.nodes[3].node.full
	})
	c.until("broker 1 leads t", func() bool { return c.leader("t") == 1 })
	one := c.nodes[1]
	g := one.node.group(c.groupOf("t"))
	before, _ := g.view.LastIndex()
	one.replies = nil
	one.in.Requests = append(one.in.Requests, Request{Conn: 1, Frame: kafka.AppendRequest(nil, 1, "test", produceRequest("t", -1, batch(-1, -1, -1, strings.Repeat("x", 90_000))))})
	c.until("its log has the batch", func() bool {
		for _, p := range one.node.peers {
			p.fullTill = 0
		}
		last, _ := g.view.LastIndex()
		return last > before
	})
	c.until("the batch is answered", func() bool { return len(one.replies) > 0 })
	resp := produceRequest("t", -1, nil).ResponseKind().(*kmsg.ProduceResponse)
	if _, err := kafka.ParseResponse(kafka.Frame(one.replies[0].Frame).Bytes(), resp); err != nil || resp.Topics[0].Partitions[0].ErrorCode == 0 {
		t.Errorf("the answer is %v, %+v", err, resp)
	}
	c.until("broker 1 gives way", func() bool { return one.events[EventGaveWay] > 0 })
	c.until("another one leads t", func() bool { return g.role != raft.StateLeader })
	c.until("t has a leader", func() bool { return c.leader("t") > 0 })
	if got := c.read("t", 0); !slices.Equal(got, []string{"0=kept"}) {
		t.Errorf("t has %q", got)
	}
	c.deleteRecords("t", 1)
	c.deleteRecords("u", taken)
	c.goesOn("t")
}

// While the leader's disk is full, a replica that lacks entries doesn't become a voter: it may be full before it has them, and
// what deletes records would wait for it.
func TestFullLeaderBringsVotersUpToDate(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.RetentionMs, cfg.CatchUpBytesPerSecond, cfg.ReplicationBytes = -1, 50_000, 5000 })
	c.create("t", 1)
	c.nodes[1].full = true
	c.until("broker 1 is full", func() bool { c.try("t"); return c.nodes[1].node.full })
	c.reassign("t", 1, 2, 3)
	group := c.groupOf("t")
	leader := c.nodes[1].node.group(group)
	last, _ := leader.view.LastIndex()
	c.until("all three vote", func() bool { return len(leader.conf.Voters) == 3 })
	for id := BrokerID(2); id <= 3; id++ {
		if has, _ := c.nodes[id].node.group(group).view.LastIndex(); has < last {
			t.Errorf("broker %d has %d entries of %d", id, has, last)
		}
	}
}

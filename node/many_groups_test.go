// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// throng is a broker alone whose steps are looked at one by one.
type throng struct {
	*one
	over  []Work // of steps that did more than they may
	most  Work   // of a step, each field for itself
	steps int
}

func newThrong(t *testing.T, change func(*Config)) *throng {
	c := &throng{}
	c.one = newOne(t, func(cfg *Config) {
		cfg.MaxPartitionsPerBroker = 100_000
		cfg.Log.SegmentBytes = 64 << 20
		if change != nil {
			change(cfg)
		}
	})
	c.look = func(out *Output) {
		c.steps++
		w := out.Work
		if !w.Within(c.node.cfg.StepBudget) {
			c.over = append(c.over, w)
		}
		c.most.Walked, c.most.Placed, c.most.Advanced = max(c.most.Walked, w.Walked), max(c.most.Placed, w.Placed), max(c.most.Advanced, w.Advanced)
	}
	return c
}

// make makes topics of at most 10,000 partitions each until there are so many, and waits for their leaders.
func (c *throng) make(partitions int) (topics []string) {
	c.t.Helper()
	for left := partitions; left > 0; {
		n := min(left, maxPartitions)
		left -= n
		topics = append(topics, fmt.Sprintf("t%d", len(topics)))
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = 7, 60_000
		in := kmsg.NewCreateTopicsRequestTopic()
		in.Topic, in.NumPartitions, in.ReplicationFactor = topics[len(topics)-1], int32(n), 1
		req.Topics = append(req.Topics, in)
		if r := c.ask(req).(*kmsg.CreateTopicsResponse).Topics[0]; r.ErrorCode != 0 {
			c.t.Fatal(*r.ErrorMessage)
		}
	}
	c.until("all partitions have leaders", func() bool { return c.node.Stats().Partitions.Leading == partitions })
	return topics
}

func (c *throng) drop(topics []string) {
	c.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis, req.TopicNames = 5, 60_000, topics
	for _, r := range c.ask(req).(*kmsg.DeleteTopicsResponse).Topics {
		if r.ErrorCode != 0 {
			c.t.Fatal(kafka.CodeName(r.ErrorCode))
		}
	}
	c.until("the groups are closed", func() bool { return len(c.node.groups) == 1 })
}

// send sends a request on a connection, in one step.
func (c *throng) send(conn ConnID, req kmsg.Request) *call {
	c.lastID++
	c.tick(Input{Requests: []Request{{Conn: conn, Frame: kafka.AppendRequest(nil, c.lastID, "c", req)}}})
	return &call{c.one, conn, c.lastID, req}
}

// askIn sends a request and returns its answer, in as few steps as it takes.
func (c *throng) askIn(conn ConnID, req kmsg.Request) (resp kmsg.Response) {
	c.t.Helper()
	call := c.send(conn, req)
	c.until(fmt.Sprintf("%T is answered", req), func() bool { resp = call.peek(); return resp != nil })
	return resp
}

func (c *throng) until(what string, ok func() bool) {
	c.t.Helper()
	for range 10_000 {
		if ok() {
			return
		}
		c.tick(Input{})
	}
	c.t.Fatalf("in 10,000 steps it doesn't come about that %s", what)
}

// TestManyPartitions makes thousands of partitions, lets them idle, and deletes them. No step does more than it may,
// and what a partition costs doesn't depend on how many there are.
func TestManyPartitions(t *testing.T) {
	for _, partitions := range []int{2000, 20_000} {
		if partitions > 2000 && testing.Short() {
			t.Skip("20,000 partitions")
		}
		c := newThrong(t, nil)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		begun := time.Now()
		topics := c.make(partitions)
		made := time.Since(begun)
		runtime.GC()
		runtime.ReadMemStats(&after)

		begun, end := time.Now(), c.now.Add(2*time.Second)
		for c.now < end {
			c.tick(Input{})
		}
		idle := time.Since(begun)

		begun = time.Now()
		c.restart()
		c.until("all partitions have leaders again", func() bool { return c.node.Stats().Partitions.Leading == partitions })
		restarted := time.Since(begun)

		begun = time.Now()
		c.drop(topics)
		dropped := time.Since(begun)
		if len(c.node.log.Groups()) != 1 || len(c.node.partitions) != 0 || len(c.node.placing.in) != 0 {
			t.Errorf("left are %d groups in the log, %d partitions, and %d to be looked at", len(c.node.log.Groups()), len(c.node.partitions), len(c.node.placing.in))
		}
		if len(c.over) > 0 {
			t.Errorf("%d partitions: %d of %d steps did too much, such as %+v", partitions, len(c.over), c.steps, c.over[0])
		}
		if all := made + idle + restarted + dropped; all > time.Duration(partitions)*10*time.Millisecond {
			t.Errorf("%d partitions took %v", partitions, all)
		}
		t.Logf("%d partitions: made in %v, 2 s of idling take %v, restarted in %v, deleted in %v; %d bytes each; a step did at most %+v, the slowest took %v",
			partitions, made, idle, restarted, dropped, int64(after.HeapAlloc-before.HeapAlloc)/int64(partitions), c.most, c.slowest)
	}
}

// TestIdleGroupsAreNotAdvanced lets partitions idle: a tick goes by without anything to do for most of them.
func TestIdleGroupsAreNotAdvanced(t *testing.T) {
	c := newThrong(t, nil)
	c.make(500)
	for range 50 {
		c.tick(Input{})
	}
	advanced := 0
	c.look = func(out *Output) { advanced += out.Work.Advanced }
	for end := c.now.Add(10 * c.node.cfg.TickInterval); c.now < end; {
		c.tick(Input{})
	}
	if advanced > 100 {
		t.Errorf("in 10 ticks, %d of 500 idle groups were advanced", advanced)
	}
}

// TestRemovalMovesOneOther takes groups out of the middle. What it costs doesn't grow with those that stay.
func TestRemovalMovesOneOther(t *testing.T) {
	c := newThrong(t, nil)
	c.make(100)
	for range 50 {
		before := append([]*group(nil), c.node.groups...)
		c.node.closePartition(before[len(before)/2])
		moved := 0
		for i, g := range c.node.groups {
			if g.position != i || c.node.byID[g.id] != g {
				t.Fatalf("group %d at %d believes that it is at %d", g.id, i, g.position)
			}
			moved += btoi(before[i] != g)
		}
		if len(c.node.groups) != len(before)-1 || moved > 1 {
			t.Fatalf("of %d groups one was removed, and %d others moved", len(before), moved)
		}
	}
}

// TestGroupsToBeOpened asks for partitions whose groups aren't open yet, and deletes some of them before they are. With
// the smallest budget one group is opened in a step.
func TestGroupsToBeOpened(t *testing.T) {
	c := newThrong(t, func(cfg *Config) { cfg.StepBudget = 1 })
	create := func(topic string) *kmsg.CreateTopicsRequest {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = 7, 60_000
		in := kmsg.NewCreateTopicsRequestTopic()
		in.Topic, in.NumPartitions, in.ReplicationFactor = topic, 50, 1
		req.Topics = append(req.Topics, in)
		return req
	}
	produce := func(topic string, partition int32) string {
		req := produceRequest(topic, -1, plain("x"))
		req.Topics[0].Partitions[0].Partition = partition
		return kafka.CodeName(c.askIn(4, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
	}
	c.send(7, create("t"))
	c.until("the topic is known", func() bool { return c.node.catalog.byName["t"] != nil })
	if code := produce("t", 49); code != "NOT_LEADER_FOR_PARTITION" {
		t.Errorf("a partition that is still to be opened answers %s", code)
	}
	c.until("all are led", func() bool { return c.node.Stats().Partitions.Leading == 50 })
	if code := produce("t", 49); code != "NONE" {
		t.Errorf("a partition that is open answers %s", code)
	}

	c.send(8, create("u"))
	c.until("some of the other topic are open", func() bool { return len(c.node.groups) > 55 })
	last := c.node.catalog.nextGroup - 1
	if c.node.byID[last] != nil {
		t.Fatal("all groups were opened at once")
	}
	drop := kmsg.NewPtrDeleteTopicsRequest()
	drop.Version, drop.TimeoutMillis, drop.TopicNames = 5, 60_000, []string{"t", "u"}
	c.send(9, drop)
	c.until("the topics are gone, and groups are left", func() bool { return len(c.node.catalog.topics) == 0 })
	if len(c.node.groups) == 1 {
		t.Error("all groups were closed at once")
	}
	if code := produce("t", 49); code != "UNKNOWN_TOPIC_OR_PARTITION" {
		t.Errorf("a partition that is still to be closed answers %s", code)
	}
	c.restart() // what is left is closed by recovery
	if groups := c.node.log.Groups(); len(groups) != 1 || len(c.node.groups) != 1 {
		t.Errorf("left are %d groups, and %d in the log", len(c.node.groups), len(groups))
	}
	if len(c.over) > 0 {
		t.Errorf("%d steps did too much, such as %+v", len(c.over), c.over[0])
	}
}

// TestChangesOfOneTopicInARow pipelines changes of one topic. Each is one command, and not refused once for each of
// those before it.
func TestChangesOfOneTopicInARow(t *testing.T) {
	const changes = 40
	for _, what := range []string{"AlterConfigs", "CreatePartitions"} {
		o := newOne(t, nil)
		o.create("t")
		before := o.node.catalog.group.applied
		var in Input
		for i := range changes {
			var req kmsg.Request = editRequest(kmsg.ConfigResourceTypeTopic, "t", fmt.Sprintf("retention.ms=%d", 1000*(i+1)))
			if what == "CreatePartitions" {
				req = growRequest("t", int32(i+2))
			}
			in.Requests = append(in.Requests, Request{Conn: 1, Frame: kafka.AppendRequest(nil, int32(i), "", req)})
		}
		o.step(in)
		for i := 0; len(o.replies) < changes && i < 1000; i++ {
			o.step(Input{})
		}
		topic := o.node.catalog.byName["t"]
		if v, _ := topic.config("retention.ms"); what == "AlterConfigs" && v != fmt.Sprint(1000*changes) {
			t.Errorf("%s: retention.ms is %s", what, v)
		}
		if what == "CreatePartitions" && len(topic.Partitions) != changes+1 {
			t.Errorf("%s: %d partitions", what, len(topic.Partitions))
		}
		if entries := o.node.catalog.group.applied - before; len(o.replies) != changes || entries > changes+5 {
			t.Errorf("%s: %d changes have %d answers and took %d entries of the catalog's log", what, changes, len(o.replies), entries)
		}
	}
}

// TestWokenFetchLooksOnce lets a fetch of many partitions wait for many bytes while one of them gets little at a time.
func TestWokenFetchLooksOnce(t *testing.T) {
	const partitions, batches = 200, 50
	o := newOne(t, nil)
	o.createPartitions("t", partitions)
	size := int32(len(plain("x")))
	req := fetchRequest("t", 0)
	req.MinBytes, req.MaxWaitMillis = batches*size, 1<<31-1
	for i := range partitions - 1 {
		p := req.Topics[0].Partitions[0]
		p.Partition = int32(i + 1)
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	}
	call := o.begin(5, req)
	o.total = Work{}
	for i := range batches {
		if call.peek() != nil {
			t.Fatalf("answered after %d of %d batches", i, batches)
		}
		if p := o.do(produceRequest("t", -1, plain("x"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
			t.Fatal(kafka.CodeName(p.ErrorCode))
		}
	}
	o.step(Input{})
	if call.peek() == nil {
		t.Fatal("there are enough bytes, and no answer")
	}
	if o.total.Parts > 2*partitions+10*batches {
		t.Errorf("%d partitions were looked at for %d batches", o.total.Parts, batches)
	}
}

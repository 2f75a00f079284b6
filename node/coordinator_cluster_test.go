// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/wal"
)

// coordinator returns the broker that serves group "g", -1 if none does. One that is cut off and
// doesn't know it yet doesn't count.
func (c *many) coordinator() BrokerID {
	for _, id := range c.ids {
		if m := c.nodes[id]; m.node != nil && !m.cut {
			if _, err := m.node.coordinatorOf("g"); err == nil {
				return id
			}
		}
	}
	return -1
}

func (c *many) commitAt(id BrokerID, generation int32, memberID string, offset int64) string {
	c.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation, req.MemberID = 8, "g", generation, memberID
	t, p := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	t.Topic, t.Partitions = "t", append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return kafka.CodeName(c.ask(id, req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
}

func (c *many) committedAt(id BrokerID) (int64, string) {
	c.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = 7, "g"
	req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	resp := c.ask(id, req).(*kmsg.OffsetFetchResponse)
	if resp.ErrorCode != 0 {
		return -1, kafka.CodeName(resp.ErrorCode)
	}
	return resp.Topics[0].Partitions[0].Offset, "NONE"
}

func (c *many) heartbeatAt(id BrokerID, generation int32, memberID string) string {
	c.t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.Generation, req.MemberID = 4, "g", generation, memberID
	return kafka.CodeName(c.ask(id, req).(*kmsg.HeartbeatResponse).ErrorCode)
}

// soleMember makes a generation of one member and returns its id.
func (c *many) soleMember() string {
	c.t.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey = 3, "g"
	c.ask(1, find)
	c.until("the group has a coordinator", func() bool { return c.coordinator() > 0 })
	if found := c.ask(1, find).(*kmsg.FindCoordinatorResponse); BrokerID(found.NodeID) != c.coordinator() {
		c.t.Fatalf("FindCoordinator answers %d, %s; want %d", found.NodeID, kafka.CodeName(found.ErrorCode), c.coordinator())
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = 3, "g", 60000, 60000, "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
	joined := c.ask(c.coordinator(), join).(*kmsg.JoinGroupResponse)
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group, sync.Generation, sync.MemberID = 3, "g", joined.Generation, joined.MemberID
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID, MemberAssignment: []byte("all")}}
	synced := c.ask(c.coordinator(), sync).(*kmsg.SyncGroupResponse)
	if joined.ErrorCode != 0 || synced.ErrorCode != 0 || string(synced.MemberAssignment) != "all" {
		c.t.Fatalf("%+v %+v", joined, synced)
	}
	return joined.MemberID
}

// TestCoordinatorMoves cuts a coordinator off. The next one goes on in the same generation and with
// the same offsets; the old one answers nobody from memory, although it doesn't know yet that it is
// deposed. When it is back it gets the state by a checkpoint, and can be coordinator again.
func TestCoordinatorMoves(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { small(cfg); cfg.GroupPartitions = 1 })
	c.create("t", 1, 2, 3)
	id := c.soleMember()
	old := c.coordinator()
	expect := func(got string, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	expect(c.commitAt(old, 1, id, 1), "NONE")
	c.nodes[old].cut = true
	for _, other := range c.ids {
		if other != old {
			c.nodes[other].in.Lost = append(c.nodes[other].in.Lost, old)
		}
	}
	c.until("another coordinator serves", func() bool { return c.coordinator() > 0 })
	next := c.coordinator()
	expect(c.commitAt(next, 1, id, 2), "NONE")
	if _, err := c.nodes[old].node.coordinatorOf("g"); err != nil {
		t.Fatal("the old one already knows; this test is about the time before")
	}
	if at, e := c.committedAt(old); e != "NOT_COORDINATOR" {
		t.Errorf("the deposed coordinator answers offset %d, %s", at, e)
	}
	expect(c.commitAt(old, 1, id, 1), "NOT_COORDINATOR")
	expect(c.heartbeatAt(next, 1, id), "NONE")
	for offset := range int64(99) {
		expect(c.commitAt(next, 1, id, 3+offset), "NONE")
	}
	c.nodes[old].cut = false
	c.until("the old one has a checkpoint", func() bool { return c.nodes[old].events[EventSnapshotInstalled] > 0 })
	for _, other := range c.ids { // only the old one and one more are left, and the old one is preferred
		c.nodes[other].cut = other == next
	}
	c.until("another coordinator serves", func() bool { return c.coordinator() > 0 && c.coordinator() != next })
	if at, e := c.committedAt(c.coordinator()); at != 101 || e != "NONE" {
		t.Errorf("committed offset %d, %s; want 101", at, e)
	}
	expect(c.heartbeatAt(c.coordinator(), 1, id), "NONE")
	expect(c.heartbeatAt(c.coordinator(), 2, id), "ILLEGAL_GENERATION")
}

// TestLateAssignmentIsDropped lets a member leave while the assignment is on its way to the disk: it
// belongs to a generation that is over.
func TestLateAssignmentIsDropped(t *testing.T) {
	o := newGroups(t, nil)
	a, b := o.consumer(11), o.consumer(12)
	a.session, b.session = 60000, 60000
	o.stable(a, b)
	joinA, joinB := a.join(), b.join()
	o.expect("NONE", a.joined(joinA), b.joined(joinB))
	var ops []wal.Op
	var replies []Reply
	step := func(conn ConnID, req kmsg.Request) {
		o.lastID++
		out := o.node.Step(&Input{Now: o.now, Requests: []Request{{Conn: conn, Frame: kafka.AppendRequest(nil, o.lastID, "c", req)}}})
		ops, replies = append(ops, out.Ops...), append(replies, out.Replies...)
	}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group, sync.Generation, sync.MemberID = 3, "g", a.generation, a.id
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: a.id, MemberAssignment: []byte("late")}}
	step(11, sync)
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = "g", b.id
	step(12, leave)
	step(21, a.joinRequest(9)) // completes the rebalance: the next generation waits for its assignment
	for _, op := range ops {
		o.results = append(o.results, wal.Do(o.dir, op))
	}
	o.step(Input{})
	if len(replies) != 3 || len(o.replies) != 0 {
		t.Errorf("%d and %d answers", len(replies), len(o.replies))
	}
	if g := o.describe("g"); g.State != "CompletingRebalance" {
		t.Errorf("the late assignment made the group %s", g.State)
	}
}

// assigning is a SyncGroup request of one member that assigns a part to another.
func assigning(c, to *consumer, part string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.Generation, req.MemberID = 3, "g", c.generation, c.id
	req.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: to.id, MemberAssignment: []byte(part)}}
	return req
}

// takeParts reads the answers to SyncGroup requests: what each connection is assigned.
func (o *one) takeParts() map[ConnID]string {
	o.t.Helper()
	got := make(map[ConnID]string)
	for _, r := range o.replies {
		resp := kmsg.NewPtrSyncGroupResponse()
		resp.Version = 3
		if _, err := kafka.ParseResponse(kafka.Frame(r.Frame).Bytes(), resp); err != nil || resp.ErrorCode != 0 {
			o.t.Fatal(err, resp.ErrorCode)
		}
		got[r.Conn] = string(resp.MemberAssignment)
	}
	o.replies = nil
	return got
}

// TestAnswersComeAfterTheCommit withholds the disk's results: nothing that the log has to keep is
// answered before.
func TestAnswersComeAfterTheCommit(t *testing.T) {
	o := newGroups(t, nil)
	a, b := o.consumer(11), o.consumer(12)
	joinA, joinB := a.join(), b.join()
	o.expect("NONE", a.joined(joinA))
	joinA = a.join()
	o.expect("NONE", a.joined(joinA), b.joined(joinB))
	stepOnly := func(in Input) []wal.Op {
		in.Now = o.now
		out := o.node.Step(&in)
		if len(out.Replies) > 0 {
			t.Errorf("%d answers before the disk has answered", len(out.Replies))
		}
		return append([]wal.Op{}, out.Ops...)
	}
	frame := func(conn ConnID, req kmsg.Request) Input {
		o.lastID++
		return Input{Requests: []Request{{Conn: conn, Frame: kafka.AppendRequest(nil, o.lastID, "c", req)}}}
	}
	ops := stepOnly(frame(12, assigning(b, b, "")))
	ops = append(ops, stepOnly(frame(11, assigning(a, b, "first")))...)
	finish := func() {
		for _, op := range ops {
			o.results = append(o.results, wal.Do(o.dir, op))
		}
		o.step(Input{})
	}
	// The leader asks again, with another assignment: the first one counts, for members and log alike.
	again := frame(21, assigning(a, b, "second"))
	again.Now = o.now
	out := o.node.Step(&again)
	if len(out.Replies) != 1 || out.Replies[0].Conn != 11 {
		t.Errorf("the leader's older request has to end: %+v", out.Replies)
	}
	ops = append(ops, out.Ops...)
	finish()
	got := o.takeParts()
	if len(got) != 2 || got[12] != "first" {
		t.Errorf("parts: %v", got)
	}
	o.restart()
	o.pass(500e6)
	o.expect("NONE", b.synced(b.startSync(nil)))
	if b.assignment != "first" {
		t.Errorf("after a restart the part is %q", b.assignment)
	}
	ops = stepOnly(frame(12, b.commitRequest("t", 1)))
	finish()
	if len(o.replies) != 1 {
		t.Errorf("%d answers", len(o.replies))
	}
}

// TestCoordinatorStaysDuringARebalance brings the preferred coordinator back while a member is awaited.
// The other goes on until the rebalance is over: nobody else knows who has joined and who has left.
func TestCoordinatorStaysDuringARebalance(t *testing.T) {
	c := newMany(t, 3, func(cfg *Config) { cfg.GroupPartitions = 1 })
	id := c.soleMember()
	preferred := c.coordinator()
	c.kill(preferred)
	c.until("another coordinator serves", func() bool { return c.coordinator() > 0 })
	acting := c.coordinator()
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = 3, "g", 60000, 60000, "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
	m := c.nodes[acting]
	m.in.Requests = append(m.in.Requests, Request{Conn: 2, Frame: kafka.AppendRequest(nil, 1, "", join)}) // waits for the other member
	c.start(preferred)
	for end := c.now.Add(2 * balanceAfter); c.now < end; {
		if c.round(); c.coordinator() != acting {
			t.Fatal("the coordinator moved in the middle of a rebalance")
		}
	}
	join.MemberID = id
	joined := c.ask(acting, join).(*kmsg.JoinGroupResponse)
	if joined.ErrorCode != 0 || len(joined.Members) != 2 {
		t.Fatalf("%+v", joined)
	}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group, sync.Generation, sync.MemberID = 3, "g", joined.Generation, joined.MemberID
	if e := c.ask(acting, sync).(*kmsg.SyncGroupResponse).ErrorCode; e != 0 {
		t.Fatal(kafka.CodeName(e))
	}
	c.until("the preferred coordinator serves", func() bool { return c.coordinator() == preferred })
	if e := c.heartbeatAt(preferred, joined.Generation, id); e != "NONE" {
		t.Errorf("heartbeat: %s", e)
	}
}

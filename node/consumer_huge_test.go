// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// classicOf is a generation of so many members, each of which says and got so many bytes.
func classicOf(members, bytes int) *kmsg.GroupMetadataValue {
	protocol, leader := "range", "m00000"
	v := &kmsg.GroupMetadataValue{Version: groupValueForm, ProtocolType: "consumer", Generation: 1, Protocol: &protocol, Leader: &leader}
	for i := range members {
		v.Members = append(v.Members, kmsg.GroupMetadataValueMember{
			MemberID: fmt.Sprintf("m%05d", i), ClientID: "c", ClientHost: "/10.0.0.1", SessionTimeoutMillis: 10_000, RebalanceTimeoutMillis: 10_000,
			Subscription: make([]byte, bytes), Assignment: make([]byte, bytes),
		})
	}
	return v
}

// coordinator is that of group "g".
func (o *one) coordinator() *coordinator {
	return o.node.coordinators[o.node.coordinatorPartition("g").Group]
}

// fillClassic puts a settled generation into group "g".
func (o *one) fillClassic(members, bytes int) *classicGroup {
	c := o.coordinator()
	if err := c.applyBatch(appendGroupBatch(nil, []kafka.Record{groupMetadataRecord("g", classicOf(members, bytes))}, 0)); err != nil {
		o.t.Fatal(err)
	}
	c.find("g").restore()
	o.step(Input{})
	o.longest, o.total = Work{}, Work{}
	return c.find("g").classic
}

// kept fails if a step went beyond its budget, or all together cost more than a number of units for each of something.
func (o *one) kept(what string, count, each int) {
	o.t.Helper()
	if !o.longest.Within(StepBudget) || o.total.Cost() > count*each {
		o.t.Errorf("%s: a step did %d, all together %d, which is more than %d for each of %d", what, o.longest.Cost(), o.total.Cost(), each, count)
	}
	if testing.Verbose() {
		o.t.Logf("%s: the longest step did %d, all together %d; the slowest took %v", what, o.longest.Cost(), o.total.Cost(), o.slowest)
	}
	o.longest, o.total, o.slowest = Work{}, Work{}, 0
}

// until gives the node an input and steps it until something holds.
func (o *one) until(in Input, holds func() bool) {
	o.t.Helper()
	for o.step(in); !holds(); o.step(Input{}) {
		if o.now > 3600e9 {
			o.t.Fatal("it doesn't come to that")
		}
	}
}

const huge = 6000

// A group of thousands is described in pieces, and as one thing: members of a generation that ended meanwhile are not mixed
// with those of the next.
func TestAHugeGroupIsDescribed(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.GroupMaxSize = 2 * huge })
	g := o.fillClassic(huge, 100)
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version, req.Groups = 5, []string{"g"}
	if out := o.do(req).(*kmsg.DescribeGroupsResponse).Groups[0]; len(out.Members) != huge || len(out.Members[huge-1].MemberAssignment) != 100 {
		t.Errorf("%d members", len(out.Members))
	}
	o.kept("describe", huge, 20)

	o.node.cfg.StepBudget = 100
	call := &call{o, 5, 99, req}
	o.tick(Input{Requests: []Request{{Conn: 5, Host: "/10.0.0.5", Frame: kafka.AppendRequest(nil, 99, "c", req)}}})
	for range 10 {
		o.tick(Input{})
	}
	g.rebalance()
	out := call.wait(10 * time.Second).(*kmsg.DescribeGroupsResponse).Groups[0]
	if out.State != "PreparingRebalance" || out.Protocol != "" || len(out.Members) != huge || len(out.Members[0].MemberAssignment) != 0 {
		t.Errorf("%s, protocol %q, %d members, the first has %d bytes", out.State, out.Protocol, len(out.Members), len(out.Members[0].MemberAssignment))
	}
}

// The same in the new protocol.
func TestAHugeModernGroupIsDescribed(t *testing.T) {
	o := newGroups(t, nil)
	o.fill(huge, func(i int) ([]string, string) { return []string{"t", fmt.Sprintf("topic-%d", i)}, "" })
	o.step(Input{})
	o.longest, o.total = Work{}, Work{}
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{"g"}
	if out := o.do(req).(*kmsg.ConsumerGroupDescribeResponse).Groups[0]; len(out.Members) != huge {
		t.Errorf("%d members", len(out.Members))
	}
	o.kept("describe", huge, 20)
}

// Members that all die at one moment go together, not each in a look at all the others.
func TestAllMembersDieAtOnce(t *testing.T) {
	o := newGroups(t, nil)
	g := o.fillClassic(huge, 10)
	o.pass(9 * time.Second)
	if len(g.members) != huge || g.state != groupStable {
		t.Fatalf("%d members, %v", len(g.members), g.state)
	}
	o.longest, o.total = Work{}, Work{}
	o.now = o.now.Add(2 * time.Second)
	o.until(Input{}, func() bool { return len(g.members) == 0 })
	if len(g.members) != 0 || g.state != groupEmpty || o.events[EventGroupMemberLost] != huge {
		t.Errorf("%d members are left, %v, %d were missed", len(g.members), g.state, o.events[EventGroupMemberLost])
	}
	o.kept("the end of all sessions", huge, 10)
}

// A request that names all members takes them out together.
func TestManyMembersLeaveAtOnce(t *testing.T) {
	o := newGroups(t, nil)
	g := o.fillClassic(huge, 10)
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group = 5, "g"
	for i := range huge {
		req.Members = append(req.Members, kmsg.LeaveGroupRequestMember{MemberID: fmt.Sprintf("m%05d", i)})
	}
	req.Members = append(req.Members, req.Members[0])
	resp := o.do(req).(*kmsg.LeaveGroupResponse)
	for i, m := range resp.Members[:huge] {
		if m.ErrorCode != 0 {
			t.Fatalf("member %d: %s", i, kafka.CodeName(m.ErrorCode))
		}
	}
	if code := resp.Members[huge].ErrorCode; code != kerr.UnknownMemberID.Code || len(g.members) != 0 || g.state != groupEmpty {
		t.Errorf("twice: %s; %d members are left, %v", kafka.CodeName(code), len(g.members), g.state)
	}
	o.kept("leave", huge, 25)
}

// Thousands join, get their answers, and then their parts, each in as many steps as it takes.
func TestThousandsJoinAndSync(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.GroupMaxSize, c.MaxMessageBytes = huge, 8<<20 })
	g := o.fillClassic(huge, 100)
	in, ids := Input{}, make(map[ConnID]int)
	for i := range huge {
		c := o.consumer(ConnID(1000 + i))
		c.id, ids[c.conn] = fmt.Sprintf("m%05d", i), i
		c.subscribes = []string{"t", fmt.Sprint("topic-", i)}
		in.Requests = append(in.Requests, Request{Conn: c.conn, Host: "/10.0.0.1", Frame: kafka.AppendRequest(nil, 1, "c", c.joinRequest(5))})
	}
	o.replies = nil
	o.until(in, func() bool { return len(o.replies) == huge })
	if g.state != groupCompleting {
		t.Fatalf("%v, %d of %d joined", g.state, g.joining, len(g.members))
	}
	o.kept("join", huge, 60)

	in = Input{}
	for i := range huge {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Version, req.Group, req.MemberID, req.Generation = 3, "g", fmt.Sprintf("m%05d", i), g.generation
		if i == 0 {
			for j := range huge {
				req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: fmt.Sprintf("m%05d", j), MemberAssignment: fmt.Appendf(nil, "part %d", j)})
			}
		}
		in.Requests = append(in.Requests, Request{Conn: ConnID(1000 + i), Host: "/10.0.0.1", Frame: kafka.AppendRequest(nil, 1, "c", req)})
	}
	o.replies = nil
	o.until(in, func() bool { return len(o.replies) == huge })
	for _, r := range o.replies {
		resp := kmsg.NewPtrSyncGroupResponse()
		resp.Version = 3
		if _, err := kafka.ParseResponse(kafka.Frame(r.Frame).Bytes(), resp); err != nil || string(resp.MemberAssignment) != fmt.Sprintf("part %d", ids[r.Conn]) {
			t.Fatalf("member %d got %q: %v", ids[r.Conn], resp.MemberAssignment, err)
		}
	}
	o.kept("sync", huge, 60)
}

// An assignment that is too large is refused without being written first.
func TestAnAbsurdAssignmentIsRefused(t *testing.T) {
	o := newGroups(t, nil)
	a := o.consumer(11)
	join := a.join()
	o.expect("NONE", a.joined(join))
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation = 3, "g", a.id, a.generation
	req.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: a.id, MemberAssignment: make([]byte, 4<<20)}}
	if resp := o.do(req).(*kmsg.SyncGroupResponse); resp.ErrorCode != kerr.MessageTooLarge.Code {
		t.Error(kafka.CodeName(resp.ErrorCode))
	}
}

// A broker that becomes the coordinator of very many groups makes them ready in pieces, and serves none before all are. One
// that was sends everybody away in pieces, too.
func TestManyGroupsChangeTheirCoordinator(t *testing.T) {
	const groups, members = 20_000, 3
	o := newGroups(t, nil)
	o.byHand = true
	c := o.coordinator()
	value := classicOf(members, 10)
	for begin := 0; begin < groups; begin += 1000 {
		var records []kafka.Record
		for i := range 1000 {
			records = append(records, groupMetadataRecord(fmt.Sprint("g", begin+i), value))
		}
		if err := c.applyBatch(appendGroupBatch(nil, records, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range c.groups {
		g.restore()
	}
	deadlines := o.node.deadlines.Len()
	inStep := func(do func()) {
		o.longest, o.total, o.slowest = Work{}, Work{}, 0
		o.node.deadlines.Add(o.now, do)
		o.tick(Input{})
	}
	inStep(c.following)
	for o.node.busy() {
		o.tick(Input{})
	}
	if left := o.node.deadlines.Len(); left > deadlines-groups*members {
		t.Errorf("%d of %d timers are left", left, deadlines)
	}
	o.kept("to leave off", groups*members, 10)
	inStep(c.leading)
	if _, err := o.node.coordinatorOf("g"); err != kerr.CoordinatorLoadInProgress {
		t.Errorf("it serves before its groups are ready: %v", err)
	}
	for c.loads {
		o.tick(Input{})
	}
	for _, g := range c.groups {
		if g.classic == nil || len(g.classic.members) != members {
			t.Fatalf("group %s isn't ready", g.id)
		}
	}
	o.kept("to begin", groups*members, 10)
	c.loads = true // as if it had just begun
	inStep(c.following)
	if o.step(Input{}); c.loads || c.sweep.Waits() {
		t.Error("it goes on to make groups ready")
	}
}

// A request about a group that takes many steps may outlive the leadership of the coordinator that began with it.
func TestRequestsOutliveTheirCoordinator(t *testing.T) {
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Version, leave.Group = 5, "g"
	drop := kmsg.NewPtrOffsetDeleteRequest()
	drop.Group = "g"
	for i := range 50 {
		leave.Members = append(leave.Members, kmsg.LeaveGroupRequestMember{MemberID: fmt.Sprintf("m%05d", i)})
		drop.Topics = append(drop.Topics, kmsg.OffsetDeleteRequestTopic{Topic: fmt.Sprint("t", i), Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}})
	}
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Version = 9
	member := "m00001"
	for range 50 {
		fetch.Groups = append(fetch.Groups, kmsg.OffsetFetchRequestGroup{Group: "g", MemberID: &member, MemberEpoch: 5})
	}
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Version, describe.Groups = 5, []string{"g", "h"}
	modern := kmsg.NewPtrConsumerGroupDescribeRequest()
	modern.Groups = describe.Groups
	for _, req := range []kmsg.Request{leave, drop, fetch, describe, modern} {
		for _, isModern := range []bool{false, true} {
			for after := range 12 {
				o := newGroups(t, nil)
				if isModern {
					o.fill(50, func(int) ([]string, string) { return []string{"t"}, "" })
					o.coordinator().find("g").restore()
				} else {
					o.fillClassic(50, 10)
				}
				o.node.cfg.StepBudget = 1
				o.tick(Input{Requests: []Request{{Conn: 5, Host: "/10.0.0.5", Frame: kafka.AppendRequest(nil, 9, "c", req)}}})
				for range after {
					o.tick(Input{})
				}
				c := o.coordinator()
				c.group.serving = false
				o.node.deadlines.Add(o.now, c.following)
				for range 300 {
					o.tick(Input{})
				}
				c.group.serving = true // the harness expects it
				c.leading()
				o.step(Input{})
				if call := (&call{o, 5, 9, req}); call.peek() == nil {
					t.Fatalf("%T has no answer, %d steps after its first one", req, after)
				}
			}
		}
	}
}

// A group with very many offsets is deleted, and offsets of topics that are gone are removed, entry by entry.
func TestManyOffsetsAreRemovedInPieces(t *testing.T) {
	const offsets = 50_000
	o := newGroups(t, func(c *Config) { c.OffsetsCheckInterval, c.Log.SegmentBytes = time.Minute, 16<<20 })
	fill := func() *consumerGroup {
		c := o.coordinator()
		for topic := range offsets / 2000 {
			var records []kafka.Record
			for i := range int32(2000) {
				records = append(records, offsetRecord("g", fmt.Sprint("gone-", topic), &committedOffset{partition: i, offset: 1}))
			}
			if err := c.applyBatch(appendGroupBatch(nil, records, 0)); err != nil {
				t.Fatal(err)
			}
		}
		g := c.find("g")
		g.restore()
		o.step(Input{})
		o.longest, o.total = Work{}, Work{}
		return g
	}
	fill()
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Version, req.Groups = 2, []string{"g"}
	if resp := o.do(req).(*kmsg.DeleteGroupsResponse); resp.Groups[0].ErrorCode != 0 || o.coordinator().find("g") != nil {
		t.Errorf("%s, %v", kafka.CodeName(resp.Groups[0].ErrorCode), o.coordinator().find("g"))
	}
	o.kept("deletion", offsets, 10)
	g := fill()
	o.now = o.now.Add(61 * time.Second)
	o.until(Input{}, func() bool { return g.stored.offsets() == 0 })
	o.kept("orphans", offsets, 10)
}

// Who waits for the topic of the coordinators is answered in pieces when it is there.
func TestManySeekersAreAnsweredInPieces(t *testing.T) {
	o := newOne(t, nil)
	var in Input
	for i := range 10_000 {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKeys = 4, []string{"g"}
		in.Requests = append(in.Requests, Request{Conn: ConnID(100 + i), Host: "/10.0.0.1", Frame: kafka.AppendRequest(nil, 1, "c", req)})
	}
	o.longest, o.total, o.replies = Work{}, Work{}, nil
	o.until(in, func() bool { return len(o.replies) == len(in.Requests) })
	o.kept("seekers", 10_000, 60)
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

func TestFirstFindCoordinatorMakesTheTopic(t *testing.T) {
	o := newOne(t, func(c *Config) { c.GroupPartitions = 3 })
	o.findCoordinator()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	topics := o.do(req).(*kmsg.MetadataResponse).Topics
	if len(topics) != 1 || *topics[0].Topic != groupsTopic || !topics[0].IsInternal || len(topics[0].Partitions) != 3 {
		t.Fatalf("%+v", topics)
	}
	for version, key := range map[int16]string{0: "g", 3: "g"} {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKey = version, key
		if resp := o.do(req).(*kmsg.FindCoordinatorResponse); resp.ErrorCode != 0 || resp.NodeID != 1 || resp.Port != 9092 {
			t.Errorf("v%d: %+v", version, resp)
		}
	}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey, find.CoordinatorType = 3, "x", 2
	if resp := o.do(find).(*kmsg.FindCoordinatorResponse); resp.ErrorCode != kerr.InvalidRequest.Code || resp.NodeID != -1 {
		t.Errorf("type 2: %+v", resp)
	}
}

func TestInternalTopicIsTheBrokersOwn(t *testing.T) {
	o := newGroups(t, nil)
	if _, e := o.produce(groupsTopic, plain("x")); e != "INVALID_TOPIC_EXCEPTION" {
		t.Errorf("produce: %s", e)
	}
	if _, e := o.deleteRecords(groupsTopic, 0); e != "INVALID_TOPIC_EXCEPTION" {
		t.Errorf("delete records: %s", e)
	}
	if e := o.edit(groupsTopic, "retention.ms=1"); e != "TOPIC_AUTHORIZATION_FAILED" {
		t.Errorf("alter configurations: %s", e)
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames = 5, []string{groupsTopic}
	if r := o.do(del).(*kmsg.DeleteTopicsResponse).Topics[0]; r.ErrorCode != kerr.InvalidTopicException.Code {
		t.Errorf("delete: %+v", r)
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = groupsTopic, 1, 1
	create.Version, create.Topics = 5, append(create.Topics, in)
	if r := o.do(create).(*kmsg.CreateTopicsResponse).Topics[0]; r.ErrorCode != kerr.InvalidTopicException.Code {
		t.Errorf("create: %+v", r)
	}
}

// TestRebalance lets a second and a third consumer in and one out.
func TestRebalance(t *testing.T) {
	o := newGroups(t, nil)
	a, b, c := o.consumer(11), o.consumer(12), o.consumer(13)
	o.stable(a)
	if a.generation != 1 || !a.leader {
		t.Errorf("alone: %+v", a)
	}
	o.expect("NONE", a.heartbeat(), a.commit("t", 5))

	// b comes: a learns of it by its heartbeat, and b waits for a.
	joinB := b.join()
	o.expect("REBALANCE_IN_PROGRESS", a.heartbeat())
	o.expect("NONE", a.commit("t", 7)) // still the same generation
	if joinB.peek() != nil {
		t.Fatal("b was let in before a rejoined: two members would own one partition")
	}
	joinA := a.join()
	o.expect("NONE", a.joined(joinA), b.joined(joinB))
	if a.generation != 2 || b.generation != 2 || !a.leader || b.leader || len(a.others) != 2 {
		t.Errorf("two: %+v %+v", a, b)
	}
	o.expect("REBALANCE_IN_PROGRESS", a.commit("t", 8)) // nobody owns anything now
	syncB := b.startSync(nil)
	if syncB.peek() != nil {
		t.Fatal("b got an assignment before the leader made one")
	}
	o.expect("NONE", a.synced(a.startSync(map[*consumer]string{a: "x", b: "y"})), b.synced(syncB))
	if a.assignment != "x" || b.assignment != "y" {
		t.Errorf("assignments %q, %q", a.assignment, b.assignment)
	}
	if diff := cmp.Diff([]string{"x", "y"}, assignments(o.describe("g"))); diff != "" {
		t.Error(diff)
	}

	// c comes while a and b sync: their syncs end with the rebalance.
	joinA, joinB = a.join(), b.join() // the leader asks for a rebalance
	o.expect("NONE", a.joined(joinA), b.joined(joinB))
	syncB = b.startSync(nil)
	joinC := c.join()
	o.expect("REBALANCE_IN_PROGRESS", b.synced(syncB), a.heartbeat())
	joinA, joinB = a.join(), b.join()
	o.expect("NONE", a.joined(joinA), b.joined(joinB), c.joined(joinC))
	o.syncAll(a, b, c)
	if a.generation != 4 {
		t.Errorf("generation %d", a.generation)
	}

	// a, the leader, goes.
	o.expect("NONE", a.leave())
	o.expect("UNKNOWN_MEMBER_ID", a.heartbeat(), a.leave(), a.commit("t", 9))
	o.expect("REBALANCE_IN_PROGRESS", b.heartbeat(), c.heartbeat())
	joinB, joinC = b.join(), c.join()
	o.expect("NONE", b.joined(joinB), c.joined(joinC))
	o.syncAll(b, c)
	if got := o.committedAt("g", "t"); got != 7 {
		t.Errorf("committed offset %d, want 7", got)
	}
}

func TestGenerationsAreFenced(t *testing.T) {
	o := newGroups(t, nil)
	a := o.consumer(11)
	o.stable(a)
	old := *a
	o.stable(a) // the leader rebalances
	o.expect("ILLEGAL_GENERATION", old.heartbeat(), old.commit("t", 1), old.synced(old.startSync(nil)))
	future := *a
	future.generation++
	o.expect("ILLEGAL_GENERATION", future.heartbeat(), future.commit("t", 1))
	stranger := o.consumer(12)
	stranger.id, stranger.generation = "nobody", a.generation
	o.expect("UNKNOWN_MEMBER_ID", stranger.heartbeat(), stranger.commit("t", 1), stranger.synced(stranger.startSync(nil)), stranger.leave())
	o.expect("UNKNOWN_MEMBER_ID", stranger.joined(o.begin(12, stranger.joinRequest(9))))
	nobody := o.consumer(12)
	o.expect("UNKNOWN_MEMBER_ID", nobody.commit("t", 1)) // generation -1, but there are members
	if got := o.committedAt("g", "t"); got != -1 {
		t.Errorf("a refused commit counts: %d", got)
	}
}

func TestUnknownGroups(t *testing.T) {
	o := newGroups(t, nil)
	a := o.consumer(11)
	a.group = "h"
	a.id, a.generation = "x", 1
	o.expect("UNKNOWN_MEMBER_ID", a.heartbeat(), a.leave(), a.synced(a.startSync(nil)), a.joined(o.begin(11, a.joinRequest(9))))
	o.expect("ILLEGAL_GENERATION", a.commit("t", 1))
	if got := o.committedAt("h", "t"); got != -1 {
		t.Error(got)
	}
	if g := o.describe("h"); g.ErrorCode != 0 || g.State != "Dead" {
		t.Errorf("%+v", g)
	}
	for _, id := range []string{"", string(make([]byte, maxConsumerGroupID+1))} {
		a.group = id
		o.expect("INVALID_GROUP_ID", a.heartbeat(), a.commit("t", 1), a.leave())
	}
	if n := o.groups(); n != 0 {
		t.Errorf("%d groups were left behind", n)
	}
}

func TestJoinRefusals(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.GroupMaxSize = 2 })
	for name, c := range map[string]struct {
		change func(*kmsg.JoinGroupRequest)
		want   string
	}{
		"short session":    {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 500 }, "INVALID_SESSION_TIMEOUT"},
		"long session":     {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 }, "INVALID_SESSION_TIMEOUT"},
		"no protocols":     {func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }, "INCONSISTENT_GROUP_PROTOCOL"},
		"no protocol type": {func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" }, "INCONSISTENT_GROUP_PROTOCOL"},
		"too large":        {func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Metadata = make([]byte, maxGroupBytes) }, "GROUP_MAX_SIZE_REACHED"},
		"unknown id":       {func(r *kmsg.JoinGroupRequest) { r.MemberID = "x" }, "UNKNOWN_MEMBER_ID"},
	} {
		req := o.consumer(11).joinRequest(9)
		c.change(req)
		resp := o.begin(11, req).wait(time.Second).(*kmsg.JoinGroupResponse)
		if got := kafka.CodeName(resp.ErrorCode); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if n := o.groups(); n != 0 {
		t.Errorf("%d groups were left behind", n)
	}
	a, b, c := o.consumer(11), o.consumer(12), o.consumer(13)
	a.protocols = []string{"range", "sticky"}
	b.protocols = []string{"sticky"}
	o.stable(a, b)
	c.protocols = []string{"sticky"}
	resp := o.begin(13, c.joinRequest(9)).wait(time.Second).(*kmsg.JoinGroupResponse)
	o.expect("GROUP_MAX_SIZE_REACHED", kafka.CodeName(resp.ErrorCode))
	o.expect("NONE", b.leave())
	c.protocols = []string{"other"}
	resp = o.begin(13, c.joinRequest(9)).wait(time.Second).(*kmsg.JoinGroupResponse)
	o.expect("INCONSISTENT_GROUP_PROTOCOL", kafka.CodeName(resp.ErrorCode))
}

// TestProtocolIsElected: each member votes for its first that all know.
func TestProtocolIsElected(t *testing.T) {
	o := newGroups(t, nil)
	a, b, c := o.consumer(11), o.consumer(12), o.consumer(13)
	a.protocols = []string{"x", "y", "z"}
	b.protocols = []string{"z", "y"}
	c.protocols = []string{"z", "y"}
	o.stable(a, b, c)
	if g := o.describe("g"); g.Protocol != "z" || g.ProtocolType != "consumer" {
		t.Errorf("%+v", g)
	}
}

func TestSilentMemberIsLost(t *testing.T) {
	o := newGroups(t, nil)
	a, b := o.consumer(11), o.consumer(12)
	o.stable(a, b)
	for range 6 {
		o.expect("NONE", a.heartbeat())
		o.pass(300 * time.Millisecond)
	}
	o.expect("NONE", a.heartbeat())
	o.pass(400 * time.Millisecond) // 2.2 s since b was heard
	o.expect("REBALANCE_IN_PROGRESS", a.heartbeat())
	o.expect("UNKNOWN_MEMBER_ID", b.heartbeat())
	o.stable(a)
	o.pass(3 * time.Second)
	if g := o.describe("g"); g.State != "Empty" || len(g.Members) > 0 {
		t.Errorf("%+v", g)
	}
}

// TestWaitingMembersDontTimeOut: whoever waits for an answer can't heartbeat.
func TestWaitingMembersDontTimeOut(t *testing.T) {
	o := newGroups(t, nil)
	a, b := o.consumer(11), o.consumer(12)
	a.rebalance = 10000
	o.stable(a)
	joinB := b.join()
	for range 16 { // a heartbeats for 8 s, longer than b's session, before it rejoins
		o.expect("REBALANCE_IN_PROGRESS", a.heartbeat())
		o.pass(500 * time.Millisecond)
	}
	if joinB.peek() != nil {
		t.Fatal("b was answered")
	}
	joinA := a.join()
	o.expect("NONE", a.joined(joinA), b.joined(joinB))
	syncB := b.startSync(nil)
	for range 6 {
		o.expect("NONE", a.heartbeat())
		o.pass(500 * time.Millisecond)
	}
	o.expect("NONE", a.synced(a.startSync(nil)), b.synced(syncB))
}

// TestSlowMemberIsLeftBehind: a rebalance waits for the rebalance timeout, then goes on without.
func TestSlowMemberIsLeftBehind(t *testing.T) {
	o := newGroups(t, nil)
	a, b, c := o.consumer(11), o.consumer(12), o.consumer(13)
	o.stable(a, b)
	joinC := c.join()
	joinB := b.join()
	for range 7 {
		o.expect("REBALANCE_IN_PROGRESS", a.heartbeat()) // alive, but it doesn't rejoin
		o.pass(500 * time.Millisecond)
	}
	o.expect("NONE", b.joined(joinB), c.joined(joinC))
	if !b.leader {
		t.Error("the first of those that joined leads")
	}
	o.expect("UNKNOWN_MEMBER_ID", a.heartbeat())

	// c never syncs: after the rebalance timeout it is out, although it heartbeats.
	o.expect("NONE", b.synced(b.startSync(nil)))
	for range 9 {
		c.heartbeat()
		b.heartbeat()
		o.pass(500 * time.Millisecond)
	}
	o.expect("UNKNOWN_MEMBER_ID", c.heartbeat())
	o.expect("REBALANCE_IN_PROGRESS", b.heartbeat())
}

// TestLostAnswers: a member that asks again gets the same again.
func TestLostAnswers(t *testing.T) {
	o := newGroups(t, nil)
	a, b := o.consumer(11), o.consumer(12)
	o.stable(a, b)
	again := *b
	again.conn = 22
	o.expect("NONE", again.joined(again.join()))
	if again.generation != b.generation || again.leader {
		t.Errorf("%+v", again)
	}
	o.expect("NONE", again.synced(again.startSync(nil)), a.heartbeat())
	if again.assignment != "part 12" {
		t.Errorf("%q", again.assignment)
	}

	// While a join waits, another one of the same member takes its place.
	first := a.join()
	again = *a
	again.conn = 21
	second := again.join()
	joinB := b.join()
	o.expect("REBALANCE_IN_PROGRESS", a.joined(first))
	o.expect("NONE", again.joined(second), b.joined(joinB))
	sync1 := b.startSync(nil)
	twin := *b
	twin.conn = 22
	sync2 := twin.startSync(nil)
	o.expect("REBALANCE_IN_PROGRESS", b.synced(sync1))
	o.expect("NONE", again.synced(again.startSync(nil)), twin.synced(sync2))
}

// TestGhosts: a client of before KIP-394 that hangs up while it waits leaves a member that nobody is.
func TestGhosts(t *testing.T) {
	o := newGroups(t, nil)
	a, b := o.consumer(11), o.consumer(12)
	o.stable(a)
	o.begin(12, b.joinRequest(3))
	o.step(Input{Hangups: []ConnID{12}})
	b.conn = 13
	joinB := o.begin(13, b.joinRequest(3))
	joinA := a.join()
	o.expect("NONE", a.joined(joinA), b.joined(joinB))
	if len(a.others) != 2 {
		t.Errorf("the leader sees %d members, want itself and one more: %v", len(a.others), a.others)
	}
	o.syncAll(a, b)
	// With KIP-394 the id is promised, and a promise holds up a rebalance for a session's time.
	c := o.consumer(14)
	o.begin(14, c.joinRequest(9))
	joinA, joinB = a.join(), o.begin(b.conn, b.joinRequest(3))
	before := o.now
	o.expect("NONE", a.joined(joinA), b.joined(joinB))
	if waited := o.now.Sub(before); waited < time.Second || waited > 2100*time.Millisecond {
		t.Errorf("the rebalance waited %v for a member that never came", waited)
	}
}

func TestOldJoins(t *testing.T) {
	for version := int16(0); version < 4; version++ {
		o := newGroups(t, nil)
		a := o.consumer(11)
		o.expect("NONE", a.joined(o.begin(11, a.joinRequest(version))))
		if a.id == "" || a.generation != 1 || !a.leader {
			t.Errorf("v%d: %+v", version, a)
		}
		o.syncAll(a)
	}
}

func TestInitialDelay(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.GroupInitialDelay = time.Second })
	a, b, c := o.consumer(11), o.consumer(12), o.consumer(13)
	before := o.now
	joinA := a.join()
	o.pass(700 * time.Millisecond)
	joinB := b.join()
	o.pass(700 * time.Millisecond) // the delay is over, but b came: it begins anew
	joinC := c.join()
	if joinA.peek() != nil || joinB.peek() != nil {
		t.Fatal("the delay was cut short")
	}
	o.expect("NONE", a.joined(joinA), b.joined(joinB), c.joined(joinC))
	if waited := o.now.Sub(before); waited < 2900*time.Millisecond || waited > 3100*time.Millisecond {
		t.Errorf("waited %v", waited)
	}
	if a.generation != 1 || len(a.others) != 3 {
		t.Errorf("%+v", a)
	}
}

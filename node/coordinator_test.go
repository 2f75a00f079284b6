// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// call is a request that isn't answered yet.
type call struct {
	one  *one
	conn ConnID
	id   int32
	req  kmsg.Request
}

// begin sends a request on a connection of its own choice and doesn't wait.
func (o *one) begin(conn ConnID, req kmsg.Request) *call {
	o.lastID++
	o.step(Input{Requests: []Request{{Conn: conn, Host: fmt.Sprintf("/10.0.0.%d", conn), Frame: kafka.AppendRequest(nil, o.lastID, "c", req)}}})
	return &call{o, conn, o.lastID, req}
}

// peek returns the answer if it is there, else nil.
func (c *call) peek() kmsg.Response {
	c.one.t.Helper()
	i := slices.IndexFunc(c.one.replies, func(r Reply) bool { return r.Conn == c.conn })
	if i < 0 {
		return nil
	}
	r := c.one.replies[i]
	c.one.replies = slices.Delete(c.one.replies, i, i+1)
	resp := c.req.ResponseKind()
	resp.SetVersion(c.req.GetVersion())
	if id, err := kafka.ParseResponse(kafka.Frame(r.Frame).Bytes(), resp); err != nil || id != c.id {
		c.one.t.Fatalf("answer %d to request %d (%T) on connection %d: %v", id, c.id, c.req, c.conn, err)
	}
	return resp
}

// wait returns the answer, which may take until the given time has passed.
func (c *call) wait(patience time.Duration) kmsg.Response {
	c.one.t.Helper()
	for until := c.one.now.Add(patience); ; c.one.step(Input{}) {
		if resp := c.peek(); resp != nil {
			return resp
		}
		if c.one.now > until {
			c.one.t.Fatalf("no answer to %T on connection %d in %v", c.req, c.conn, patience)
		}
	}
}

// pass lets time pass.
func (o *one) pass(d time.Duration) {
	for until := o.now.Add(d); o.now < until; {
		o.step(Input{})
	}
}

// do sends a request on connection 1 and waits for the answer.
func (o *one) do(req kmsg.Request) kmsg.Response {
	o.t.Helper()
	return o.begin(1, req).wait(10 * time.Second)
}

// newGroups returns a broker that is the coordinator of all groups, and the topic "t".
func newGroups(t *testing.T, change func(*Config)) *one {
	o := newOne(t, func(c *Config) {
		c.GroupPartitions, c.GroupMinSession = 2, time.Second
		if change != nil {
			change(c)
		}
	})
	o.create("t")
	o.findCoordinator()
	return o
}

func (o *one) findCoordinator() {
	o.t.Helper()
	for range 100 {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKeys = 4, []string{"g", "h"}
		resp := o.do(req).(*kmsg.FindCoordinatorResponse)
		if a, b := resp.Coordinators[0], resp.Coordinators[1]; a.ErrorCode == 0 && b.ErrorCode == 0 {
			if a.NodeID != 1 || a.Host != "localhost" || a.Port != 9092 || a.Key != "g" || b.Key != "h" {
				o.t.Fatalf("%+v", resp)
			}
			o.pass(100 * time.Millisecond) // it leads; now it serves
			return
		}
		o.pass(20 * time.Millisecond)
	}
	o.t.Fatal("no coordinator")
}

// consumer is a member of group "g" as a test plays it.
type consumer struct {
	o          *one
	conn       ConnID
	group      string
	id         string
	instance   *string
	generation int32
	leader     bool
	others     []string // members, as the leader learns
	assignment string
	subscribes []string
	protocols  []string
	session    int32 // ms
	rebalance  int32 // ms
}

func (o *one) consumer(conn ConnID) *consumer {
	return &consumer{o: o, conn: conn, group: "g", generation: -1, protocols: []string{"range"}, subscribes: []string{"t"}, session: 2000, rebalance: 4000}
}

func (o *one) static(conn ConnID, name string) *consumer {
	c := o.consumer(conn)
	c.instance = &name
	return c
}

func (c *consumer) joinRequest(version int16) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID = version, c.group, c.id, c.instance
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = c.session, c.rebalance, "consumer"
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = c.subscribes
	for _, p := range c.protocols {
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: p, Metadata: meta.AppendTo(nil)})
	}
	return req
}

// join begins to join with a member id, asking for one first.
func (c *consumer) join() *call {
	c.o.t.Helper()
	c.getID()
	return c.o.begin(c.conn, c.joinRequest(9))
}

func (c *consumer) getID() {
	c.o.t.Helper()
	if c.id != "" || c.instance != nil {
		return
	}
	resp := c.o.begin(c.conn, c.joinRequest(9)).wait(time.Second).(*kmsg.JoinGroupResponse)
	if resp.ErrorCode != kerr.MemberIDRequired.Code || resp.MemberID == "" {
		c.o.t.Fatalf("a new member is answered %+v", resp)
	}
	c.id = resp.MemberID
}

// joined takes the answer.
func (c *consumer) joined(call *call) string {
	c.o.t.Helper()
	resp := call.wait(20 * time.Second).(*kmsg.JoinGroupResponse)
	if resp.ErrorCode == 0 {
		c.id, c.generation, c.leader, c.others = resp.MemberID, resp.Generation, resp.LeaderID == resp.MemberID, nil
		for _, m := range resp.Members {
			c.others = append(c.others, m.MemberID)
		}
		if c.leader != (len(resp.Members) > 0) {
			c.o.t.Errorf("leader %s, member %s: %d members are listed", resp.LeaderID, resp.MemberID, len(resp.Members))
		}
	}
	return kafka.CodeName(resp.ErrorCode)
}

// startSync begins to sync; parts is the leader's assignment, by member.
func (c *consumer) startSync(parts map[*consumer]string) *call {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.Generation, req.MemberID, req.InstanceID = 5, c.group, c.generation, c.id, c.instance
	kind := "consumer"
	req.ProtocolType = &kind
	for m, part := range parts {
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: m.id, MemberAssignment: []byte(part)})
	}
	return c.o.begin(c.conn, req)
}

func (c *consumer) synced(call *call) string {
	c.o.t.Helper()
	resp := call.wait(20 * time.Second).(*kmsg.SyncGroupResponse)
	c.assignment = string(resp.MemberAssignment)
	return kafka.CodeName(resp.ErrorCode)
}

func (c *consumer) heartbeat() string {
	c.o.t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.Generation, req.MemberID, req.InstanceID = 4, c.group, c.generation, c.id, c.instance
	return kafka.CodeName(c.o.begin(c.conn, req).wait(time.Second).(*kmsg.HeartbeatResponse).ErrorCode)
}

func (c *consumer) leave() string {
	c.o.t.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group = 5, c.group
	req.Members = append(req.Members, kmsg.LeaveGroupRequestMember{MemberID: c.id, InstanceID: c.instance})
	resp := c.o.begin(c.conn, req).wait(time.Second).(*kmsg.LeaveGroupResponse)
	if resp.ErrorCode != 0 {
		return kafka.CodeName(resp.ErrorCode)
	}
	return kafka.CodeName(resp.Members[0].ErrorCode)
}

func (c *consumer) commitRequest(topic string, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation, req.MemberID, req.InstanceID = 8, c.group, c.generation, c.id, c.instance
	t, p := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	note := fmt.Sprintf("at %d", offset)
	p.Offset, p.LeaderEpoch, p.Metadata = offset, 3, &note
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// commit commits one offset of a topic's partition 0.
func (c *consumer) commit(topic string, offset int64) string {
	c.o.t.Helper()
	resp := c.o.begin(c.conn, c.commitRequest(topic, offset)).wait(10 * time.Second)
	return kafka.CodeName(resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
}

// committedAt returns the committed offset of a topic's partition 0.
func (o *one) committedAt(group, topic string) int64 {
	o.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = 9
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = group, []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, Partitions: []int32{0}}}
	req.Groups = append(req.Groups, g)
	got := o.do(req).(*kmsg.OffsetFetchResponse).Groups[0]
	p := got.Topics[0].Partitions[0]
	if got.ErrorCode != 0 || p.ErrorCode != 0 {
		o.t.Fatalf("offset fetch: %+v", got)
	}
	want := ""
	if p.Offset >= 0 {
		want = fmt.Sprintf("at %d", p.Offset)
	}
	if *p.Metadata != want {
		o.t.Errorf("offset %d has metadata %q", p.Offset, *p.Metadata)
	}
	return p.Offset
}

func (o *one) describe(group string) kmsg.DescribeGroupsResponseGroup {
	o.t.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version, req.Groups = 5, []string{group}
	return o.do(req).(*kmsg.DescribeGroupsResponse).Groups[0]
}

// expect compares the names of errors.
func (o *one) expect(want string, got ...string) {
	o.t.Helper()
	for _, g := range got {
		if g != want {
			o.t.Errorf("got %s, want %s", g, want)
		}
	}
}

// stable makes a generation of the given consumers; the assignment of each is the name of its
// connection.
func (o *one) stable(all ...*consumer) {
	o.t.Helper()
	for _, c := range all { // the rebalance waits for all that were promised an id
		c.getID()
	}
	var joins []*call
	for _, c := range all {
		joins = append(joins, c.join())
	}
	for i, c := range all {
		o.expect("NONE", c.joined(joins[i]))
	}
	o.syncAll(all...)
}

func (o *one) syncAll(all ...*consumer) {
	o.t.Helper()
	parts := make(map[*consumer]string)
	for _, c := range all {
		parts[c] = fmt.Sprintf("part %d", c.conn)
	}
	var syncs []*call
	for _, c := range all {
		if c.leader {
			syncs = append(syncs, c.startSync(parts))
		} else {
			syncs = append(syncs, c.startSync(nil))
		}
	}
	for i, c := range all {
		o.expect("NONE", c.synced(syncs[i]))
		if c.assignment != parts[c] {
			o.t.Errorf("connection %d got %q, want %q", c.conn, c.assignment, parts[c])
		}
	}
}

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
	for kind, want := range map[int8]*kerr.Error{1: kerr.TransactionalIDAuthorizationFailed, 2: kerr.InvalidRequest} {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKey, req.CoordinatorType = 3, "x", kind
		if resp := o.do(req).(*kmsg.FindCoordinatorResponse); resp.ErrorCode != want.Code || resp.NodeID != -1 {
			t.Errorf("type %d: %+v", kind, resp)
		}
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
		t.Fatal("b was let in before a rejoined (G1)")
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

func assignments(g kmsg.DescribeGroupsResponseGroup) (all []string) {
	for _, m := range g.Members {
		all = append(all, string(m.MemberAssignment))
	}
	slices.Sort(all)
	return all
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
	for _, id := range []string{"", string(make([]byte, maxGroupID+1))} {
		a.group = id
		o.expect("INVALID_GROUP_ID", a.heartbeat(), a.commit("t", 1), a.leave())
	}
	if n := o.groups(); n != 0 {
		t.Errorf("%d groups were left behind", n)
	}
}

// groups counts what the coordinators keep.
func (o *one) groups() (n int) {
	for _, p := range o.node.catalog.byName[groupsTopic].Partitions {
		n += len(o.node.coordinators[p.Group].groups)
	}
	return n
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

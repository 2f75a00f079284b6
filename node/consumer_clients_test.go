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

// groups counts what the coordinators keep.
func (o *one) groups() (n int) {
	for _, p := range o.node.catalog.byName[groupsTopic].Partitions {
		n += len(o.node.coordinators[p.Group].groups)
	}
	return n
}

func assignments(g kmsg.DescribeGroupsResponseGroup) (all []string) {
	for _, m := range g.Members {
		all = append(all, string(m.MemberAssignment))
	}
	slices.Sort(all)
	return all
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/consumers"
	"chronik/wal"
)

// modern is a consumer of the new protocol as a test plays it. It says all in every heartbeat.
type modern struct {
	o        *one
	conn     ConnID
	id       string
	instance *string
	epoch    int32
	topics   []string
	regex    *string
	assignor *string
	owned    consumers.Assignment // what it uses
	interval int32
}

func newModernGroups(t *testing.T) *one {
	o := newGroups(t, func(c *Config) { c.ConsumerSession, c.ConsumerHeartbeat = 2*time.Second, 500*time.Millisecond })
	o.createPartitions("p", 6)
	return o
}

func (o *one) createPartitions(topic string, n int32) {
	o.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = topic, n, 1
	req.Topics = append(req.Topics, in)
	if e := o.do(req).(*kmsg.CreateTopicsResponse).Topics[0]; e.ErrorCode != 0 {
		o.t.Fatalf("creating topic %s: %s", topic, *e.ErrorMessage)
	}
}

func (o *one) modern(conn ConnID) *modern {
	return &modern{o: o, conn: conn, id: fmt.Sprintf("member %d", conn), topics: []string{"p"}}
}

func (m *modern) request() *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.MemberEpoch = 1, "g", m.id, m.instance, m.epoch
	req.RebalanceTimeoutMillis, req.SubscribedTopicNames, req.SubscribedTopicRegex, req.ServerAssignor = 4000, m.topics, m.regex, m.assignor
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for _, t := range m.owned {
		req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: m.o.node.catalog.byGroup[t.Topic].Topic.uuid, Partitions: t.Partitions})
	}
	return req
}

// take does what an answer says: it gives up at once what it may not use any more.
func (m *modern) take(resp *kmsg.ConsumerGroupHeartbeatResponse) string {
	if resp.ErrorCode != 0 {
		return kafka.CodeName(resp.ErrorCode)
	}
	m.epoch, m.interval = resp.MemberEpoch, resp.HeartbeatIntervalMillis
	if resp.Assignment != nil {
		m.owned = nil
		for _, t := range resp.Assignment.Topics {
			m.owned = append(m.owned, consumers.TopicSet{Topic: m.o.node.catalog.byID[t.TopicID].id(), Partitions: t.Partitions})
		}
	}
	return "NONE"
}

func (m *modern) beat() string {
	m.o.t.Helper()
	return m.take(m.o.begin(m.conn, m.request()).wait(5 * time.Second).(*kmsg.ConsumerGroupHeartbeatResponse))
}

// say sends a heartbeat with the given epoch and takes only its error.
func (m *modern) say(epoch int32) string {
	m.o.t.Helper()
	req := m.request()
	req.MemberEpoch = epoch
	return kafka.CodeName(m.o.begin(m.conn, req).wait(5 * time.Second).(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode)
}

// has lists what a member owns, by name.
func (m *modern) has() string {
	var names []string
	for _, s := range m.owned.Slots() {
		names = append(names, fmt.Sprintf("%s%d", m.o.node.catalog.byGroup[s.Topic].Topic.Name, s.Partition))
	}
	return strings.Join(names, " ")
}

func (o *one) describeModern() kmsg.ConsumerGroupDescribeResponseGroup {
	o.t.Helper()
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Version, req.Groups = 1, []string{"g"}
	return o.do(req).(*kmsg.ConsumerGroupDescribeResponse).Groups[0]
}

func (o *one) want(what string, want, got any) {
	o.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		o.t.Errorf("%s: %s", what, diff)
	}
}

// TestModernGroup is KIP-848: a second member gets partitions when the first has given them up.
func TestModernGroup(t *testing.T) {
	o := newModernGroups(t)
	a, b := o.modern(11), o.modern(12)
	o.expect("NONE", a.beat())
	o.want("alone", "1 p0 p1 p2 p3 p4 p5 500", fmt.Sprint(a.epoch, " ", a.has(), " ", a.interval))
	o.expect("NONE", b.beat())
	o.want("b comes", "2 ", fmt.Sprint(b.epoch, " ", b.has()))
	o.want("state", "Reconciling", o.describeModern().State)

	// a hears of its new target, and stays in its epoch until it has given up the rest.
	before := a.owned
	o.expect("NONE", a.beat())
	o.want("a has to revoke", "1 p0 p1 p2", fmt.Sprint(a.epoch, " ", a.has()))
	o.expect("NONE", b.beat())
	o.want("b waits for a", "2 ", fmt.Sprint(b.epoch, " ", b.has()))
	slow := *a
	slow.owned = before // still revoking
	o.expect("NONE", slow.beat(), b.beat())
	o.want("a is slow", "1 2 ", fmt.Sprint(slow.epoch, " ", b.epoch, " ", b.has()))
	o.expect("NONE", a.beat(), b.beat())
	o.want("moved", "2 p0 p1 p2, 2 p3 p4 p5", fmt.Sprint(a.epoch, " ", a.has(), ", ", b.epoch, " ", b.has()))

	d := o.describeModern()
	o.want("description", "Stable 2 2 uniform 2", fmt.Sprint(d.State, " ", d.Epoch, " ", d.AssignmentEpoch, " ", d.AssignorName, " ", len(d.Members)))
	m := d.Members[0]
	o.want("member", "member 11 2 c p 1 p", fmt.Sprint(m.MemberID, " ", m.MemberEpoch, " ", m.ClientID, " ", m.SubscribedTopics[0], " ", m.MemberType, " ", m.Assignment.TopicPartitions[0].Topic))
	o.want("host", "/10.0.0.11", m.ClientHost)
	o.want("parts", [][]int32{{0, 1, 2}, {0, 1, 2}}, [][]int32{m.Assignment.TopicPartitions[0].Partitions, m.TargetAssignment.TopicPartitions[0].Partitions})
	o.want("list", []string{`g Stable "consumer" consumer`}, o.list(nil, []string{"consumer"}))
	o.want("list of classic ones", []string(nil), o.list(nil, []string{"classic"}))
	o.want("the old way to describe", "Dead", o.describe("g").State)

	// b leaves; a gets everything in its next heartbeat.
	o.expect("NONE", b.say(leaveEpoch))
	o.want("state", "Assigning", o.describeModern().State)
	o.expect("NONE", a.beat())
	o.want("alone again", "3 p0 p1 p2 p3 p4 p5", fmt.Sprint(a.epoch, " ", a.has()))
	o.expect("UNKNOWN_MEMBER_ID", b.beat())
	o.expect("NONE", a.say(leaveEpoch))
	o.want("state", "Empty", o.describeModern().State)
}

func TestModernHeartbeatSaysLittle(t *testing.T) {
	o := newModernGroups(t)
	a := o.modern(11)
	o.expect("NONE", a.beat())
	entries := o.events[EventAppended]
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, "g", a.id, a.epoch
	resp := o.begin(11, req).wait(time.Second).(*kmsg.ConsumerGroupHeartbeatResponse)
	if resp.ErrorCode != 0 || resp.Assignment != nil || resp.MemberEpoch != 1 {
		t.Errorf("%+v", resp)
	}
	if o.events[EventAppended] != entries {
		t.Error("a heartbeat in which nothing is new costs an entry")
	}
}

func TestModernMembersAreFenced(t *testing.T) {
	o := newModernGroups(t)
	a, b := o.modern(11), o.modern(12)
	o.expect("GROUP_ID_NOT_FOUND", a.say(1))
	o.expect("NONE", a.beat(), b.beat(), a.beat(), a.beat())
	o.want("epoch", int32(2), a.epoch)
	o.expect("FENCED_MEMBER_EPOCH", a.say(3))
	o.expect("NONE", a.say(1)) // the answer that told of epoch 2 may have been lost
	greedy := *a
	greedy.owned = b.owned
	o.expect("NONE", b.beat())
	greedy.owned = b.owned
	o.expect("FENCED_MEMBER_EPOCH", greedy.say(1)) // but it can't own what it never had
	stranger := o.modern(13)
	o.expect("UNKNOWN_MEMBER_ID", stranger.say(1))

	// a is silent for a session; b gets its partitions. a may begin anew.
	for range 5 {
		o.pass(500 * time.Millisecond)
		o.expect("NONE", b.beat())
	}
	o.want("b has all", "p0 p1 p2 p3 p4 p5", b.has())
	o.expect("UNKNOWN_MEMBER_ID", a.beat())
	a.epoch, a.owned = 0, nil
	o.expect("NONE", a.beat())
	again := *a // a client may also begin anew without having been fenced
	again.epoch, again.owned = 0, nil
	o.expect("NONE", again.beat())
	o.want("members", 2, len(o.describeModern().Members))
}

// TestModernMemberHasToRevokeInTime: who keeps what it should give up is thrown out after its
// rebalance timeout, although it heartbeats.
func TestModernMemberHasToRevokeInTime(t *testing.T) {
	o := newModernGroups(t)
	a, b := o.modern(11), o.modern(12)
	o.expect("NONE", a.beat(), b.beat())
	for range 7 {
		stubborn := *a
		o.expect("NONE", stubborn.beat(), b.beat())
		o.pass(500 * time.Millisecond)
	}
	o.want("b waits", "", b.has())
	o.pass(700 * time.Millisecond)
	o.expect("UNKNOWN_MEMBER_ID", a.beat())
	o.expect("NONE", b.beat())
	o.want("b has all", "p0 p1 p2 p3 p4 p5", b.has())
}

// TestModernMemberNamesAnUnknownTopic is a coordinator that doesn't know a topic of which the member has partitions: its catalog
// may be behind. The member has to say that it gave them up before it comes to the next epoch.
func TestModernMemberNamesAnUnknownTopic(t *testing.T) {
	o := newModernGroups(t)
	o.createPartitions("q", 1)
	a := o.modern(11)
	a.topics = []string{"p", "q"}
	o.expect("NONE", a.beat(), a.beat())
	o.want("a has all", "p0 p1 p2 p3 p4 p5 q0", a.has())
	said := a.request() // with q, which is gone when it arrives
	epoch := a.epoch
	o.expect("NONE", o.deleteByID(o.idOf("q")))
	o.expect("NONE", a.take(o.begin(a.conn, said).wait(5*time.Second).(*kmsg.ConsumerGroupHeartbeatResponse)))
	o.want("it has to give up q first", fmt.Sprint(epoch, " p0 p1 p2 p3 p4 p5"), fmt.Sprint(a.epoch, " ", a.has()))
	o.expect("NONE", a.beat())
	o.want("next epoch", epoch+1, a.epoch)
}

func TestModernSurvivesItsCoordinator(t *testing.T) {
	o := newModernGroups(t)
	a, b := o.modern(11), o.modern(12)
	o.expect("NONE", a.beat(), b.beat(), a.beat())
	o.restart() // while a revokes
	o.pass(500 * time.Millisecond)
	o.expect("NONE", b.beat())
	o.want("b still waits", "", b.has())
	o.expect("NONE", a.beat(), b.beat())
	o.want("moved", "2 p0 p1 p2, 2 p3 p4 p5", fmt.Sprint(a.epoch, " ", a.has(), ", ", b.epoch, " ", b.has()))
	o.restart()
	o.pass(3 * time.Second) // both are silent for a session
	o.expect("UNKNOWN_MEMBER_ID", a.beat(), b.beat())
	o.want("state", "Empty", o.describeModern().State)
}

func TestModernStaticMembers(t *testing.T) {
	o := newModernGroups(t)
	a, b := o.modern(11), o.modern(12)
	one, two := "one", "two"
	a.instance, b.instance = &one, &two
	o.expect("NONE", a.beat(), b.beat(), a.beat(), a.beat(), b.beat())
	epoch := b.epoch
	other := o.modern(22)
	other.instance = &two
	o.expect("UNRELEASED_INSTANCE_ID", other.beat())
	o.expect("FENCED_INSTANCE_ID", other.say(epoch))
	o.expect("NONE", b.say(awayEpoch), a.beat())
	o.want("b's part is kept", "p0 p1 p2", a.has())
	o.expect("FENCED_MEMBER_EPOCH", b.say(epoch))
	o.expect("NONE", other.beat(), a.beat())
	o.want("it came back as another", "p3 p4 p5, epochs as before", fmt.Sprintf("%s, epochs as before", other.has()))
	for _, m := range o.describeModern().Members {
		if m.MemberID == other.id {
			o.want("from another address", "/10.0.0.22", m.ClientHost)
		}
	}
	if other.epoch != epoch || a.epoch != epoch {
		t.Errorf("epochs %d and %d, want %d", other.epoch, a.epoch, epoch)
	}
	o.expect("FENCED_INSTANCE_ID", b.say(epoch))
	o.expect("NONE", other.say(awayEpoch))
	for range 5 {
		o.pass(500 * time.Millisecond)
		o.expect("NONE", a.beat())
	}
	o.want("it didn't come back", "p0 p1 p2 p3 p4 p5", a.has())
	dynamic := o.modern(13)
	o.expect("NONE", dynamic.beat())
	o.expect("INVALID_REQUEST", dynamic.say(awayEpoch))
}

// A static member that is away keeps its session when the one that comes in its place is refused. Without one it would keep its
// partitions for ever.
func TestModernStaticMemberWhoseHeirIsRefused(t *testing.T) {
	o := newModernGroups(t)
	a, b, heir := o.modern(11), o.modern(12), o.modern(22)
	one, two, bad := "one", "two", "("
	a.instance, b.instance, heir.instance, heir.regex = &one, &two, &two, &bad
	o.expect("NONE", a.beat(), b.beat(), a.beat(), a.beat(), b.beat(), b.say(awayEpoch))
	o.expect("INVALID_REGULAR_EXPRESSION", heir.beat())
	for range 5 {
		o.pass(500 * time.Millisecond)
		o.expect("NONE", a.beat())
	}
	o.want("nobody came in its place", "p0 p1 p2 p3 p4 p5", a.has())
}

// TestModernSubscriptions: by name, by regular expression, and when topics come, grow and go.
func TestModernSubscriptions(t *testing.T) {
	o := newModernGroups(t)
	a, b := o.modern(11), o.modern(12)
	a.topics = []string{"p", "later"}
	o.expect("NONE", a.beat())
	o.createPartitions("later", 2)
	o.expect("NONE", a.beat())
	o.want("a topic came", "2 later0 later1 p0 p1 p2 p3 p4 p5", fmt.Sprint(a.epoch, " ", sorted(a.has())))
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Version, grow.TimeoutMillis = 3, 5000
	grow.Topics = append(grow.Topics, kmsg.CreatePartitionsRequestTopic{Topic: "later", Count: 3})
	if e := o.do(grow).(*kmsg.CreatePartitionsResponse).Topics[0]; e.ErrorCode != 0 {
		t.Fatal(*e.ErrorMessage)
	}
	o.expect("NONE", a.beat())
	o.want("it grew", "3 later0 later1 later2 p0 p1 p2 p3 p4 p5", fmt.Sprint(a.epoch, " ", sorted(a.has())))

	lat, range_ := "lat.*", "range"
	b.topics, b.regex = nil, &lat
	o.expect("NONE", b.beat(), a.beat(), a.beat(), b.beat())
	o.want("b has what it may", "later0 later1 later2", sorted(b.has()))
	o.want("a has the rest", "p0 p1 p2 p3 p4 p5", sorted(a.has()))
	bad, all := "(", ".*"
	b.regex = &bad
	o.expect("INVALID_REGULAR_EXPRESSION", b.beat())
	b.regex, b.assignor, a.assignor = &all, &range_, &range_
	o.expect("NONE", b.beat(), a.beat(), a.beat(), b.beat(), a.beat())
	o.want("ranges; the brokers' own topic is there", "later0 later1 p0 p1 p2, __consumer_offsets0 __consumer_offsets1 later2 p3 p4 p5 t0", sorted(a.has())+", "+sorted(b.has()))
	unknown := "best"
	b.assignor = &unknown
	o.expect("UNSUPPORTED_ASSIGNOR", b.beat())
	b.assignor = &range_

	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames = 5, []string{"later"}
	o.do(del)
	a.owned = slices.DeleteFunc(a.owned, func(s consumers.TopicSet) bool { return o.node.catalog.byGroup[s.Topic] == nil })
	b.owned = slices.DeleteFunc(b.owned, func(s consumers.TopicSet) bool { return o.node.catalog.byGroup[s.Topic] == nil })
	o.expect("NONE", a.beat(), b.beat(), a.beat(), b.beat())
	o.want("a topic went", "p0 p1 p2, __consumer_offsets0 __consumer_offsets1 p3 p4 p5 t0", sorted(a.has())+", "+sorted(b.has()))
	o.want("state", "Stable", o.describeModern().State)
}

func sorted(words string) string {
	all := strings.Fields(words)
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestModernMemberIsHeardWhileTheDiskIsSlow: a session that ends while its member's heartbeat is on
// the way into the log hasn't ended.
func TestModernMemberIsHeardWhileTheDiskIsSlow(t *testing.T) {
	o := newModernGroups(t)
	a := o.modern(11)
	o.expect("NONE", a.beat())
	o.pass(1900 * time.Millisecond)
	a.topics = []string{"p", "t"}
	o.lastID++
	out := o.node.Step(&Input{Now: o.now, Requests: []Request{{Conn: 11, Frame: kafka.AppendRequest(nil, o.lastID, "c", a.request())}}})
	ops := slices.Clone(out.Ops)
	if len(ops) == 0 || len(out.Replies) > 0 {
		t.Fatalf("%d operations, %d replies", len(ops), len(out.Replies))
	}
	o.now = o.now.Add(200 * time.Millisecond)
	out = o.node.Step(&Input{Now: o.now})
	for _, op := range append(ops, out.Ops...) {
		o.results = append(o.results, wal.Do(o.dir, op))
	}
	o.step(Input{})
	o.replies = nil
	a.epoch = 2
	o.expect("NONE", a.beat())
	o.want("what it has", "2 p0 p1 p2 p3 p4 p5 t0", fmt.Sprint(a.epoch, " ", sorted(a.has())))
}

// TestModernMemberIsMissedAgain: a session ends while nothing can be written. The change that removes its member comes to nothing, and the next
// one removes it.
func TestModernMemberIsMissedAgain(t *testing.T) {
	o := newModernGroups(t)
	a := o.modern(11)
	o.expect("NONE", a.beat())
	o.byHand = true
	o.node.underway += o.node.cfg.UnderwayBytes
	o.pass(2500 * time.Millisecond)
	o.want("members while nothing can be written", 1, len(o.describeModern().Members))
	o.node.underway -= o.node.cfg.UnderwayBytes
	o.pass(2500 * time.Millisecond)
	o.want("members afterwards", 0, len(o.describeModern().Members))
}

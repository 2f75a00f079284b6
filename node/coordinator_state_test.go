// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"chronik/kafka"
)

// offsetText is the default of Config.OffsetMetadataBytes.
const offsetText = 4 << 10

// TestCoordinatorRestart: members go on in their generation, with their offsets, after the
// coordinator was down; those that don't come back are lost after a session.
func TestCoordinatorRestart(t *testing.T) {
	o := newGroups(t, nil)
	a, b := o.consumer(11), o.consumer(12)
	o.stable(a, b)
	o.expect("NONE", a.commit("t", 42))
	o.restart()
	o.pass(500 * time.Millisecond) // elections
	if diff := cmp.Diff([]string{"part 11", "part 12"}, assignments(o.describe("g"))); diff != "" {
		t.Error(diff)
	}
	o.expect("NONE", a.heartbeat(), a.commit("t", 43), a.synced(a.startSync(nil)))
	if a.assignment != "part 11" {
		t.Errorf("%q", a.assignment)
	}
	o.pass(700 * time.Millisecond)
	o.expect("NONE", a.heartbeat())
	o.pass(900 * time.Millisecond)
	o.expect("REBALANCE_IN_PROGRESS", a.heartbeat())
	o.stable(a)
	if a.generation != 2 {
		t.Errorf("generation %d", a.generation)
	}
	o.expect("NONE", a.leave())
	o.restart()
	o.pass(time.Second)
	if g := o.describe("g"); g.State != "Empty" || g.ProtocolType != "consumer" {
		t.Errorf("%+v", g)
	}
	if got := o.committedAt("g", "t"); got != 43 {
		t.Errorf("committed offset %d", got)
	}
	a.id = ""
	o.stable(a)
	if a.generation != 4 { // 3 was the empty one
		t.Errorf("generation %d: it has to go on where it was", a.generation)
	}
}

// TestUnfinishedRebalanceIsForgotten: what wasn't committed never was. Members of the generation that
// was about to begin have to join again.
func TestUnfinishedRebalanceIsForgotten(t *testing.T) {
	o := newGroups(t, nil)
	a, b := o.consumer(11), o.consumer(12)
	o.stable(a)
	old := *a
	joinB, joinA := b.join(), a.join()
	o.expect("NONE", a.joined(joinA), b.joined(joinB))
	o.restart()
	o.pass(time.Second)
	o.expect("NONE", old.heartbeat())
	o.expect("ILLEGAL_GENERATION", a.heartbeat(), a.commit("t", 1))
	o.expect("UNKNOWN_MEMBER_ID", b.heartbeat())
}

// TestLostLeadership: whoever waits for the coordinator is sent away when it no longer is one.
func TestLostLeadership(t *testing.T) {
	o := newGroups(t, nil)
	a, b := o.consumer(11), o.consumer(12)
	o.stable(a, b)
	joinB := o.begin(12, b.joinRequest(9))
	if joinB.peek() == nil {
		t.Fatal("the same again is answered at once")
	}
	c := o.consumer(13)
	joinC := c.join()
	g := o.node.coordinators[o.node.coordinatorPartition("g").Group]
	timers := o.node.deadlines.len()
	inStep := func(do func()) {
		o.node.deadlines.add(o.now, do)
		o.step(Input{})
	}
	inStep(func() {
		g.group.serving = false
		g.following()
	})
	if left := o.node.deadlines.len(); left != timers-5 { // three members, the rebalance, the sweep
		t.Errorf("%d of %d timers are left", left, timers)
	}
	o.expect("NOT_COORDINATOR", c.joined(joinC))
	inStep(func() {
		g.leading()
		g.group.serving = true
	})
	o.expect("NONE", a.heartbeat(), b.heartbeat())
	o.expect("UNKNOWN_MEMBER_ID", c.heartbeat())
	g.group.serving = false
	o.expect("COORDINATOR_LOAD_IN_PROGRESS", a.heartbeat(), a.leave(), a.commit("t", 1), a.joined(a.join()))
	lead := g.group.lead
	g.group.lead = 0
	o.expect("NOT_COORDINATOR", a.heartbeat(), a.leave(), a.commit("t", 1), a.joined(a.join()))
	g.group.lead, g.group.serving = lead, true
}

// TestStaticMembers is KIP-345.
func TestStaticMembers(t *testing.T) {
	o := newGroups(t, nil)
	a, b := o.static(11, "one"), o.static(12, "two")
	o.stable(a)
	joinB, joinA := b.join(), a.join()
	o.expect("NONE", a.joined(joinA), b.joined(joinB))
	o.syncAll(a, b)

	// b restarts: it comes without an id, keeps its assignment, and nobody else notices.
	b2 := o.static(22, "two")
	o.expect("NONE", b2.joined(b2.join()))
	if b2.generation != b.generation || b2.id == b.id || b2.leader {
		t.Errorf("%+v", b2)
	}
	o.expect("NONE", b2.synced(b2.startSync(nil)), a.heartbeat(), b2.commit("t", 1))
	if b2.assignment != "part 12" {
		t.Errorf("assignment %q", b2.assignment)
	}
	o.expect("FENCED_INSTANCE_ID", b.heartbeat(), b.commit("t", 2), b.synced(b.startSync(nil)), b.leave(), b.joined(b.join()))

	// The same for the leader, which must not assign anew.
	a2 := o.static(21, "one")
	resp := o.begin(21, a2.joinRequest(9)).wait(time.Second).(*kmsg.JoinGroupResponse)
	if resp.ErrorCode != 0 || !resp.SkipAssignment || resp.LeaderID != resp.MemberID || len(resp.Members) != 2 {
		t.Errorf("v9: %+v", resp)
	}
	a3 := o.static(31, "one")
	old := o.begin(31, a3.joinRequest(8)).wait(time.Second).(*kmsg.JoinGroupResponse)
	if old.ErrorCode != 0 || old.LeaderID != resp.MemberID || old.MemberID == resp.MemberID || len(old.Members) != 0 {
		t.Errorf("v8: %+v", old)
	}
	o.expect("NONE", b2.heartbeat())

	// The replacement survives the coordinator.
	o.restart()
	o.pass(time.Second)
	o.expect("NONE", b2.heartbeat())
	o.expect("FENCED_INSTANCE_ID", b.heartbeat())

	// An administrator removes a by name.
	admin := o.static(99, "one")
	o.expect("NONE", admin.leave())
	o.expect("UNKNOWN_MEMBER_ID", admin.leave())
	o.expect("REBALANCE_IN_PROGRESS", b2.heartbeat())
}

// TestStaticMemberIsFencedWhileItWaits: the older of two processes with one name loses.
func TestStaticMemberIsFencedWhileItWaits(t *testing.T) {
	o := newGroups(t, nil)
	a, b := o.consumer(11), o.static(12, "two")
	o.stable(a)
	joinB := b.join()
	b2 := o.static(22, "two")
	joinB2 := b2.join()
	o.expect("FENCED_INSTANCE_ID", b.joined(joinB))
	joinA := a.join()
	o.expect("NONE", a.joined(joinA), b2.joined(joinB2))
	syncB2 := b2.startSync(nil)
	b3 := o.static(32, "two") // while the others sync: the leader would assign to an id that is gone
	joinB3 := b3.join()
	o.expect("FENCED_INSTANCE_ID", b2.synced(syncB2))
	o.expect("REBALANCE_IN_PROGRESS", a.heartbeat())
	joinA = a.join()
	o.expect("NONE", a.joined(joinA), b3.joined(joinB3))
	o.syncAll(a, b3)
}

// TestAbsentStaticMemberKeepsItsPlace: a rebalance goes on without it, but not for ever.
func TestAbsentStaticMemberKeepsItsPlace(t *testing.T) {
	o := newGroups(t, nil)
	a, b, c := o.consumer(11), o.static(12, "two"), o.consumer(13)
	b.session = 10000
	o.stable(a)
	joinB, joinA := b.join(), a.join()
	o.expect("NONE", a.joined(joinA), b.joined(joinB))
	o.syncAll(a, b)
	joinC, joinA := c.join(), a.join()
	o.expect("NONE", a.joined(joinA), c.joined(joinC))
	if len(a.others) != 3 {
		t.Errorf("members %v: the static one is still one of them", a.others)
	}
	o.syncAll(a, c)
	o.expect("ILLEGAL_GENERATION", b.heartbeat())
	for range 8 { // its session ends: it was last heard 4 s before
		a.heartbeat()
		c.heartbeat()
		o.pass(800 * time.Millisecond)
	}
	o.expect("REBALANCE_IN_PROGRESS", a.heartbeat(), c.heartbeat())
	o.expect("UNKNOWN_MEMBER_ID", b.heartbeat())
}

func TestCommitWithoutGroup(t *testing.T) {
	o := newGroups(t, nil)
	admin := o.consumer(11)
	o.expect("UNKNOWN_TOPIC_OR_PARTITION", admin.commit("nosuch", 1))
	if o.groups() != 0 {
		t.Error("a refused commit leaves a group behind")
	}
	o.expect("NONE", admin.commit("t", 10))
	if g := o.describe("g"); g.State != "Empty" || g.ProtocolType != "" {
		t.Errorf("%+v", g)
	}
	a := o.consumer(12)
	o.stable(a)
	o.expect("UNKNOWN_MEMBER_ID", admin.commit("t", 11))
	o.expect("NONE", a.leave(), admin.commit("t", 12))
	o.restart()
	o.pass(time.Second)
	if got := o.committedAt("g", "t"); got != 12 {
		t.Errorf("committed offset %d", got)
	}
}

func TestCommitIsBounded(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.MaxMessageBytes = 10000 })
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, "g", -1
	ct := kmsg.NewOffsetCommitRequestTopic()
	ct.Topic = "t"
	add := func(n int) {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		text := string(make([]byte, n))
		p.Metadata = &text
		ct.Partitions = append(ct.Partitions, p)
		req.Topics = []kmsg.OffsetCommitRequestTopic{ct}
	}
	ask := func() (names []string) {
		for _, p := range o.do(req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions {
			names = append(names, kafka.CodeName(p.ErrorCode))
		}
		return names
	}
	add(offsetText)
	add(offsetText + 1)
	if diff := cmp.Diff([]string{"NONE", "OFFSET_METADATA_TOO_LARGE"}, ask()); diff != "" {
		t.Error(diff)
	}
	add(offsetText)
	add(offsetText)
	for _, name := range ask() {
		o.expect("INVALID_COMMIT_OFFSET_SIZE", name)
	}
}

// TestOffsetFetchForms asks in the forms of old and new versions.
func TestOffsetFetchForms(t *testing.T) {
	o := newGroups(t, nil)
	o.create("u")
	admin := o.consumer(11)
	o.expect("NONE", admin.commit("u", 2), admin.commit("t", 1))
	topics := []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}, {Topic: "nosuch", Partitions: []int32{0}}}
	for version := int16(1); version < 8; version++ {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Group, req.Topics = version, "g", topics
		got := o.do(req).(*kmsg.OffsetFetchResponse)
		var lines []string
		for _, rt := range got.Topics {
			for _, p := range rt.Partitions {
				lines = append(lines, fmt.Sprintf("%s/%d %d %q %d", rt.Topic, p.Partition, p.Offset, *p.Metadata, p.ErrorCode))
			}
		}
		want := []string{`t/0 1 "at 1" 0`, `t/1 -1 "" 0`, `nosuch/0 -1 "" 0`}
		if diff := cmp.Diff(want, lines); diff != "" || got.ErrorCode != 0 {
			t.Errorf("v%d: error %d, %s", version, got.ErrorCode, diff)
		}
		if version >= 5 && got.Topics[0].Partitions[0].LeaderEpoch != 3 {
			t.Errorf("v%d: %+v", version, got.Topics[0])
		}
	}
	for version, want := range map[int16]int{1: 0, 2: 2, 7: 2, 8: 2, 9: 2} { // null topics: all, from v2
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Group = version, "g"
		one := kmsg.NewOffsetFetchRequestGroup()
		one.Group = "g"
		req.Groups = append(req.Groups, one)
		got := o.do(req).(*kmsg.OffsetFetchResponse)
		n := len(got.Topics)
		if version >= 8 {
			n = len(got.Groups[0].Topics)
		}
		if n != want {
			t.Errorf("v%d with null topics: %d topics, want %d", version, n, want)
		}
	}
	// Errors have a place of their own in each form.
	for version := int16(1); version <= 9; version++ {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Topics = version, topics
		req.Groups = append(req.Groups, kmsg.NewOffsetFetchRequestGroup())
		got := o.do(req).(*kmsg.OffsetFetchResponse)
		errorCode := got.ErrorCode
		switch {
		case version < 2:
			errorCode = got.Topics[0].Partitions[1].ErrorCode
		case version >= 8:
			errorCode = got.Groups[0].ErrorCode
		}
		if errorCode != kerr.InvalidGroupID.Code {
			t.Errorf("v%d: %+v", version, got)
		}
	}
}

func (o *one) list(states, types []string) (names []string) {
	o.t.Helper()
	req := kmsg.NewPtrListGroupsRequest()
	req.Version, req.StatesFilter, req.TypesFilter = 5, states, types
	resp := o.do(req).(*kmsg.ListGroupsResponse)
	if resp.ErrorCode != 0 {
		o.t.Fatalf("%+v", resp)
	}
	for _, g := range resp.Groups {
		names = append(names, fmt.Sprintf("%s %s %q %s", g.Group, g.GroupState, g.ProtocolType, g.GroupType))
	}
	slices.Sort(names)
	return names
}

func TestListDescribeDelete(t *testing.T) {
	o := newGroups(t, nil)
	a, admin := o.consumer(11), o.consumer(12)
	o.stable(a)
	admin.group = "h"
	o.expect("NONE", admin.commit("t", 1))
	for _, c := range []struct{ states, types, want []string }{
		{nil, nil, []string{`g Stable "consumer" classic`, `h Empty "" classic`}},
		{[]string{"stable"}, nil, []string{`g Stable "consumer" classic`}},
		{[]string{"Empty", "Dead"}, []string{"Classic"}, []string{`h Empty "" classic`}},
		{nil, []string{"consumer"}, nil},
	} {
		if diff := cmp.Diff(c.want, o.list(c.states, c.types)); diff != "" {
			t.Error(c, diff)
		}
	}
	if d := o.describe("g"); d.State != "Stable" || d.Protocol != "range" || len(d.Members) != 1 || d.Members[0].ClientID != "c" || !strings.HasPrefix(d.Members[0].ClientHost, "/10.0.0.") || d.Members[0].MemberID != a.id {
		t.Errorf("%+v", d)
	}
	joinB := o.consumer(13).join()
	if d := o.describe("g"); d.State != "PreparingRebalance" || d.Protocol != "" || len(d.Members) != 2 || len(d.Members[0].MemberAssignment) != 0 {
		t.Errorf("%+v", d)
	}
	a.joined(a.join())
	joinB.wait(time.Second)
	if d := o.describe("g"); d.State != "CompletingRebalance" {
		t.Errorf("%+v", d)
	}
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Version, del.Groups = 2, []string{"g", "h", "nosuch", "h", ""}
	var codes []string
	for _, g := range o.do(del).(*kmsg.DeleteGroupsResponse).Groups {
		codes = append(codes, kafka.CodeName(g.ErrorCode))
	}
	if diff := cmp.Diff([]string{"NON_EMPTY_GROUP", "NONE", "GROUP_ID_NOT_FOUND", "INVALID_GROUP_ID"}, codes); diff != "" {
		t.Error(diff)
	}
	if got := o.committedAt("h", "t"); got != -1 || o.groups() != 1 {
		t.Errorf("offset %d of a deleted group, %d groups", got, o.groups())
	}
	o.restart()
	o.pass(time.Second)
	if got := o.committedAt("h", "t"); got != -1 {
		t.Errorf("a deleted group is back: %d", got)
	}
	six := kmsg.NewPtrDescribeGroupsRequest()
	six.Version, six.Groups = 6, []string{"h"}
	if g := o.do(six).(*kmsg.DescribeGroupsResponse).Groups[0]; g.ErrorCode != kerr.GroupIDNotFound.Code || g.State != "Dead" {
		t.Errorf("v6: %+v", g)
	}
}

func TestOffsetDelete(t *testing.T) {
	o := newGroups(t, nil)
	o.create("u")
	a := o.consumer(11)
	ask := func(group string) (code string, topics []string) {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		for _, name := range []string{"t", "u"} {
			rt := kmsg.NewOffsetDeleteRequestTopic()
			rt.Topic, rt.Partitions = name, []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}
			req.Topics = append(req.Topics, rt)
		}
		resp := o.do(req).(*kmsg.OffsetDeleteResponse)
		for _, rt := range resp.Topics {
			topics = append(topics, kafka.CodeName(rt.Partitions[0].ErrorCode))
		}
		return kafka.CodeName(resp.ErrorCode), topics
	}
	if code, _ := ask("g"); code != "GROUP_ID_NOT_FOUND" {
		t.Error(code)
	}
	o.stable(a)
	o.expect("NONE", a.commit("t", 1), a.commit("u", 2))
	code, topics := ask("g")
	if diff := cmp.Diff([]string{"GROUP_SUBSCRIBED_TO_TOPIC", "NONE"}, topics); diff != "" || code != "NONE" {
		t.Error(code, diff)
	}
	if t1, u := o.committedAt("g", "t"), o.committedAt("g", "u"); t1 != 1 || u != -1 {
		t.Errorf("offsets %d, %d", t1, u)
	}
	b := o.consumer(12)
	b.group = "h"
	b.subscribes = nil
	req := b.joinRequest(3)
	req.ProtocolType, req.Protocols[0].Metadata = "connect", []byte("?")
	o.begin(12, req).wait(time.Second)
	if code, _ := ask("h"); code != "NON_EMPTY_GROUP" {
		t.Error(code)
	}
}

// TestOffsetsExpire is KIP-211: the time counts from when the group lost its last member, or from the
// last commit if that was later.
func TestOffsetsExpire(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.OffsetsRetention, c.OffsetsCheckInterval = time.Minute, time.Second })
	o.pass(2 * time.Minute) // the clock of the wall began at 0
	a, admin, idle := o.consumer(11), o.consumer(12), o.consumer(13)
	a.session, a.rebalance = 100000, 100000
	admin.group, idle.group = "h", "i"
	o.stable(a)
	o.expect("NONE", a.commit("t", 1), admin.commit("t", 2))
	o.pass(50 * time.Second)
	o.expect("NONE", admin.commit("t", 3))
	o.pass(40 * time.Second)
	if x, y := o.committedAt("g", "t"), o.committedAt("h", "t"); x != 1 || y != 3 {
		t.Errorf("offsets %d, %d are gone too early", x, y)
	}
	o.expect("NONE", a.leave())
	o.pass(22 * time.Second)
	if x, y := o.committedAt("g", "t"), o.committedAt("h", "t"); x != 1 || y != -1 {
		t.Errorf("offsets %d, %d", x, y)
	}
	o.pass(40 * time.Second)
	if x := o.committedAt("g", "t"); x != -1 || o.groups() != 0 || o.events[EventGroupExpired] != 2 {
		t.Errorf("offset %d, %d groups, %d events", x, o.groups(), o.events[EventGroupExpired])
	}
	o.stable(idle)
	o.expect("NONE", idle.leave())
	o.pass(2 * time.Second)
	if o.groups() != 0 {
		t.Error("without offsets there is nothing to keep")
	}
}

// TestOffsetsOfDeletedTopics: a topic of the same name is another topic.
func TestOffsetsOfDeletedTopics(t *testing.T) {
	o := newGroups(t, func(c *Config) { c.OffsetsCheckInterval = 5 * time.Second })
	o.create("u")
	admin := o.consumer(11)
	o.expect("NONE", admin.commit("t", 5), admin.commit("u", 6))
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames = 5, []string{"t", "u"}
	o.do(del)
	o.create("t")
	all := kmsg.NewPtrOffsetFetchRequest()
	all.Version, all.Group = 5, "g"
	if got := o.do(all).(*kmsg.OffsetFetchResponse); len(got.Topics) != 0 {
		t.Errorf("%+v", got.Topics)
	}
	if x, y := o.committedAt("g", "t"), o.committedAt("g", "u"); x != -1 || y != -1 {
		t.Errorf("offsets %d, %d of topics that are gone", x, y)
	}
	o.expect("NONE", admin.commit("t", 7))
	o.pass(6 * time.Second)
	g := o.node.coordinators[o.node.coordinatorPartition("g").Group].find("g")
	if len(g.stored.topics) != 1 || o.committedAt("g", "t") != 7 {
		t.Errorf("%+v", g.stored.topics)
	}
}

// TestSnapshotProperties: a state built from a snapshot is the same as one built from the entries, and
// stays so when more entries come.
func TestSnapshotProperties(t *testing.T) {
	name := rapid.StringMatching(`[a-c]`)
	record := rapid.Custom(func(t *rapid.T) kafka.Record {
		group, topic, partition := name.Draw(t, "group"), name.Draw(t, "topic"), rapid.Int32Range(0, 3).Draw(t, "partition")
		switch rapid.IntRange(0, 12).Draw(t, "kind") {
		case 10:
			return (&modernState{Epoch: rapid.Int32().Draw(t, "epoch"), Topics: anyPartitions.Draw(t, "topics")}).record(group)
		case 11:
			return (&modernMember{ID: name.Draw(t, "id"), Topics: []string{topic}, Owned: anyPartitions.Draw(t, "owned")}).record(group)
		case 12:
			return kafka.Record{Key: modernKey(group, name.Draw(t, "id"))}
		case 0:
			return groupTombstone(group)
		case 1:
			return offsetTombstone(group, topic, partition)
		case 2, 3:
			g := &classicGroup{protocolType: "consumer", generation: rapid.Int32().Draw(t, "generation"), protocol: "p", leader: "l", since: rapid.Int64().Draw(t, "since")}
			for range rapid.IntRange(0, 3).Draw(t, "members") {
				m := &groupMember{id: name.Draw(t, "id"), session: time.Second, rebalance: time.Minute, assignment: rapid.SliceOf(rapid.Byte()).Draw(t, "assignment")}
				if rapid.Bool().Draw(t, "static") {
					m.instance = &m.id
				}
				m.protocols = []kmsg.JoinGroupRequestProtocol{{Name: "p", Metadata: rapid.SliceOf(rapid.Byte()).Draw(t, "metadata")}}
				g.enlist(m)
			}
			return groupMetadataRecord(group, g.metadata())
		default:
			return offsetRecord(group, topic, &committedOffset{
				partition: partition, offset: rapid.Int64().Draw(t, "offset"), leaderEpoch: rapid.Int32().Draw(t, "epoch"),
				metadata: name.Draw(t, "metadata"), committed: rapid.Int64().Draw(t, "committed"), topicID: GroupID(rapid.Uint64().Draw(t, "topic id")),
			})
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := coordinator{node: &Node{}}, coordinator{node: &Node{}}
		apply := func(c *coordinator, entries [][]kafka.Record) {
			for _, records := range entries {
				c.apply(0, 0, appendGroupBatch(nil, records, 0))
			}
		}
		entries := rapid.SliceOf(rapid.SliceOfN(record, 1, 3))
		apply(&a, entries.Draw(t, "before"))
		if err := b.restore([][]byte{a.state(0)}); err != nil {
			t.Fatal(err)
		}
		more := entries.Draw(t, "after")
		apply(&b, more)
		applyBetween(t, &a, more, apply)
		if string(a.state(0)) != string(b.state(0)) {
			t.Fatal("the states differ")
		}
		for i := 1; i < len(a.groups); i++ {
			if a.groups[i-1].id >= a.groups[i].id {
				t.Fatal("groups are not in order")
			}
		}
		if diff := cmp.Diff(states(&a), states(&b), cmp.AllowUnexported(storedGroup{}, topicOffsets{}, committedOffset{}, modernState{}), cmpopts.IgnoreUnexported(kmsg.Tags{}), cmpopts.EquateEmpty(), cmpopts.IgnoreTypes(&place{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

// applyBetween applies entries between the pieces of a state. None of them is in it.
func applyBetween(t *rapid.T, c *coordinator, entries [][]kafka.Record, apply func(*coordinator, [][]kafka.Record)) {
	want, got := c.state(0), []byte(nil)
	for next, more := c.snapshot(0), true; more; {
		if got, more = next(got); len(entries) > 0 {
			apply(c, entries[:1])
			entries = entries[1:]
		}
	}
	if string(got) != string(want) {
		t.Fatalf("written in pieces: % x, want % x", got, want)
	}
	apply(c, entries)
}

func states(c *coordinator) map[string]storedGroup {
	all := make(map[string]storedGroup)
	for _, g := range c.groups {
		if !g.stored.empty() {
			all[g.id] = g.stored
		}
	}
	return all
}

// BenchmarkOffsetCommit is what a commit of ten partitions costs beside raft: making the entry, once,
// and applying it, on every replica.
func BenchmarkOffsetCommit(b *testing.B) {
	entry := func() []byte {
		var records []kafka.Record
		for p := range int32(10) {
			records = append(records, offsetRecord("group", "topic", &committedOffset{partition: p, offset: 1 << 40, leaderEpoch: 7, committed: 1 << 40, topicID: 3}))
		}
		return appendGroupBatch(nil, records, 1<<40)
	}
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			entry()
		}
	})
	b.Run("apply", func(b *testing.B) {
		var c coordinator
		data := entry()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			c.apply(0, 0, data)
		}
	})
}

// anyPartitions are some partitions of two topics.
var anyPartitions = rapid.Custom(func(t *rapid.T) assignment {
	var all []slot
	for i := range int32(8) {
		if rapid.Bool().Draw(t, "in") {
			all = append(all, slot{topic: GroupID(i / 4), partition: i % 4})
		}
	}
	return assignmentOf(all)
})

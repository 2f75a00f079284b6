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
	"chronik/node/consumers"
)

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
	o.byHand = true
	a, b := o.consumer(11), o.consumer(12)
	o.stable(a, b)
	joinB := o.begin(12, b.joinRequest(9))
	if joinB.peek() == nil {
		t.Fatal("the same again is answered at once")
	}
	c := o.consumer(13)
	joinC := c.join()
	g := o.node.coordinators[o.node.coordinatorPartition("g").Group]
	timers := o.node.deadlines.Len()
	inStep := func(do func()) {
		o.node.deadlines.Add(o.now, do)
		o.step(Input{})
	}
	inStep(func() {
		g.group.serving = false
		g.following()
	})
	if left := o.node.deadlines.Len(); left != timers-5 { // three members, the rebalance, the sweep
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

var anyName = rapid.StringMatching(`[a-c]`)

// anyGroupRecord draws a record of a coordinator's log.
var anyGroupRecord = rapid.Custom(func(t *rapid.T) kafka.Record {
	group, topic, partition := anyName.Draw(t, "group"), anyName.Draw(t, "topic"), rapid.Int32Range(0, 3).Draw(t, "partition")
	switch rapid.IntRange(0, 12).Draw(t, "kind") {
	case 10:
		return (&modernState{Epoch: rapid.Int32().Draw(t, "epoch"), Topics: anyPartitions.Draw(t, "topics")}).record(group)
	case 11:
		return (&modernMember{ID: anyName.Draw(t, "id"), Topics: []string{topic}, Owned: anyPartitions.Draw(t, "owned")}).record(group)
	case 12:
		return kafka.Record{Key: modernKey(group, anyName.Draw(t, "id"))}
	case 0:
		return groupTombstone(group)
	case 1:
		return offsetTombstone(group, topic, partition)
	case 2, 3:
		g := &classicGroup{protocolType: "consumer", generation: rapid.Int32().Draw(t, "generation"), protocol: "p", leader: "l", since: rapid.Int64().Draw(t, "since")}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			m := &groupMember{id: anyName.Draw(t, "id"), session: time.Second, rebalance: time.Minute, assignment: rapid.SliceOf(rapid.Byte()).Draw(t, "assignment")}
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
			metadata: anyName.Draw(t, "metadata"), committed: rapid.Int64().Draw(t, "committed"), topicID: GroupID(rapid.Uint64().Draw(t, "topic id")),
		})
	}
})

// TestSnapshotProperties: a state built from a snapshot is the same as one built from the entries, and
// stays so when more entries come.
func TestSnapshotProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := coordinator{node: &Node{}, group: &group{}}, coordinator{node: &Node{}, group: &group{}}
		apply := func(c *coordinator, entries [][]byte) {
			for _, e := range entries {
				c.apply(0, 0, e)
				if err := c.check(); err != nil {
					t.Fatal(err)
				}
			}
		}
		entries := rapid.SliceOf(anyGroupEntry)
		apply(&a, entries.Draw(t, "before"))
		received := coordinator{node: &Node{}}
		if err := received.restore([][]byte{a.state(0)}); err != nil {
			t.Fatal(err)
		}
		b.adopt(&received)
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

// anyGroupEntry is an entry of a coordinator: records, offsets of a transaction, or a marker.
var anyGroupEntry = rapid.Custom(func(t *rapid.T) []byte {
	producer, epoch := rapid.Int64Range(0, 2).Draw(t, "producer"), int16(rapid.IntRange(0, 2).Draw(t, "epoch"))
	switch rapid.IntRange(0, 4).Draw(t, "entry") {
	case 0:
		m := txnMarker{producerID: producer, epoch: epoch, commit: rapid.Bool().Draw(t, "commit"), number: uint64(rapid.IntRange(1, 20).Draw(t, "number"))}
		return m.entry(7)
	case 1, 2:
		return pendingBatch(producer, epoch, rapid.SliceOfN(anyGroupRecord, 1, 3).Draw(t, "records")...)
	}
	return appendGroupBatch(nil, rapid.SliceOfN(anyGroupRecord, 1, 3).Draw(t, "records"), 0)
})

// applyBetween applies entries between the pieces of a state. None of them is in it.
func applyBetween(t *rapid.T, c *coordinator, entries [][]byte, apply func(*coordinator, [][]byte)) {
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

// anyPartitions are some partitions of two topics.
var anyPartitions = rapid.Custom(func(t *rapid.T) consumers.Assignment {
	var all []consumers.Slot
	for i := range int32(8) {
		if rapid.Bool().Draw(t, "in") {
			all = append(all, consumers.Slot{Topic: GroupID(i / 4), Partition: i % 4})
		}
	}
	return consumers.AssignmentOf(all)
})

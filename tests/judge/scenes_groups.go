// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func itoa[T int16 | int32](n T) string { return strconv.Itoa(int(n)) }

func flipped(b []byte, at int) []byte {
	b = append([]byte{}, b...)
	b[at] ^= 1
	return b
}

// coordinator waits until a group's coordinator answers.
func (s *session) coordinator(group string) {
	s.until(findCoordinator(0, group), "COORDINATOR_NOT_AVAILABLE")
	s.until(committed(group, "", 0), "COORDINATOR")
}

func committedScene(s *session) {
	s.topic("o", 2)
	s.coordinator("o")
	s.row("nothing committed", committed("o", "o", 0))
	s.row("of a group that isn't there, all", committed("o", ""))
	s.row("commit", commit("o", "", -1, "o", 0, 5))
	s.row("committed", committed("o", "o", 0, 1))
	s.row("committed, all", committed("o", ""))
	s.row("committed, unknown topic", committed("o", "none", 0))
	s.row("committed, unknown partition", committed("o", "o", 9))
	s.row("commit, back", commit("o", "", -1, "o", 0, 2))
	s.row("commit, negative offset", commit("o", "", -1, "o", 0, -1))
	s.row("committed after a negative offset", committed("o", "o", 0))
	s.row("commit, unknown topic", commit("o", "", -1, "none", 0, 1))
	s.row("commit, unknown partition", commit("o", "", -1, "o", 7, 1))
	s.row("commit, negative partition", commit("o", "", -1, "o", -1, 1))
	s.row("commit, empty topic", commit("o", "", -1, "", 0, 1))
	s.row("commit, empty group", commit("", "", -1, "o", 0, 1))
	s.row("commit, a member nobody knows", commit("o", "nobody", 1, "o", 0, 1))
	s.row("commit, a generation without a member", commit("o", "", 3, "o", 0, 1))
	s.row("commit, a member without a generation", commit("o", "nobody", -1, "o", 0, 1))
	s.row("commit, a new group with a generation", commit("o-new", "nobody", 1, "o", 0, 1))
	oddCommits(s)
	s.row("committed, two groups", func() kmsg.Request {
		req := committed("o", "o", 0)
		req.Groups = append(req.Groups, committed("o-none", "o", 0).Groups...)
		return req
	}())
	s.row("committed, empty group", committed("", "o", 0))
	stable := committed("o", "o", 0)
	stable.RequireStable = true
	s.row("committed, stable ones", stable)
	s.row("delete offset", deleteOffsets("o", "o", 1))
	s.row("delete offset that is gone", deleteOffsets("o", "o", 1))
	s.row("delete offset, unknown topic", deleteOffsets("o", "none", 0))
	s.row("delete offset, unknown partition", deleteOffsets("o", "o", 9))
	s.row("delete offset, unknown group", deleteOffsets("o-none", "o", 0))
	s.row("delete offset, empty group", deleteOffsets("", "o", 0))
	s.row("delete offset, no topics", func() kmsg.Request {
		req := deleteOffsets("o", "o")
		req.Topics = nil
		return req
	}())
	s.row("describe, offsets only", describeGroups(5, "o"))
	s.row("delete group", deleteGroups("o"))
	s.row("delete group again", deleteGroups("o"))
	s.row("committed, a deleted group", committed("o", "o", 0))
}

// oddCommits are commits with metadata, epochs and lists as few clients send them.
func oddCommits(s *session) {
	with := func(name string, change func(*kmsg.OffsetCommitRequest)) {
		req := commit("o", "", -1, "o", 1, 1)
		change(req)
		s.row(name, req)
	}
	with("commit, 5000 bytes of metadata", func(r *kmsg.OffsetCommitRequest) {
		r.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(string(make([]byte, 5000)))
	})
	with("commit, 4096 bytes of metadata", func(r *kmsg.OffsetCommitRequest) {
		r.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(string(make([]byte, 4096)))
	})
	with("commit, null metadata", func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].Metadata = nil })
	with("commit, leader epoch -5", func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].LeaderEpoch = -5 })
	with("commit, no topics", func(r *kmsg.OffsetCommitRequest) { r.Topics = nil })
	with("commit, no partitions", func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions = nil })
	with("commit, an instance nobody knows", func(r *kmsg.OffsetCommitRequest) { r.InstanceID = kmsg.StringPtr("i") })
}

func classicScene(s *session) {
	s.coordinator("g")
	s.topic("g", 1)
	s.row("join, empty group", joinGroup("", "", "range"))
	s.row("join, no protocols", joinGroup("g", ""))
	s.row("join, a member nobody knows", joinGroup("g", "nobody", "range"))
	with := func(name string, change func(*kmsg.JoinGroupRequest)) {
		req := joinGroup("g", "", "range")
		change(req)
		s.row(name, req)
	}
	with("join, session too short", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 })
	with("join, session too long", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 })
	with("join, no protocol type", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" })
	first := s.row("join, without an id", joinGroup("g", "", "range"))
	id := ""
	if r, yes := first.(*kmsg.JoinGroupResponse); yes {
		id = r.MemberID
	}
	s.row("heartbeat before joining", heartbeat("g", id, 0))
	joined := s.row("join, with the id", joinGroup("g", id, "range"))
	generation := int32(1)
	if r, yes := joined.(*kmsg.JoinGroupResponse); yes {
		generation = r.Generation
	}
	s.row("heartbeat before the assignment", heartbeat("g", id, generation))
	s.row("commit before the assignment", commit("g", id, generation, "g", 0, 1))
	s.row("sync, a member nobody knows", syncGroup("g", "nobody", generation))
	s.row("sync, an old generation", syncGroup("g", id, generation-1))
	s.row("sync, another protocol", func() kmsg.Request {
		req := syncGroup("g", id, generation, id)
		req.Protocol = kmsg.StringPtr("other")
		return req
	}())
	s.row("sync, another protocol type", func() kmsg.Request {
		req := syncGroup("g", id, generation, id)
		req.ProtocolType = kmsg.StringPtr("connect")
		return req
	}())
	s.row("sync", syncGroup("g", id, generation, id))
	s.row("sync again", syncGroup("g", id, generation))
	s.row("heartbeat", heartbeat("g", id, generation))
	s.row("heartbeat, next generation", heartbeat("g", id, generation+1))
	s.row("heartbeat, generation before", heartbeat("g", id, generation-1))
	s.row("heartbeat, a member nobody knows", heartbeat("g", "nobody", generation))
	s.row("heartbeat, unknown group", heartbeat("g-none", id, generation))
	s.row("heartbeat, empty group", heartbeat("", id, generation))
	s.row("commit", commit("g", id, generation, "g", 0, 1))
	s.row("commit, next generation", commit("g", id, generation+1, "g", 0, 1))
	s.row("commit, generation before", commit("g", id, generation-1, "g", 0, 1))
	s.row("commit, a member nobody knows", commit("g", "nobody", generation, "g", 0, 1))
	s.row("commit, as nobody", commit("g", "", -1, "g", 0, 1))
	with("join, protocols that nobody has", func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Name = "other" })
	with("join, another type", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" })
	s.row("delete a group with members", deleteGroups("g"))
	s.row("delete offset of a topic that is read", deleteOffsets("g", "g", 0))
	s.row("describe", describeGroups(5, "g"))
	s.row("describe, unknown group", describeGroups(5, "g-none"))
	s.row("describe, unknown group, version 6", describeGroups(6, "g-none"))
	s.row("describe, empty group", describeGroups(5, ""))
	s.row("describe, none", describeGroups(5))
	s.row("describe as a new one", describeConsumerGroups("g"))
	instance := heartbeat("g", id, generation)
	instance.InstanceID = kmsg.StringPtr("i")
	s.row("heartbeat, an instance nobody knows", instance)
	s.row("leave, a member nobody knows", leaveGroup("g", "nobody"))
	s.row("leave, unknown group", leaveGroup("g-none", "nobody"))
	s.row("leave, empty group", leaveGroup("", "nobody"))
	s.row("leave, nobody", leaveGroup("g"))
	byInstance := leaveGroup("g", "")
	byInstance.Members[0].InstanceID = kmsg.StringPtr("i")
	s.row("leave, an instance nobody knows", byInstance)
	s.row("leave", leaveGroup("g", id))
	s.row("leave again", leaveGroup("g", id))
	s.row("describe, empty", describeGroups(5, "g"))
	s.row("sync, after leaving", syncGroup("g", id, generation))
	s.row("delete offset", deleteOffsets("g", "g", 0))
	s.row("delete group", deleteGroups("g"))
	s.row("delete group, unknown", deleteGroups("g-none"))
	s.row("delete group, empty name", deleteGroups(""))
	s.row("delete no group", deleteGroups())
	s.row("delete group twice in a request", deleteGroups("g-none", "g-none"))
	for _, c := range []struct {
		name string
		kind int8
		keys []string
	}{
		{"a group", 0, []string{"g"}},
		{"an empty group", 0, []string{""}},
		{"no keys", 0, nil},
		{"type 3", 3, []string{"g"}},
		{"type -1", -1, []string{"g"}},
	} {
		s.row("find coordinator, "+c.name, findCoordinator(c.kind, c.keys...))
	}
	s.upgrade()
	s.row("list, states that are none", func() kmsg.Request {
		req := kmsg.NewPtrListGroupsRequest()
		req.Version, req.StatesFilter = 4, []string{"Nonsense"}
		return req
	}())
	s.row("list, types that are none", func() kmsg.Request {
		req := kmsg.NewPtrListGroupsRequest()
		req.Version, req.TypesFilter = 5, []string{"nonsense"}
		return req
	}())
}

// upgrade has a member of the new protocol come to a group of the classic one.
func (s *session) upgrade() {
	s.coordinator("g-up")
	first, _ := s.quiet(joinGroup("g-up", "", "range")).(*kmsg.JoinGroupResponse)
	if first == nil {
		return
	}
	joined, _ := s.quiet(joinGroup("g-up", first.MemberID, "range")).(*kmsg.JoinGroupResponse)
	if joined == nil {
		return
	}
	s.quiet(syncGroup("g-up", first.MemberID, joined.Generation, first.MemberID))
	s.row("a member of the new protocol joins", consumerHeartbeat("g-up", "m", 0, "g"))
}

func staticScene(s *session) {
	s.coordinator("st")
	join := func(member, instance string) *kmsg.JoinGroupRequest {
		req := joinGroup("st", member, "range")
		req.InstanceID = &instance
		return req
	}
	r, _ := s.row("join", join("", "i")).(*kmsg.JoinGroupResponse)
	if r == nil {
		return
	}
	s.quiet(syncGroup("st", r.MemberID, r.Generation, r.MemberID))
	again, _ := s.row("join again, as after a restart", join("", "i")).(*kmsg.JoinGroupResponse)
	if again == nil {
		return
	}
	fenced := heartbeat("st", r.MemberID, r.Generation)
	fenced.InstanceID = kmsg.StringPtr("i")
	s.row("heartbeat of the one before", fenced)
	s.row("join of the one before", join(r.MemberID, "i"))
	old := commit("st", r.MemberID, r.Generation, "g", 0, 1)
	old.InstanceID = kmsg.StringPtr("i")
	s.row("commit of the one before", old)
	leave := leaveGroup("st", r.MemberID)
	leave.Members[0].InstanceID = kmsg.StringPtr("i")
	s.row("leave of the one before", leave)
	byName := leaveGroup("st", "")
	byName.Members[0].InstanceID = kmsg.StringPtr("i")
	s.row("removed by its instance", byName)
}

func consumerScene(s *session) {
	s.topic("c", 2)
	s.coordinator("c")
	s.row("empty group", consumerHeartbeat("", "m", 0, "c"))
	s.row("no member id", consumerHeartbeat("c", "", 0, "c"))
	s.row("a member nobody knows", consumerHeartbeat("c", "m", 1, "c"))
	s.row("epoch -3", consumerHeartbeat("c", "m", -3, "c"))
	s.row("leaves, a member nobody knows", consumerHeartbeat("c", "m", -1))
	with := func(name string, change func(*kmsg.ConsumerGroupHeartbeatRequest)) {
		req := consumerHeartbeat("c", "m", 0, "c")
		change(req)
		s.row(name, req)
	}
	with("joins without topics", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = nil })
	with("joins owning partitions", func(r *kmsg.ConsumerGroupHeartbeatRequest) {
		t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
		t.Partitions = []int32{0}
		r.Topics = append(r.Topics, t)
	})
	with("joins, null partitions", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Topics = nil }) // as librdkafka may where it has just left
	with("joins without a rebalance time-out", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 })
	with("joins, an assignor that is none", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = kmsg.StringPtr("nonsense") })
	with("joins, empty instance", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = kmsg.StringPtr("") })
	with("joins, empty rack", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RackID = kmsg.StringPtr("") })
	with("joins, an expression that is none", func(r *kmsg.ConsumerGroupHeartbeatRequest) {
		r.SubscribedTopicNames, r.SubscribedTopicRegex = nil, kmsg.StringPtr("[")
	})
	r, _ := s.row("joins", consumerHeartbeat("c", "m", 0, "c")).(*kmsg.ConsumerGroupHeartbeatResponse)
	if r == nil {
		return
	}
	s.row("goes on", consumerHeartbeat("c", "m", r.MemberEpoch))
	s.row("an epoch too new", consumerHeartbeat("c", "m", r.MemberEpoch+5))
	s.row("commit, its epoch", commit9("c", "m", r.MemberEpoch))
	s.row("commit, an epoch too new", commit9("c", "m", r.MemberEpoch+1))
	s.row("commit, an old epoch", commit9("c", "m", r.MemberEpoch-1))
	s.row("commit, a member nobody knows", commit9("c", "x", r.MemberEpoch))
	s.row("commit, as nobody", commit9("c", "", -1))
	s.row("joins as a classic member", joinGroup("c", "", "range"))
	s.row("classic heartbeat", heartbeat("c", "m", r.MemberEpoch))
	s.row("describe as a classic one", describeGroups(5, "c"))
	s.row("describe, unknown", describeConsumerGroups("c-none"))
	s.row("describe, empty name", describeConsumerGroups(""))
	s.row("delete while it has members", deleteGroups("c"))
	s.row("leaves", consumerHeartbeat("c", "m", -1))
	s.row("describe, nobody left", describeConsumerGroups("c"))
	s.row("leaves again", consumerHeartbeat("c", "m", -1))
	s.row("delete", deleteGroups("c"))
}

func commit9(group, member string, epoch int32) kmsg.Request {
	req := commit(group, member, epoch, "c", 0, 1)
	req.Version = 9
	return req
}

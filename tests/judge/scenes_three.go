// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Scenes with three brokers that all live. The topic "c" has a partition on all of them whose preferred leader is broker 1,
// another's is 2, and another's 3; "c-two" is on 1 and 2; "c-last" only on 3.

// settled reports whether all partitions are led by their first replica and have so many in sync.
func settled(inSync int) func(kmsg.Response) bool {
	return func(resp kmsg.Response) bool {
		for _, t := range resp.(*kmsg.MetadataResponse).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 || len(p.ISR) != inSync || p.Leader != p.Replicas[0] {
					return false
				}
			}
			if t.ErrorCode != 0 || len(t.Partitions) == 0 {
				return false
			}
		}
		return true
	}
}

// spread creates a topic with its replicas at brokers, and waits until everybody knows that the first of them lead.
func (s *session) spread(name string, replicas ...[]int32) {
	s.at(1)
	s.quiet(placed(createTopic(name, -1, -1), replicas...))
	for _, id := range []int{3, 2, 1} {
		s.at(id)
		s.wait(metadata(false, name), "settled", settled(len(replicas[0])))
	}
}

// epochOf is the leader epoch of a topic's partition.
func (s *session) epochOf(topic string, partition int) int32 {
	resp, _ := s.quiet(metadata(false, topic)).(*kmsg.MetadataResponse)
	if resp == nil || len(resp.Topics[0].Partitions) <= partition {
		return 0
	}
	return resp.Topics[0].Partitions[partition].LeaderEpoch
}

func threeScene(s *session) {
	s.spread("c", []int32{1, 2, 3}, []int32{2, 3, 1}, []int32{3, 1, 2})
	s.spread("c-two", []int32{1, 2})
	s.spread("c-last", []int32{3})
	for id := 1; id <= 3; id++ {
		s.at(id)
		s.row("metadata of broker "+itoa(int32(id)), metadata(false, "c"))
		s.row("partitions of broker "+itoa(int32(id)), topicPartitions("c", 100))
		s.row("log folders of broker "+itoa(int32(id)), logDirs("c-two", 0))
	}
	s.row("cluster", describeCluster(1, false))
	s.row("cluster, the dead too", describeCluster(1, true))
	s.row("cluster, controllers", describeCluster(2, false))
	s.row("quorum", quorum(), sameQuorum)
	s.row("four replicas", onlyCheck(createTopic("c-new", 1, 4)))
	s.row("three replicas", onlyCheck(createTopic("c-new", 1, 3)))
	s.row("placed on one that is none", onlyCheck(placed(createTopic("c-new", -1, -1), []int32{1, 4})))
	s.row("placed unevenly", onlyCheck(placed(createTopic("c-new", -1, -1), []int32{1, 2}, []int32{1})))
	s.row("placed twice on one", onlyCheck(placed(createTopic("c-new", -1, -1), []int32{1, 2, 1})))
	s.row("min.insync.replicas 2 of 3", onlyCheck(createTopic("c-new", 1, 3, "min.insync.replicas", "2")))
	s.row("min.insync.replicas 3 of 3", onlyCheck(createTopic("c-new", 1, 3, "min.insync.replicas", "3")))
	s.row("min.insync.replicas 4 of 3", onlyCheck(createTopic("c-new", 1, 3, "min.insync.replicas", "4")))
	s.row("more partitions, placed unevenly", morePartitions("c", 4, []int32{1, 2}))
	s.row("more partitions, placed on one that is none", morePartitions("c", 4, []int32{1, 2, 4}))
	s.row("configuration of another broker", describeConfigs(ofBroker, "2", "num.partitions"))
}

func describeCluster(endpoints int8, dead bool) *kmsg.DescribeClusterRequest {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.Version, req.EndpointType, req.IncludeFencedBrokers = 2, endpoints, dead
	return req
}

func quorum() *kmsg.DescribeQuorumRequest {
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Version = 2
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = "__cluster_metadata"
	t.Partitions = append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, t)
	return req
}

// sameQuorum leaves out which broker leads, and how far the log is.
func sameQuorum(resp kmsg.Response) {
	for i := range resp.(*kmsg.DescribeQuorumResponse).Topics {
		t := &resp.(*kmsg.DescribeQuorumResponse).Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			p.LeaderID, p.HighWatermark = min(p.LeaderID, 0), min(p.HighWatermark, 0)
			for k := range p.CurrentVoters {
				p.CurrentVoters[k].LogEndOffset = min(p.CurrentVoters[k].LogEndOffset, 0)
			}
		}
	}
}

// wrongBrokerScene asks brokers for what they don't lead, or don't have.
func wrongBrokerScene(s *session) {
	s.at(1)
	s.quiet(produce("c", records(nil, "a", "b")))
	one := records(nil, "a")
	for _, b := range []struct {
		name, topic string
		id          int
	}{{"a follower", "c", 2}, {"no replica", "c-two", 3}, {"no replica, of one", "c-last", 1}} {
		s.at(b.id)
		s.row("produce to "+b.name, produce(b.topic, one))
		for _, acks := range []int16{1, 0} {
			req := produce(b.topic, one)
			req.Acks = acks
			s.row("produce to "+b.name+", acks "+itoa(acks), req)
		}
		newer := produce(b.topic, one)
		newer.Version = 12
		s.row("produce to "+b.name+", newer", newer)
		s.row("fetch from "+b.name, withVersion(fetch(b.topic, 0, 0), 10))
		s.row("fetch from "+b.name+", newer", withVersion(fetch(b.topic, 0, 0), 12))
		for _, at := range []int64{-1, -2, -3, -4, 0} {
			req := listOffsets(b.topic, 0, at)
			req.Version = 8
			s.row("offset "+itoa(int32(at))+" of "+b.name, req)
		}
		s.row("end of an epoch, of "+b.name, epochEnd(b.topic, 0, -1, 0))
		s.row("delete records of "+b.name, deleteRecords(b.topic, 0, 1))
		s.row("producers of "+b.name, producers(b.topic, 0))
		s.row("log folder of "+b.name, logDirs(b.topic, 0))
		s.row("configuration, asked of "+b.name, describeConfigs(ofTopic, b.topic, "retention.ms"))
	}
}

func withVersion(req *kmsg.FetchRequest, version int16) *kmsg.FetchRequest {
	req.Version = version
	return req
}

// withEpoch says which leader a client believes in.
func withEpoch(req *kmsg.FetchRequest, epoch int32) *kmsg.FetchRequest {
	req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
	return req
}

// leaderMovedScene has the leader of a partition move from broker 1 to 2, and asks with old, right and future epochs.
func leaderMovedScene(s *session) {
	s.spread("e", []int32{1, 2, 3})
	s.quiet(produce("e", records(nil, "a", "b")))
	old := s.epochOf("e", 0)
	s.row("other order of replicas", reassign("e", 0, []int32{2, 1, 3}))
	s.wait(listReassignments("e", 0), "done", noMoves)
	s.row("elect the preferred one", electLeaders(0, "e", 0))
	s.row("elect it again", electLeaders(0, "e", 0))
	s.row("elect, unclean", electLeaders(1, "e", 0))
	for id := 3; id > 0; id-- {
		s.at(id)
		s.wait(metadata(false, "e"), "settled", settled(3))
	}
	current := s.epochOf("e", 0)
	s.at(2)
	s.quiet(produce("e", records(nil, "c")))
	s.caughtUp("e", 3)
	for id := 1; id <= 2; id++ {
		s.at(id)
		who := map[int]string{1: ", by the old leader", 2: ", by the new one"}[id]
		for _, e := range []struct {
			name  string
			epoch int32
		}{{"no epoch", -1}, {"the old epoch", old}, {"the epoch", current}, {"the next epoch", current + 1}} {
			s.row("fetch, "+e.name+who, withVersion(withEpoch(fetch("e", 0, 0), e.epoch), 10))
			s.row("fetch newer, "+e.name+who, withVersion(withEpoch(fetch("e", 0, 0), e.epoch), 12))
			req := listOffsets("e", 0, -1)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = e.epoch
			s.row("offset, "+e.name+who, req)
			s.row("end of the old epoch, "+e.name+who, epochEnd("e", 0, e.epoch, old))
		}
	}
	s.row("end of the epoch", epochEnd("e", 0, current, current))
	s.row("end of the next epoch", epochEnd("e", 0, current, current+1))
	diverged := withVersion(withEpoch(fetch("e", 0, 3), current), 12)
	diverged.Topics[0].Partitions[0].LastFetchedEpoch = old
	s.row("fetch where the old epoch had ended", diverged)
}

func noMoves(resp kmsg.Response) bool {
	return len(resp.(*kmsg.ListPartitionReassignmentsResponse).Topics) == 0
}

// racksScene fetches as consumers that say where they are.
func racksScene(s *session) {
	s.spread("rack", []int32{1, 2, 3})
	s.spread("rack-two", []int32{1, 2})
	s.at(1)
	s.quiet(produce("rack", records(nil, "a", "b")))
	s.quiet(produce("rack-two", records(nil, "a", "b")))
	s.caughtUp("rack", 2)
	for id := 1; id <= 3; id++ {
		s.at(id)
		for _, rack := range []string{"", "a", "b", "none"} {
			s.row("rack "+rack+", by broker "+itoa(int32(id)), inRack(fetch("rack", 0, 0), rack))
		}
	}
	s.at(1)
	s.row("a rack without a replica", inRack(fetch("rack-two", 0, 0), "c"))
	s.row("a rack, beyond the end", inRack(fetch("rack", 0, 99), "b"))
	s.row("a rack, at the end", inRack(fetch("rack", 0, 2), "b"))
	s.row("a rack, an old version", withVersion(inRack(fetch("rack", 0, 0), "b"), 10))
	s.at(2)
	s.row("a rack, beyond the end, by a follower", inRack(fetch("rack", 0, 99), "b"))
	s.row("a rack, at the end, by a follower", inRack(fetch("rack", 0, 2), "b"))
	s.row("a rack, below zero, by a follower", inRack(fetch("rack", 0, -1), "b"))
	s.at(3)
	s.row("a rack, by no replica", inRack(fetch("rack-two", 0, 0), "c"))
}

// caughtUp waits until all brokers know that the first partition of a topic ends there.
func (s *session) caughtUp(topic string, end int64) {
	for id := 1; id <= 3; id++ {
		s.at(id)
		s.wait(inRack(fetch(topic, 0, end), racks[id]), "with records", func(resp kmsg.Response) bool {
			return resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].HighWatermark == end
		})
	}
}

func inRack(req *kmsg.FetchRequest, rack string) *kmsg.FetchRequest {
	req.Rack = rack
	return req
}

func movesScene(s *session) {
	s.spread("mv", []int32{1, 2}, []int32{2, 1})
	done := func() { s.wait(listReassignments("mv", 0, 1), "done", noMoves) }
	s.row("to where it is", reassign("mv", 0, []int32{1, 2}))
	done()
	s.row("to another broker", reassign("mv", 0, []int32{1, 3}))
	done()
	s.row("moves, when it is done", listReassignments("mv", 0))
	s.wait(metadata(false, "mv"), "moved", onlyOn(0, 1, 3))
	s.row("more replicas", reassign("mv", 1, []int32{2, 1, 3}))
	done()
	s.row("fewer replicas", reassign("mv", 1, []int32{2}))
	done()
	s.wait(metadata(false, "mv"), "moved", onlyOn(1, 2))
	s.row("of another size", metadata(false, "mv"))
	s.row("another number of replicas, not allowed", ofSameSize(reassign("mv", 1, []int32{2, 3})))
	s.row("the same number of replicas", ofSameSize(reassign("mv", 1, []int32{3})))
	done()
	s.row("to a broker that is none", reassign("mv", 0, []int32{1, 4}))
	s.row("twice to a broker", reassign("mv", 0, []int32{1, 1}))
	s.row("give up what is none", reassign("mv", 0, nil))
	two := reassign("mv", 0, []int32{1, 2})
	two.Topics[0].Partitions = append(two.Topics[0].Partitions, two.Topics[0].Partitions[0])
	two.Topics[0].Partitions[1].Partition = 9
	s.row("one that is there and one that isn't", two)
	done()
	s.row("elect all", func() kmsg.Request {
		req := electLeaders(0, "mv", 0)
		req.Topics = nil
		return req
	}(), func(resp kmsg.Response) { // whichever weren't led as preferred
		resp.(*kmsg.ElectLeadersResponse).Topics = nil
	})
}

// onlyOn reports whether a partition is at just these brokers, in sync.
func onlyOn(partition int, brokers ...int32) func(kmsg.Response) bool {
	return func(resp kmsg.Response) bool {
		p := resp.(*kmsg.MetadataResponse).Topics[0].Partitions[partition]
		return slices.Equal(p.Replicas, brokers) && len(p.ISR) == len(brokers)
	}
}

func ofSameSize(req *kmsg.AlterPartitionAssignmentsRequest) *kmsg.AlterPartitionAssignmentsRequest {
	req.Version, req.AllowReplicationFactorChange = 1, false
	return req
}

// coordinatorOf waits until a group has a coordinator.
func (s *session) coordinatorOf(group string) int {
	resp, _ := s.until(findCoordinator(0, group), "NOT_AVAILABLE", "LOAD").(*kmsg.FindCoordinatorResponse)
	if resp == nil {
		return 1
	}
	return int(resp.Coordinators[0].NodeID)
}

// anyNode leaves out which broker it is.
func anyNode(resp kmsg.Response) {
	r := resp.(*kmsg.FindCoordinatorResponse)
	r.NodeID = 0
	for i := range r.Coordinators {
		r.Coordinators[i].NodeID = min(r.Coordinators[i].NodeID, 0)
	}
}

// wrongCoordinatorScene asks another broker than the coordinator of a group.
func wrongCoordinatorScene(s *session) {
	s.at(1)
	right := s.coordinatorOf("g")
	s.at(right)
	s.until(committed("g", "c", 0), "LOAD", "NOT_COORDINATOR")
	s.quiet(commit("g", "", -1, "c", 0, 1))
	wrong := right%3 + 1
	s.at(wrong)
	s.row("find", findCoordinator(0, "g", "g", "g-other"), anyNode)
	s.row("join", joinGroup("g", "", "range"))
	s.row("sync", syncGroup("g", "m", 1))
	s.row("heartbeat", heartbeat("g", "m", 1))
	s.row("leave", leaveGroup("g", "m"))
	s.row("commit", commit("g", "", -1, "c", 0, 1))
	s.row("committed", committed("g", "c", 0))
	s.row("all committed", committed("g", ""))
	s.row("describe", describeGroups(5, "g"))
	s.row("delete", deleteGroups("g"))
	s.row("delete offsets", deleteOffsets("g", "c", 0))
	s.row("heartbeat of the new protocol", consumerHeartbeat("g", "AAAAAAAAAAAAAAAAAAAAAA", 0, "c"))
	s.row("describe, new protocol", describeConsumerGroups("g"))
	for _, id := range []int{wrong, right} {
		s.at(id)
		who := map[bool]string{true: "right", false: "wrong"}[id == right]
		s.row("groups of the "+who+" one", kmsg.NewPtrListGroupsRequest(), onlyGroup("g"))
	}
	s.row("committed, by the right one", committed("g", "c", 0))
	s.row("version 1", func() kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKey = 1, "g"
		return req
	}(), anyNode)
}

func onlyGroup(name string) func(kmsg.Response) {
	return func(resp kmsg.Response) {
		r := resp.(*kmsg.ListGroupsResponse)
		r.Groups = slices.DeleteFunc(r.Groups, func(g kmsg.ListGroupsResponseGroup) bool { return g.Group != name })
	}
}

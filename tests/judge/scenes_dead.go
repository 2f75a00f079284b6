// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Scenes in which broker 3 is dead.

// oneDeadScene kills broker 3, waits until the others have noticed it, and looks at what is left.
func oneDeadScene(s *session) {
	s.spread("d", []int32{1, 2, 3}, []int32{3, 1, 2}, []int32{2, 3, 1})
	s.spread("d-last", []int32{3})
	s.spread("d-two", []int32{1, 3})
	s.spread("d-two-last", []int32{3, 2})
	s.at(1)
	s.quiet(alter(ofTopic, "d-two", set("min.insync.replicas", "2")))
	s.quiet(alter(ofTopic, "d", set("min.insync.replicas", "2")))
	s.at(3)
	s.quiet(to(produce("d", records(nil, "a", "b")), 1))
	s.quiet(produce("d-last", records(nil, "a")))
	old := s.epochOf("d", 1)
	if err := s.cluster.Kill(3); err != nil && s.err == nil {
		s.err = err
	}
	for id := 2; id > 0; id-- {
		s.at(id)
		s.wait(metadata(false, "d"), "without broker 3", withoutBroker3)
	}
	for _, topic := range []string{"d", "d-last", "d-two", "d-two-last"} {
		s.row("metadata of "+topic, metadata(false, topic), anyLeaderBut3)
		s.row("partitions of "+topic, topicPartitions(topic, 100), anyLeaderBut3)
	}
	s.row("metadata of d-last, version 4", func() kmsg.Request {
		req := metadata(false, "d-last")
		req.Version = 4
		return req
	}())
	s.row("cluster", describeCluster(1, false))
	s.row("cluster, the dead too", describeCluster(1, true))
	s.row("quorum", quorum(), sameQuorum)
	one := records(nil, "c")
	s.row("produce, in sync: two of three", produce("d", one))
	for _, acks := range []int16{-1, 1} {
		req := produce("d-two", one)
		req.Acks, req.TimeoutMillis = acks, 1000
		s.row("produce, in sync: one of two, acks "+itoa(acks), req)
	}
	for _, topic := range []string{"d-last", "d-two-last"} {
		s.row("produce to "+topic, produce(topic, one))
		s.row("fetch from "+topic, withVersion(fetch(topic, 0, 0), 10))
		s.row("offset of "+topic, listOffsets(topic, 0, -1))
		s.row("end of an epoch, of "+topic, epochEnd(topic, 0, -1, 0))
	}
	s.row("elect the preferred one, alive", electLeaders(0, "d", 0))
	s.row("elect the preferred one, dead", electLeaders(0, "d", 1))
	s.row("elect the only one, dead", electLeaders(0, "d-last", 0))
	s.row("elect, unclean, there is one", electLeaders(1, "d", 1))
	s.row("elect, unclean, there is none", electLeaders(1, "d-last", 0))
	s.leaderOfDead(old)
}

// leaderOfDead asks the broker that leads what broker 3 led before.
func (s *session) leaderOfDead(old int32) {
	resp, _ := s.quiet(metadata(false, "d")).(*kmsg.MetadataResponse)
	if resp == nil {
		return
	}
	s.at(int(resp.Topics[0].Partitions[1].Leader))
	s.row("fetch with the dead one's epoch", func() kmsg.Request {
		req := withVersion(withEpoch(fetch("d", 1, 0), old), 10)
		return req
	}())
	s.row("end of the dead one's epoch", epochEnd("d", 1, -1, old))
	s.row("records of the dead one", withVersion(fetch("d", 1, 0), 10))
	s.row("offset", listOffsets("d", 1, -1))
}

// withoutBroker3 reports whether broker 3 is no longer among the brokers, nor leads or is in sync, nor has anything live.
func withoutBroker3(resp kmsg.Response) bool {
	r := resp.(*kmsg.MetadataResponse)
	for _, p := range r.Topics[0].Partitions {
		if p.Leader < 1 || p.Leader == 3 || slices.Contains(p.ISR, 3) || len(p.ISR) != 2 || !slices.Contains(p.OfflineReplicas, 3) {
			return false
		}
	}
	return len(r.Brokers) == 2
}

// anyLeaderBut3 tells of leaders only whether they live: who is elected isn't said anywhere.
func anyLeaderBut3(resp kmsg.Response) {
	switch r := resp.(type) {
	case *kmsg.MetadataResponse:
		for _, t := range r.Topics {
			for i := range t.Partitions {
				if p := &t.Partitions[i]; p.Leader == 1 || p.Leader == 2 {
					p.Leader = 12
				}
			}
		}
	case *kmsg.DescribeTopicPartitionsResponse:
		for _, t := range r.Topics {
			for i := range t.Partitions {
				if p := &t.Partitions[i]; p.LeaderID == 1 || p.LeaderID == 2 {
					p.LeaderID = 12
				}
			}
		}
	}
}

// deadTopicsScene makes, changes and deletes topics.
func deadTopicsScene(s *session) {
	s.at(1)
	s.row("create, three replicas", createTopic("dt-3", 1, 3))
	s.wait(metadata(false, "dt-3"), "led", led)
	s.row("three replicas", metadata(false, "dt-3"), anyLeaderBut3, func(resp kmsg.Response) { // in any order
		for i := range resp.(*kmsg.MetadataResponse).Topics[0].Partitions {
			slices.Sort(resp.(*kmsg.MetadataResponse).Topics[0].Partitions[i].Replicas)
		}
	})
	s.row("create, two replicas", createTopic("dt-2", 4, 2))
	s.row("create, one replica", createTopic("dt-1", 4, 1))
	s.row("create, four replicas", createTopic("dt-4", 1, 4))
	for _, to := range [][]int32{{3}, {1, 3}, {3, 1}, {1, 2, 3}, {3, 1, 2}, {1, 2}} {
		name := "placed on"
		for _, b := range to {
			name += " " + itoa(b)
		}
		s.row("check, "+name, onlyCheck(placed(createTopic("dt-new", -1, -1), to)))
	}
	s.row("more partitions", morePartitions("dt-2", 5))
	s.row("more partitions, placed on the dead one", morePartitions("dt-1", 5, []int32{3}))
	s.row("more partitions, placed on a live one", morePartitions("dt-1", 5, []int32{2}))
	s.row("alter a topic of the dead one", alter(ofTopic, "d-last", set("retention.ms", "100000")))
	s.row("configuration of a topic of the dead one", describeConfigs(ofTopic, "d-last", "retention.ms"))
	s.row("configuration of the dead one", describeConfigs(ofBroker, "3", "num.partitions"))
	s.row("delete records of the dead one", deleteRecords("d-last", 0, 1))
	s.row("delete a topic of the dead one", deleteTopics("c-last"))
	s.row("the deleted topic", metadata(false, "c-last"))
}

func led(resp kmsg.Response) bool {
	for _, p := range resp.(*kmsg.MetadataResponse).Topics[0].Partitions {
		if p.Leader < 0 || len(p.ISR) < 2 {
			return false
		}
	}
	return resp.(*kmsg.MetadataResponse).Topics[0].ErrorCode == 0
}

// deadMovesScene moves replicas to the dead broker and away from it.
func deadMovesScene(s *session) {
	s.at(1)
	s.quiet(placed(createTopic("dm", -1, -1), []int32{1}, []int32{1}, []int32{1}))
	s.wait(metadata(false, "dm"), "settled", settled(1))
	s.row("to the dead one", reassign("dm", 0, []int32{3}))
	s.row("under way", listReassignments("dm", 0))
	s.pause()
	s.row("under way: metadata", metadata(false, "dm"), onlyPartition(0))
	s.row("the same move again", reassign("dm", 0, []int32{3}))
	s.row("give it up", reassign("dm", 0, nil))
	s.wait(listReassignments("dm", 0), "given up", noMoves)
	s.wait(metadata(false, "dm"), "given up", onlyOn(0, 1))
	s.row("given up: metadata", metadata(false, "dm"), onlyPartition(0))
	s.row("give it up again", reassign("dm", 0, nil))
	s.row("to the dead one and another", reassign("dm", 1, []int32{2, 3}))
	s.row("to the dead one and another: moves", listReassignments("dm", 1))
	s.row("another move instead", reassign("dm", 1, []int32{2}))
	s.quiet(reassign("dm", 1, nil)) // Kafka goes on waiting for the dead one
	s.wait(listReassignments("dm", 1), "given up", noMoves)
	s.row("to a live one", reassign("dm", 2, []int32{2}))
	s.wait(listReassignments("dm", 2), "done", noMoves)
	s.row("all moves", listReassignments(""))
	s.row("off the dead one", reassign("d", 0, []int32{1, 2}))
	s.wait(listReassignments("d", 0), "done", noMoves)
	s.wait(metadata(false, "d"), "moved", onlyOn(0, 1, 2))
	s.row("off the dead one: metadata", metadata(false, "d"), onlyPartition(0))
	s.row("off the dead one, that led", reassign("d-last", 0, []int32{1}))
	s.row("off the dead one, that led: moves", listReassignments("d-last", 0))
	s.row("off the dead one, that led: give it up", reassign("d-last", 0, nil))
	s.row("off the dead one, that led: moves, given up", listReassignments("d-last", 0))
}

// pause is for what brokers will soon know, but no answer tells of.
func (s *session) pause() { time.Sleep(time.Second) }

func onlyPartition(index int32) func(kmsg.Response) {
	return func(resp kmsg.Response) {
		t := &resp.(*kmsg.MetadataResponse).Topics[0]
		t.Partitions = slices.DeleteFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool { return p.Partition != index })
		resp.(*kmsg.MetadataResponse).Brokers = nil
	}
}

func deadGroupsScene(s *session) {
	s.at(1)
	for _, g := range []string{"g", "g-other", "g-third"} {
		s.coordinatorOf(g)
	}
	s.row("find coordinators", findCoordinator(0, "g", "g-other", "g-third"), anyNode)
	s.at(s.coordinatorOf("g"))
	s.until(committed("g", "c", 0), "LOAD", "NOT_COORDINATOR")
	s.row("committed before", committed("g", "c", 0))
	s.row("commit", commit("g", "", -1, "c", 0, 2))
	s.row("committed", committed("g", "c", 0))
	s.row("describe", describeGroups(5, "g"))
}

// removedScene has the dead broker leave the cluster.
func removedScene(s *session) {
	s.at(1)
	gone := kmsg.NewPtrUnregisterBrokerRequest()
	gone.BrokerID = 3
	s.row("remove", gone)
	s.row("remove again", gone)
	s.pause()
	s.row("cluster, the dead too", describeCluster(1, true))
	s.row("a topic of it", metadata(false, "d-two-last"), anyLeaderBut3)
	s.row("create on it", onlyCheck(placed(createTopic("dt-new", -1, -1), []int32{3})))
	s.row("three replicas", onlyCheck(createTopic("dt-new", 1, 3)))
	s.row("move to it", reassign("c-two", 0, []int32{1, 3}))
}

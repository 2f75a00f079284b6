// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// A follower looks at the epoch that a client believes in before it says that it doesn't lead, as Kafka 4.3.1 does: one that
// has heard of a later leader must not be told that it is behind, nor the other way round.
func TestFollowerLooksAtTheEpochFirst(t *testing.T) {
	c, leader, follower := newRacks(t)
	v, _ := c.view(leader, "t")
	epoch := leaderEpoch(v.Term)
	for believed, want := range map[int32]*kerr.Error{
		-1: kerr.NotLeaderForPartition, epoch: kerr.NotLeaderForPartition, epoch - 1: kerr.FencedLeaderEpoch, epoch + 1: kerr.UnknownLeaderEpoch,
	} {
		fetched := c.fetchAs(follower, "", 0, func(req *kmsg.FetchRequest) { req.Topics[0].Partitions[0].CurrentLeaderEpoch = believed })
		list := kmsg.NewPtrListOffsetsRequest()
		lp := kmsg.NewListOffsetsRequestTopicPartition()
		lp.Timestamp, lp.CurrentLeaderEpoch = timestampLatest, believed
		list.Version, list.Topics = 7, []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{lp}}}
		listed := c.ask(follower, list).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		end := kmsg.NewPtrOffsetForLeaderEpochRequest()
		ep := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		ep.CurrentLeaderEpoch, ep.LeaderEpoch = believed, epoch
		end.Version, end.Topics = 4, []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{ep}}}
		ended := c.ask(follower, end).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
		for what, code := range map[string]int16{"fetch": fetched.ErrorCode, "offset": listed.ErrorCode, "end of the epoch": ended.ErrorCode} {
			if code != want.Code {
				t.Errorf("%s, epoch %d of %d: %s, want %s", what, believed, epoch, kafka.CodeName(code), want.Message)
			}
		}
	}
}

// Whoever has a replica tells the producers that it knows.
func TestFollowerDescribesProducers(t *testing.T) {
	c, _, follower := newRacks(t)
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	if p := c.ask(follower, req).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Errorf("the follower answers %s", kafka.CodeName(p.ErrorCode))
	}
}

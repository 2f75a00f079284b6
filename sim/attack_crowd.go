// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/sim/keyed"
)

// crowded makes a request that names n groups, members, protocols or partitions: all the same, or each another.
func crowded(d keyed.Draw, topic string, n int) kmsg.Request {
	same := d.Ratio(1, 2)
	d = d.Next()
	names := make([]string, n)
	for i := range names {
		if names[i] = preyGroup; !same {
			names[i] = fmt.Sprintf("nobody%d", i)
		}
	}
	if d.Ratio(1, 3) {
		return crowdedPartitions(d.Next(), topic, n, same)
	}
	return crowdedGroups(d.Next(), names)
}

func crowdedGroups(d keyed.Draw, names []string) kmsg.Request {
	switch d.Below(8) {
	case 0:
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Version, req.Groups = 5, names
		return req
	case 1:
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Groups = names
		return req
	case 2:
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Version, req.Groups = 2, names
		return req
	case 3:
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKeys = 4, names
		return req
	case 4:
		req := kmsg.NewPtrListGroupsRequest()
		req.Version, req.StatesFilter, req.TypesFilter = 5, names, names
		return req
	case 5:
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Version, req.Group = 4, preyGroup
		for _, name := range names {
			req.Members = append(req.Members, kmsg.LeaveGroupRequestMember{MemberID: name})
		}
		return req
	case 6:
		req := kmsg.NewPtrSyncGroupRequest()
		req.Version, req.Group, req.MemberID = 4, preyGroup, names[0]
		for _, name := range names {
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: name, MemberAssignment: []byte{}})
		}
		return req
	}
	req := newMember(d.Next(), 1).(*kmsg.JoinGroupRequest)
	for _, name := range names {
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: name, Metadata: []byte{}})
	}
	return req
}

func crowdedPartitions(d keyed.Draw, topic string, n int, same bool) kmsg.Request {
	numbers := make([]int32, n)
	for i := range numbers {
		if !same {
			numbers[i] = int32(i)
		}
	}
	switch d.Below(4) {
	case 0:
		req := kmsg.NewPtrDescribeProducersRequest()
		req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: numbers}}
		return req
	case 1:
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Version, req.Topics = 2, []kmsg.DescribeLogDirsRequestTopic{{Topic: topic, Partitions: numbers}}
		return req
	case 2:
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{{Topic: topic, Partitions: numbers}}
		return req
	}
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version = 3
	t := kmsg.NewOffsetForLeaderEpochRequestTopic()
	t.Topic = topic
	for _, p := range numbers {
		in := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		in.Partition, in.CurrentLeaderEpoch = p, -1
		t.Partitions = append(t.Partitions, in)
	}
	req.Topics = append(req.Topics, t)
	return req
}

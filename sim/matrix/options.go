// SPDX-License-Identifier: Apache-2.0

package matrix

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// options counts what of a request, and of its answer if there is one, takes a path of its own.
func (v *visit) options(req kmsg.Request, resp kmsg.Response) {
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		v.produce(req)
	case *kmsg.FetchRequest:
		v.fetch(req, resp.(*kmsg.FetchResponse))
	case *kmsg.ListOffsetsRequest:
		v.listOffsets(req)
	case *kmsg.MetadataRequest:
		v.metadata(req)
	default:
		v.groupOptions(req, resp)
		v.adminOptions(req)
		v.describeOptions(req, resp)
	}
}

func (v *visit) produce(req *kmsg.ProduceRequest) {
	v.when(req.Acks == 0, "acks=0")
	v.when(req.Acks == 1, "acks=1")
	v.when(req.Acks == -1, "acks=all")
	parts := 0
	for i := range req.Topics {
		parts += len(req.Topics[i].Partitions)
		for j := range req.Topics[i].Partitions {
			b, err := kafka.ParseBatch(req.Topics[i].Partitions[j].Records)
			if err != nil {
				continue
			}
			if c := b.Codec(); c <= kafka.CodecZstd {
				v.reach([...]string{"plain", "gzip", "snappy", "lz4", "zstd"}[c])
			}
			v.when(b.IsIdempotent(), "idempotent")
			v.when(b.ProducerEpoch > 0, "epoch-bumped")
			v.when(b.IsIdempotent() && b.LastSequence() < b.BaseSequence, "sequence-wraps")
		}
	}
	v.when(parts > 1, "several-partitions")
	v.when(len(req.Topics) > 1, "several-topics")
}

func (v *visit) fetch(req *kmsg.FetchRequest, resp *kmsg.FetchResponse) {
	parts := 0
	for i := range req.Topics {
		list := req.Topics[i].Partitions
		parts += len(list)
		for j := range list {
			v.when(j > 0 && list[j].Partition == list[j-1].Partition, "partition-twice")
		}
	}
	v.when(parts > 1, "several-partitions")
	v.when(len(req.Topics) > 1, "several-topics")
	v.when(req.Rack != "", "rack")
	v.when(req.IsolationLevel == 1, "committed-only")
	v.when(req.SessionEpoch > 0 && resp.ErrorCode == 0, "in-session")
	v.when(len(req.ForgottenTopics) > 0, "forgotten")
	records := false
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			records = records || len(p.RecordBatches) > 0
			v.when(p.PreferredReadReplica >= 0, "sent-elsewhere")
			v.when(p.DivergingEpoch.Epoch >= 0 && p.DivergingEpoch.EndOffset >= 0, "diverging")
			v.when(p.ErrorCode != 0 && p.CurrentLeader.LeaderID >= 0, "leader-named")
		}
	}
	v.when(records, "records")
	v.when(!records, "nothing")
}

func (v *visit) listOffsets(req *kmsg.ListOffsetsRequest) {
	parts := 0
	for i := range req.Topics {
		parts += len(req.Topics[i].Partitions)
		for j := range req.Topics[i].Partitions {
			switch ms := req.Topics[i].Partitions[j].Timestamp; {
			case ms == -1:
				v.reach("latest")
			case ms == -2:
				v.reach("earliest")
			case ms == -3 && req.Version >= 7:
				v.reach("largest-time")
			case ms == -4 && req.Version >= 8:
				v.reach("local")
			case ms == -5 && req.Version >= 9:
				v.reach("tiered")
			case ms >= 0:
				v.reach("by-time")
			}
		}
	}
	v.when(parts > 1, "several-partitions")
	v.when(len(req.Topics) > 1, "several-topics")
}

func (v *visit) metadata(req *kmsg.MetadataRequest) {
	all := req.Topics == nil || req.Version == 0 && len(req.Topics) == 0
	v.when(all, "all-topics")
	v.when(!all && len(req.Topics) == 0, "no-topics")
	v.when(len(req.Topics) > 1, "several-topics")
	for i := range req.Topics {
		t := &req.Topics[i]
		v.when(t.Topic == nil && req.Version >= 12, "by-id")
		v.when(i > 0 && t.Topic != nil && req.Topics[i-1].Topic != nil && *t.Topic == *req.Topics[i-1].Topic, "topic-twice")
	}
	v.when((req.AllowAutoTopicCreation || req.Version < 4) && len(req.Topics) > 0, "may-create")
}

// groupOptions is the part of requests about consumer groups.
func (v *visit) groupOptions(req kmsg.Request, resp kmsg.Response) {
	switch req := req.(type) {
	case *kmsg.OffsetCommitRequest:
		v.when(req.Generation < 0, "no-member")
		v.when(len(req.Topics) == 0, "no-topics")
		v.when(len(req.Topics) > 1, "several-topics")
		parts := 0
		for i := range req.Topics {
			list := req.Topics[i].Partitions
			parts += len(list)
			for j := range list {
				v.when(j > 0 && list[j].Partition == list[j-1].Partition, "partition-twice")
			}
		}
		v.when(parts > 1, "several-partitions")
	case *kmsg.OffsetFetchRequest:
		topics := req.Topics
		all := topics == nil && req.Version >= 2 && req.Version < 8
		several := len(topics) > 1
		for i := range req.Groups {
			all = all || req.Groups[i].Topics == nil
			several = several || len(req.Groups[i].Topics) > 1
		}
		v.when(all, "all-topics")
		v.when(several, "several-topics")
		v.when(len(req.Groups) > 1, "several-groups")
	case *kmsg.FindCoordinatorRequest:
		v.when(len(req.CoordinatorKeys) > 1, "several-keys")
	case *kmsg.JoinGroupRequest:
		v.when(req.InstanceID != nil, "static")
	case *kmsg.LeaveGroupRequest:
		v.when(len(req.Members) > 1, "several-members")
	case *kmsg.DescribeGroupsRequest:
		v.when(len(req.Groups) > 1, "several-groups")
		v.when(len(req.Groups) > 1 && req.Groups[0] == req.Groups[1], "group-twice")
		for i := range resp.(*kmsg.DescribeGroupsResponse).Groups {
			g := &resp.(*kmsg.DescribeGroupsResponse).Groups[i]
			v.when(g.State == "Dead", "dead")
			v.when(len(g.Members) > 0, "members")
		}
	case *kmsg.ListGroupsRequest:
		v.when(len(req.StatesFilter) > 0, "by-state")
		v.when(len(req.TypesFilter) > 0, "by-type")
		v.when(len(resp.(*kmsg.ListGroupsResponse).Groups) > 0, "groups")
	case *kmsg.DeleteGroupsRequest:
		v.when(len(req.Groups) > 1, "several-groups")
	case *kmsg.OffsetDeleteRequest:
		v.when(len(req.Topics) > 0 && len(req.Topics[0].Partitions) > 1, "several-partitions")
	case *kmsg.ConsumerGroupHeartbeatRequest:
		v.when(req.InstanceID != nil, "static")
		v.when(req.MemberEpoch < 0, "leaves")
		v.when(req.SubscribedTopicRegex != nil && *req.SubscribedTopicRegex != "", "regex")
	case *kmsg.ConsumerGroupDescribeRequest:
		v.when(len(req.Groups) > 1, "several-groups")
		for i := range resp.(*kmsg.ConsumerGroupDescribeResponse).Groups {
			v.when(len(resp.(*kmsg.ConsumerGroupDescribeResponse).Groups[i].Members) > 0, "members")
		}
	}
}

// adminOptions is the part of requests that change something.
func (v *visit) adminOptions(req kmsg.Request) {
	switch req := req.(type) {
	case *kmsg.CreateTopicsRequest:
		v.when(req.ValidateOnly, "validate-only")
		v.when(len(req.Topics) > 1, "several-topics")
		for i := range req.Topics {
			t := &req.Topics[i]
			v.when(i > 0 && t.Topic == req.Topics[i-1].Topic, "topic-twice")
			v.when(len(t.ReplicaAssignment) > 0, "assignment")
			v.when(len(t.Configs) > 0, "configured")
			v.when(t.NumPartitions == -1 && t.ReplicationFactor == -1 && len(t.ReplicaAssignment) == 0, "defaults")
		}
	case *kmsg.DeleteTopicsRequest:
		v.when(len(req.TopicNames)+len(req.Topics) > 1, "several-topics")
		v.when(req.Version >= 6 && len(req.Topics) > 0 && req.Topics[0].Topic == nil, "by-id")
	case *kmsg.DeleteRecordsRequest:
		parts := 0
		for i := range req.Topics {
			parts += len(req.Topics[i].Partitions)
			v.when(len(req.Topics[i].Partitions) > 0 && req.Topics[i].Partitions[0].Offset == -1, "to-the-end")
		}
		v.when(parts > 1, "several-partitions")
	case *kmsg.InitProducerIDRequest:
		v.when(req.ProducerID < 0 && req.TransactionalID == nil, "new-id")
		v.when(req.Version >= 3 && req.ProducerID >= 0 && req.ProducerEpoch >= 0, "next-epoch")
	case *kmsg.AlterConfigsRequest:
		v.when(req.ValidateOnly, "validate-only")
		for i := range req.Resources {
			v.resource(req.Resources[i].ResourceType)
			v.when(len(req.Resources[i].Configs) == 0, "nothing-named")
		}
	case *kmsg.IncrementalAlterConfigsRequest:
		v.when(req.ValidateOnly, "validate-only")
		for i := range req.Resources {
			v.resource(req.Resources[i].ResourceType)
			for j := range req.Resources[i].Configs {
				if op := req.Resources[i].Configs[j].Op; op >= 0 && op <= 3 {
					v.reach([...]string{"set", "delete", "append", "subtract"}[op])
				}
			}
		}
	case *kmsg.CreatePartitionsRequest:
		v.when(req.ValidateOnly, "validate-only")
		v.when(len(req.Topics) > 1, "several-topics")
		v.when(len(req.Topics) > 0 && req.Topics[0].Assignment != nil, "assignment")
	case *kmsg.ElectLeadersRequest:
		v.when(req.ElectionType == 0, "preferred")
		v.when(req.ElectionType == 1, "unclean")
		v.when(req.Topics == nil, "all-topics")
		v.when(len(req.Topics) > 0 && len(req.Topics[0].Partitions) > 1, "several-partitions")
	case *kmsg.AlterPartitionAssignmentsRequest:
		v.when(len(req.Topics) > 0 && len(req.Topics[0].Partitions) > 0 && req.Topics[0].Partitions[0].Replicas == nil, "called-off")
	}
}

// resource counts what has the configurations that a request is about.
func (v *visit) resource(t kmsg.ConfigResourceType) {
	v.when(t == kmsg.ConfigResourceTypeTopic, "topic")
	v.when(t == kmsg.ConfigResourceTypeBroker, "broker")
	v.when(t == kmsg.ConfigResourceTypeGroupConfig, "group")
	v.when(t == kmsg.ConfigResourceTypeBrokerLogger, "logger")
}

// describeOptions is the part of requests that only ask.
func (v *visit) describeOptions(req kmsg.Request, resp kmsg.Response) {
	switch req := req.(type) {
	case *kmsg.OffsetForLeaderEpochRequest:
		parts := 0
		for i := range req.Topics {
			parts += len(req.Topics[i].Partitions)
			for j := range req.Topics[i].Partitions {
				v.when(req.Topics[i].Partitions[j].LeaderEpoch > 1<<20, "no-such-epoch")
			}
		}
		v.when(parts > 1, "several-partitions")
	case *kmsg.DescribeConfigsRequest:
		for i := range req.Resources {
			r := &req.Resources[i]
			v.resource(r.ResourceType)
			v.when(r.ResourceType == kmsg.ConfigResourceTypeBroker && r.ResourceName == "" && req.Version >= 1, "all-brokers")
			v.when(len(r.ConfigNames) > 0, "some-names")
		}
		v.when(req.IncludeSynonyms, "synonyms")
		v.when(len(req.Resources) > 1, "several")
	case *kmsg.DescribeLogDirsRequest:
		v.when(req.Topics == nil, "all-topics")
		v.when(req.Topics != nil, "some-topics")
	case *kmsg.ListPartitionReassignmentsRequest:
		v.when(req.Topics == nil, "all-topics")
		v.when(req.Topics != nil, "some-topics")
		v.when(len(resp.(*kmsg.ListPartitionReassignmentsResponse).Topics) > 0, "moving")
	case *kmsg.DescribeClusterRequest:
		v.when(req.IncludeFencedBrokers, "with-fenced")
	case *kmsg.DescribeProducersRequest:
		for i := range req.Topics {
			v.when(len(req.Topics[i].Partitions) > 1, "several-partitions")
		}
		v.producers(resp.(*kmsg.DescribeProducersResponse))
	case *kmsg.ListConfigResourcesRequest:
		v.when(len(req.ResourceTypes) > 0, "some-types")
	case *kmsg.DescribeTopicPartitionsRequest:
		v.when(len(req.Topics) == 0, "all-topics")
		v.when(req.Cursor != nil, "cursor")
		v.when(resp.(*kmsg.DescribeTopicPartitionsResponse).NextCursor != nil, "next-page")
	}
}

func (v *visit) producers(resp *kmsg.DescribeProducersResponse) {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			v.when(len(resp.Topics[i].Partitions[j].ActiveProducers) > 0, "producers")
		}
	}
}

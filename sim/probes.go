// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/checker"
	"chronik/kafka"
)

// probe is a request that changes nothing, by what it needs.
type probe struct {
	what    string
	kind    int8
	request func(c *client, name string) kmsg.Request
	needs   func(may func(op, kind int8, name string) bool, name string) bool
	lists   func(resp kmsg.Response) []string // nil, or what an answer lists, each of which needs what needs says
}

// names are those that a probe may be about.
func (p *probe) names(w *world) []string {
	switch p.kind {
	case checker.OfTopic:
		return w.plan.TopicNames()
	case checker.OfGroup:
		return w.plan.GroupNames()
	case checker.OfTransaction:
		return w.plan.TxnNames()
	}
	return []string{clusterName}
}

// one is a need for one right.
func one(op, kind int8) func(func(op, kind int8, name string) bool, string) bool {
	return func(may func(op, kind int8, name string) bool, name string) bool { return may(op, kind, name) }
}

func topicProbe(what string, op int8, request func(c *client, name string) kmsg.Request) probe {
	return probe{what: what, kind: checker.OfTopic, request: request, needs: one(op, checker.OfTopic)}
}

func groupProbe(what string, op int8, request func(c *client, name string) kmsg.Request) probe {
	return probe{what: what, kind: checker.OfGroup, request: request, needs: one(op, checker.OfGroup)}
}

func clusterProbe(what string, op int8, request func(c *client, name string) kmsg.Request) probe {
	return probe{what: what, kind: checker.OfCluster, request: request, needs: one(op, checker.OfCluster)}
}

// listProbe asks for a list of all that may be described.
func listProbe(what string, kind int8, request func(c *client, name string) kmsg.Request, lists func(resp kmsg.Response) []string) probe {
	return probe{what: what, kind: kind, request: request, needs: one(checker.OpDescribe, kind), lists: lists}
}

var probes = []probe{
	topicProbe("Metadata", checker.OpDescribe, func(c *client, name string) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		req.Version = [...]int16{4, 9, 12, 13}[c.draw().Below(4)]
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
		return req
	}),
	topicProbe("ListOffsets", checker.OpDescribe, func(c *client, name string) kmsg.Request {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID = [...]int16{1, 6, 7}[c.draw().Below(3)], -1
		t, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		t.Topic, p.CurrentLeaderEpoch, p.Timestamp = name, -1, -1
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	}),
	{what: "OffsetForLeaderEpoch", kind: checker.OfTopic, request: func(c *client, name string) kmsg.Request {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.Version, req.ReplicaID = [...]int16{2, 3, 4}[c.draw().Below(3)], -1
		t, p := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		t.Topic, p.CurrentLeaderEpoch, p.LeaderEpoch = name, -1, 0
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	}, needs: func(may func(op, kind int8, name string) bool, name string) bool {
		return may(checker.OpClusterAction, checker.OfCluster, clusterName) || may(checker.OpDescribe, checker.OfTopic, name)
	}},
	topicProbe("Fetch", checker.OpRead, func(c *client, name string) kmsg.Request {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.ReplicaID, req.MinBytes, req.MaxBytes = [...]int16{4, 11, 12}[c.draw().Below(3)], -1, 1, 1<<20
		req.MaxWaitMillis = int32(c.draw().Below(500))
		t, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
		t.Topic, p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.LogStartOffset, p.PartitionMaxBytes = name, -1, -1, -1, 1<<10
		p.FetchOffset = c.draw().Below(64)
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	}),
	topicProbe("Produce", checker.OpWrite, func(c *client, name string) kmsg.Request {
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TimeoutMillis = [...]int16{3, 7, 9}[c.draw().Below(3)], -1, 1000
		t, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
		p.Records = kafka.AppendBatch(nil, kafka.NewBatchSpec(kafka.Record{Value: []byte("of a visitor")}))
		p.Records[len(p.Records)-1] ^= 1 // its checksum is wrong
		t.Topic = name
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	}),
	topicProbe("DeleteRecords", checker.OpDelete, func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.TimeoutMillis = 1000
		t, p := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
		t.Topic, p.Offset = name, 1<<60
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	}),
	topicProbe("CreatePartitions", checker.OpAlter, func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.ValidateOnly, req.TimeoutMillis = true, 1000
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name, 20
		req.Topics = append(req.Topics, t)
		return req
	}),
	topicProbe("DescribeConfigs", checker.OpDescribeConfigs, func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrDescribeConfigsRequest()
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, name
		req.Resources = append(req.Resources, r)
		return req
	}),
	topicProbe("IncrementalAlterConfigs", checker.OpAlterConfigs, func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.ValidateOnly = true
		r, c := kmsg.NewIncrementalAlterConfigsRequestResource(), kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		r.ResourceType, r.ResourceName, c.Name, c.Value = kmsg.ConfigResourceTypeTopic, name, "flush.ms", kmsg.StringPtr("1000")
		r.Configs = append(r.Configs, c)
		req.Resources = append(req.Resources, r)
		return req
	}),
	topicProbe("DescribeProducers", checker.OpRead, func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrDescribeProducersRequest()
		t := kmsg.NewDescribeProducersRequestTopic()
		t.Topic, t.Partitions = name, []int32{0}
		req.Topics = append(req.Topics, t)
		return req
	}),
	{what: "CreateTopics", kind: checker.OfTopic, request: func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.ValidateOnly, req.TimeoutMillis = 4, true, 1000
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, 1, 1
		req.Topics = append(req.Topics, t)
		return req
	}, needs: func(may func(op, kind int8, name string) bool, name string) bool {
		return may(checker.OpCreate, checker.OfCluster, clusterName) || may(checker.OpCreate, checker.OfTopic, name)
	}},
	groupProbe("DescribeGroups", checker.OpDescribe, func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{name}
		return req
	}),
	groupProbe("FindCoordinator of a group", checker.OpDescribe, func(c *client, name string) kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version = [...]int16{1, 4}[c.draw().Below(2)]
		req.CoordinatorKey, req.CoordinatorKeys = name, []string{name}
		return req
	}),
	groupProbe("Heartbeat", checker.OpRead, func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.Generation, req.MemberID = name, 1, "nobody"
		return req
	}),
	groupProbe("OffsetFetch", checker.OpDescribe, func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version = 8
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = name
		req.Groups = append(req.Groups, g)
		return req
	}),
	{what: "FindCoordinator of a transactional id", kind: checker.OfTransaction, request: func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorType, req.CoordinatorKey = 1, 1, name
		return req
	}, needs: one(checker.OpDescribe, checker.OfTransaction)},
	{what: "EndTxn", kind: checker.OfTransaction, request: func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrEndTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = name, 1<<41, 0
		return req
	}, needs: one(checker.OpWrite, checker.OfTransaction)},
	{what: "DescribeTransactions", kind: checker.OfTransaction, request: func(_ *client, name string) kmsg.Request {
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = []string{name}
		return req
	}, needs: one(checker.OpDescribe, checker.OfTransaction)},
	{what: "InitProducerId", kind: checker.OfCluster, request: func(c *client, _ string) kmsg.Request {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version, req.TransactionTimeoutMillis = [...]int16{0, 2, 4}[c.draw().Below(3)], 1000
		return req
	}, needs: func(may func(op, kind int8, name string) bool, _ string) bool {
		return may(checker.OpIdempotentWrite, checker.OfCluster, clusterName) || may(checker.OpWrite, checker.OfTopic, checker.SomeName)
	}},
	listProbe("Metadata of all topics", checker.OfTopic, func(c *client, _ string) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		req.Version, req.Topics = [...]int16{1, 9, 12}[c.draw().Below(3)], nil
		return req
	}, func(resp kmsg.Response) (names []string) {
		for _, t := range resp.(*kmsg.MetadataResponse).Topics {
			names = append(names, *t.Topic)
		}
		return names
	}),
	listProbe("ListTransactions", checker.OfTransaction, func(*client, string) kmsg.Request {
		return kmsg.NewPtrListTransactionsRequest()
	}, func(resp kmsg.Response) (names []string) {
		for _, t := range resp.(*kmsg.ListTransactionsResponse).TransactionStates {
			names = append(names, t.TransactionalID)
		}
		return names
	}),
	{
		what: "ListGroups", kind: checker.OfGroup, request: func(*client, string) kmsg.Request { return kmsg.NewPtrListGroupsRequest() },
		needs: func(may func(op, kind int8, name string) bool, name string) bool {
			return may(checker.OpDescribe, checker.OfCluster, clusterName) || may(checker.OpDescribe, checker.OfGroup, name)
		},
		lists: func(resp kmsg.Response) (names []string) {
			for _, g := range resp.(*kmsg.ListGroupsResponse).Groups {
				names = append(names, g.Group)
			}
			return names
		},
	},
	clusterProbe("DescribeACLs", checker.OpDescribe, func(*client, string) kmsg.Request {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.Version = 1
		req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny, kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
		return req
	}),
	clusterProbe("CreateACLs", checker.OpAlter, func(*client, string) kmsg.Request {
		req := kmsg.NewPtrCreateACLsRequest()
		in := kmsg.NewCreateACLsRequestCreation()
		in.ResourceType, in.ResourceName, in.Principal, in.Host, in.Operation, in.PermissionType = kmsg.ACLResourceTypeCluster, "no cluster", "User:u1", "*", kmsg.ACLOperationAll, kmsg.ACLPermissionTypeAllow
		req.Creations = append(req.Creations, in)
		return req
	}),
	clusterProbe("DescribeUserScramCredentials", checker.OpDescribe, func(c *client, _ string) kmsg.Request {
		req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
		for range c.draw().Below(3) { // of all, of nobody, or of one who is named twice
			u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
			u.Name = "nobody"
			req.Users = append(req.Users, u)
		}
		return req
	}),
	clusterProbe("AlterUserScramCredentials", checker.OpAlter, func(c *client, _ string) kmsg.Request {
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		for range 1 + c.draw().Below(2) {
			u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
			u.Name, u.Mechanism, u.Iterations = "u1", int8(1+2*c.draw().Below(2)), 1 // too few, or of no mechanism
			req.Upsertions = append(req.Upsertions, u)
		}
		return req
	}),
	clusterProbe("DescribeClientQuotas", checker.OpDescribeConfigs, func(c *client, _ string) kmsg.Request {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Version = int16(c.draw().Below(2))
		return req
	}),
	clusterProbe("AlterClientQuotas", checker.OpAlterConfigs, func(c *client, _ string) kmsg.Request {
		req := kmsg.NewPtrAlterClientQuotasRequest()
		req.Version, req.ValidateOnly = int16(c.draw().Below(2)), true
		e, part, op := kmsg.NewAlterClientQuotasRequestEntry(), kmsg.NewAlterClientQuotasRequestEntryEntity(), kmsg.NewAlterClientQuotasRequestEntryOp()
		part.Type, part.Name = "user", kmsg.StringPtr("u1")
		op.Key, op.Value = "producer_byte_rate", 1
		e.Entity, e.Ops = append(e.Entity, part), append(e.Ops, op)
		req.Entries = append(req.Entries, e)
		return req
	}),
	clusterProbe("DescribeQuorum", checker.OpDescribe, func(*client, string) kmsg.Request {
		req := kmsg.NewPtrDescribeQuorumRequest()
		t, p := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
		t.Topic = "__cluster_metadata"
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	}),
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

var configRequests = []many{
	{"DescribeConfigs", func(n int) kmsg.Request { return describeConfigs(n, nth) }},
	{"DescribeConfigs, one name", func(n int) kmsg.Request { return describeConfigs(n, same) }},
	{"DescribeConfigs, many keys", func(n int) kmsg.Request {
		req := describeConfigs(1, same).(*kmsg.DescribeConfigsRequest)
		req.Resources[0].ConfigNames = fill(n, nth)
		return req
	}},
	{"IncrementalAlterConfigs", func(n int) kmsg.Request { return alterConfigs(n, 1, nth) }},
	{"IncrementalAlterConfigs, one name", func(n int) kmsg.Request { return alterConfigs(n, 1, same) }},
	{"IncrementalAlterConfigs, many keys", func(n int) kmsg.Request { return alterConfigs(1, n, same) }},
	{"AlterConfigs", func(n int) kmsg.Request {
		req := kmsg.NewPtrAlterConfigsRequest()
		req.Version, req.ValidateOnly = 2, true
		req.Resources = fill(n, func(i int) kmsg.AlterConfigsRequestResource {
			r := kmsg.NewAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, nth(i)
			return r
		})
		return req
	}},
}

func describeConfigs(n int, name func(int) string) kmsg.Request {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.IncludeDocumentation = 4, true
	req.Resources = fill(n, func(i int) kmsg.DescribeConfigsRequestResource {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, name(i)
		return r
	})
	return req
}

func alterConfigs(n, keys int, name func(int) string) kmsg.Request {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version, req.ValidateOnly = 1, true
	req.Resources = fill(n, func(i int) kmsg.IncrementalAlterConfigsRequestResource {
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, name(i)
		r.Configs = fill(keys, func(i int) kmsg.IncrementalAlterConfigsRequestResourceConfig {
			k := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			k.Name, k.Value = nth(i), kmsg.StringPtr("1")
			return k
		})
		return r
	})
	return req
}

var recordRequests = []many{
	{"Produce, empty", func(n int) kmsg.Request { return produceRequest(politeTopic, make([][]byte, n)...) }},
	{"Fetch, one partition", func(n int) kmsg.Request {
		req := fetchRequest(politeTopic, 1)
		for len(req.Topics[0].Partitions) < n {
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
		}
		return req
	}},
	{"Fetch, many topics", func(n int) kmsg.Request {
		req := fetchRequest(politeTopic, 1)
		req.Topics = fill(n, func(i int) kmsg.FetchRequestTopic {
			t := req.Topics[0]
			t.Topic = nth(i)
			return t
		})
		return req
	}},
	{"ListOffsets", func(n int) kmsg.Request {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version = 7
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = politeTopic
		t.Partitions = fill(n, func(i int) kmsg.ListOffsetsRequestTopicPartition {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Timestamp = int64(i%5) - 3 // newest timestamp, earliest, latest, of times
			return p
		})
		req.Topics = append(req.Topics, t)
		return req
	}},
	{"OffsetForLeaderEpoch", func(n int) kmsg.Request {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.Version = 4
		t := kmsg.NewOffsetForLeaderEpochRequestTopic()
		t.Topic = politeTopic
		t.Partitions = fill(n, func(i int) kmsg.OffsetForLeaderEpochRequestTopicPartition {
			p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			p.LeaderEpoch = int32(i)
			return p
		})
		req.Topics = append(req.Topics, t)
		return req
	}},
	{"DeleteRecords", func(n int) kmsg.Request {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Version, req.TimeoutMillis = 2, 5000
		t := kmsg.NewDeleteRecordsRequestTopic()
		t.Topic = politeTopic
		t.Partitions = fill(n, func(int) kmsg.DeleteRecordsRequestTopicPartition { return kmsg.NewDeleteRecordsRequestTopicPartition() })
		req.Topics = append(req.Topics, t)
		return req
	}},
	{"DescribeProducers", func(n int) kmsg.Request {
		req := kmsg.NewPtrDescribeProducersRequest()
		t := kmsg.NewDescribeProducersRequestTopic()
		t.Topic, t.Partitions = politeTopic, numbers(n)
		req.Topics = append(req.Topics, t)
		return req
	}},
}

var groupRequests = []many{
	{"FindCoordinator", func(n int) kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKeys = 4, fill(n, nth)
		return req
	}},
	{"OffsetCommit", offsetCommit},
	{"OffsetFetch, many groups", func(n int) kmsg.Request {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.RequireStable = 9, true
		req.Groups = fill(n, func(i int) kmsg.OffsetFetchRequestGroup {
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = nth(i)
			return g
		})
		return req
	}},
	{"OffsetFetch, many partitions", func(n int) kmsg.Request {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version = 9
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = "attack"
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = politeTopic, numbers(n)
		g.Topics = append(g.Topics, t)
		req.Groups = append(req.Groups, g)
		return req
	}},
	{"OffsetDelete", func(n int) kmsg.Request {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = "attack"
		t := kmsg.NewOffsetDeleteRequestTopic()
		t.Topic = politeTopic
		t.Partitions = fill(n, func(i int) kmsg.OffsetDeleteRequestTopicPartition {
			return kmsg.OffsetDeleteRequestTopicPartition{Partition: int32(i)}
		})
		req.Topics = append(req.Topics, t)
		return req
	}},
	{"DescribeGroups", func(n int) kmsg.Request {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Version, req.Groups = 5, fill(n, nth)
		return req
	}},
	{"ConsumerGroupDescribe", func(n int) kmsg.Request {
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Version, req.Groups = 1, fill(n, nth)
		return req
	}},
	{"DeleteGroups", func(n int) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Version, req.Groups = 2, fill(n, nth)
		return req
	}},
}

func offsetCommit(n int) kmsg.Request {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, "attack", -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = politeTopic
	t.Partitions = fill(n, func(i int) kmsg.OffsetCommitRequestTopicPartition {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = int32(i), int64(i)
		return p
	})
	req.Topics = append(req.Topics, t)
	return req
}

var replicaRequests = []many{
	{"AlterPartitionReassignments", func(n int) kmsg.Request {
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.TimeoutMillis = 5000
		t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		t.Topic = politeTopic
		t.Partitions = fill(n, func(i int) kmsg.AlterPartitionAssignmentsRequestTopicPartition {
			p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			p.Partition, p.Replicas = int32(1+i), []int32{1, 2, 3}
			return p
		})
		req.Topics = append(req.Topics, t)
		return req
	}},
	{"ListPartitionReassignments", func(n int) kmsg.Request {
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.TimeoutMillis = 5000
		t := kmsg.NewListPartitionReassignmentsRequestTopic()
		t.Topic, t.Partitions = politeTopic, numbers(n)
		req.Topics = append(req.Topics, t)
		return req
	}},
	{"ElectLeaders", func(n int) kmsg.Request {
		req := kmsg.NewPtrElectLeadersRequest()
		req.Version, req.TimeoutMillis = 2, 5000
		t := kmsg.NewElectLeadersRequestTopic()
		t.Topic, t.Partitions = politeTopic, numbers(n)
		req.Topics = append(req.Topics, t)
		return req
	}},
	{"DescribeLogDirs", func(n int) kmsg.Request {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Version = 4
		t := kmsg.NewDescribeLogDirsRequestTopic()
		t.Topic, t.Partitions = politeTopic, numbers(n)
		req.Topics = append(req.Topics, t)
		return req
	}},
	{"AlterReplicaLogDirs", func(n int) kmsg.Request {
		req := kmsg.NewPtrAlterReplicaLogDirsRequest()
		req.Version = 2
		d := kmsg.NewAlterReplicaLogDirsRequestDir()
		d.Dir = "/data"
		t := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		t.Topic, t.Partitions = politeTopic, numbers(n)
		d.Topics = append(d.Topics, t)
		req.Dirs = append(req.Dirs, d)
		return req
	}},
}

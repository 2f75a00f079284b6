// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// furnish makes what is asked for, and returns what needs which rights.
func (s *session) furnish() []permit {
	for _, name := range []string{"t", "hidden", "go1", "go2", "go3", "go4"} {
		s.topic(name, 1)
		s.quiet(produce(name, records(nil, "v")))
	}
	for _, group := range []string{"g", "hidden-g", "go-g"} {
		s.coordinator(group)
		s.demand(commit(group, "", -1, "t", 0, 1))
		s.demand(commit(group, "", -1, "hidden", 0, 1))
	}
	for _, id := range []string{"x", "hidden-x"} {
		s.until(findCoordinator(1, id), "COORDINATOR_NOT_AVAILABLE")
		s.until(initTransactional(id), "COORDINATOR", "CONCURRENT")
	}
	ids, epoch := make(map[string][16]byte), int32(0)
	resp, _ := s.demand(metadata(false, "t", "hidden", "go1", "go2")).(*kmsg.MetadataResponse)
	if resp == nil {
		return nil
	}
	for _, t := range resp.Topics {
		ids[*t.Topic], epoch = t.TopicID, t.Partitions[0].LeaderEpoch
	}
	return slices.Concat(onRecords(ids["t"], epoch), onTopics(ids), onConfigs(), onGroups(), onTransactions(), onClusters())
}

func initTransactional(id string) *kmsg.InitProducerIDRequest {
	req := initProducer(-1, -1)
	req.Version, req.TransactionalID = 4, &id
	return req
}

// needs is a permit whose request needs some rights.
func needs(name string, req kmsg.Request, rights ...string) permit { return permit{name, req, rights} }

const onCluster = " CLUSTER kafka-cluster"

func onRecords(id [16]byte, epoch int32) []permit {
	byID := produce("", records(nil, "v"))
	byID.Version, byID.Topics[0].TopicID = 13, id
	txn := produce("t", records(func(b *kmsg.RecordBatch) {
		b.Attributes, b.ProducerID, b.ProducerEpoch, b.FirstSequence = 0x10, 1, 0, 0
	}, "v"))
	txn.TransactionID = kmsg.StringPtr("x")
	fetchID := fetch("", 0, 0)
	fetchID.Version, fetchID.Topics[0].TopicID = 13, id
	replica := fetch("t", 0, 0)
	replica.ReplicaID = 2
	two := produce("t", records(nil, "v"))
	two.Topics = append(two.Topics, produce("hidden", records(nil, "v")).Topics...)
	fetchTwo := fetch("t", 0, 0)
	fetchTwo.Topics = append(fetchTwo.Topics, fetch("hidden", 0, 0).Topics...)
	return []permit{
		needs("Produce", produce("t", records(nil, "v")), "WRITE TOPIC t"),
		needs("Produce, absent topic", produce("absent", records(nil, "v")), "WRITE TOPIC absent"),
		needs("Produce, by id", byID, "WRITE TOPIC t"),
		needs("Produce, two topics", two, "WRITE TOPIC t"),
		needs("Produce, transactional", txn, "WRITE TRANSACTIONAL_ID x", "WRITE TOPIC t"),
		needs("Fetch", fetch("t", 0, 0), "READ TOPIC t"),
		needs("Fetch, absent topic", fetch("absent", 0, 0), "READ TOPIC absent"),
		needs("Fetch, by id", fetchID, "READ TOPIC t"),
		needs("Fetch, two topics", fetchTwo, "READ TOPIC t"),
		needs("Fetch, as a replica", replica, "CLUSTER_ACTION"+onCluster),
		needs("ListOffsets", listOffsets("t", 0, -2), "DESCRIBE TOPIC t"),
		needs("ListOffsets, absent topic", listOffsets("absent", 0, -2), "DESCRIBE TOPIC absent"),
		needs("OffsetForLeaderEpoch", epochEnd("t", 0, -1, epoch), "DESCRIBE TOPIC t"),
		needs("OffsetForLeaderEpoch, as a broker", epochEnd("t", 0, -1, epoch), "CLUSTER_ACTION"+onCluster),
		needs("OffsetForLeaderEpoch, absent topic", epochEnd("absent", 0, -1, epoch), "DESCRIBE TOPIC absent"),
		needs("DeleteRecords", deleteRecords("t", 0, 0), "DELETE TOPIC t"),
		needs("DeleteRecords, absent topic", deleteRecords("absent", 0, 0), "DELETE TOPIC absent"),
		needs("DescribeProducers", producers("t", 0), "READ TOPIC t"),
		needs("DescribeProducers, absent topic", producers("absent", 0), "READ TOPIC absent"),
	}
}

func onTopics(ids map[string][16]byte) []permit {
	metadataID := metadata(false)
	metadataID.Version, metadataID.Topics = 12, []kmsg.MetadataRequestTopic{{TopicID: ids["t"]}}
	all := metadata(false)
	all.Topics = nil
	ops := func(req *kmsg.MetadataRequest) *kmsg.MetadataRequest {
		req.IncludeTopicAuthorizedOperations = true
		return req
	}
	parts := func(names ...string) *kmsg.DescribeTopicPartitionsRequest {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		for _, name := range names {
			req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
		}
		return req
	}
	byID := func(name string) *kmsg.DeleteTopicsRequest {
		req := deleteTopics("")
		req.Topics[0] = kmsg.DeleteTopicsRequestTopic{TopicID: ids[name]}
		return req
	}
	names := kmsg.NewPtrDeleteTopicsRequest()
	names.Version, names.TimeoutMillis, names.TopicNames = 4, 10_000, []string{"go4"}
	grow := morePartitions("t", 3)
	grow.ValidateOnly = true
	return []permit{
		needs("Metadata", ops(metadata(false, "t")), "DESCRIBE TOPIC t"),
		needs("Metadata, by READ", ops(metadata(false, "t")), "READ TOPIC t"),
		needs("Metadata, absent topic", metadata(false, "absent"), "DESCRIBE TOPIC absent"),
		needs("Metadata, by id", metadataID, "DESCRIBE TOPIC t"),
		needs("Metadata, all topics", all, "DESCRIBE TOPIC t"),
		needs("Metadata, two topics", metadata(false, "t", "hidden"), "DESCRIBE TOPIC t"),
		needs("Metadata, a new topic", metadata(true, "fresh"), "DESCRIBE TOPIC fresh", "CREATE TOPIC fresh"),
		needs("DescribeTopicPartitions", parts("t"), "DESCRIBE TOPIC t"),
		needs("DescribeTopicPartitions, two topics", parts("t", "hidden"), "DESCRIBE TOPIC t"),
		needs("DescribeTopicPartitions, absent topic", parts("absent"), "DESCRIBE TOPIC absent"),
		needs("CreateTopics", createTopic("new1", 1, 1), "CREATE TOPIC new1"),
		needs("CreateTopics, by the cluster", createTopic("new2", 1, 1), "CREATE"+onCluster),
		needs("CreateTopics, one that is there", createTopic("t", 1, 1), "CREATE TOPIC t"),
		needs("CreateTopics, and its configurations", onlyCheck(createTopic("new3", 1, 1)), "CREATE TOPIC new3", "DESCRIBE_CONFIGS TOPIC new3"),
		needs("DeleteTopics", deleteTopics("go1"), "DELETE TOPIC go1"),
		needs("DeleteTopics, by id", byID("go2"), "DESCRIBE TOPIC go2", "DELETE TOPIC go2"),
		needs("DeleteTopics, by the cluster", deleteTopics("go3"), "DELETE"+onCluster),
		needs("DeleteTopics, version 4", names, "DELETE TOPIC go4"),
		needs("DeleteTopics, absent topic", deleteTopics("absent"), "DELETE TOPIC absent"),
		needs("DeleteTopics, absent topic, described", deleteTopics("absent"), "DESCRIBE TOPIC absent"),
		needs("DeleteTopics, described", deleteTopics("t"), "DESCRIBE TOPIC t"),
		needs("CreatePartitions", grow, "ALTER TOPIC t"),
		needs("CreatePartitions, absent topic", morePartitions("absent", 3), "ALTER TOPIC absent"),
		needs("DescribeLogDirs", logDirs("t", 0), "DESCRIBE"+onCluster),
	}
}

func onConfigs() []permit {
	const key, session = "cleanup.policy", "consumer.session.timeout.ms"
	return []permit{
		needs("DescribeConfigs", describeConfigs(ofTopic, "t", key), "DESCRIBE_CONFIGS TOPIC t"),
		needs("DescribeConfigs, by ALTER_CONFIGS", describeConfigs(ofTopic, "t", key), "ALTER_CONFIGS TOPIC t"),
		needs("DescribeConfigs, absent topic", describeConfigs(ofTopic, "absent", key), "DESCRIBE_CONFIGS TOPIC absent"),
		needs("DescribeConfigs, of a broker", describeConfigs(ofBroker, "1", "log.cleanup.policy"), "DESCRIBE_CONFIGS"+onCluster),
		needs("DescribeConfigs, of a group", describeConfigs(ofGroup, "g", session), "DESCRIBE_CONFIGS GROUP g"),
		needs("AlterConfigs", replaceConfigs(ofTopic, "t", key, "delete"), "ALTER_CONFIGS TOPIC t"),
		needs("AlterConfigs, absent topic", replaceConfigs(ofTopic, "absent", key, "delete"), "ALTER_CONFIGS TOPIC absent"),
		needs("AlterConfigs, of a broker", replaceConfigs(ofBroker, "1"), "ALTER_CONFIGS"+onCluster),
		needs("IncrementalAlterConfigs", alter(ofTopic, "t", set(key, "delete")), "ALTER_CONFIGS TOPIC t"),
		needs("IncrementalAlterConfigs, absent topic", alter(ofTopic, "absent", set(key, "delete")), "ALTER_CONFIGS TOPIC absent"),
		needs("IncrementalAlterConfigs, of a broker", alter(ofBroker, "1"), "ALTER_CONFIGS"+onCluster),
		needs("IncrementalAlterConfigs, of a group", alter(ofGroup, "g", set(session, "50000")), "ALTER_CONFIGS GROUP g"),
		needs("ListConfigResources", listResources(ofTopic), "DESCRIBE_CONFIGS"+onCluster),
	}
}

func onGroups() []permit {
	beat := consumerHeartbeat("fresh-g", "m", 0, "t")
	beatTwo := consumerHeartbeat("fresh-g2", "m", 0, "t", "hidden")
	list := kmsg.NewPtrListGroupsRequest()
	list.Version = 4
	described := describeGroups(5, "g", "hidden-g")
	described.IncludeAuthorizedOperations = true
	two := commit("g", "", -1, "t", 0, 1)
	two.Topics = append(two.Topics, commit("g", "", -1, "hidden", 0, 1).Topics...)
	readTwo := committed("g", "t", 0)
	readTwo.Groups[0].Topics = append(readTwo.Groups[0].Topics, committed("g", "hidden", 0).Groups[0].Topics...)
	old := committed("g", "t", 0)
	old.Version, old.Group = 7, "g"
	old.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	find := findCoordinator(0)
	find.Version, find.CoordinatorKey = 3, "g"
	return []permit{
		needs("FindCoordinator", findCoordinator(0, "g"), "DESCRIBE GROUP g"),
		needs("FindCoordinator, two groups", findCoordinator(0, "g", "hidden-g"), "DESCRIBE GROUP g"),
		needs("FindCoordinator, version 3", find, "DESCRIBE GROUP g"),
		needs("FindCoordinator, of a transaction", findCoordinator(1, "x"), "DESCRIBE TRANSACTIONAL_ID x"),
		needs("JoinGroup", joinGroup("fresh-j", "", "range"), "READ GROUP fresh-j"),
		needs("SyncGroup", syncGroup("g", "m", 1), "READ GROUP g"),
		needs("Heartbeat", heartbeat("g", "m", 1), "READ GROUP g"),
		needs("LeaveGroup", leaveGroup("g", "m"), "READ GROUP g"),
		needs("ConsumerGroupHeartbeat", beat, "READ GROUP fresh-g", "DESCRIBE TOPIC t"),
		needs("ConsumerGroupHeartbeat, two topics", beatTwo, "READ GROUP fresh-g2", "DESCRIBE TOPIC t"),
		needs("ConsumerGroupDescribe", describeConsumerGroups("fresh-g"), "DESCRIBE GROUP fresh-g", "DESCRIBE TOPIC t"),
		needs("ConsumerGroupDescribe, absent group", describeConsumerGroups("absent-g"), "DESCRIBE GROUP absent-g"),
		needs("OffsetCommit", commit("g", "", -1, "t", 0, 1), "READ GROUP g", "READ TOPIC t"),
		needs("OffsetCommit, two topics", two, "READ GROUP g", "READ TOPIC t"),
		needs("OffsetFetch", committed("g", "t", 0), "DESCRIBE GROUP g", "DESCRIBE TOPIC t"),
		needs("OffsetFetch, version 7", old, "DESCRIBE GROUP g", "DESCRIBE TOPIC t"),
		needs("OffsetFetch, two topics", readTwo, "DESCRIBE GROUP g", "DESCRIBE TOPIC t"),
		needs("OffsetFetch, all offsets", committed("g", ""), "DESCRIBE GROUP g", "DESCRIBE TOPIC t"),
		needs("DescribeGroups", described, "DESCRIBE GROUP g"),
		needs("DescribeGroups, absent group", describeGroups(5, "absent-g"), "DESCRIBE GROUP absent-g"),
		needs("ListGroups", list, "DESCRIBE GROUP g"),
		needs("ListGroups, by the cluster", list, "DESCRIBE"+onCluster),
		needs("OffsetDelete", deleteOffsets("g", "t", 0), "DELETE GROUP g", "READ TOPIC t"),
		needs("DeleteGroups", deleteGroups("go-g"), "DELETE GROUP go-g"),
		needs("DeleteGroups, absent group", deleteGroups("absent-g"), "DELETE GROUP absent-g"),
	}
}

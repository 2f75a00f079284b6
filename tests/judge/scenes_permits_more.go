// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/twmb/franz-go/pkg/kmsg"

func onTransactions() []permit {
	part := func(topics ...string) *kmsg.AddPartitionsToTxnRequest {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Version, req.TransactionalID, req.ProducerID = 3, "x", 1
		for _, topic := range topics {
			req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: topic, Partitions: []int32{0}})
		}
		return req
	}
	offsets := kmsg.NewPtrAddOffsetsToTxnRequest()
	offsets.Version, offsets.TransactionalID, offsets.ProducerID, offsets.Group = 3, "x", 1, "g"
	txnCommit := kmsg.NewPtrTxnOffsetCommitRequest()
	txnCommit.Version, txnCommit.TransactionalID, txnCommit.ProducerID, txnCommit.Group, txnCommit.Generation = 3, "x", 1, "g", -1
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic = "t"
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset, p.LeaderEpoch = 1, -1
	t.Partitions = append(t.Partitions, p)
	txnCommit.Topics = append(txnCommit.Topics, t)
	end := kmsg.NewPtrEndTxnRequest()
	end.Version, end.TransactionalID, end.ProducerID = 4, "x", 1
	describe := kmsg.NewPtrDescribeTransactionsRequest()
	describe.TransactionalIDs = []string{"x", "hidden-x"}
	absent := kmsg.NewPtrDescribeTransactionsRequest()
	absent.TransactionalIDs = []string{"absent-x"}
	list := kmsg.NewPtrListTransactionsRequest()
	list.Version, list.DurationFilterMillis = 1, -1
	markers := kmsg.NewPtrWriteTxnMarkersRequest()
	markers.Version = 1
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID = 1
	m.Topics = []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "absent", Partitions: []int32{0}}}
	markers.Markers = append(markers.Markers, m)
	return []permit{
		needs("InitProducerId", initProducer(-1, -1), "IDEMPOTENT_WRITE"+onCluster),
		needs("InitProducerId, by WRITE on a topic", initProducer(-1, -1), "WRITE TOPIC anything"),
		needs("InitProducerId, by WRITE on a prefix", initProducer(-1, -1), "WRITE TOPIC any..."),
		needs("InitProducerId, transactional", initTransactional("x"), "WRITE TRANSACTIONAL_ID x"),
		needs("AddPartitionsToTxn", part("t"), "WRITE TRANSACTIONAL_ID x", "WRITE TOPIC t"),
		needs("AddPartitionsToTxn, two topics", part("t", "hidden"), "WRITE TRANSACTIONAL_ID x", "WRITE TOPIC t"),
		needs("AddOffsetsToTxn", offsets, "WRITE TRANSACTIONAL_ID x", "READ GROUP g"),
		needs("TxnOffsetCommit", txnCommit, "WRITE TRANSACTIONAL_ID x", "READ GROUP g", "READ TOPIC t"),
		needs("EndTxn", end, "WRITE TRANSACTIONAL_ID x"),
		needs("DescribeTransactions", describe, "DESCRIBE TRANSACTIONAL_ID x"),
		needs("DescribeTransactions, absent", absent, "DESCRIBE TRANSACTIONAL_ID absent-x"),
		needs("ListTransactions", list, "DESCRIBE TRANSACTIONAL_ID x"),
		needs("WriteTxnMarkers", markers, "ALTER"+onCluster),
		needs("WriteTxnMarkers, by CLUSTER_ACTION", markers, "CLUSTER_ACTION"+onCluster),
	}
}

func onClusters() []permit {
	versions := kmsg.NewPtrApiVersionsRequest()
	versions.Version = 2
	create := kmsg.NewPtrCreateACLsRequest()
	create.Version = 3
	some := kmsg.NewCreateACLsRequestCreation()
	some.ResourceType, some.ResourceName, some.ResourcePatternType = kmsg.ACLResourceTypeTopic, "some", kmsg.ACLResourcePatternTypeLiteral
	some.Principal, some.Host, some.Operation, some.PermissionType = "User:someone", "*", kmsg.ACLOperationRead, kmsg.ACLPermissionTypeAllow
	create.Creations = append(create.Creations, some)
	remove := kmsg.NewPtrDeleteACLsRequest()
	remove.Version = 3
	filter := kmsg.NewDeleteACLsRequestFilter()
	filter.ResourceType, filter.ResourcePatternType, filter.Principal = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny, kmsg.StringPtr("User:someone")
	filter.Operation, filter.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	remove.Filters = append(remove.Filters, filter)
	users := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	users.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: administrator}, {Name: "absent"}}
	forget := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	forget.Deletions = []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "absent", Mechanism: 2}}
	cluster := kmsg.NewPtrDescribeClusterRequest()
	cluster.Version, cluster.IncludeClusterAuthorizedOperations = 1, true
	quorum := kmsg.NewPtrDescribeQuorumRequest()
	quorum.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
	dirs := kmsg.NewPtrAlterReplicaLogDirsRequest()
	dirs.Version = 2
	dirs.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{{Dir: "/nowhere", Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "t", Partitions: []int32{0}}}}}
	features := kmsg.NewPtrUpdateFeaturesRequest()
	features.Version, features.TimeoutMillis, features.ValidateOnly = 1, 10_000, true
	unregister := kmsg.NewPtrUnregisterBrokerRequest()
	unregister.BrokerID = 9
	return append(onQuotas(),
		needs("ApiVersions", versions),
		needs("SaslHandshake", handshake(mechanism)),
		needs("SaslAuthenticate", authenticate("n,,n=admin,r=abc")),
		needs("DescribeAcls", rulesAbout("User:nobody", "rights"), "DESCRIBE"+onCluster),
		needs("DescribeAcls, by ALTER", rulesAbout("User:nobody", "rights"), "ALTER"+onCluster),
		needs("CreateAcls", create, "ALTER"+onCluster),
		needs("DeleteAcls", remove, "ALTER"+onCluster),
		needs("DescribeUserScramCredentials", users, "DESCRIBE"+onCluster),
		needs("AlterUserScramCredentials", forget, "ALTER"+onCluster),
		needs("DescribeCluster", cluster, "DESCRIBE"+onCluster),
		needs("DescribeQuorum", quorum, "DESCRIBE"+onCluster),
		needs("AlterReplicaLogDirs", dirs, "ALTER"+onCluster),
		needs("ElectLeaders", electLeaders(0, "t", 0), "ALTER"+onCluster),
		needs("AlterPartitionReassignments", reassign("t", 0, nil), "ALTER"+onCluster),
		needs("ListPartitionReassignments", listReassignments("t", 0), "DESCRIBE"+onCluster),
		needs("UpdateFeatures", features, "ALTER"+onCluster),
		needs("UnregisterBroker", unregister, "ALTER"+onCluster),
	)
}

// onQuotas come before other users have any.
func onQuotas() []permit {
	describe := kmsg.NewPtrDescribeClientQuotasRequest()
	describe.Components = []kmsg.DescribeClientQuotasRequestComponent{{EntityType: "user", MatchType: 0, Match: kmsg.StringPtr("someone")}}
	change := kmsg.NewPtrAlterClientQuotasRequest()
	change.Entries = []kmsg.AlterClientQuotasRequestEntry{{
		Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "user", Name: kmsg.StringPtr("someone")}},
		Ops:    []kmsg.AlterClientQuotasRequestEntryOp{{Key: "producer_byte_rate", Value: 1e6}},
	}}
	return []permit{
		needs("DescribeClientQuotas", describe, "DESCRIBE_CONFIGS"+onCluster),
		needs("AlterClientQuotas", change, "ALTER_CONFIGS"+onCluster),
	}
}

// SPDX-License-Identifier: Apache-2.0

package matrix

// outcomesOf lists, for each kind of request, the error codes that its handler gives (OK: none), then, in lower case, what of
// a request takes a path of its own. NAME@4 is there from version 4 on, NAME@-6 up to version 6, NAME@1-5 from 1 to 5.
var outcomesOf = map[string]string{
	"Produce": `OK NOT_LEADER_FOR_PARTITION UNKNOWN_TOPIC_OR_PARTITION UNKNOWN_TOPIC_ID@13 REQUEST_TIMED_OUT INVALID_REQUIRED_ACKS
		CORRUPT_MESSAGE INVALID_RECORD INVALID_TIMESTAMP MESSAGE_TOO_LARGE UNSUPPORTED_COMPRESSION_TYPE@-6 INVALID_TXN_STATE
		TRANSACTIONAL_ID_AUTHORIZATION_FAILED INVALID_PRODUCER_ID_MAPPING TRANSACTION_ABORTABLE@11 CONCURRENT_TRANSACTIONS@12
		OUT_OF_ORDER_SEQUENCE_NUMBER INVALID_PRODUCER_EPOCH NOT_ENOUGH_REPLICAS KAFKA_STORAGE_ERROR INVALID_TOPIC_EXCEPTION
		acks=0 acks=1 acks=all plain gzip snappy lz4 zstd@7 idempotent epoch-bumped sequence-wraps several-partitions several-topics`,
	"Fetch": `OK NOT_LEADER_FOR_PARTITION UNKNOWN_TOPIC_OR_PARTITION UNKNOWN_TOPIC_ID@13 FENCED_LEADER_EPOCH@9 UNKNOWN_LEADER_EPOCH@9
		OFFSET_OUT_OF_RANGE FETCH_SESSION_ID_NOT_FOUND@7 KAFKA_STORAGE_ERROR
		records nothing several-partitions several-topics partition-twice rack@11 sent-elsewhere@11 diverging@12 leader-named@16 committed-only`,
	"ListOffsets": `OK NOT_LEADER_FOR_PARTITION UNKNOWN_TOPIC_OR_PARTITION FENCED_LEADER_EPOCH@4 UNKNOWN_LEADER_EPOCH@4 OFFSET_NOT_AVAILABLE@5
		INVALID_REQUEST LEADER_NOT_AVAILABLE REQUEST_TIMED_OUT UNSUPPORTED_VERSION KAFKA_STORAGE_ERROR
		latest earliest by-time largest-time@7 local@8 tiered@9 several-partitions several-topics`,
	"Metadata": `OK UNKNOWN_TOPIC_OR_PARTITION UNKNOWN_TOPIC_ID@12 INVALID_TOPIC_EXCEPTION INVALID_REQUEST@10-11 LEADER_NOT_AVAILABLE POLICY_VIOLATION
		all-topics no-topics@1 several-topics topic-twice by-id@12 may-create`,
	"OffsetCommit": `OK NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE INVALID_GROUP_ID GROUP_MAX_SIZE_REACHED ILLEGAL_GENERATION
		GROUP_ID_NOT_FOUND@9 UNKNOWN_MEMBER_ID FENCED_INSTANCE_ID@7 REBALANCE_IN_PROGRESS STALE_MEMBER_EPOCH@9 UNSUPPORTED_VERSION@-8 UNKNOWN_TOPIC_ID@10
		UNKNOWN_TOPIC_OR_PARTITION OFFSET_METADATA_TOO_LARGE INVALID_COMMIT_OFFSET_SIZE
		no-member several-partitions several-topics partition-twice no-topics`,
	"OffsetFetch": `OK NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS INVALID_GROUP_ID INVALID_REQUEST@8 UNKNOWN_MEMBER_ID@9 STALE_MEMBER_EPOCH@9 UNKNOWN_TOPIC_ID@10 UNSTABLE_OFFSET_COMMIT@7
		all-topics@2 several-groups@8 several-topics`,
	"FindCoordinator": `OK COORDINATOR_NOT_AVAILABLE INVALID_GROUP_ID INVALID_REQUEST@1 TRANSACTIONAL_ID_AUTHORIZATION_FAILED@1 several-keys@4`,
	"JoinGroup": `OK NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE INVALID_GROUP_ID GROUP_MAX_SIZE_REACHED
		INVALID_SESSION_TIMEOUT INVALID_REQUEST UNKNOWN_MEMBER_ID MEMBER_ID_REQUIRED@4 INCONSISTENT_GROUP_PROTOCOL FENCED_INSTANCE_ID@5 REBALANCE_IN_PROGRESS static@5`,
	"Heartbeat":  `OK NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS INVALID_GROUP_ID UNKNOWN_MEMBER_ID ILLEGAL_GENERATION FENCED_INSTANCE_ID@3 REBALANCE_IN_PROGRESS COORDINATOR_NOT_AVAILABLE`,
	"LeaveGroup": `OK NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE INVALID_GROUP_ID UNKNOWN_MEMBER_ID FENCED_INSTANCE_ID@3 several-members@3`,
	"SyncGroup": `OK NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE INVALID_GROUP_ID UNKNOWN_MEMBER_ID ILLEGAL_GENERATION FENCED_INSTANCE_ID@3
		REBALANCE_IN_PROGRESS INCONSISTENT_GROUP_PROTOCOL@5 UNKNOWN_SERVER_ERROR`,
	"DescribeGroups":             `OK NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS INVALID_GROUP_ID GROUP_ID_NOT_FOUND@6 dead members several-groups group-twice`,
	"ListGroups":                 `OK COORDINATOR_LOAD_IN_PROGRESS by-state@4 by-type@5 groups`,
	"ApiVersions":                `OK UNSUPPORTED_VERSION INVALID_REQUEST@3`,
	"CreateTopics":               `OK TOPIC_ALREADY_EXISTS INVALID_TOPIC_EXCEPTION INVALID_PARTITIONS INVALID_REPLICATION_FACTOR INVALID_REPLICA_ASSIGNMENT INVALID_CONFIG INVALID_REQUEST POLICY_VIOLATION REQUEST_TIMED_OUT NOT_CONTROLLER THROTTLING_QUOTA_EXCEEDED KAFKA_STORAGE_ERROR validate-only@1 several-topics topic-twice assignment configured defaults`,
	"DeleteTopics":               `OK UNKNOWN_TOPIC_OR_PARTITION UNKNOWN_TOPIC_ID@6 INVALID_REQUEST INVALID_TOPIC_EXCEPTION REQUEST_TIMED_OUT THROTTLING_QUOTA_EXCEEDED by-id@6 several-topics`,
	"DeleteRecords":              `OK OFFSET_OUT_OF_RANGE POLICY_VIOLATION NOT_LEADER_FOR_PARTITION UNKNOWN_TOPIC_OR_PARTITION INVALID_TOPIC_EXCEPTION REQUEST_TIMED_OUT to-the-end several-partitions`,
	"InitProducerID":             `OK INVALID_REQUEST TRANSACTIONAL_ID_AUTHORIZATION_FAILED COORDINATOR_LOAD_IN_PROGRESS PRODUCER_FENCED@4 new-id next-epoch@3`,
	"OffsetForLeaderEpoch":       `OK NOT_LEADER_FOR_PARTITION UNKNOWN_TOPIC_OR_PARTITION FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH several-partitions no-such-epoch`,
	"WriteTxnMarkers":            `OK NOT_LEADER_FOR_PARTITION UNKNOWN_TOPIC_OR_PARTITION INVALID_REQUEST INVALID_PRODUCER_EPOCH TRANSACTION_COORDINATOR_FENCED REQUEST_TIMED_OUT KAFKA_STORAGE_ERROR`,
	"DescribeACLs":               `SECURITY_DISABLED`,
	"CreateACLs":                 `SECURITY_DISABLED OK`,
	"DeleteACLs":                 `SECURITY_DISABLED OK`,
	"DescribeConfigs":            `OK UNKNOWN_TOPIC_OR_PARTITION INVALID_TOPIC_EXCEPTION INVALID_REQUEST topic broker all-brokers@1 group some-names synonyms@1 several`,
	"AlterConfigs":               `OK INVALID_CONFIG INVALID_REQUEST UNKNOWN_TOPIC_OR_PARTITION INVALID_TOPIC_EXCEPTION TOPIC_AUTHORIZATION_FAILED REQUEST_TIMED_OUT THROTTLING_QUOTA_EXCEEDED INVALID_GROUP_ID POLICY_VIOLATION KAFKA_STORAGE_ERROR validate-only topic broker group nothing-named`,
	"AlterReplicaLogDirs":        `OK UNKNOWN_TOPIC_OR_PARTITION LOG_DIR_NOT_FOUND REPLICA_NOT_AVAILABLE`,
	"DescribeLogDirs":            `OK all-topics some-topics`,
	"CreatePartitions":           `OK INVALID_PARTITIONS INVALID_REPLICA_ASSIGNMENT INVALID_REPLICATION_FACTOR INVALID_REQUEST UNKNOWN_TOPIC_OR_PARTITION POLICY_VIOLATION REQUEST_TIMED_OUT NOT_CONTROLLER THROTTLING_QUOTA_EXCEEDED KAFKA_STORAGE_ERROR validate-only assignment several-topics`,
	"ElectLeaders":               `OK ELECTION_NOT_NEEDED PREFERRED_LEADER_NOT_AVAILABLE ELIGIBLE_LEADERS_NOT_AVAILABLE@1 UNKNOWN_TOPIC_OR_PARTITION INVALID_REQUEST@1 REQUEST_TIMED_OUT THROTTLING_QUOTA_EXCEEDED preferred unclean@1 all-topics several-partitions`,
	"IncrementalAlterConfigs":    `OK INVALID_CONFIG INVALID_REQUEST UNKNOWN_TOPIC_OR_PARTITION INVALID_TOPIC_EXCEPTION TOPIC_AUTHORIZATION_FAILED REQUEST_TIMED_OUT THROTTLING_QUOTA_EXCEEDED INVALID_GROUP_ID POLICY_VIOLATION KAFKA_STORAGE_ERROR validate-only topic broker group set delete append subtract`,
	"AlterPartitionAssignments":  `OK NO_REASSIGNMENT_IN_PROGRESS INVALID_REPLICA_ASSIGNMENT INVALID_REPLICATION_FACTOR@1 INVALID_REQUEST UNKNOWN_TOPIC_OR_PARTITION POLICY_VIOLATION REQUEST_TIMED_OUT THROTTLING_QUOTA_EXCEEDED KAFKA_STORAGE_ERROR called-off`,
	"ListPartitionReassignments": `OK moving all-topics some-topics`,
	"DeleteGroups":               `OK NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE INVALID_GROUP_ID GROUP_ID_NOT_FOUND NON_EMPTY_GROUP several-groups`,
	"OffsetDelete":               `OK NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE INVALID_GROUP_ID GROUP_ID_NOT_FOUND NON_EMPTY_GROUP GROUP_SUBSCRIBED_TO_TOPIC UNKNOWN_TOPIC_OR_PARTITION several-partitions`,
	"DescribeQuorum":             `OK UNKNOWN_TOPIC_OR_PARTITION`,
	"UnregisterBroker":           `OK BROKER_ID_NOT_REGISTERED INVALID_REQUEST DUPLICATE_BROKER_REGISTRATION REQUEST_TIMED_OUT THROTTLING_QUOTA_EXCEEDED`,
	"ConsumerGroupHeartbeat":     `OK NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE INVALID_GROUP_ID INVALID_REQUEST GROUP_ID_NOT_FOUND UNKNOWN_MEMBER_ID FENCED_MEMBER_EPOCH FENCED_INSTANCE_ID UNRELEASED_INSTANCE_ID UNSUPPORTED_ASSIGNOR GROUP_MAX_SIZE_REACHED static leaves regex@1`,
	"ConsumerGroupDescribe":      `OK NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS INVALID_GROUP_ID GROUP_ID_NOT_FOUND members several-groups`,
	"DescribeCluster":            `OK MISMATCHED_ENDPOINT_TYPE@1 with-fenced@2`,
	"DescribeProducers":          `OK UNKNOWN_TOPIC_OR_PARTITION NOT_LEADER_FOR_PARTITION producers several-partitions`,
	"ListConfigResources":        `OK UNSUPPORTED_VERSION@1 some-types@1`,
	"DescribeTopicPartitions":    `OK UNKNOWN_TOPIC_OR_PARTITION INVALID_TOPIC_EXCEPTION INVALID_REQUEST all-topics cursor next-page`,
}

// unreachable lists the cells that no client can come to, and why: of a kind of request or all (*), of a class of versions or all
// (""), some outcomes.
var unreachable = []struct{ api, class, outcomes, why string }{
	{"*", "", "THROTTLING_QUOTA_EXCEEDED", "for whoever asks for hundreds of things at once; hostile clients do, and aren't counted"},
	{"*", "", "GROUP_MAX_SIZE_REACHED", "only hostile worlds have so low a limit, and hostile clients aren't counted"},
	{"CreateTopics", "", "POLICY_VIOLATION", "a limit on replicas that only hostile worlds come near"},
	{"CreatePartitions", "", "POLICY_VIOLATION", "the same"},
	{"AlterPartitionAssignments", "", "POLICY_VIOLATION", "the same"},
	{"Metadata", "", "POLICY_VIOLATION", "the same"},
	{"AlterConfigs", "", "POLICY_VIOLATION", "thousands of groups with configurations"},
	{"IncrementalAlterConfigs", "", "POLICY_VIOLATION", "the same"},
	{"Fetch", "", "KAFKA_STORAGE_ERROR", "the only replica would have to be damaged, which the fault atlas doesn't do"},
	{"ListOffsets", "", "KAFKA_STORAGE_ERROR", "the same"},
	{"ListOffsets", "", "LEADER_NOT_AVAILABLE", "hundreds of questions that wait for a majority; hostile clients ask them"},
	{"ListOffsets", "", "REQUEST_TIMED_OUT", "after ten seconds, and clients wait for four at most"},
	{"AlterConfigs", "", "REQUEST_TIMED_OUT", "after ten seconds, and askers wait for five"},
	{"IncrementalAlterConfigs", "", "REQUEST_TIMED_OUT", "the same"},
	{"UnregisterBroker", "", "REQUEST_TIMED_OUT", "the same"},
	{"OffsetDelete", "", "COORDINATOR_NOT_AVAILABLE", "after five seconds, or a group that is being deleted; clients wait for less"},
	{"DeleteGroups", "", "COORDINATOR_NOT_AVAILABLE", "the same"},
	{"JoinGroup", "", "COORDINATOR_NOT_AVAILABLE", "only while a group is being deleted that somebody joins; nobody deletes groups that others join"},
	{"SyncGroup", "", "COORDINATOR_NOT_AVAILABLE", "the same"},
	{"Heartbeat", "", "COORDINATOR_NOT_AVAILABLE", "the same"},
	{"ConsumerGroupHeartbeat", "", "COORDINATOR_NOT_AVAILABLE", "the same"},
	{"DeleteTopics", "", "INVALID_TOPIC_EXCEPTION", "to delete the brokers' own topic would take away what groups committed"},
	{"SyncGroup", "", "UNKNOWN_SERVER_ERROR", "a coordinator would have to refuse its own records"},
	{"AlterConfigs", "", "KAFKA_STORAGE_ERROR", "only for groups, whose configurations nobody changes while disks are full"},
	{"IncrementalAlterConfigs", "", "KAFKA_STORAGE_ERROR", "the same"},
	{"ApiVersions", "oldest", "UNSUPPORTED_VERSION", "what isn't supported is newer than the newest"},
	{"ApiVersions", "middle", "UNSUPPORTED_VERSION", "the same"},
	{"OffsetCommit", "", "INVALID_COMMIT_OFFSET_SIZE", "more offsets than fit into a batch of 256 KiB; hostile clients send them"},
	{"JoinGroup", "", "INVALID_REQUEST", "hundreds of protocols; hostile clients name them"},
	{"ElectLeaders", "", "REQUEST_TIMED_OUT", "when a preferred leader is alive, reached and doesn't take over for as long as clients wait"},
}

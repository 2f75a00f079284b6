// SPDX-License-Identifier: Apache-2.0

package main

// Reasons of differences in what Kafka's command-line tools print.
const (
	writtenDown  = "Kafka 4.3 writes min.insync.replicas=1 down as a default of all brokers when a cluster is made; here a majority is in sync, always"
	ownDefaults  = "the default is shown with each value. Kafka has that of retention.ms in hours, which it does not show, and segments of another size"
	settings     = "the settings of brokers are in their files, and no client changes them; moves are bounded by catch_up_bytes_per_second"
	loggers      = "there is one logger, and it is at the level of the settings"
	terms        = "the epochs of leaders begin with 1"
	groupEpochs  = "epochs of groups go up in steps of their own"
	sharing      = "share groups are not served"
	streaming    = "the groups of KIP-1071 are not served; Streams works with consumer groups, its default"
	preferred    = "the first replica leads again by itself, as in Kafka by auto.leader.rebalance.enable, which the judge turns off"
	features     = "the features are chronik.version, the level of formats, and transaction.version, which is always 2"
	noController = "brokers are their own controllers, at the same address"
	voterTimes   = "when a voter was heard of last is not told"
	versions     = "what is not served has no versions, and what is served has older ones, too"
	telemetry    = "client telemetry (KIP-714) is not served"
)

// deliberateTools are the differences that are meant in what Kafka's command-line tools print.
var deliberateTools = map[string]difference{
	"kafka-topics --describe --topics-with-overrides": {
		`Topic: keyed TopicId: UUID PartitionCount: 2 ReplicationFactor: 2 Configs: cleanup.policy=compact,retention.ms=100000`,
		writtenDown,
	},
	"kafka-configs --describe --entity-type topics --entity-name keyed": {
		`Dynamic configs for topic keyed are: | cleanup.policy=compact sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact, DEFAULT_CONFIG:log.cleanup.policy=delete} | retention.ms=100000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=100000, DEFAULT_CONFIG:log.retention.ms=604800000}`,
		ownDefaults,
	},
	"kafka-configs --describe --entity-type topics": {
		`Dynamic configs for topic defaults are: | Dynamic configs for topic keyed are: | Dynamic configs for topic t are: | cleanup.policy=compact sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact, DEFAULT_CONFIG:log.cleanup.policy=delete} | retention.ms=100000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=100000, DEFAULT_CONFIG:log.retention.ms=604800000}`,
		ownDefaults,
	},
	"kafka-configs --describe --topic t": {
		`Dynamic configs for topic t are: | retention.ms=200000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=200000, DEFAULT_CONFIG:log.retention.ms=604800000} | segment.bytes=1048576 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:segment.bytes=1048576, DEFAULT_CONFIG:segment.bytes=67108864}`,
		ownDefaults,
	},
	"kafka-configs --describe --topic t (time 2)": {
		`Dynamic configs for topic t are: | cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete} | retention.ms=200000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=200000, DEFAULT_CONFIG:log.retention.ms=604800000} | segment.bytes=1048576 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:segment.bytes=1048576, DEFAULT_CONFIG:segment.bytes=67108864}`,
		ownDefaults,
	},
	"kafka-configs --describe --topic t (time 3)": {
		`Dynamic configs for topic t are: | max.message.bytes=2000000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000000, DEFAULT_CONFIG:message.max.bytes=1048588} | retention.ms=300000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=300000, DEFAULT_CONFIG:log.retention.ms=604800000}`,
		ownDefaults,
	},
	"kafka-configs --describe --entity-type brokers": {
		`Default configs for brokers in the cluster are: | Dynamic configs for broker 1 are: | Dynamic configs for broker 2 are: | Dynamic configs for broker 3 are:`,
		writtenDown,
	},
	"kafka-configs --describe --broker-defaults": {
		`Default configs for brokers in the cluster are:`,
		writtenDown,
	},
	"kafka-configs --describe --broker-logger 1": {
		`Dynamic configs for broker-logger 1 are: | root=INFO sensitive=false synonyms={}`,
		loggers,
	},
	"kafka-consumer-groups --describe --group g-old --offsets --verbose": {
		`Consumer group 'g-old' has no active members. | GROUP TOPIC PARTITION LEADER-EPOCH CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID | g-old t 0 1 5 5 0 - - - | g-old t 1 1 2 2 0 - - -`,
		terms,
	},
	"kafka-consumer-groups --describe --group g-new --state --verbose": {
		`Consumer group 'g-new' has no active members. | GROUP COORDINATOR (ID) ASSIGNMENT-STRATEGY STATE GROUP-EPOCH TARGET-ASSIGNMENT-EPOCH #MEMBERS | g-new ADDR (N) uniform Empty 2 1 0`,
		groupEpochs,
	},
	"kafka-consumer-groups --describe --group g-live-new --members --verbose": {
		`GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS CURRENT-EPOCH CURRENT-ASSIGNMENT TARGET-EPOCH TARGET-ASSIGNMENT | g-live-new UUID HOST consumer-g-live-new-N 1 1 live:0 1 live:0`,
		groupEpochs,
	},
	"kafka-consumer-groups --describe --group g-live-new --state --verbose": {
		`GROUP COORDINATOR (ID) ASSIGNMENT-STRATEGY STATE GROUP-EPOCH TARGET-ASSIGNMENT-EPOCH #MEMBERS | g-live-new ADDR (N) uniform Stable 1 1 1`,
		groupEpochs,
	},
	"kafka-share-groups --describe --group s": {
		`Caused by: org.apache.kafka.common.errors.UnsupportedVersionException | Error: Executing share group command failed due to org.apache.kafka.common.errors.UnsupportedVersionException | java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.UnsupportedVersionException`,
		sharing,
	},
	"kafka-streams-groups --describe --group s": {
		`Caused by: org.apache.kafka.common.errors.UnsupportedVersionException | Error: Executing streams group command failed due to org.apache.kafka.common.errors.UnsupportedVersionException | exit code 1 | java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.UnsupportedVersionException`,
		streaming,
	},
	"kafka-topics --describe --topic t (time 2)": {
		`Topic: t TopicId: UUID PartitionCount: 2 ReplicationFactor: 3 Configs: | Topic: t Partition: 0 Leader: 1 Replicas: 1,2,3 Isr: 1,2,3 Elr: LastKnownElr: | Topic: t Partition: 1 Leader: 2 Replicas: 2,3,1 Isr: 2,3,1 Elr: LastKnownElr:`,
		preferred,
	},
	"kafka-features describe": {
		`Feature: chronik.version SupportedMinVersion: 1 SupportedMaxVersion: 1 FinalizedVersionLevel: 1 Epoch: N | Feature: transaction.version SupportedMinVersion: 0 SupportedMaxVersion: 2 FinalizedVersionLevel: 2 Epoch: N`,
		features,
	},
	"kafka-features upgrade --feature group.version=1": {
		`1 out of 1 operation(s) failed. | Could not upgrade group.version to 1. INVALID_UPDATE_VERSION: there is no feature "group.version" here; there are chronik.version and transaction.version | exit code 1`,
		features,
	},
	"kafka-features downgrade --feature group.version=0 --dry-run": {
		`1 out of 1 operation(s) failed. | Can not downgrade group.version to 0. INVALID_UPDATE_VERSION: there is no feature "group.version" here; there are chronik.version and transaction.version | exit code 1`,
		features,
	},
	"kafka-features upgrade --release-version 4.3 --dry-run": {
		`7 out of 7 operation(s) failed. | Can not upgrade eligible.leader.replicas.version to 1. INVALID_UPDATE_VERSION: there is no feature "group.version" here; there are chronik.version and transaction.version | Can not upgrade group.version to 1. INVALID_UPDATE_VERSION: there is no feature "group.version" here; there are chronik.version and transaction.version | Can not upgrade kraft.version to 1. INVALID_UPDATE_VERSION: there is no feature "group.version" here; there are chronik.version and transaction.version | Can not upgrade metadata.version to 30. INVALID_UPDATE_VERSION: there is no feature "group.version" here; there are chronik.version and transaction.version | Can not upgrade share.version to 1. INVALID_UPDATE_VERSION: there is no feature "group.version" here; there are chronik.version and transaction.version | Can not upgrade streams.version to 1. INVALID_UPDATE_VERSION: there is no feature "group.version" here; there are chronik.version and transaction.version | Can not upgrade transaction.version to 2. INVALID_UPDATE_VERSION: there is no feature "group.version" here; there are chronik.version and transaction.version | exit code 1`,
		features,
	},
	"kafka-features disable --feature nonsense": {
		`1 out of 1 operation(s) failed. | Could not disable nonsense. INVALID_UPDATE_VERSION: there is no feature "nonsense" here; there are chronik.version and transaction.version | exit code 1`,
		features,
	},
	"kafka-metadata-quorum describe --status": {
		`ClusterId: rig | CurrentObservers: [] | CurrentVoters: [{"id": 1, "endpoints": ["PLAINTEXT://ADDR"]}, {"id": 2, "endpoints": ["PLAINTEXT://ADDR"]}, {"id": 3, "endpoints": ["PLAINTEXT://ADDR"]}] | HighWatermark: N | LeaderEpoch: N | LeaderId: N | MaxFollowerLag: N | MaxFollowerLagTimeMs: N`,
		noController,
	},
	"kafka-metadata-quorum describe --replication": {
		`N AAAAAAAAAAAAAAAAAAAAAA N N N N ROLE | N AAAAAAAAAAAAAAAAAAAAAA N N N N ROLE | N AAAAAAAAAAAAAAAAAAAAAA N N N N ROLE | NodeId DirectoryId LogEndOffset Lag LastFetchTimestamp LastCaughtUpTimestamp Status`,
		voterTimes,
	},
	"kafka-metadata-quorum describe --replication --human-readable": {
		`N AAAAAAAAAAAAAAAAAAAAAA N N N N ROLE | N AAAAAAAAAAAAAAAAAAAAAA N N N N ROLE | N AAAAAAAAAAAAAAAAAAAAAA N N N N ROLE | NodeId DirectoryId LogEndOffset Lag LastFetchTimestamp LastCaughtUpTimestamp Status`,
		voterTimes,
	},
	"kafka-client-metrics --alter --name m --metrics org.apache.kafka. --interval 10000": {
		`Error while executing client metrics command | exit code 1`,
		telemetry,
	},
	"kafka-client-metrics --delete --name m": {
		`Error while executing client metrics command | exit code 1`,
		telemetry,
	},
	"kafka-broker-api-versions": {
		`) | ADDR (id: 1 rack: a isFenced: false) -> ( | ADDR (id: 2 rack: b isFenced: false) -> ( | ADDR (id: 3 rack: c isFenced: false) -> ( | AddOffsetsToTxn(25): 0 to 4 [usable: 4], | AddPartitionsToTxn(24): 0 to 3 [usable: 3], | AddRaftVoter(80): UNSUPPORTED, | AlterClientQuotas(49): 0 to 1 [usable: 1], | AlterConfigs(33): 0 to 2 [usable: 2], | AlterPartitionReassignments(45): 0 to 1 [usable: 1], | AlterReplicaLogDirs(34): 1 to 2 [usable: 2], | AlterUserScramCredentials(51): 0 [usable: 0], | ApiVersions(18): 0 to 4 [usable: 4], | ConsumerGroupDescribe(69): 0 to 1 [usable: 1], | CreateAcls(30): 0 to 3 [usable: 3], | CreateDelegationToken(38): UNSUPPORTED, | CreatePartitions(37): 0 to 3 [usable: 3], | CreateTopics(19): 0 to 7 [usable: 7], | DeleteAcls(31): 0 to 3 [usable: 3], | DeleteGroups(42): 0 to 2 [usable: 2], | DeleteRecords(21): 0 to 2 [usable: 2], | DeleteShareGroupOffsets(92): UNSUPPORTED | DeleteShareGroupState(86): UNSUPPORTED, | DeleteTopics(20): 0 to 6 [usable: 6], | DescribeAcls(29): 0 to 3 [usable: 3], | DescribeClientQuotas(48): 0 to 1 [usable: 1], | DescribeCluster(60): 0 to 2 [usable: 2], | DescribeConfigs(32): 0 to 4 [usable: 4], | DescribeDelegationToken(41): UNSUPPORTED, | DescribeGroups(15): 0 to 6 [usable: 6], | DescribeLogDirs(35): 1 to 5 [usable: 5], | DescribeProducers(61): 0 [usable: 0], | DescribeQuorum(55): 0 to 2 [usable: 2], | DescribeShareGroupOffsets(90): UNSUPPORTED, | DescribeTopicPartitions(75): 0 [usable: 0], | DescribeTransactions(65): 0 [usable: 0], | DescribeUserScramCredentials(50): 0 [usable: 0], | ElectLeaders(43): 0 to 2 [usable: 2], | EndTxn(26): 0 to 5 [usable: 5], | ExpireDelegationToken(40): UNSUPPORTED, | Fetch(1): 4 to 18 [usable: 18], | FindCoordinator(10): 0 to 6 [usable: 6], | GetTelemetrySubscriptions(71): UNSUPPORTED, | Heartbeat(12): 0 to 4 [usable: 4], | IncrementalAlterConfigs(44): 0 to 1 [usable: 1], | InitProducerId(22): 0 to 5 [usable: 5], | InitializeShareGroupState(83): UNSUPPORTED, | JoinGroup(11): 0 to 9 [usable: 9], | LeaveGroup(13): 0 to 5 [usable: 5], | ListConfigResources(74): 0 to 1 [usable: 1], | ListGroups(16): 0 to 5 [usable: 5], | ListOffsets(2): 1 to 11 [usable: 11], | ListPartitionReassignments(46): 0 [usable: 0], | ListTransactions(66): 0 to 2 [usable: 2], | Metadata(3): 0 to 13 [usable: 13], | OffsetCommit(8): 2 to 10 [usable: 10], | OffsetDelete(47): 0 [usable: 0], | OffsetFetch(9): 1 to 10 [usable: 10], | OffsetForLeaderEpoch(23): 2 to 4 [usable: 4], | Produce(0): 0 to 13 [usable: 13], | PushTelemetry(72): UNSUPPORTED, | ReadShareGroupState(84): UNSUPPORTED, | ReadShareGroupStateSummary(87): UNSUPPORTED, | RemoveRaftVoter(81): UNSUPPORTED, | RenewDelegationToken(39): UNSUPPORTED, | SaslAuthenticate(36): 0 to 2 [usable: 2], | SaslHandshake(17): 0 to 1 [usable: 1], | ShareAcknowledge(79): UNSUPPORTED, | ShareFetch(78): UNSUPPORTED, | ShareGroupDescribe(77): UNSUPPORTED, | ShareGroupHeartbeat(76): UNSUPPORTED, | StreamsGroupDescribe(89): UNSUPPORTED, | StreamsGroupHeartbeat(88): UNSUPPORTED, | SyncGroup(14): 0 to 5 [usable: 5], | TxnOffsetCommit(28): 0 to 5 [usable: 5], | UUID(68): 0 to 1 [usable: 1], | UUID(91): UNSUPPORTED, | UnregisterBroker(64): 0 [usable: 0], | UpdateFeatures(57): 0 to 2 [usable: 2], | WriteShareGroupState(85): UNSUPPORTED, | WriteTxnMarkers(27): 1 to 2 [usable: 2],`,
		versions,
	},
	"kafka-share-consumer-perf-test --topic t --num-records 5 --timeout 3000": {
		`Caused by: org.apache.kafka.common.errors.UnsupportedVersionException | Caused by: org.apache.kafka.common.errors.UnsupportedVersionException | exit code N | java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.UnsupportedVersionException | org.apache.kafka.common.errors.UnsupportedVersionException | start.time, end.time, data.consumed.in.MB, MB.sec, nMsg.sec, data.consumed.in.nMsg, fetch.time.ms`,
		sharing,
	},
}

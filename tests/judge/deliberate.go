// SPDX-License-Identifier: Apache-2.0

package main

// difference is what this broker says where Kafka says something else, and why.
type difference struct{ says, why string }

// Reasons of more than one difference.
const (
	noPartitions = "a topic without partitions is answered as it was asked, and not left out"
	damage       = "CORRUPT_MESSAGE has clients send again, as for any damage on the way; Kafka has them give the records up"
	unnamed      = "Kafka answers UNKNOWN_SERVER_ERROR, which says nothing; clients give the batch up either way"
	again        = "Kafka tells the time of the first attempt, though the topic's times are its clients'"
	bounds       = "where the partition ends is told with the error"
	isolation    = "a level that there isn't is read as read_uncommitted"
	emptyGroup   = "the empty group is refused everywhere; Kafka takes it where it did before KIP-289"
	upgrade      = "a group changes its protocol while it is empty"
)

// deliberate are the differences that are meant, by row.
var deliberate = map[string]difference{
	"configs: a topic twice": {
		`{Resources=[{ErrorCode=ok ResourceType=TOPIC ResourceName="k" Configs=[{Name="retention.ms" Value="1000" ReadOnly=false IsDefault=false Source=DYNAMIC_TOPIC_CONFIG IsSensitive=false ConfigSynonyms=[] ConfigType=LONG}]} {ErrorCode=INVALID_REQUEST ResourceType=TOPIC ResourceName="k" Configs=[]}]}`,
		"an answer is some hundred times as long as a name, so one name a thousand times would cost everybody",
	},
	"produce: null records": {
		`{Topics=[{Topic="p" TopicID=none Partitions=[{Partition=0 ErrorCode=INVALID_RECORD BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[]}]}]}`,
		"Kafka says nothing at all, and the client waits for ever",
	},
	"produce: no partitions": {
		`{Topics=[{Topic="p" TopicID=none Partitions=[]}]}`,
		noPartitions,
	},
	"produce: half a header": {
		`{Topics=[{Topic="p" TopicID=none Partitions=[{Partition=0 ErrorCode=CORRUPT_MESSAGE BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[]}]}]}`,
		damage,
	},
	"produce: cut": {
		`{Topics=[{Topic="p" TopicID=none Partitions=[{Partition=0 ErrorCode=CORRUPT_MESSAGE BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[]}]}]}`,
		damage,
	},
	"produce: a byte too many": {
		`{Topics=[{Topic="p-odd" TopicID=none Partitions=[{Partition=0 ErrorCode=INVALID_RECORD BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[]}]}]}`,
		"Kafka drops it; whoever sent it has counted wrong, so what is dropped may be a record",
	},
	"produce: magic 3": {
		`{Topics=[{Topic="p" TopicID=none Partitions=[{Partition=0 ErrorCode=INVALID_RECORD BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[]}]}]}`,
		"a format of the future is no damage: sending it again is of no use",
	},
	"produce: transactional without a producer": {
		`{Topics=[{Topic="p" TopicID=none Partitions=[{Partition=0 ErrorCode=INVALID_RECORD BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[]}]}]}`,
		"no producer has written it, so no transactional id would help",
	},
	"produce: codec 5": {
		`{Topics=[{Topic="p" TopicID=none Partitions=[{Partition=0 ErrorCode=INVALID_RECORD BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[]}]}]}`,
		unnamed,
	},
	"produce: codec 7": {
		`{Topics=[{Topic="p" TopicID=none Partitions=[{Partition=0 ErrorCode=INVALID_RECORD BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[]}]}]}`,
		unnamed,
	},
	"produce: a gap in the offsets": {
		`{Topics=[{Topic="p-odd" TopicID=none Partitions=[{Partition=0 ErrorCode=INVALID_RECORD BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[]}]}]}`,
		"offsets are dense here, and consumers of the gap would wait",
	},
	"produce: garbage as gzip": {
		`{Topics=[{Topic="p" TopicID=none Partitions=[{Partition=0 ErrorCode=INVALID_RECORD BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[]}]}]}`,
		unnamed,
	},
	"produce: a transactional id, plain batch": {
		`{Topics=[{Topic="p-odd" TopicID=none Partitions=[{Partition=0 ErrorCode=ok BaseOffset=0 LogAppendTime=-1 LogStartOffset=0 ErrorRecords=[]}]}]}`,
		"what Kafka took before it was refused here",
	},
	"idempotence: the same again": {
		`{Topics=[{Topic="i" TopicID=none Partitions=[{Partition=0 ErrorCode=ok BaseOffset=2 LogAppendTime=-1 LogStartOffset=0 ErrorRecords=[]}]}]}`,
		again,
	},
	"idempotence: the one before again": {
		`{Topics=[{Topic="i" TopicID=none Partitions=[{Partition=0 ErrorCode=ok BaseOffset=0 LogAppendTime=-1 LogStartOffset=0 ErrorRecords=[]}]}]}`,
		again,
	},
	"idempotence: the fifth before again": {
		`{Topics=[{Topic="i" TopicID=none Partitions=[{Partition=0 ErrorCode=ok BaseOffset=4 LogAppendTime=-1 LogStartOffset=0 ErrorRecords=[]}]}]}`,
		again,
	},
	"idempotence: no epoch": {
		`{Topics=[{Topic="i-odd" TopicID=none Partitions=[{Partition=0 ErrorCode=INVALID_RECORD BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[]}]}]}`,
		"a producer without an epoch can't be fenced; no client sends it",
	},
	"idempotence: id and epoch": {
		`{ErrorCode=ok ProducerID=there ProducerEpoch=6}`,
		"KIP-360: the epoch goes up, so nothing late of the producer's can be taken; Kafka gives another id",
	},
	"fetch: beyond the end": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="f" TopicID=none Partitions=[{Partition=0 ErrorCode=OFFSET_OUT_OF_RANGE HighWatermark=3 LastStableOffset=3 AbortedTransactions=[] RecordBatches=none}]}]}`,
		bounds,
	},
	"fetch: negative offset": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="f" TopicID=none Partitions=[{Partition=0 ErrorCode=OFFSET_OUT_OF_RANGE HighWatermark=3 LastStableOffset=3 AbortedTransactions=[] RecordBatches=none}]}]}`,
		bounds,
	},
	"fetch: at most -1 bytes": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="f" TopicID=none Partitions=[{Partition=0 ErrorCode=ok HighWatermark=3 LastStableOffset=3 LogStartOffset=0 AbortedTransactions=[] RecordBatches=some}]}]}`,
		"at least one batch is given, as for 0; Kafka answers UNKNOWN_SERVER_ERROR",
	},
	"fetch: isolation 2": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="f" TopicID=none Partitions=[{Partition=0 ErrorCode=ok HighWatermark=3 LastStableOffset=3 LogStartOffset=0 AbortedTransactions=[] RecordBatches=some}]}]}`,
		isolation,
	},
	"fetch: no partitions": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="f" TopicID=none Partitions=[]}]}`,
		noPartitions,
	},
	"fetch: below the start": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="f" TopicID=none Partitions=[{Partition=0 ErrorCode=OFFSET_OUT_OF_RANGE HighWatermark=3 LastStableOffset=3 AbortedTransactions=[] RecordBatches=none}]}]}`,
		bounds,
	},
	"offsets: isolation 2": {
		`{Topics=[{Topic="l" Partitions=[{Partition=0 ErrorCode=ok OldStyleOffsets=[] Timestamp=-1 Offset=3 LeaderEpoch=there}]}]}`,
		isolation,
	},
	"offsets: a partition twice": {
		`{Topics=[{Topic="l" Partitions=[{Partition=0 ErrorCode=INVALID_REQUEST OldStyleOffsets=[] Timestamp=-1 Offset=-1 LeaderEpoch=-1} {Partition=0 ErrorCode=INVALID_REQUEST OldStyleOffsets=[] Timestamp=-1 Offset=-1 LeaderEpoch=-1}]}]}`,
		"both are answered",
	},
	"offsets: earliest after that": {
		`{Topics=[{Topic="l" Partitions=[{Partition=0 ErrorCode=ok OldStyleOffsets=[] Timestamp=-1 Offset=3 LeaderEpoch=-1}]}]}`,
		"no record is there whose epoch that would be",
	},
	"committed: commit, empty group": {
		`{Topics=[{Topic="o" TopicID=none Partitions=[{Partition=0 ErrorCode=INVALID_GROUP_ID}]}]}`,
		emptyGroup,
	},
	"committed: commit, no partitions": {
		`{Topics=[{Topic="o" TopicID=none Partitions=[]}]}`,
		noPartitions,
	},
	"committed: committed, empty group": {
		`{Topics=[] ErrorCode=ok Groups=[{Group="" Topics=[] ErrorCode=INVALID_GROUP_ID}]}`,
		emptyGroup,
	},
	"classic group: describe, empty group": {
		`{Groups=[{ErrorCode=INVALID_GROUP_ID Group="" State="" ProtocolType="" Protocol="" Members=[]}]}`,
		emptyGroup,
	},
	"classic group: delete group, empty name": {
		`{Groups=[{Group="" ErrorCode=INVALID_GROUP_ID}]}`,
		emptyGroup,
	},
	"classic group: find coordinator, an empty group": {
		`{ErrorCode=ok NodeID=there Coordinators=[{Key="" NodeID=-1 ErrorCode=INVALID_GROUP_ID}]}`,
		emptyGroup,
	},
	"classic group: a member of the new protocol joins": {
		`{ErrorCode=GROUP_ID_NOT_FOUND MemberID=null MemberEpoch=0 Assignment=null}`,
		upgrade,
	},
	"consumer group: joins as a classic member": {
		`{ErrorCode=INCONSISTENT_GROUP_PROTOCOL Generation=-1 ProtocolType=null Protocol=null LeaderID=none SkipAssignment=false MemberID=none Members=[]}`,
		upgrade,
	},
	"metadata: neither name nor id": {
		`{ControllerID=there Topics=[{ErrorCode=UNKNOWN_TOPIC_ID Topic=null TopicID=none IsInternal=false Partitions=[]}] ErrorCode=ok}`,
		"the topic that isn't named is refused, and not the whole answer given up",
	},
	"topics: name __consumer_offsets": {
		`{Topics=[{Topic="__consumer_offsets" TopicID=none ErrorCode=INVALID_TOPIC_EXCEPTION ConfigErrorCode=0 NumPartitions=-1 ReplicationFactor=-1 Configs=[]}]}`,
		"it is the brokers' own, whether it is there or not",
	},
	"topics: a time-out of -1": {
		`{Topics=[{Topic="t-late" TopicID=none ErrorCode=ok ConfigErrorCode=0 NumPartitions=1 ReplicationFactor=1 Configs=[]}]}`,
		"nothing is waited for when a topic is only checked",
	},
	"topics: with cleanup.policy=": {
		`{Topics=[{Topic="t-new" TopicID=none ErrorCode=INVALID_CONFIG ConfigErrorCode=0 NumPartitions=-1 ReplicationFactor=-1 Configs=[]}]}`,
		"records would be kept for ever because a value was forgotten",
	},
	"topics: with retention.ms= 5 ": {
		`{Topics=[{Topic="t-new" TopicID=none ErrorCode=INVALID_CONFIG ConfigErrorCode=0 NumPartitions=-1 ReplicationFactor=-1 Configs=[]}]}`,
		"white space in a number is a slip",
	},
	"topics: with retention.bytes=-2": {
		`{Topics=[{Topic="t-new" TopicID=none ErrorCode=INVALID_CONFIG ConfigErrorCode=0 NumPartitions=-1 ReplicationFactor=-1 Configs=[]}]}`,
		"only -1 means without bound",
	},
	"topics: with a key twice": {
		`{Topics=[{Topic="t-new" TopicID=none ErrorCode=INVALID_REQUEST ConfigErrorCode=0 NumPartitions=-1 ReplicationFactor=-1 Configs=[]}]}`,
		"Kafka takes the last; which one was meant can't be known",
	},
	"configs: alter, operation 9": {
		`{Resources=[{ErrorCode=INVALID_REQUEST ResourceType=TOPIC ResourceName="k"}]}`,
		"Kafka's error says that it met something unforeseen",
	},
	"configs: replaced by nothing": {
		`{Resources=[{ErrorCode=ok ResourceType=TOPIC ResourceName="k" Configs=[{Name="segment.bytes" Value="67108864" ReadOnly=false IsDefault=false Source=DEFAULT_CONFIG IsSensitive=false ConfigSynonyms=[] ConfigType=INT}]}]}`,
		"segments are smaller here by default",
	},
	"replicas: elect, type 5": {
		`{ErrorCode=INVALID_REQUEST Topics=[]}`,
		"the error of the whole says it",
	},
	"replicas: elect, no partitions": {
		`{ErrorCode=ok Topics=[]}`,
		noPartitions,
	},
	"replicas: quorum of another topic": {
		`{ErrorCode=ok Topics=[{Topic="r" Partitions=[{Partition=0 ErrorCode=UNKNOWN_TOPIC_OR_PARTITION LeaderID=-1 LeaderEpoch=-1 HighWatermark=-1 CurrentVoters=[] Observers=[]}]}]}`,
		"who leads isn't known is -1 here, and 0 is a broker's id",
	},
}

// SPDX-License-Identifier: Apache-2.0

package main

// Reasons of differences between three brokers and three of Kafka's.
const (
	ownRack    = "a follower serves consumers of its own rack; one that came by old metadata is sent to the leader"
	twoOfTwo   = "a partition of two replicas needs both to be led (ADR 9)"
	voters     = "how far the voters are is known to the controller alone; the others say -1"
	inSyncMore = "a write waits for a majority and never for more, so that can't be promised"
	maybeThere = "it may only not have come yet; the leader knows, and consumers come back to it by themselves"
	wanted     = "a replica that doesn't hold the partition yet is listed among the moves, not among the replicas"
	leaderless = "while nobody leads, the epoch isn't known"
	takenBack  = "a move is taken back at once in the catalog; it ends when the partition is led again"
	holding    = "a broker leaves when it holds no replicas any more: they would be missing for ever"
)

// deliberateThree are the differences that are meant in the round with three brokers.
var deliberateThree = map[string]difference{
	"three: quorum": {
		`{ErrorCode=ok Topics=[{Topic="__cluster_metadata" Partitions=[{Partition=0 ErrorCode=ok LeaderID=0 LeaderEpoch=there HighWatermark=0 CurrentVoters=[{ReplicaID=1 LogEndOffset=-1} {ReplicaID=2 LogEndOffset=-1} {ReplicaID=3 LogEndOffset=-1}] Observers=[]}]}] Nodes=[{NodeID=1} {NodeID=2} {NodeID=3}]}`,
		voters,
	},
	"three: min.insync.replicas 3 of 3": {
		`{Topics=[{Topic="c-new" TopicID=none ErrorCode=INVALID_CONFIG ConfigErrorCode=0 NumPartitions=-1 ReplicationFactor=-1 Configs=[]}]}`,
		inSyncMore,
	},
	"three: min.insync.replicas 4 of 3": {
		`{Topics=[{Topic="c-new" TopicID=none ErrorCode=INVALID_CONFIG ConfigErrorCode=0 NumPartitions=-1 ReplicationFactor=-1 Configs=[]}]}`,
		inSyncMore,
	},
	"wrong broker: fetch from a follower, newer": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="c" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION HighWatermark=-1 LastStableOffset=-1 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		ownRack,
	},
	"leader moved: fetch newer, no epoch, by the old leader": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="e" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION HighWatermark=-1 LastStableOffset=-1 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		ownRack,
	},
	"leader moved: fetch newer, the epoch, by the old leader": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="e" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION HighWatermark=-1 LastStableOffset=-1 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		ownRack,
	},
	"racks: rack , by broker 2": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="rack" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION HighWatermark=-1 LastStableOffset=-1 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		ownRack,
	},
	"racks: rack a, by broker 2": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="rack" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION HighWatermark=-1 LastStableOffset=-1 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		ownRack,
	},
	"racks: rack none, by broker 2": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="rack" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION HighWatermark=-1 LastStableOffset=-1 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		ownRack,
	},
	"racks: rack , by broker 3": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="rack" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION HighWatermark=-1 LastStableOffset=-1 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		ownRack,
	},
	"racks: rack a, by broker 3": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="rack" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION HighWatermark=-1 LastStableOffset=-1 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		ownRack,
	},
	"racks: rack b, by broker 3": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="rack" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION HighWatermark=-1 LastStableOffset=-1 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		ownRack,
	},
	"racks: rack none, by broker 3": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="rack" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION HighWatermark=-1 LastStableOffset=-1 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		ownRack,
	},
	"racks: a rack, beyond the end": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="rack" TopicID=none Partitions=[{Partition=0 ErrorCode=OFFSET_OUT_OF_RANGE HighWatermark=2 LastStableOffset=2 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		bounds,
	},
	"racks: a rack, beyond the end, by a follower": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="rack" TopicID=none Partitions=[{Partition=0 ErrorCode=ok HighWatermark=2 LastStableOffset=2 LogStartOffset=0 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		maybeThere,
	},
	"racks: a rack, below zero, by a follower": {
		`{ErrorCode=ok SessionID=0 Topics=[{Topic="rack" TopicID=none Partitions=[{Partition=0 ErrorCode=OFFSET_OUT_OF_RANGE HighWatermark=2 LastStableOffset=2 CurrentLeader={LeaderID=-1 LeaderEpoch=-1} AbortedTransactions=[] PreferredReadReplica=-1 RecordBatches=none}]}] Brokers=[]}`,
		bounds,
	},
	"one dead: metadata of d-last": {
		`{Brokers=[{NodeID=1 Rack="a"} {NodeID=2 Rack="b"}] ControllerID=there Topics=[{ErrorCode=ok Topic="d-last" TopicID=there IsInternal=false Partitions=[{ErrorCode=LEADER_NOT_AVAILABLE Partition=0 Leader=-1 LeaderEpoch=-1 Replicas=[3] ISR=[] OfflineReplicas=[3]}]}] ErrorCode=ok}`,
		leaderless,
	},
	"one dead: partitions of d-last": {
		`{Topics=[{ErrorCode=ok Topic="d-last" TopicID=there IsInternal=false Partitions=[{ErrorCode=ok Partition=0 LeaderID=-1 LeaderEpoch=-1 Replicas=[3] ISR=[] OfflineReplicas=[3]}]}] NextCursor=null}`,
		leaderless,
	},
	"one dead: metadata of d-two": {
		`{Brokers=[{NodeID=1 Rack="a"} {NodeID=2 Rack="b"}] ControllerID=there Topics=[{ErrorCode=ok Topic="d-two" TopicID=there IsInternal=false Partitions=[{ErrorCode=LEADER_NOT_AVAILABLE Partition=0 Leader=-1 LeaderEpoch=there Replicas=[1 3] ISR=[] OfflineReplicas=[3]}]}] ErrorCode=ok}`,
		twoOfTwo,
	},
	"one dead: partitions of d-two": {
		`{Topics=[{ErrorCode=ok Topic="d-two" TopicID=there IsInternal=false Partitions=[{ErrorCode=ok Partition=0 LeaderID=-1 LeaderEpoch=there Replicas=[1 3] ISR=[] OfflineReplicas=[3]}]}] NextCursor=null}`,
		twoOfTwo,
	},
	"one dead: metadata of d-two-last": {
		`{Brokers=[{NodeID=1 Rack="a"} {NodeID=2 Rack="b"}] ControllerID=there Topics=[{ErrorCode=ok Topic="d-two-last" TopicID=there IsInternal=false Partitions=[{ErrorCode=LEADER_NOT_AVAILABLE Partition=0 Leader=-1 LeaderEpoch=-1 Replicas=[3 2] ISR=[] OfflineReplicas=[3]}]}] ErrorCode=ok}`,
		twoOfTwo,
	},
	"one dead: partitions of d-two-last": {
		`{Topics=[{ErrorCode=ok Topic="d-two-last" TopicID=there IsInternal=false Partitions=[{ErrorCode=ok Partition=0 LeaderID=-1 LeaderEpoch=-1 Replicas=[3 2] ISR=[] OfflineReplicas=[3]}]}] NextCursor=null}`,
		twoOfTwo,
	},
	"one dead: produce, in sync: one of two, acks -1": {
		`{Topics=[{Topic="d-two" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[] CurrentLeader={LeaderID=-1 LeaderEpoch=-1}}]}] Brokers=[]}`,
		twoOfTwo,
	},
	"one dead: produce, in sync: one of two, acks 1": {
		`{Topics=[{Topic="d-two" TopicID=none Partitions=[{Partition=0 ErrorCode=NOT_LEADER_FOR_PARTITION BaseOffset=-1 LogAppendTime=-1 ErrorRecords=[] CurrentLeader={LeaderID=-1 LeaderEpoch=-1}}]}] Brokers=[]}`,
		twoOfTwo,
	},
	"one dead: topics: check, placed on 1 3": {
		`{Topics=[{Topic="dt-new" TopicID=none ErrorCode=INVALID_REPLICA_ASSIGNMENT ConfigErrorCode=0 NumPartitions=-1 ReplicationFactor=-1 Configs=[]}]}`,
		twoOfTwo,
	},
	"one dead: topics: check, placed on 3 1": {
		`{Topics=[{Topic="dt-new" TopicID=none ErrorCode=INVALID_REPLICA_ASSIGNMENT ConfigErrorCode=0 NumPartitions=-1 ReplicationFactor=-1 Configs=[]}]}`,
		twoOfTwo,
	},
	"one dead: moves: under way: metadata": {
		`{Brokers=[] ControllerID=there Topics=[{ErrorCode=ok Topic="dm" TopicID=there IsInternal=false Partitions=[{ErrorCode=ok Partition=0 Leader=1 LeaderEpoch=there Replicas=[1] ISR=[1] OfflineReplicas=[]}]}] ErrorCode=ok}`,
		wanted,
	},
	"one dead: moves: off the dead one, that led: give it up": {
		`{AllowReplicationFactorChange=true ErrorCode=ok Topics=[{Topic="d-last" Partitions=[{Partition=0 ErrorCode=ok}]}]}`,
		takenBack,
	},
	"one dead: moves: off the dead one, that led: moves, given up": {
		`{ErrorCode=ok Topics=[{Topic="d-last" Partitions=[{Partition=0 Replicas=[3 1] AddingReplicas=[] RemovingReplicas=[1]}]}]}`,
		takenBack,
	},
	"one removed: remove": {
		`{ErrorCode=INVALID_REQUEST}`,
		holding,
	},
	"one removed: remove again": {
		`{ErrorCode=INVALID_REQUEST}`,
		holding,
	},
	"one removed: cluster, the dead too": {
		`{ErrorCode=ok EndpointType=1 ControllerID=there Brokers=[{NodeID=1 Rack="a" IsFenced=false} {NodeID=2 Rack="b" IsFenced=false} {NodeID=3 Rack="c" IsFenced=true}]}`,
		holding,
	},
	"one removed: a topic of it": {
		`{Brokers=[{NodeID=1 Rack="a"} {NodeID=2 Rack="b"}] ControllerID=there Topics=[{ErrorCode=ok Topic="d-two-last" TopicID=there IsInternal=false Partitions=[{ErrorCode=LEADER_NOT_AVAILABLE Partition=0 Leader=-1 LeaderEpoch=-1 Replicas=[3 2] ISR=[] OfflineReplicas=[3]}]}] ErrorCode=ok}`,
		holding,
	},
	"one removed: three replicas": {
		`{Topics=[{Topic="dt-new" TopicID=none ErrorCode=ok ConfigErrorCode=0 NumPartitions=1 ReplicationFactor=3 Configs=[]}]}`,
		holding,
	},
	"one removed: move to it": {
		`{AllowReplicationFactorChange=true ErrorCode=ok Topics=[{Topic="c-two" Partitions=[{Partition=0 ErrorCode=ok}]}]}`,
		holding,
	},
}

// SPDX-License-Identifier: Apache-2.0

package main

// Reasons of differences about logins and rights.
const (
	askAgain    = "who asks again for what everybody is told gains nothing; Kafka ends the connection"
	cutOff      = "whatever comes instead of a login's message ends the connection, and nothing is said"
	unknownUser = "that a user doesn't exist is told as late as that a password is wrong, and in the same words"
	madeAtOnce  = "Metadata is answered when the new topic has leaders, so that clients needn't ask again"
	whole       = "the error is for the whole; Kafka repeats what was asked, and without the names of users"
)

// deliberateRights are the differences that are meant in the round about logins and rights.
var deliberateRights = map[string]difference{
	"login: ApiVersions twice": {
		`{ErrorCode=ok ZkMigrationReady=false}; {ErrorCode=ok ZkMigrationReady=false}; {ErrorCode=ok SupportedMechanisms=["SCRAM-SHA-512"]}`,
		askAgain,
	},
	"login: ApiVersions after the handshake": {
		`{ErrorCode=ok SupportedMechanisms=["SCRAM-SHA-512"]}; no answer`,
		cutOff,
	},
	"login: unknown user": {
		`{ErrorCode=ok SupportedMechanisms=["SCRAM-SHA-512"]}; {ErrorCode=ok SASLAuthBytes=some SessionLifetimeMillis=0}`,
		unknownUser,
	},
	"rights: Metadata, a new topic, all rights": {
		`{ControllerID=there Topics=[{ErrorCode=ok Topic="fresh" TopicID=there IsInternal=false Partitions=[{ErrorCode=ok Partition=0 Leader=1 LeaderEpoch=there Replicas=[1] ISR=[1] OfflineReplicas=[]}] AuthorizedOperations=-2147483648}] AuthorizedOperations=-2147483648 ErrorCode=ok}`,
		madeAtOnce,
	},
	"rights: DescribeUserScramCredentials, no right": {
		`{ErrorCode=CLUSTER_AUTHORIZATION_FAILED Results=[]}`,
		whole,
	},
	"rights: DescribeUserScramCredentials, denied DESCRIBE CLUSTER kafka-cluster": {
		`{ErrorCode=CLUSTER_AUTHORIZATION_FAILED Results=[]}`,
		whole,
	},
	"rights: ListPartitionReassignments, no right": {
		`{ErrorCode=CLUSTER_AUTHORIZATION_FAILED Topics=[]}`,
		whole,
	},
	"rights: ListPartitionReassignments, denied DESCRIBE CLUSTER kafka-cluster": {
		`{ErrorCode=CLUSTER_AUTHORIZATION_FAILED Topics=[]}`,
		whole,
	},
}

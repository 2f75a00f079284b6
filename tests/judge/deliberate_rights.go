// SPDX-License-Identifier: Apache-2.0

package main

// Reasons of differences about logins and rights.
const (
	askAgain    = "who asks again for what everybody is told gains nothing; Kafka ends the connection"
	cutOff      = "whatever comes instead of a login's message ends the connection, and nothing is said"
	unknownUser = "that a user doesn't exist is told as late as that a password is wrong, and in the same words"
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
}

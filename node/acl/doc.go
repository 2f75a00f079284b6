// SPDX-License-Identifier: Apache-2.0

// Package acl decides who may do what, as Kafka's StandardAuthorizer does: by rules which allow or deny an operation on
// a resource, or on all whose name begins alike, to a principal from an address. Deny wins, and what no rule allows is
// denied. Rules in, decisions out: the package reaches nothing of a broker.
//
// Files: rule.go what a rule is, and which rules there can't be; host.go how addresses are spelled; filter.go which rules a client means; index.go decisions;
// set.go the rules and their index.
package acl

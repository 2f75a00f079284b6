// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"cmp"
	"fmt"
	"strings"
)

// The numbers are those of Kafka's protocol.
type (
	Operation    int8
	ResourceType int8
	PatternType  int8
	Permission   int8
)

const (
	AnyOperation    Operation = 1 // in filters
	All             Operation = 2 // in rules
	Read            Operation = 3
	Write           Operation = 4
	Create          Operation = 5
	Delete          Operation = 6
	Alter           Operation = 7
	Describe        Operation = 8
	ClusterAction   Operation = 9
	DescribeConfigs Operation = 10
	AlterConfigs    Operation = 11
	IdempotentWrite Operation = 12
	CreateTokens    Operation = 13
	DescribeTokens  Operation = 14
	TwoPhaseCommit  Operation = 15
)

const (
	AnyResource     ResourceType = 1 // in filters
	Topic           ResourceType = 2
	Group           ResourceType = 3
	Cluster         ResourceType = 4
	TransactionalID ResourceType = 5
	DelegationToken ResourceType = 6
	User            ResourceType = 7
)

const (
	AnyPattern PatternType = 1 // in filters
	Match      PatternType = 2 // in filters: whatever pertains to a name
	Literal    PatternType = 3
	Prefixed   PatternType = 4
)

const (
	AnyPermission Permission = 1 // in filters
	Deny          Permission = 2
	Allow         Permission = 3
)

const (
	Wildcard     = "*"              // as a literal name: every resource; as a host: every host
	Everybody    = "User:*"         // as a principal: every one
	Anonymous    = "User:ANONYMOUS" // who didn't log in
	ClusterName  = "kafka-cluster"  // the only resource of type Cluster
	maxNameBytes = 1 << 10          // of a resource; no group or transactional id that is served is longer
	maxTextBytes = 1 << 10          // of a principal, and of a host
)

// Rule is one entry of an access control list.
type Rule struct {
	Type       ResourceType
	Pattern    PatternType
	Name       string
	Principal  string
	Host       string
	Operation  Operation
	Permission Permission
}

// Check reports why there can't be such a rule, "" if there can. Those of Kafka come first, in its order and words.
func (r *Rule) Check() string {
	switch {
	case r.Type == Cluster && r.Name != ClusterName:
		return "The only valid name for the CLUSTER resource is " + ClusterName
	case r.Name == "":
		return "Invalid empty resource name"
	case !r.Type.real():
		return fmt.Sprintf("Invalid resourceType %v", r.Type)
	case r.Pattern != Literal && r.Pattern != Prefixed:
		return fmt.Sprintf("Invalid patternType %v", r.Pattern)
	case !r.Operation.real():
		return fmt.Sprintf("Invalid operation %v", r.Operation)
	case r.Permission != Allow && r.Permission != Deny:
		return fmt.Sprintf("Invalid permissionType %v", r.Permission)
	case !strings.Contains(r.Principal, ":"):
		return fmt.Sprintf("Could not parse principal from `%.200s` (no colon is present separating the principal type from the principal name)", r.Principal)
	case len(r.Name) > maxNameBytes:
		return fmt.Sprintf("a resource name has at most %d bytes, not %d", maxNameBytes, len(r.Name))
	case max(len(r.Principal), len(r.Host)) > maxTextBytes:
		return fmt.Sprintf("a principal and a host have at most %d bytes each, not %d and %d", maxTextBytes, len(r.Principal), len(r.Host))
	case Host(r.Host) != r.Host:
		return fmt.Sprintf("the host %q is not spelled as %q", r.Host, Host(r.Host))
	}
	return ""
}

func (t ResourceType) real() bool { return t >= Topic && t <= User }

func (o Operation) real() bool { return o >= All && o <= TwoPhaseCommit }

// Compare is the order in which rules are kept and listed: those of one resource pattern follow each other.
func Compare(a, b *Rule) int {
	return cmp.Or(
		cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Principal, b.Principal),
		cmp.Compare(a.Host, b.Host), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Permission, b.Permission),
	)
}

// Bytes is about what a rule takes in memory, its place in the index included.
func (r *Rule) Bytes() int64 { return 512 + 2*int64(len(r.Name)+len(r.Principal)+len(r.Host)) }

// String shows a rule as an operator reads it.
func (r *Rule) String() string {
	return fmt.Sprintf("%v %.200s from %.60s to %v %v %v %.200q", r.Permission, r.Principal, r.Host, r.Operation, r.Type, r.Pattern, r.Name)
}

func name(names []string, at int8) string {
	if at < 0 || int(at) >= len(names) {
		return names[0]
	}
	return names[at]
}

// String returns Kafka's name of an operation.
func (o Operation) String() string {
	return name([]string{
		"UNKNOWN", "ANY", "ALL", "READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "CLUSTER_ACTION", "DESCRIBE_CONFIGS", "ALTER_CONFIGS",
		"IDEMPOTENT_WRITE", "CREATE_TOKENS", "DESCRIBE_TOKENS", "TWO_PHASE_COMMIT",
	}, int8(o))
}

// String returns Kafka's name of a type of resources.
func (t ResourceType) String() string {
	return name([]string{"UNKNOWN", "ANY", "TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN", "USER"}, int8(t))
}

// String returns Kafka's name of a type of patterns.
func (p PatternType) String() string {
	return name([]string{"UNKNOWN", "ANY", "MATCH", "LITERAL", "PREFIXED"}, int8(p))
}

// String returns Kafka's name of a permission.
func (p Permission) String() string {
	return name([]string{"UNKNOWN", "ANY", "DENY", "ALLOW"}, int8(p))
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
)

// Whether a client may do what it asks for is decided where it is done: when a request begins (rights.go) or, where a part of
// a request can be refused and the others be done, for that part. Each decision is made anew by the rules that the catalog
// has then. It costs a few look-ups, so none is remembered, and a rule holds on this broker from when it is applied here.
// Where rights are off, may is one branch.
//
// A client that may not even describe something isn't told whether it exists.

// As Kafka words them.
var (
	errTopicRight   = kafka.Errorf(kerr.TopicAuthorizationFailed, "Topic authorization failed.")
	errGroupRight   = kafka.Errorf(kerr.GroupAuthorizationFailed, "Group authorization failed.")
	errClusterRight = kafka.Errorf(kerr.ClusterAuthorizationFailed, "Cluster authorization failed.")
	errTxnRight     = kafka.Errorf(kerr.TransactionalIDAuthorizationFailed, "Transactional Id authorization failed.")
)

// may reports whether the client may do something, and tells the operator of a refusal: the first of each request.
func (r *request) may(op acl.Operation, t acl.ResourceType, name string) bool {
	if !r.node.cfg.Authorize {
		return true
	}
	if r.permitted(op, t, name) {
		return true
	}
	r.denied(op, t, name)
	return false
}

// permitted is may where a refusal is nothing that the client did wrong: what isn't permitted is left out of a list, or there
// are other rights that allow the same.
func (r *request) permitted(op acl.Operation, t acl.ResourceType, name string) bool {
	n := r.node
	if !n.cfg.Authorize {
		return true
	}
	n.out.Work.Parts++
	return n.superUsers[r.principal] || n.catalog.rules.Allowed(r.principal, r.conn.address, op, t, name)
}

func (r *request) denied(op acl.Operation, t acl.ResourceType, name string) {
	if r.refused {
		return
	}
	r.refused = true
	r.node.event(Event{Kind: EventAccessDenied, Audit: r.auditOf(fmt.Sprintf("%v %v %.249s", op, t, name), refusals[t]), Text: fmt.Sprintf("%.200q from %s may not %v the %v %.200q (request %s)",
		r.principal, r.conn.address, op, t, name, kmsg.NameForKey(r.header.Key))})
}

// refusals are the codes of those.
var refusals = map[acl.ResourceType]int16{
	acl.Topic: errTopicRight.Code, acl.Group: errGroupRight.Code, acl.Cluster: errClusterRight.Code, acl.TransactionalID: errTxnRight.Code,
}

// topicRight returns the error for a topic that the client may not do something with.
func (r *request) topicRight(op acl.Operation, name string) error {
	if r.may(op, acl.Topic, name) {
		return nil
	}
	return errTopicRight
}

// topic names a topic that is to be read, and returns the error if it isn't known or may not be read. A fetch that waited is asked
// again when it looks again: what was denied since then isn't given.
func (f *fetch) topic(in *kmsg.FetchRequestTopic) (string, error) {
	name, err := f.node.topicName(f.req.Version >= 13, in.Topic, in.TopicID)
	switch replica := max(f.req.ReplicaID, f.req.ReplicaState.ID) >= 0; {
	case err != nil:
	case !replica:
		err = f.request.topicRight(acl.Read, name)
	case !f.request.may(acl.ClusterAction, acl.Cluster, acl.ClusterName):
		err = errTopicRight
	}
	return name, err
}

// configRight does the same for configurations of a resource.
func (r *request) configRight(op acl.Operation, kind kmsg.ConfigResourceType, name string) error {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		return r.topicRight(op, name)
	case configGroup:
		if !r.may(op, acl.Group, name) {
			return errGroupRight
		}
	default: // of brokers, or of what isn't served
		if !r.may(op, acl.Cluster, acl.ClusterName) {
			return errClusterRight
		}
	}
	return nil
}

// mayCreate reports whether a client may create a topic: all, or one of this name.
func (r *request) mayCreate(name string) bool {
	return r.permitted(acl.Create, acl.Cluster, acl.ClusterName) || r.may(acl.Create, acl.Topic, name)
}

// mayDelete reports whether a client may delete a topic, and whether it may know of it.
func (r *request) mayDelete(name string) (may, knows bool) {
	if r.permitted(acl.Delete, acl.Cluster, acl.ClusterName) {
		return true, true
	}
	return r.may(acl.Delete, acl.Topic, name), r.permitted(acl.Describe, acl.Topic, name)
}

// coordinatorRight is that to find the coordinator of a group (0) or of a transactional id (1).
func (r *request) coordinatorRight(key string, kind int8) error {
	switch {
	case kind == 0 && !r.may(acl.Describe, acl.Group, key):
		return errGroupRight
	case kind == 1 && !r.may(acl.Describe, acl.TransactionalID, key):
		return errTxnRight
	}
	return nil
}

// MayAdminister reports whether somebody may look at the broker beside Kafka's requests, or change something or have it work: what
// lets him describe or alter the cluster.
func (n *Node) MayAdminister(principal, host string, change bool) bool {
	if !n.cfg.Authorize || n.superUsers[principal] {
		return true
	}
	op := acl.Describe
	if change {
		op = acl.Alter
	}
	return n.catalog.rules.Allowed(principal, acl.Host(host), op, acl.Cluster, acl.ClusterName)
}

// supported are the operations that there are for a type of resources, which answers tell as bits.
var supported = map[acl.ResourceType][]acl.Operation{
	acl.Topic:   {acl.Read, acl.Write, acl.Create, acl.Delete, acl.Alter, acl.Describe, acl.DescribeConfigs, acl.AlterConfigs},
	acl.Group:   {acl.Read, acl.Delete, acl.Describe, acl.DescribeConfigs, acl.AlterConfigs},
	acl.Cluster: {acl.Create, acl.Alter, acl.Describe, acl.ClusterAction, acl.DescribeConfigs, acl.AlterConfigs, acl.IdempotentWrite},
}

// operations returns what the client may do to something, a bit for each operation; all where rights are off.
func (r *request) operations(t acl.ResourceType, name string) (bits int32) {
	n := r.node
	if n.cfg.Authorize && !n.superUsers[r.principal] {
		n.out.Work.Parts++
		return n.catalog.rules.Operations(r.principal, r.conn.address, supported[t], t, name)
	}
	for _, op := range supported[t] {
		bits |= 1 << op
	}
	return bits
}

// clusterOperations is that of the cluster: nothing for a client that may not describe it.
func (r *request) clusterOperations() int32 {
	if !r.may(acl.Describe, acl.Cluster, acl.ClusterName) {
		return 0
	}
	return r.operations(acl.Cluster, acl.ClusterName)
}

// checkSuperUsers returns what is wrong with them, nil if nothing is.
func (c *Config) checkSuperUsers() error {
	for _, u := range c.SuperUsers {
		if i := strings.Index(u, ":"); i < 1 || i == len(u)-1 {
			return fmt.Errorf("super user %q is no principal; write it like User:admin", u)
		}
	}
	return nil
}

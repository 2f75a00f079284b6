// SPDX-License-Identifier: Apache-2.0

package node

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
)

// rights says for every request what its client needs for it to begin, as KafkaApis and ControllerApis of Kafka 4.3 do.
// Those of parts of a request, which are looked at one by one, are named in words, and checked where the part is served.
// docs/SECURITY.md has the whole as a table. A request that is missing here is refused where rights are on.
func rights() map[kmsg.Key]right {
	readGroup := needs(acl.Read, acl.Group, errGroupRight)
	alterCluster, describeCluster := needs(acl.Alter, acl.Cluster, errClusterRight), needs(acl.Describe, acl.Cluster, errClusterRight)
	writeTxn := needs(acl.Write, acl.TransactionalID, errTxnRight)
	return map[kmsg.Key]right{
		kmsg.ApiVersions:      nil,
		kmsg.SASLHandshake:    nil,
		kmsg.SASLAuthenticate: nil,

		kmsg.Produce:              writeTransactional, // and Write on each topic
		kmsg.Fetch:                nil,                // Read on each topic; of what calls itself a replica ClusterAction on the cluster
		kmsg.ListOffsets:          nil,                // Describe on each topic
		kmsg.OffsetForLeaderEpoch: nil,                // ClusterAction on the cluster, or Describe on each topic
		kmsg.DeleteRecords:        nil,                // Delete on each topic
		kmsg.DescribeProducers:    nil,                // Read on each topic

		kmsg.Metadata:                nil, // Describe on each topic, of all those alone that it may describe; to create one see CreateTopics
		kmsg.DescribeTopicPartitions: nil, // the same, without creation
		kmsg.CreateTopics:            nil, // Create on the cluster or on each topic; DescribeConfigs on each to be told its configuration
		kmsg.DeleteTopics:            nil, // Delete on the cluster or on each topic
		kmsg.CreatePartitions:        nil, // Alter on each topic
		kmsg.DescribeConfigs:         nil, // DescribeConfigs on each topic and group, and for a broker on the cluster
		kmsg.AlterConfigs:            nil, // AlterConfigs on the same
		kmsg.IncrementalAlterConfigs: nil, // AlterConfigs on the same
		kmsg.ListConfigResources:     needs(acl.DescribeConfigs, acl.Cluster, errClusterRight),

		kmsg.FindCoordinator:        findsCoordinator, // Describe on each group or transactional id
		kmsg.JoinGroup:              readGroup,
		kmsg.SyncGroup:              readGroup,
		kmsg.Heartbeat:              readGroup,
		kmsg.LeaveGroup:             readGroup,
		kmsg.ConsumerGroupHeartbeat: describesTopics(readGroup),
		kmsg.OffsetCommit:           readGroup,                                   // and Read on each topic
		kmsg.OffsetFetch:            nil,                                         // Describe on each group and on each topic, of all those alone that it may describe
		kmsg.OffsetDelete:           needs(acl.Delete, acl.Group, errGroupRight), // and Read on each topic
		kmsg.DescribeGroups:         nil,                                         // Describe on each group
		kmsg.ConsumerGroupDescribe:  nil,                                         // Describe on each group, and on all topics that it has
		kmsg.ListGroups:             nil,                                         // Describe on the cluster, or those that it may describe
		kmsg.DeleteGroups:           nil,                                         // Delete on each group

		kmsg.InitProducerID:       initsProducer,
		kmsg.AddPartitionsToTxn:   writeTxn, // and Write on each topic
		kmsg.AddOffsetsToTxn:      both(writeTxn, readGroup),
		kmsg.TxnOffsetCommit:      both(writeTxn, readGroup), // and Read on each topic
		kmsg.EndTxn:               writeTxn,
		kmsg.DescribeTransactions: nil, // Describe on each transactional id, and of its topics those that it may describe
		kmsg.ListTransactions:     nil, // those that it may describe
		kmsg.WriteTxnMarkers:      writesMarkers,

		kmsg.DescribeACLs: describeCluster,
		kmsg.CreateACLs:   alterCluster,
		kmsg.DeleteACLs:   alterCluster,

		kmsg.DescribeUserSCRAMCredentials: describeCluster,
		kmsg.AlterUserSCRAMCredentials:    alterCluster,
		kmsg.DescribeClientQuotas:         needs(acl.DescribeConfigs, acl.Cluster, errClusterRight),
		kmsg.AlterClientQuotas:            needs(acl.AlterConfigs, acl.Cluster, errClusterRight),

		kmsg.DescribeCluster:            nil, // Describe on the cluster to be told what it may do
		kmsg.DescribeQuorum:             describeCluster,
		kmsg.DescribeLogDirs:            describeCluster,
		kmsg.AlterReplicaLogDirs:        alterCluster,
		kmsg.ElectLeaders:               alterCluster,
		kmsg.AlterPartitionAssignments:  alterCluster,
		kmsg.ListPartitionReassignments: describeCluster,
		kmsg.UpdateFeatures:             alterCluster,
		kmsg.UnregisterBroker:           alterCluster,
	}
}

// right decides whether a request may begin; the error is what its client is told.
type right func(*request, kmsg.Request) error

// needs is a right to an operation on what the whole request is about.
func needs(op acl.Operation, t acl.ResourceType, refusal error) right {
	return func(r *request, m kmsg.Request) error {
		if r.may(op, t, subject(m, t)) {
			return nil
		}
		return refusal
	}
}

// subject is the name of what a request is about.
func subject(m kmsg.Request, t acl.ResourceType) string {
	if t == acl.Cluster {
		return acl.ClusterName
	}
	switch req := m.(type) {
	case *kmsg.JoinGroupRequest:
		return req.Group
	case *kmsg.SyncGroupRequest:
		return req.Group
	case *kmsg.HeartbeatRequest:
		return req.Group
	case *kmsg.LeaveGroupRequest:
		return req.Group
	case *kmsg.ConsumerGroupHeartbeatRequest:
		return req.Group
	case *kmsg.OffsetCommitRequest:
		return req.Group
	case *kmsg.OffsetDeleteRequest:
		return req.Group
	case *kmsg.AddPartitionsToTxnRequest:
		return req.TransactionalID
	case *kmsg.EndTxnRequest:
		return req.TransactionalID
	case *kmsg.AddOffsetsToTxnRequest:
		if t == acl.Group {
			return req.Group
		}
		return req.TransactionalID
	case *kmsg.TxnOffsetCommitRequest:
		if t == acl.Group {
			return req.Group
		}
		return req.TransactionalID
	}
	return "" // of which there are no rules
}

func both(first, second right) right {
	return func(r *request, m kmsg.Request) error {
		if err := first(r, m); err != nil {
			return err
		}
		return second(r, m)
	}
}

// describesTopics also wants all topics that a member subscribes to by name to be described by it.
func describesTopics(first right) right {
	return func(r *request, m kmsg.Request) error {
		if err := first(r, m); err != nil {
			return err
		}
		for _, name := range m.(*kmsg.ConsumerGroupHeartbeatRequest).SubscribedTopicNames {
			if err := r.topicRight(acl.Describe, name); err != nil {
				return err
			}
		}
		return nil
	}
}

func writesMarkers(r *request, _ kmsg.Request) error {
	if r.permitted(acl.Alter, acl.Cluster, acl.ClusterName) || r.may(acl.ClusterAction, acl.Cluster, acl.ClusterName) {
		return nil
	}
	return errClusterRight
}

func initsProducer(r *request, m kmsg.Request) error {
	switch req := m.(*kmsg.InitProducerIDRequest); {
	case req.TransactionalID == nil && !r.mayWriteSome():
		return errClusterRight
	case req.TransactionalID != nil && !r.may(acl.Write, acl.TransactionalID, *req.TransactionalID):
		return errTxnRight
	}
	return nil
}

// mayWriteSome reports whether a client may be an idempotent producer: since Kafka 2.8 whoever may write to some topic may.
func (r *request) mayWriteSome() bool {
	if r.permitted(acl.IdempotentWrite, acl.Cluster, acl.ClusterName) {
		return true
	}
	if r.node.catalog.rules.AllowedSome(r.principal, r.conn.address, acl.Write, acl.Topic) {
		return true
	}
	r.denied(acl.IdempotentWrite, acl.Cluster, acl.ClusterName)
	return false
}

// writeTransactional is for records of transactions: whoever writes them has to own the transactional id. And for batches that keep
// their offsets.
func writeTransactional(r *request, m kmsg.Request) error {
	req := m.(*kmsg.ProduceRequest)
	if req.Acks == kafka.AcksKept && !r.may(acl.Alter, acl.Cluster, acl.ClusterName) {
		return errKeptRight
	}
	for i := range req.Topics {
		r.node.out.Work.Parts += len(req.Topics[i].Partitions) / 64
		for j := range req.Topics[i].Partitions {
			if !kafka.IsTransactional(req.Topics[i].Partitions[j].Records) {
				continue
			}
			if req.TransactionID == nil || !r.may(acl.Write, acl.TransactionalID, *req.TransactionID) {
				return errTxnRight
			}
			return nil
		}
	}
	return nil
}

// findsCoordinator is the right to find one at all: looking for the first makes the brokers' own topic.
func findsCoordinator(r *request, m kmsg.Request) error {
	req := m.(*kmsg.FindCoordinatorRequest)
	keys := req.CoordinatorKeys
	if req.Version < 4 {
		keys = []string{req.CoordinatorKey}
	}
	var err error
	for _, key := range keys {
		if err = r.coordinatorRight(key, req.CoordinatorType); err == nil {
			return nil
		}
	}
	return err
}

// authorized reports whether a request may begin. One that may not is answered.
func (n *Node) authorized(r *request, a *api, m kmsg.Request) bool {
	if !n.cfg.Authorize {
		return true
	}
	needs, known := n.rights[a.key]
	if !known {
		r.refuse(r.header.String() + ": it isn't known who may do that")
		return false
	}
	if needs == nil {
		return true
	}
	err := needs(r, m)
	if err != nil {
		n.refuseWhole(r, m, err)
	}
	return err == nil
}

// refuseWhole answers a request with an error for all of it: where answers have one for the whole there, and otherwise in
// each part.
func (n *Node) refuseWhole(r *request, m kmsg.Request, err error) {
	switch req := m.(type) {
	case *kmsg.ProduceRequest:
		n.produceAll(r, req, err)
	case *kmsg.ElectLeadersRequest:
		n.refuseElection(r, req, err)
	case *kmsg.AlterPartitionAssignmentsRequest:
		n.refuseMoves(r, req, err)
	case *kmsg.AlterUserSCRAMCredentialsRequest:
		n.refuseUsers(r, req, err)
	case *kmsg.AlterClientQuotasRequest:
		n.refuseQuotas(r, req, err)
	case *kmsg.FindCoordinatorRequest:
		n.refuseCoordinators(r, req, err)
	case *kmsg.OffsetCommitRequest:
		n.refuseCommit(r, req, err)
	case *kmsg.TxnOffsetCommitRequest:
		n.refuseTxnCommit(r, req, err)
	case *kmsg.AddPartitionsToTxnRequest:
		n.refuseAddPartitions(r, req, err)
	case *kmsg.WriteTxnMarkersRequest:
		n.refuseMarkers(r, req, err)
	case *kmsg.CreateACLsRequest:
		n.refuseRules(r, req, err)
	case *kmsg.DeleteACLsRequest:
		n.refuseFilters(r, req, err)
	case *kmsg.AlterReplicaLogDirsRequest:
		n.refuseLogDirs(r, req, err)
	default:
		r.reply(wholeError(m.ResponseKind(), err))
	}
}

// wholeError is an answer that has nothing in it but an error. What there is by default says that there is nothing, or of
// producers that they have no id.
func wholeError(resp kmsg.Response, err error) kmsg.Response {
	v := reflect.ValueOf(resp).Elem()
	v.FieldByName("ErrorCode").SetInt(int64(code(err)))
	if text := v.FieldByName("ErrorMessage"); text.IsValid() {
		text.Set(reflect.ValueOf(errorText(err)))
	}
	for _, name := range []string{"ProducerID", "ProducerEpoch", "Generation"} {
		if id := v.FieldByName(name); id.IsValid() {
			id.SetInt(-1)
		}
	}
	return resp
}

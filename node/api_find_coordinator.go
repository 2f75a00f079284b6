// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// FindCoordinator, versions 0 to 6, on any broker.
//
//	v1  coordinators of transactions
//	v4  many keys (KIP-699)
//	v6  coordinators of share groups: there are none
//
// The first one of its type creates the topic of which the coordinators are the partitions.
func (n *Node) handleFindCoordinator(r *request, m kmsg.Request) {
	req := m.(*kmsg.FindCoordinatorRequest)
	if t := int(req.CoordinatorType); t >= 0 && t < len(n.seekers) && n.catalog.byName[n.seekers[t].topic] == nil && !n.joining() {
		s := &n.seekers[t]
		s.waiting.add(r, seeker{r, req})
		r.expireAfter(coordinatorTimeout, func() { n.answerCoordinators(r, req) })
		n.createOwnTopic(s)
		return
	}
	n.answerCoordinators(r, req)
}

// seekers are clients that wait for the first coordinators of a type.
type seekers struct {
	topic   string
	waiting waiters[seeker]
	making  bool // the command is under way
}

// seeker is a client that waits for the first coordinators.
type seeker struct {
	request *request
	req     *kmsg.FindCoordinatorRequest
}

// createOwnTopic makes the topic, unless that is under way or another broker is faster.
func (n *Node) createOwnTopic(s *seekers) {
	if s.making {
		return
	}
	partitions := n.cfg.GroupPartitions
	if s.topic == transactionsTopic {
		partitions = n.cfg.TransactionPartitions
	}
	placement, err := n.placeOwn(partitions, n.defaultReplicas())
	if err != nil { // too few brokers are there now; clients ask again
		n.answerSeekers(s)
		return
	}
	cmd := &createTopic{Name: s.topic, Replicas: placement, Internal: true}
	s.making = true
	n.commands.submit(command{CreateTopic: cmd}, func(commandResult) {
		s.making = false
		n.answerSeekers(s)
	})
}

func (n *Node) answerSeekers(s *seekers) {
	for _, s := range s.waiting.all() {
		n.later(func() {
			if !s.request.over() { // for one that is gone it would be work for nothing
				n.answerCoordinators(s.request, s.req)
			}
		})
	}
}

func (n *Node) answerCoordinators(r *request, req *kmsg.FindCoordinatorRequest) {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if req.Version >= 4 {
		resp.Coordinators = make([]kmsg.FindCoordinatorResponseCoordinator, 0, len(req.CoordinatorKeys)) // growing it would copy megabytes in a step
		n.each(r, len(req.CoordinatorKeys), func(i int) {
			resp.Coordinators = append(resp.Coordinators, n.findCoordinator(r, req.CoordinatorKeys[i], req.CoordinatorType))
		}, func() { r.reply(resp) })
		return
	}
	one := n.findCoordinator(r, req.CoordinatorKey, req.CoordinatorType)
	resp.ErrorCode, resp.ErrorMessage = one.ErrorCode, one.ErrorMessage
	resp.NodeID, resp.Host, resp.Port = one.NodeID, one.Host, one.Port
	r.reply(resp)
}

func (n *Node) findCoordinator(r *request, key string, kind int8) kmsg.FindCoordinatorResponseCoordinator {
	out := kmsg.NewFindCoordinatorResponseCoordinator()
	out.Key, out.NodeID, out.Port = key, -1, -1
	var m *Member
	err := r.coordinatorRight(key, kind)
	if err == nil {
		m, err = n.coordinatorMember(key, kind)
	}
	if err != nil {
		out.ErrorCode, out.ErrorMessage = code(err), errorText(err)
		return out
	}
	name, port, ok := m.at(r.conn.listener.Name)
	if !ok {
		out.ErrorCode, out.ErrorMessage = kerr.CoordinatorNotAvailable.Code, errorText(kerr.CoordinatorNotAvailable)
		return out
	}
	out.NodeID, out.Host, out.Port = int32(m.ID), name, port
	return out
}

func (n *Node) coordinatorMember(key string, kind int8) (*Member, error) {
	var meta *partitionMeta
	var err error
	switch kind {
	case 0:
		if err = checkGroupID(key); err == nil {
			meta = n.coordinatorPartition(key)
		}
	case 1:
		if err = checkTransactionalID(key); err == nil {
			meta = n.transactionsPartition(key)
		}
	default:
		err = kafka.Errorf(kerr.InvalidRequest, "coordinators of type %d are not served", kind)
	}
	if err != nil {
		return nil, err
	}
	if meta == nil {
		return nil, kerr.CoordinatorNotAvailable
	}
	leader, _ := n.leaderOf(meta)
	if leader < 0 {
		return nil, kerr.CoordinatorNotAvailable
	}
	return n.member(leader), nil
}

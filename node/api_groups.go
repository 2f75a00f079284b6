// SPDX-License-Identifier: Apache-2.0

package node

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// coordinatorTimeout bounds the wait for the log or a majority where a client waits for an answer.
const coordinatorTimeout = 5 * time.Second

// FindCoordinator, versions 0 to 6, on any broker.
//
//	v1  coordinators of transactions: there are none
//	v4  many keys (KIP-699)
//	v6  coordinators of share groups: there are none
//
// The first one creates the topic of which the coordinators are the partitions.
func (n *Node) handleFindCoordinator(r *request, m kmsg.Request) {
	req := m.(*kmsg.FindCoordinatorRequest)
	if n.catalog.byName[groupsTopic] != nil || req.CoordinatorType != 0 || n.joining() {
		n.answerCoordinators(r, req)
		return
	}
	n.groupsTopicFor.add(r, seeker{r, req})
	r.expireAfter(coordinatorTimeout, func() { n.answerCoordinators(r, req) })
	n.createGroupsTopic()
}

// seeker is a client that waits for the first coordinators.
type seeker struct {
	request *request
	req     *kmsg.FindCoordinatorRequest
}

// createGroupsTopic makes the topic, unless that is under way or another broker is faster.
func (n *Node) createGroupsTopic() {
	if n.makingGroupsTopic {
		return
	}
	placement, err := n.placeOwn(n.cfg.GroupPartitions, n.defaultReplicas())
	if err != nil { // too few brokers are there now; clients ask again
		n.answerSeekers()
		return
	}
	cmd := &createTopic{Name: groupsTopic, Replicas: placement, Internal: true}
	n.makingGroupsTopic = true
	n.commands.submit(command{CreateTopic: cmd}, func(commandResult) {
		n.makingGroupsTopic = false
		n.answerSeekers()
	})
}

func (n *Node) answerSeekers() {
	for _, s := range n.groupsTopicFor.all() {
		n.later(func() {
			if !s.request.over() {
				n.answerCoordinators(s.request, s.req)
			}
		})
	}
}

func (n *Node) answerCoordinators(r *request, req *kmsg.FindCoordinatorRequest) {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if req.Version >= 4 {
		n.each(r, len(req.CoordinatorKeys), func(i int) {
			resp.Coordinators = append(resp.Coordinators, n.findCoordinator(req.CoordinatorKeys[i], req.CoordinatorType))
		}, func() { r.reply(resp) })
		return
	}
	one := n.findCoordinator(req.CoordinatorKey, req.CoordinatorType)
	resp.ErrorCode, resp.ErrorMessage = one.ErrorCode, one.ErrorMessage
	resp.NodeID, resp.Host, resp.Port = one.NodeID, one.Host, one.Port
	r.reply(resp)
}

func (n *Node) findCoordinator(key string, kind int8) kmsg.FindCoordinatorResponseCoordinator {
	out := kmsg.NewFindCoordinatorResponseCoordinator()
	out.Key, out.NodeID, out.Port = key, -1, -1
	m, err := n.coordinatorMember(key, kind)
	if err != nil {
		out.ErrorCode, out.ErrorMessage = code(err), errorText(err)
		return out
	}
	out.NodeID, out.Host, out.Port = int32(m.ID), m.Host, m.Port
	return out
}

func (n *Node) coordinatorMember(key string, kind int8) (*Member, error) {
	switch kind {
	case 0:
	case 1: // the one error of this request on which librdkafka gives up; the others do so on any
		return nil, kafka.Errorf(kerr.TransactionalIDAuthorizationFailed, "transactions are not served; use a producer without a transactional id")
	default:
		return nil, kafka.Errorf(kerr.InvalidRequest, "coordinators of type %d are not served", kind)
	}
	if err := checkGroupID(key); err != nil {
		return nil, err
	}
	meta := n.coordinatorPartition(key)
	if meta == nil {
		return nil, kerr.CoordinatorNotAvailable
	}
	leader, _ := n.leaderOf(meta)
	if leader < 0 {
		return nil, kerr.CoordinatorNotAvailable
	}
	return n.member(leader), nil
}

// JoinGroup, versions 0 to 9.
//
//	v1  rebalance timeout; before, it is the session's (KIP-62)
//	v4  a new member gets its id first and joins with that (KIP-394)
//	v5  static members (KIP-345)
//	v6  flexible
//	v7  protocol type in the answer
//	v8  reason: ignored
//	v9  skip assignment (KIP-814)
//
// It is answered when all members have joined, or those that didn't had the time of the longest
// rebalance timeout.
func (n *Node) handleJoinGroup(r *request, m kmsg.Request) {
	req := m.(*kmsg.JoinGroupRequest)
	g, err := n.groupToJoin(req)
	if err != nil {
		r.reply(failedJoin(req.MemberID, code(err)))
		return
	}
	g.classic.joinGroup(r, req)
	g.classic.forgetIfUnused() // it was refused
}

func (n *Node) groupToJoin(req *kmsg.JoinGroupRequest) (*consumerGroup, error) {
	c, err := n.coordinatorOf(req.Group)
	if err != nil {
		return nil, err
	}
	if s := millis(req.SessionTimeoutMillis); s < n.cfg.GroupMinSession || s > n.cfg.GroupMaxSession {
		return nil, kafka.Errorf(kerr.InvalidSessionTimeout, "session timeout %v; use %v to %v", s, n.cfg.GroupMinSession, n.cfg.GroupMaxSession)
	}
	if len(req.Protocols) > maxProtocols {
		return nil, kafka.Errorf(kerr.InvalidRequest, "%d protocols; a member has at most %d", len(req.Protocols), maxProtocols)
	}
	n.out.Work.Parts += len(req.Protocols)
	g := c.find(req.Group)
	switch {
	case g == nil && req.MemberID != "":
		return nil, kerr.UnknownMemberID
	case g != nil && g.classic.idle() && !g.idle():
		return nil, kafka.Errorf(kerr.InconsistentGroupProtocol, "group %q has members of the new protocol", req.Group)
	}
	return c.open(req.Group)
}

// groupOf finds a group that exists, on its coordinator. absent is the error if it doesn't.
func (n *Node) groupOf(id string, absent error) (*consumerGroup, error) {
	c, err := n.coordinatorOf(id)
	if err != nil {
		return nil, err
	}
	if g := c.find(id); g != nil {
		return g, nil
	}
	return nil, absent
}

// SyncGroup, versions 0 to 5: gives the leader's assignment and takes one's own part.
//
//	v3  static members
//	v4  flexible
//	v5  protocol, to be checked
func (n *Node) handleSyncGroup(r *request, m kmsg.Request) {
	req := m.(*kmsg.SyncGroupRequest)
	parts := make(map[string][]byte)
	n.each(r, len(req.GroupAssignment), func(i int) {
		parts[req.GroupAssignment[i].MemberID] = req.GroupAssignment[i].MemberAssignment
	}, func() {
		g, err := n.groupOf(req.Group, kerr.UnknownMemberID)
		if err != nil {
			r.reply(failedSync(code(err)))
			return
		}
		g.classic.syncGroup(r, req, parts)
	})
}

// Heartbeat, versions 0 to 4: v3 has static members, v4 is flexible.
func (n *Node) handleHeartbeat(r *request, m kmsg.Request) {
	req := m.(*kmsg.HeartbeatRequest)
	g, err := n.groupOf(req.Group, kerr.UnknownMemberID)
	if err == nil {
		err = g.classic.heartbeat(req)
	}
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.ErrorCode = code(err)
	r.reply(resp)
}

// LeaveGroup, versions 0 to 5: v3 takes many members and static ones by name, v4 is flexible, v5 has
// a reason, which is ignored.
func (n *Node) handleLeaveGroup(r *request, m kmsg.Request) {
	req := m.(*kmsg.LeaveGroupRequest)
	resp := kmsg.NewPtrLeaveGroupResponse()
	g, err := n.groupOf(req.Group, nil)
	if err != nil {
		resp.ErrorCode = code(err)
		r.reply(resp)
		return
	}
	if g == nil {
		g = &consumerGroup{classic: &classicGroup{node: n}} // nobody is in it
	}
	live, out := g.classic, make(map[*groupMember]string) // it may be another broker's before all is done: then live is dead
	if req.Version < 3 {
		resp.ErrorCode = code(live.leave(out, req.MemberID, nil))
	}
	n.each(r, len(req.Members), func(i int) {
		in := &req.Members[i]
		member := kmsg.NewLeaveGroupResponseMember()
		member.MemberID, member.InstanceID = in.MemberID, in.InstanceID
		member.ErrorCode = code(live.leave(out, in.MemberID, in.InstanceID))
		resp.Members = append(resp.Members, member)
	}, func() {
		live.dismiss(out)
		r.reply(resp)
	})
}

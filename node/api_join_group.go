// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

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
		r.reply(failedJoin(req.MemberID, r.code(err)))
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

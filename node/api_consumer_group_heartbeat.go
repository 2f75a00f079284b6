// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/consumers"
)

// ConsumerGroupHeartbeat, versions 0 and 1 (KIP-848): all that a member of a group of the new protocol
// does. From v1 on clients make their member ids themselves, and may subscribe by a regular expression.
func (n *Node) handleConsumerGroupHeartbeat(r *request, m kmsg.Request) {
	req := m.(*kmsg.ConsumerGroupHeartbeatRequest)
	g, err := n.groupToBeat(r, req)
	if err != nil {
		r.reply(failedBeat(err))
		return
	}
	live := g.modern // the group may be without it when this one's turn comes
	live.whenIdle(r, func() { live.heartbeat(r, req) })
	g.classic.forgetIfUnused() // it was refused
}

func (n *Node) groupToBeat(r *request, req *kmsg.ConsumerGroupHeartbeatRequest) (*consumerGroup, error) {
	if req.Group == "" {
		return nil, kafka.Errorf(kerr.InvalidRequest, "the group id is empty")
	}
	c, err := n.coordinatorOf(req.Group)
	if err != nil {
		return nil, err
	}
	if req.MemberID == "" && req.Version == 0 && req.MemberEpoch == joinEpoch {
		req.MemberID = n.newMemberID(r, req.InstanceID)
	}
	if err := checkBeat(req); err != nil {
		return nil, err
	}
	g := c.find(req.Group)
	switch {
	case g == nil && req.MemberEpoch != joinEpoch:
		return nil, kerr.GroupIDNotFound
	case g == nil:
		if g, err = c.open(req.Group); err != nil {
			return nil, err
		}
	case g.classic.state == groupDead:
		return nil, kerr.CoordinatorNotAvailable
	case !g.classic.idle():
		return nil, kafka.Errorf(kerr.GroupIDNotFound, "group %q has members of the classic protocol", req.Group)
	}
	if g.modern == nil {
		g.modern = restoreModernGroup(g)
	}
	return g, nil
}

// checkBeat checks what a request says by itself.
func checkBeat(req *kmsg.ConsumerGroupHeartbeatRequest) error {
	empty := func(s *string) bool { return s != nil && *s == "" }
	names := 0
	for _, name := range req.SubscribedTopicNames {
		names += len(name)
	}
	invalid := ""
	switch {
	case req.MemberID == "" || len(req.MemberID) > maxConsumerGroupID:
		invalid = "the member id is empty or too long"
	case empty(req.InstanceID) || empty(req.RackID):
		invalid = "the instance id or the rack is an empty string"
	case req.MemberEpoch < awayEpoch:
		invalid = "the member epoch is below -2"
	case req.MemberEpoch == awayEpoch && req.InstanceID == nil:
		invalid = "only a static member can say that it will be back"
	case names > maxSubscription:
		invalid = "the names of topics are too long together"
	case req.MemberEpoch == joinEpoch && req.RebalanceTimeoutMillis <= 0:
		invalid = "a member that joins has to give its rebalance timeout"
	case req.MemberEpoch == joinEpoch && (req.Topics == nil || len(req.Topics) > 0):
		invalid = "a member that joins owns no partitions"
	case req.MemberEpoch == joinEpoch && req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil:
		invalid = "a member that joins has to subscribe to something"
	}
	if invalid != "" {
		return kafka.Errorf(kerr.InvalidRequest, "%s", invalid)
	}
	if a := req.ServerAssignor; a != nil && *a != consumers.AssignorUniform && *a != consumers.AssignorRange {
		return kafka.Errorf(kerr.UnsupportedAssignor, "assignor %.60q; use %s or %s", *a, consumers.AssignorUniform, consumers.AssignorRange)
	}
	return nil
}

func failedBeat(err error) *kmsg.ConsumerGroupHeartbeatResponse {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.ErrorCode, resp.ErrorMessage = code(err), errorText(err)
	return resp
}

// answer tells a member its epoch, and its assignment if that changed or the member can't know it.
func (g *modernGroup) answer(m *modernMember, req *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatResponse {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &m.ID, m.Epoch
	resp.HeartbeatIntervalMillis = int32(g.pulse().Milliseconds())
	saysAll := req.RebalanceTimeoutMillis >= 0 && req.Topics != nil && (req.SubscribedTopicNames != nil || req.SubscribedTopicRegex != nil)
	was := g.state().member(m.ID)
	if !saysAll && req.MemberEpoch != joinEpoch && was != nil && req.MemberEpoch == was.Epoch && was.Owned.Equal(m.Owned) {
		return resp
	}
	a := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
	for _, t := range m.Owned {
		if meta := g.node.catalog.byGroup[t.Topic]; meta != nil { // else it was deleted
			out := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
			out.TopicID, out.Partitions = meta.Topic.uuid, t.Partitions
			a.Topics = append(a.Topics, out)
		}
	}
	resp.Assignment = &a
	return resp
}

// ownedBy returns the partitions that a member says it owns, and whether these are all. Topics that were deleted are left
// out, and those of which this broker's catalog doesn't know yet.
func (n *Node) ownedBy(req *kmsg.ConsumerGroupHeartbeatRequest) (owned consumers.Assignment, all bool) {
	var slots []consumers.Slot
	all = req.Topics != nil
	for i := range req.Topics {
		t := n.catalog.byID[req.Topics[i].TopicID]
		if t == nil {
			all = false
			continue
		}
		for _, p := range req.Topics[i].Partitions {
			slots = append(slots, consumers.Slot{Topic: t.id(), Partition: p})
		}
	}
	slices.SortFunc(slots, consumers.Slot.Compare)
	return consumers.AssignmentOf(slices.Compact(slots)), all
}

func (n *Node) describeMember(m *modernMember) kmsg.ConsumerGroupDescribeResponseGroupMember {
	o := kmsg.NewConsumerGroupDescribeResponseGroupMember()
	o.MemberID, o.InstanceID, o.RackID, o.MemberEpoch, o.ClientID, o.ClientHost = m.ID, m.Instance, m.Rack, m.Epoch, m.ClientID, m.Host
	o.SubscribedTopics, o.SubscribedTopicRegex, o.MemberType = m.Topics, &m.Regex, 1
	o.Assignment, o.TargetAssignment = n.describeAssignment(m.Owned), n.describeAssignment(m.Target)
	return o
}

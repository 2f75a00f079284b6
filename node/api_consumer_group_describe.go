// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
	"chronik/node/consumers"
)

// ConsumerGroupDescribe, versions 0 and 1: v1 says of each member that it speaks the new protocol. A
// group that is named twice is described once.
func (n *Node) handleConsumerGroupDescribe(r *request, m kmsg.Request) {
	req := m.(*kmsg.ConsumerGroupDescribeRequest)
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	resp.Groups = make([]kmsg.ConsumerGroupDescribeResponseGroup, 0, len(req.Groups)) // growing it would copy megabytes in a step
	named := make(map[string]bool)
	var members []*modernMember // of the group under way, as they were when that began: they are never changed
	n.eachPart(r, len(req.Groups), func(i int) int {
		id := req.Groups[i]
		if members = nil; named[id] {
			return 0
		}
		named[id] = true
		out := kmsg.NewConsumerGroupDescribeResponseGroup()
		out.Group = id
		var g *consumerGroup
		err := error(errGroupRight)
		if r.may(acl.Describe, acl.Group, id) {
			g, err = n.groupOf(id, kafka.Errorf(kerr.GroupIDNotFound, "group %.60q does not exist", id))
		}
		if err == nil && !g.isModern() {
			err = kafka.Errorf(kerr.GroupIDNotFound, "group %.60q is not of the new protocol", id)
		}
		if err != nil {
			out.ErrorCode, out.ErrorMessage = code(err), errorText(err)
		} else {
			s := g.stored.modern
			members = slices.Clone(s.members)
			n.out.Work.Parts += len(members) / 16
			out.State, out.Epoch, out.AssignmentEpoch, out.AssignorName = s.state(), s.Epoch, s.TargetEpoch, s.Assignor
			if n.cfg.Authorize && req.IncludeAuthorizedOperations {
				out.AuthorizedOperations = r.operations(acl.Group, id)
			}
			out.Members = make([]kmsg.ConsumerGroupDescribeResponseGroupMember, 0, len(members))
		}
		resp.Groups = append(resp.Groups, out)
		return len(members)
	}, func(_, member int) {
		g := &resp.Groups[len(resp.Groups)-1]
		if m := n.describeMember(members[member]); g.ErrorCode == 0 && r.mayDescribe(&m) {
			g.Members = append(g.Members, m)
			return
		}
		*g = kmsg.ConsumerGroupDescribeResponseGroup{Group: g.Group, ErrorCode: kerr.TopicAuthorizationFailed.Code, ErrorMessage: &hiddenTopics, AuthorizedOperations: noOperations}
	}, func() { r.reply(resp) })
}

func (n *Node) describeAssignment(a consumers.Assignment) kmsg.Assignment {
	out := kmsg.NewAssignment()
	n.out.Work.Parts += len(a)
	for _, t := range a {
		if meta := n.catalog.byGroup[t.Topic]; meta != nil {
			o := kmsg.NewAssignmentTopicPartition()
			o.TopicID, o.Topic, o.Partitions = meta.Topic.uuid, meta.Topic.Name, t.Partitions
			out.TopicPartitions = append(out.TopicPartitions, o)
		}
	}
	return out
}

// hiddenTopics says why a group isn't described whose members have partitions of topics that the client may not describe.
var hiddenTopics = "The group has described topic(s) that the client is not authorized to describe."

// noOperations says that they weren't asked for.
const noOperations = -1 << 31

// mayDescribe reports whether a client may describe all topics of which a member has partitions, or is to have.
func (r *request) mayDescribe(m *kmsg.ConsumerGroupDescribeResponseGroupMember) bool {
	for _, a := range []*kmsg.Assignment{&m.Assignment, &m.TargetAssignment} {
		for i := range a.TopicPartitions {
			if !r.may(acl.Describe, acl.Topic, a.TopicPartitions[i].Topic) {
				return false
			}
		}
	}
	return true
}

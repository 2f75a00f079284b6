// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/acl"
)

// DescribeGroups, versions 0 to 6: v4 has static members, v5 is flexible. A group that doesn't exist
// is in state Dead, without an error before v6. One that is named twice is described once.
func (n *Node) handleDescribeGroups(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeGroupsRequest)
	d := &groupDescription{resp: kmsg.NewPtrDescribeGroupsResponse(), named: make(map[string]bool)}
	d.resp.Groups = make([]kmsg.DescribeGroupsResponseGroup, 0, len(req.Groups)) // growing it would copy megabytes in a step
	n.eachPart(r, len(req.Groups), func(i int) int {
		members := d.begin(n, r, req, req.Groups[i])
		if g := &d.resp.Groups[len(d.resp.Groups)-1]; n.cfg.Authorize && req.IncludeAuthorizedOperations && g.ErrorCode == 0 {
			g.AuthorizedOperations = r.operations(acl.Group, g.Group)
		}
		return members
	}, func(_, member int) { d.add(member) }, func() { r.reply(d.resp) })
}

// groupDescription is an answer to DescribeGroups in the making.
type groupDescription struct {
	resp  *kmsg.DescribeGroupsResponse
	named map[string]bool

	// Of the group under way, as it was when that began.
	live       *classicGroup
	members    []*groupMember
	state      groupState
	generation int32
}

// begin describes a group without its members, and returns how many there are.
func (d *groupDescription) begin(n *Node, r *request, req *kmsg.DescribeGroupsRequest, id string) int {
	d.live, d.members = nil, nil
	if d.named[id] {
		return 0
	}
	d.named[id] = true
	out := kmsg.NewDescribeGroupsResponseGroup()
	out.Group = id
	var g *consumerGroup
	err := error(errGroupRight)
	if r.may(acl.Describe, acl.Group, id) {
		g, err = n.groupOf(id, nil)
	}
	switch {
	case err != nil:
		out.ErrorCode = r.code(err)
	case g == nil || g.classic.state == groupDead:
		out.State = groupDead.String()
		if req.Version >= 6 {
			out.ErrorCode = kerr.GroupIDNotFound.Code
		}
	case g.isModern():
		out.State = groupDead.String()
		if req.Version >= 6 {
			err = kafka.Errorf(kerr.GroupIDNotFound, "group %q is not of the classic protocol", id)
			out.ErrorCode, out.ErrorMessage = code(err), errorText(err)
		}
	default:
		live := g.classic
		d.live, d.members, d.state, d.generation = live, slices.Clone(live.members), live.state, live.generation
		out.State, out.ProtocolType = live.state.String(), live.protocolType
		if live.state == groupStable {
			out.Protocol = live.protocol
		}
		out.Members = make([]kmsg.DescribeGroupsResponseGroupMember, 0, len(live.members))
	}
	d.resp.Groups = append(d.resp.Groups, out)
	return len(d.members)
}

// add describes a member. What members said and got is told only while that is settled.
func (d *groupDescription) add(member int) {
	g, m := &d.resp.Groups[len(d.resp.Groups)-1], d.members[member]
	o := kmsg.NewDescribeGroupsResponseGroupMember()
	o.MemberID, o.InstanceID, o.ClientID, o.ClientHost = m.id, m.instance, m.clientID, m.host
	if d.state == groupStable {
		o.ProtocolMetadata, o.MemberAssignment = m.says(d.live.protocol), m.assignment
	}
	g.Members = append(g.Members, o)
	if member == len(d.members)-1 && d.state == groupStable && (d.live.state != groupStable || d.live.generation != d.generation) {
		g.State, g.Protocol = d.live.state.String(), "" // some of it is of another generation
		for i := range g.Members {
			g.Members[i].ProtocolMetadata, g.Members[i].MemberAssignment = nil, nil
		}
	}
}

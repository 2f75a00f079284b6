// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
)

// DescribeGroups, versions 0 to 6: v4 has static members, v5 is flexible. A group that doesn't exist
// is in state Dead, without an error before v6.
func (n *Node) handleDescribeGroups(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeGroupsRequest)
	resp := kmsg.NewPtrDescribeGroupsResponse()
	for _, id := range req.Groups {
		out := kmsg.NewDescribeGroupsResponseGroup()
		out.Group = id
		g, err := n.groupOf(id, nil)
		switch {
		case err != nil:
			out.ErrorCode = code(err)
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
			g.classic.describe(&out)
		}
		resp.Groups = append(resp.Groups, out)
	}
	r.reply(resp)
}

// describe tells what members said and got only while that is settled.
func (g *classicGroup) describe(out *kmsg.DescribeGroupsResponseGroup) {
	out.State, out.ProtocolType = g.state.String(), g.protocolType
	stable := g.state == groupStable
	if stable {
		out.Protocol = g.protocol
	}
	for _, m := range g.members {
		o := kmsg.NewDescribeGroupsResponseGroupMember()
		o.MemberID, o.InstanceID, o.ClientID, o.ClientHost = m.id, m.instance, m.clientID, m.host
		if stable {
			o.ProtocolMetadata, o.MemberAssignment = m.says(g.protocol), m.assignment
		}
		out.Members = append(out.Members, o)
	}
}

// listed returns how ListGroups shows a group: its protocol type, and its type (KIP-848).
func (g *consumerGroup) listed() (protocolType, kind string) {
	if g.isModern() {
		return "consumer", "consumer"
	}
	return g.classic.protocolType, "classic"
}

// ListGroups, versions 0 to 5: the groups whose coordinator this broker is, so clients ask every
// broker. v4 filters by state (KIP-518), v5 by type (KIP-848).
func (n *Node) handleListGroups(r *request, m kmsg.Request) {
	req := m.(*kmsg.ListGroupsRequest)
	resp := kmsg.NewPtrListGroupsResponse()
	wanted := func(filter []string, value string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
	}
	for _, c := range n.ownCoordinators() {
		if !c.group.serving {
			resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
			continue
		}
		for _, g := range c.groups {
			out := kmsg.NewListGroupsResponseGroup()
			out.Group, out.GroupState = g.id, g.state()
			out.ProtocolType, out.GroupType = g.listed()
			if !wanted(req.StatesFilter, out.GroupState) || !wanted(req.TypesFilter, out.GroupType) || g.classic.state == groupDead {
				continue
			}
			resp.Groups = append(resp.Groups, out)
		}
	}
	r.reply(resp)
}

// ownCoordinators lists those that this broker leads.
func (n *Node) ownCoordinators() (own []*coordinator) {
	t := n.catalog.byName[groupsTopic]
	if t == nil {
		return nil
	}
	for _, p := range t.Partitions {
		if c := n.coordinators[p.Group]; c != nil && brokerOf(c.group.lead) == n.self {
			own = append(own, c)
		}
	}
	return own
}

// DeleteGroups, versions 0 to 2: removes groups without members, with their offsets. v2 is flexible.
func (n *Node) handleDeleteGroups(r *request, m kmsg.Request) {
	req := m.(*kmsg.DeleteGroupsRequest)
	resp := kmsg.NewPtrDeleteGroupsResponse()
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(req.Groups))
	w := waitFor(r, resp, len(req.Groups))
	for i, id := range req.Groups {
		out := &resp.Groups[i]
		*out = kmsg.NewDeleteGroupsResponseGroup()
		out.Group, out.ErrorCode = id, kerr.CoordinatorNotAvailable.Code // until it is committed
		done := func(err error) {
			if !r.done {
				out.ErrorCode = code(err)
				w.done()
			}
		}
		if g, err := n.groupToDelete(id); err != nil {
			done(err)
		} else {
			g.remove(done)
		}
	}
	w.begin(int32(coordinatorTimeout.Milliseconds()))
}

func (n *Node) groupToDelete(id string) (*consumerGroup, error) {
	g, err := n.groupOf(id, kerr.GroupIDNotFound)
	switch {
	case err != nil:
		return nil, err
	case g.classic.state == groupDead:
		return nil, kerr.GroupIDNotFound
	case !g.idle():
		return nil, kerr.NonEmptyGroup
	}
	return g, nil
}

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
// is in state Dead, without an error before v6. One that is named twice is described once.
func (n *Node) handleDescribeGroups(r *request, m kmsg.Request) {
	req := m.(*kmsg.DescribeGroupsRequest)
	d := &groupDescription{resp: kmsg.NewPtrDescribeGroupsResponse(), named: make(map[string]bool)}
	n.eachPart(r, len(req.Groups), func(i int) int { return d.begin(n, req, req.Groups[i]) }, func(_, member int) { d.add(member) }, func() { r.reply(d.resp) })
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
func (d *groupDescription) begin(n *Node, req *kmsg.DescribeGroupsRequest, id string) int {
	d.live, d.members = nil, nil
	if d.named[id] {
		return 0
	}
	d.named[id] = true
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
	l := &groupList{node: n, resp: kmsg.NewPtrListGroupsResponse(), states: req.StatesFilter, types: req.TypesFilter, wanted: make(map[string]bool)}
	l.coordinators = n.ownCoordinators()
	n.inPieces(r, l.more, func() { r.reply(l.resp) })
}

// groupList is an answer to ListGroups in the making.
type groupList struct {
	node          *Node
	resp          *kmsg.ListGroupsResponse
	states, types []string        // that are asked for; none: all
	wanted        map[string]bool // of those that were looked up
	coordinators  []*coordinator  // the first is under way
	after         string          // the last of its groups that was looked at
}

// more looks at the next group, and says whether there are more. Groups may come and go between two looks.
func (l *groupList) more() bool {
	if len(l.coordinators) == 0 {
		return false
	}
	l.node.out.Work.Parts++
	c := l.coordinators[0]
	if !c.serves() {
		l.resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
	} else if g := c.next(l.after); g != nil {
		l.after = g.id
		l.add(g)
		return true
	}
	l.coordinators, l.after = l.coordinators[1:], ""
	return len(l.coordinators) > 0
}

func (l *groupList) add(g *consumerGroup) {
	out := kmsg.NewListGroupsResponseGroup()
	out.Group, out.GroupState = g.id, g.state()
	out.ProtocolType, out.GroupType = g.listed()
	if l.wants(l.states, out.GroupState) && l.wants(l.types, out.GroupType) && g.classic.state != groupDead {
		l.resp.Groups = append(l.resp.Groups, out)
	}
}

// wants reports whether a state or type is among those that are asked for. There are few, so each is looked up once.
func (l *groupList) wants(filter []string, value string) bool {
	if len(filter) == 0 {
		return true
	}
	wanted, known := l.wanted[value]
	if !known {
		l.node.out.Work.Parts += len(filter) / 64
		wanted = slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
		l.wanted[value] = wanted
	}
	return wanted
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

// DeleteGroups, versions 0 to 2: removes groups without members, with their offsets. v2 is flexible. One that
// is named twice is removed once, as in Kafka.
func (n *Node) handleDeleteGroups(r *request, m kmsg.Request) {
	req := m.(*kmsg.DeleteGroupsRequest)
	resp := kmsg.NewPtrDeleteGroupsResponse()
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, 0, len(req.Groups))
	w := waitFor(r, resp, 0)
	named := make(map[string]bool)
	n.each(r, len(req.Groups), func(i int) {
		id := req.Groups[i]
		if named[id] {
			return
		}
		named[id] = true
		w.left++
		resp.Groups = append(resp.Groups, kmsg.NewDeleteGroupsResponseGroup())
		out := &resp.Groups[len(resp.Groups)-1]
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
	}, func() { w.begin(int32(coordinatorTimeout.Milliseconds())) })
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

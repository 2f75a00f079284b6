// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/node/acl"
)

// groupList is an answer to ListGroups in the making.
type groupList struct {
	node          *Node
	request       *request
	all           bool // may be listed
	resp          *kmsg.ListGroupsResponse
	states, types []string        // that are asked for; none: all
	wanted        map[string]bool // of those that were looked up
	coordinators  []*coordinator  // the first is under way
	after         string          // the last of its groups that was looked at
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
	l := &groupList{node: n, request: r, all: r.permitted(acl.Describe, acl.Cluster, acl.ClusterName), resp: kmsg.NewPtrListGroupsResponse(), states: req.StatesFilter, types: req.TypesFilter, wanted: make(map[string]bool)}
	l.coordinators = n.ownCoordinators()
	n.inPieces(r, l.more, func() { r.reply(l.resp) })
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
	if l.wants(l.states, out.GroupState) && l.wants(l.types, out.GroupType) && g.classic.state != groupDead && (l.all || l.request.permitted(acl.Describe, acl.Group, g.id)) {
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

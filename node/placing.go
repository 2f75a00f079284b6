// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"chronik/node/step"
	"chronik/wal"
)

// The catalog says of which partitions this broker has replicas. One command may place thousands. So the catalog only
// notes which partitions to look at, and their groups are opened and closed in pieces (background.go). Meanwhile:
//
//   - A replica that is to come is simply absent. Messages for it are dropped, and raft sends them again. Clients look
//     for another leader.
//   - A replica that is to go is like one on a broker that lags behind the catalog. Clients find it as a follower, or not
//     at all if its topic is gone.
//   - What was created and deleted meanwhile is never opened, because placeGroup looks at the newest catalog.
//
// In the log a group still begins and ends after the command that says so.

// placeCost is what opening or closing a group costs, see Work.Cost.
const placeCost = 20

// placing are the partitions to look at, each once, in the order in which the catalog named them.
type placing struct {
	queue  []GroupID
	in     map[GroupID]bool
	active bool // its work is under way
}

// placeLater lets this broker open or close its replica of a partition, as the catalog says. While the node opens,
// recover does it afterwards.
func (n *Node) placeLater(id GroupID) {
	p := &n.placing
	if n.catalog.group == nil || p.in[id] {
		return
	}
	if p.in == nil {
		p.in = make(map[GroupID]bool)
	}
	p.in[id] = true
	p.queue = append(p.queue, id)
	if !p.active {
		p.active = true
		n.background = append(n.background, n.placeNext)
	}
}

func (n *Node) placeEach(partitions []*partitionMeta) {
	for _, p := range partitions {
		n.placeLater(p.Group)
	}
}

// placeNext looks at the next partition.
func (n *Node) placeNext() bool {
	p := &n.placing
	if n.breaks.paused {
		n.breaks.placing = true
		return false
	}
	id := p.queue[0]
	p.queue = p.queue[1:]
	delete(p.in, id)
	n.placeGroup(id)
	p.active = len(p.queue) > 0
	return p.active
}

// placeGroup opens or closes this broker's replica of a group, as the catalog says.
func (n *Node) placeGroup(id GroupID) {
	g, meta := n.byID[id], n.catalog.byGroup[id]
	var replica replicaMeta
	here := false
	if meta != nil {
		replica, here = meta.replica(n.self)
	}
	if g != nil && (!here || g.self != replica.id()) { // it is no longer wanted here, or it was damaged and is replaced
		n.closePartition(g)
		g = nil
	}
	switch {
	case here && g == nil:
		n.placeNew(meta, replica)
	case g != nil:
		g.unrest()
		g.arrangeReplicas()
	}
}

func (n *Node) placeNew(meta *partitionMeta, replica replicaMeta) {
	err := n.openPartition(meta, func(wal.Op) wal.Result {
		panic("broken invariant: a group's records come after the command that made it")
	})
	step.Assert(err == nil, "an empty group can be opened: %v", err)
	if g := n.byID[meta.Group]; g != nil {
		n.out.Work.Placed++
		n.breaks.spend(openCharge)
		if meta.Replicas[0].Broker == n.self && slices.Contains(meta.Founders, replica.id()) {
			g.eagerTicks = n.cfg.ElectionTicks
		}
	}
}

// placeAll looks at all partitions of which this broker has a replica or should have one.
func (n *Node) placeAll() {
	for _, t := range n.catalog.topics {
		n.out.Work.Parts += len(t.Partitions) / 16
		for _, p := range t.Partitions {
			if _, here := p.replica(n.self); here || n.byID[p.Group] != nil {
				n.placeLater(p.Group)
			}
		}
	}
}

// closePartition ends this broker's replica of a partition. The commit index that covers the reason
// is in the log before the removal, so a restart can't find a group removed that it should have.
func (n *Node) closePartition(g *group) {
	n.out.Work.Placed++
	n.breaks.spend(closeCharge)
	p, c, t := n.partitions[g.id], n.coordinators[g.id], n.transactions[g.id]
	g.close()
	if p != nil {
		p.wakeFetches()
	}
	if c != nil {
		c.wakeFetches()
	}
	if t != nil {
		t.wakeAll(n)
	}
	delete(n.transactions, g.id)
	delete(n.partitions, g.id)
	delete(n.coordinators, g.id)
	n.dropGroup(g)
	n.log.RemoveGroup(g.id)
}

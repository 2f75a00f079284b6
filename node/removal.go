// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
)

// removal is what a broker knows of its own removal from the cluster. It goes on as long as group 0 may still count on
// its vote, and then ends. The last configuration of group 0 may never reach it, since the leader has nothing to say to
// replicas that left, and a broker that was down may not even have the command that removed it. So the others tell a
// broker that still speaks to them. One of them alone is believed only if the broker's own catalog says that it was
// removed; otherwise it takes a majority of them, and two at least for a voter, while nobody leads group 0 here.
type removal struct {
	toldBy []BrokerID // that this broker is out of group 0, ascending
	endAt  Time       // when it ends; 0: it doesn't. Until then answers can leave
	// through is the broker that was asked to remove this one; -1 if that isn't known.
	through BrokerID
	ledAt   Time   // when the leader of group 0 last spoke to this one's replica of it
	kept    uint64 // the confIndex of group 0 that those who wait know to be kept
}

func (n *Node) tickRemoval() {
	if g := n.catalog.group; n.removal.kept != g.confIndex && g.confKept() {
		n.removal.kept = g.confIndex
		n.catalog.replicasChanged()
	}
	for _, p := range n.peers {
		if due := n.mustTell(p); due != p.telling {
			p.telling = due
			n.tellMembers = true
		}
		if b := n.catalog.broker(p.id); p.telling && n.now.Sub(p.told) >= n.electionTimeout() {
			p.told = n.now
			p.envelope = binary.AppendUvarint(append(p.begin(), itemRemoved), uint64(b.Incarnation))
		}
	}
	n.lookRemoved()
}

// mustTell reports whether a broker that still speaks to this one was removed, and group 0 doesn't count on it any more.
func (n *Node) mustTell(p *peer) bool {
	b := n.catalog.broker(p.id)
	return b != nil && b.Removed && !n.catalog.countsOn(p.id) && p.spoke && n.now.Sub(p.heard) < 3*n.electionTimeout()
}

// receiveRemoved notes that another broker says that this one is out of the cluster.
func (n *Node) receiveRemoved(from BrokerID, incarnation uint64) {
	if i, there := slices.BinarySearch(n.removal.toldBy, from); !there && incarnation == uint64(n.cfg.Incarnation) && n.member(from) != nil {
		n.removal.toldBy = slices.Insert(n.removal.toldBy, i, from)
	}
}

// lookRemoved ends this broker, a little later, when it is out of the cluster.
func (n *Node) lookRemoved() {
	r := &n.removal
	switch {
	case r.endAt != 0 && n.now >= r.endAt:
		n.endFor(EndRemoved, n.removedText())
	case r.endAt == 0 && n.isOut():
		r.endAt = n.now.Add(n.electionTimeout())
		n.catalog.replicasChanged() // who asked for the removal may wait here
	case n.catalogLed() && !n.wasRemoved():
		r.toldBy = r.toldBy[:0]
	}
}

// isOut reports whether the cluster has removed this broker, and doesn't count on its vote in group 0 any more.
//
// One voice isn't enough for a voter, not even where it is that of the only other member. A voter without which a majority
// took it out of group 0 has been outvoted by two at least; one that took part has the entry of its removal, with its
// commit index, before the change that takes it out.
func (n *Node) isOut() bool {
	if len(n.removal.toldBy) == 0 { // as nearly always
		return false
	}
	if n.wasRemoved() {
		return true
	}
	others, told := 0, 0
	for _, m := range n.members() { // one that was removed while it joined has no catalog yet
		if m.ID != n.self {
			others++
			_, said := slices.BinarySearch(n.removal.toldBy, m.ID)
			told += btoi(said)
		}
	}
	return !n.catalogLed() && told > others/2 && (told > 1 || !n.catalog.group.votes())
}

// votes reports whether this replica is a voter, as far as it knows.
func (g *group) votes() bool {
	return slices.Contains(g.conf.Voters, g.self) || slices.Contains(g.conf.VotersOutgoing, g.self)
}

// catalogLed reports whether the leader of group 0 speaks to this broker's replica. Raft itself doesn't notice its silence
// where the replica is a learner.
func (n *Node) catalogLed() bool {
	lead := n.catalog.group.lead
	return lead == n.catalog.group.self || lead != raft.None && n.now.Sub(n.removal.ledAt) < 3*n.electionTimeout()
}

// wasRemoved reports whether this broker's own catalog says that it was removed.
func (n *Node) wasRemoved() bool {
	b := n.catalog.broker(n.self)
	return b != nil && b.Removed && b.Incarnation == n.cfg.Incarnation
}

func (n *Node) removedText() error {
	asked := ""
	if n.removal.through >= 0 {
		asked = fmt.Sprintf(" (broker %d was asked to)", n.removal.through)
	}
	return fmt.Errorf("the broker stopped, because broker %d, incarnation %d, was removed from the cluster by `broker admin remove` or an UnregisterBroker request%s. "+
		"Don't start it again with this data folder; its partitions are on the other brokers. To take it in again, empty the folder and run: broker start -join -config FILE",
		n.self, n.cfg.Incarnation, asked)
}

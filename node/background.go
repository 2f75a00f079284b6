// SPDX-License-Identifier: Apache-2.0

package node

import "slices"

// Much of a broker's own work grows with the number of its groups. It opens and closes them as the catalog says, ticks
// them, and walks over all of them when another broker dies, when the disk becomes full, and when it stops. All this is
// done in pieces, with a share of each step's budget. Clients can't use up that share, nor can this work use up theirs.

// backgroundWork is one such work. Each call does it for one group, and reports whether more is left.
type backgroundWork func() bool

// ownShare is the part of a step's budget that the broker's own work may use, one in so many.
const ownShare = 8

// backgroundTurn is how many pieces of one work are done before it is another's turn.
const backgroundTurn = 64

// runBackground goes on with the broker's own work, in turn, until its share of this step is used up. One piece is always
// done.
func (n *Node) runBackground() {
	share := n.cfg.StepBudget / ownShare
	for len(n.background) > 0 && (n.ownWork == 0 || n.ownWork < share) {
		e, more := n.background[0], true
		for turn := 0; more && turn < backgroundTurn && (n.ownWork == 0 || n.ownWork < share); turn++ {
			before := n.out.Work.Cost()
			more = e()
			n.ownWork += max(1, n.out.Work.Cost()-before)
		}
		n.background[0] = nil
		n.background = n.background[1:]
		if more {
			n.background = append(n.background, e)
		}
	}
}

// forEach calls do for some groups, but for those that are gone by their turn, and then then, if there is one.
func (n *Node) forEach(groups []*group, do func(*group), then func()) {
	n.background = append(n.background, func() bool {
		if len(groups) > 0 {
			g := groups[0]
			groups = groups[1:]
			n.out.Work.Walked++
			if n.byID[g.id] == g {
				do(g)
			}
		}
		if len(groups) == 0 && then != nil {
			then()
		}
		return len(groups) > 0
	})
}

// forAll does the same for all groups that there are now.
func (n *Node) forAll(do func(*group), then func()) { n.forEach(slices.Clone(n.groups), do, then) }

// addGroup and dropGroup keep the groups in no meaningful order, so that either costs the same however many there are.
// The order is the same in every run.
func (n *Node) addGroup(g *group) {
	g.position = len(n.groups)
	n.groups = append(n.groups, g)
	n.byID[g.id] = g
	n.addAwake(g)
	n.hotBytes += g.view.hotBytes
	n.hot.note(g)
}

func (n *Node) dropGroup(g *group) {
	last := len(n.groups) - 1
	n.groups[g.position] = n.groups[last]
	n.groups[g.position].position = g.position
	n.groups[last] = nil
	n.groups = n.groups[:last]
	delete(n.byID, g.id)
	if !g.quiet.is {
		n.dropAwake(g)
	}
	n.hotBytes -= g.view.hotBytes
	n.hot.drop(g)
}

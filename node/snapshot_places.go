// SPDX-License-Identifier: Apache-2.0

package node

import (
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// At most maxSnapshots checkpoints for followers are under way per broker in each direction; the rest wait for their turn. The place
// of one is free as soon as its follower has it.
const maxSnapshots = 2

// underWay reports whether a checkpoint takes one of the places.
func (o *outgoing) underWay() bool { return o != nil && !o.done }

// awaitPlace lets a group wait until a checkpoint of another one is done.
func (g *group) awaitPlace() {
	if !g.awaitsPlace {
		g.awaitsPlace = true
		g.node.awaitPlace = append(g.node.awaitPlace, g)
	}
}

// givePlaces lets groups that wait for a place try again, and fetches what was offered meanwhile. It is called where raft may be
// in the middle of something, so that is done later.
func (n *Node) givePlaces() {
	if len(n.awaitPlace) > 0 && n.snapshotsOut < maxSnapshots {
		n.later(func() {
			if len(n.awaitPlace) > 0 && n.snapshotsOut < maxSnapshots {
				g := takeFirst(&n.awaitPlace)
				g.awaitsPlace = false
				if g.kick(); !g.outgoing.underWay() {
					n.givePlaces()
				}
			}
		})
	}
	if len(n.offered) > 0 && n.snapshotsIn < maxSnapshots {
		n.later(n.takeOffer)
	}
}

// takeOffer fetches a checkpoint that had to wait for a place, unless its leader has given up.
func (n *Node) takeOffer() {
	for len(n.offered) > 0 && n.snapshotsIn < maxSnapshots {
		g := takeFirst(&n.offered)
		in := g.offer
		if g.offer = nil; in != nil && g.incoming == nil && n.now.Sub(in.got) < n.snapshotPatience() && in.message.GetTerm() >= g.term {
			in.got = n.now
			g.setIncoming(in)
			g.askPiece()
		}
	}
}

// snapshotPatience is how long a checkpoint may make no progress.
func (n *Node) snapshotPatience() time.Duration { return 4 * n.electionTimeout() }

// endOutgoing ends a checkpoint that was offered, and that no follower fetches any more.
func (g *group) endOutgoing() {
	o, fetched := g.outgoing, false
	if !o.underWay() || !o.offered {
		return
	}
	g.rn.WithProgress(func(_ uint64, _ raft.ProgressType, pr tracker.Progress) {
		fetched = fetched || pr.State == tracker.StateSnapshot
	})
	if !fetched {
		g.setOutgoing(&outgoing{index: o.index, used: g.node.now, done: true})
	}
}

func (g *group) setIncoming(in *incoming) {
	if g.incoming != nil && g.incoming.staged {
		g.unstage()
	}
	g.node.snapshotsIn += btoi(in != nil) - btoi(g.incoming != nil)
	g.incoming = in
	g.node.givePlaces()
}

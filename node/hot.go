// SPDX-License-Identifier: Apache-2.0

package node

import (
	"time"

	"go.etcd.io/raft/v3"
)

// hotGroups are the groups with entries in memory, or lately so. Idle groups are in neither list, so they cost nothing.
//
// Readers come to the leader for an entry, and a follower's copy is hardly ever asked for once it is applied. With three replicas two
// thirds of what a broker appends are such copies. So they leave memory first, and what consumers and followers that are a
// little behind ask for stays up to three times as long.
type hotGroups struct {
	read   hotList // that this broker leads, or that somebody has read here lately
	copies hotList
}

// hotList is a list of groups whose order means nothing.
type hotList struct {
	groups []*group
	next   int // where in it the next eviction looks first
}

// readLately is for how long after a read of its records a follower's entries count as much as a leader's.
const readLately = time.Minute

// isRead reports whether somebody is likely to ask for the group's newest entries here.
func (g *group) isRead() bool {
	return g.role == raft.StateLeader || g.node.now < g.readUntil
}

// noteRead notes that a client reads the group's entries here.
func (g *group) noteRead() { g.readUntil = g.node.now.Add(readLately) }

// note puts a group into the list in which it should be, if it has entries in memory.
func (h *hotGroups) note(g *group) {
	if len(g.view.hot) == 0 {
		return
	}
	to := &h.copies
	if g.isRead() {
		to = &h.read
	}
	if g.hot != to {
		h.drop(g)
		g.hot, g.hotAt = to, len(to.groups)
		to.groups = append(to.groups, g)
	}
}

// drop takes a group out of the list in which it is.
func (h *hotGroups) drop(g *group) {
	l := g.hot
	if l == nil {
		return
	}
	last := len(l.groups) - 1
	l.groups[g.hotAt] = l.groups[last]
	l.groups[g.hotAt].hotAt = g.hotAt
	l.groups[last], l.groups = nil, l.groups[:last]
	g.hot = nil
}

// evict keeps the entries in memory within two bounds: by number for each group, and by bytes for all groups together.
// Entries that are not applied stay.
func (n *Node) evict() {
	for _, id := range n.out.Changed {
		if g := n.byID[id]; g != nil {
			for len(g.view.hot) > n.cfg.HotEntries && n.evictOne(g) {
			}
		}
	}
	n.evictFrom(&n.hot.copies)
	n.evictFrom(&n.hot.read)
}

// mostStuck is how many groups with nothing to evict are looked at in a step. The next step goes on.
const mostStuck = 100

// evictFrom forgets the oldest entry of each group in turn, until all groups together are within their bytes or the
// groups of the list have nothing more to give.
func (n *Node) evictFrom(l *hotList) {
	for stuck := 0; n.hotBytes > n.cfg.HotBytes && stuck < min(len(l.groups), mostStuck); {
		g := l.groups[l.next%len(l.groups)]
		if len(g.view.hot) == 0 {
			n.hot.drop(g)
			continue
		}
		if n.hot.note(g); g.hot != l {
			continue // its leader or its readers came or went
		}
		l.next++
		if stuck++; n.evictOne(g) {
			stuck = 0
		}
	}
}

func (n *Node) evictOne(g *group) bool {
	bytes, ok := g.view.evict()
	n.hotBytes -= bytes
	return ok
}

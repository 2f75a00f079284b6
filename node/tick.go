// SPDX-License-Identifier: Apache-2.0

package node

import "time"

// The groups that are awake are ticked. Those that are quiet are visited now and then.

// tick is called once per tick. It touches the group only if raft has something to do, so an idle group costs
// hardly anything.
func (g *group) tick() {
	if g.closed {
		g.tellClosed()
		g.replaceDamaged()
		return
	}
	if g.quiet.is || g.id == 0 && g.node.founding.open {
		return
	}
	g.tickQuiet()
	if !g.outOfTerms() {
		g.rn.Tick()
		g.campaignEagerly()
	}
	g.reads.tick(g)
	g.tickSnapshots()
	g.tickReplicas()
	g.tickInSync()
	g.tellLead()
	if p := g.node.partitions[g.id]; p != nil && g.serving && g.node.turn(g, g.node.ticksIn(retentionCheck)) {
		p.expire()
	}
	g.tickCheckpoint()
	if g.rn.HasReady() {
		g.touch()
	}
}

// tickCheckpoint makes a checkpoint when the log has begun a segment. So a start has little to read, and even a
// group that is rarely written to lets go of old segments.
//
// Once after its start it lets go of what the process before kept for something that ended with it, such as a follower that
// fetched a checkpoint. Otherwise the log of a partition to which nothing is written any more would hold that for ever.
func (g *group) tickCheckpoint() {
	n := g.node
	if !g.releases {
		g.releases = true
		g.releaseNow()
	}
	if n.told.Segment == 0 || g.rolled == n.told.Segment {
		return
	}
	g.rolled = n.told.Segment
	if g.applied > g.checkpointed && g.largeState() == 0 { // large ones wait until it is worth it
		g.checkpoint()
	}
}

func (n *Node) addAwake(g *group) {
	g.awakeAt = len(n.awake)
	n.awake = append(n.awake, g)
}

func (n *Node) dropAwake(g *group) {
	last := len(n.awake) - 1
	n.awake[g.awakeAt] = n.awake[last]
	n.awake[g.awakeAt].awakeAt = g.awakeAt
	n.awake[last], n.awake = nil, n.awake[:last]
}

// visitEvery is how often a quiet group is looked at for what isn't raft's: records that expire, a checkpoint of what is in an old
// segment, and replicas that should be elsewhere.
const visitEvery = time.Second

// visitTold is in how many visits a leader repeats to the other brokers who is in sync; at each visit while a process of one of
// them is younger than youngFor, since it may not have known the partition when it was told.
const (
	visitTold = 5
	youngFor  = 30 * time.Second
)

// visitQuiet visits some of the quiet groups in each tick, each of them once in visitEvery.
func (n *Node) visitQuiet() {
	if len(n.awake) == len(n.groups) {
		return
	}
	rounds := max(1, n.ticksIn(visitEvery))
	var list []*group
	for n.visitDue += len(n.groups); n.visitDue >= rounds; n.visitDue -= rounds {
		if n.visitAt++; n.visitAt >= len(n.groups) {
			n.visitAt, n.visits = 0, n.visits+1
		}
		if g := n.groups[n.visitAt]; g.quiet.is {
			list = append(list, g)
		}
	}
	if len(list) > 0 {
		n.forEach(list, (*group).visit, nil)
	}
}

func (g *group) visit() {
	n := g.node
	if !g.quiet.is {
		return
	}
	g.tickCheckpoint()
	if !g.serving {
		return
	}
	if p := n.partitions[g.id]; p != nil {
		p.tryLevel()
		p.expire()
	}
	g.arrangeReplicas()
	if !g.settled {
		g.unrest()
		return
	}
	g.announce(nil)
	if n.now < n.youngTill || (n.visits+uint64(g.id))%visitTold == 0 {
		n.syncNews = append(n.syncNews, g)
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
)

// Leftovers names something that the broker still holds though nobody needs it; "" if there is nothing. It is asked for when no
// client is connected, no consumer has a session, no broker catches up, and nothing is under way. What is kept of topics,
// brokers, offsets and producers is meant to stay; everything else is counted, so a table that grows with what was once there
// shows here.
func (n *Node) Leftovers() string {
	for _, count := range []func() (string, int){n.leftOfClients, n.leftOfWork, n.leftOfGroups, n.leftOfCatalog, n.leftInMemory} {
		if what, left := count(); left != 0 {
			return fmt.Sprintf("%d %s", left, what)
		}
	}
	for _, g := range n.groups {
		if what, left := g.leftovers(); left != 0 {
			return fmt.Sprintf("group %d: %d %s", g.id, left, what)
		}
	}
	return ""
}

// leftover is how many of something there are that shouldn't be.
type leftover struct {
	what string
	left int
}

func firstOf(all []leftover) (string, int) {
	for _, l := range all {
		if l.left != 0 {
			return l.what, l.left
		}
	}
	return "", 0
}

func (n *Node) leftOfClients() (string, int) {
	l, q := &n.large, &n.commands.queue
	return firstOf([]leftover{
		{"connections", len(n.conns)},
		{"addresses", len(n.sources)},
		{"requests that are begun", n.begun},
		{"bytes of batches that are checked for nobody", int(n.orphans)},
		{"bytes of proposals", int(n.underway)},
		{"bytes of fetches that wait", int(n.parkedBytes.used)},
		{"waits", int(n.waits.used)},
		{"sessions of fetches", n.sessions.used.Len() + int(n.sessions.memory.used)},
		{"bytes of large requests", int(l.memory.used + l.orphans)},
		{"large requests that wait", len(l.waiting.lines)},
		{"bytes of answers that wait", int(n.heldBytes)},
		{"commands", q.waiting() + btoi(n.commands.underWay != nil)},
		{"commands of connections", int(q.count.used) + len(q.clients.lines)},
		{"requests for producer ids", n.producerIDs.waiting.len()},
		{"requests that wait for the topic of groups", n.seekers[0].waiting.len()},
		{"requests that wait for the topic of transactions", n.seekers[1].waiting.len()},
		{"questions to coordinators of transactions", len(n.joins.open) + n.joinsIn},
		{"markers of transactions", len(n.markersIn)},
		{"requests that wait for brokers to leave", n.catalog.leaving.len()},
		{"lanes of batches that are checked", len(n.arrivals)},
	})
}

func (n *Node) leftOfWork() (string, int) {
	t, c := &n.tasks, n.cold
	return firstOf([]leftover{
		{"tasks", len(t.pending)},
		{"places of tasks", t.checks.taken + t.finds.taken + t.assigns.taken + t.colds.taken + n.large.parses.taken + n.large.encodes.taken},
		{"addresses that wait for tasks", len(t.checks.queue.lines) + len(t.finds.queue.lines) + len(t.assigns.queue.lines) + len(t.colds.queue.lines)},
		{"addresses with requests", len(n.queued)},
		{"addresses whose requests are begun", len(n.deferred.lines) + len(n.patient.lines) + len(n.breaks.waiting)},
		{"reads", len(n.reads.took)},
		{"reads of old entries", len(c.pending) + len(c.reading) + len(c.forClients)},
		{"groups in which somebody waits for old entries", len(n.coldFor)},
		{"groups that wait for a file", len(n.noFile)},
		{"groups whose checkpoints are put into the log", len(n.staging)},
		{"checkpoints that followers fetch", n.snapshotsOut},
		{"checkpoints that are fetched", n.snapshotsIn},
		{"groups that wait to send or fetch one", len(n.awaitPlace) + len(n.offered)},
		{"deadlines", max(0, n.deadlines.Len()-n.lasting())},
	})
}

// lasting is how many deadlines there are at most that no client has a part in: the next look at the offsets of each coordinator,
// and at the transactional ids of each. What is open of a transaction whose client is gone ends at its time-out.
func (n *Node) lasting() int {
	most := len(n.coordinators) + len(n.transactions)
	//det:ok a sum has no order
	for _, m := range n.transactions {
		most += len(m.live)
	}
	return most
}

func (n *Node) leftOfGroups() (string, int) {
	known, waits := 0, 0
	for _, g := range n.groups {
		p, c, t := n.partitions[g.id], n.coordinators[g.id], n.transactions[g.id]
		known += btoi(n.byID[g.id] == g && (g.id == 0 || p != nil && p.group == g || c != nil && c.group == g || t != nil && t.group == g))
		waits += btoi(g.id != 0 && n.catalog.byGroup[g.id] == nil)
	}
	return firstOf([]leftover{
		{"groups whose partition is gone", waits},
		{"groups that aren't found", len(n.groups) - known},
		{"groups that are found and gone", len(n.byID) - len(n.groups)},
		{"partitions without a group", len(n.partitions) + len(n.coordinators) + len(n.transactions) + 1 - len(n.groups)},
		{"groups in the log that are gone", len(n.log.Groups()) - len(n.groups)},
	})
}

func (n *Node) leftOfCatalog() (string, int) {
	c, partitions, names := n.catalog, 0, 0
	for _, t := range c.topics {
		partitions += len(t.Partitions)
	}
	//det:ok a sum has no order
	for _, count := range c.unified {
		names += count
	}
	return firstOf([]leftover{
		{"names of topics that are gone", len(c.byName) - len(c.topics)},
		{"similar names of topics that are gone", names - len(c.topics)},
		{"ids of topics that are gone", len(c.byID) - len(c.topics)},
		{"partitions of topics that are gone", len(c.byGroup) - partitions},
		{"partitions that are to be opened or closed", len(n.placing.in) + len(n.placing.queue)},
	})
}

// leftInMemory looks for entries that nobody counts any more.
func (n *Node) leftInMemory() (string, int) {
	gone, kept, bytes := 0, 0, int64(0)
	for _, g := range slices.Concat(n.hot.read.groups, n.hot.copies.groups) {
		gone += btoi(n.byID[g.id] != g)
	}
	for e := n.cold.recent.Front(); e != nil; e = e.Next() {
		bytes += e.Value.(*coldBlock).bytes
		for _, k := range e.Value.(*coldBlock).keys {
			kept += btoi(n.cold.entries[k].block == e)
		}
	}
	return firstOf([]leftover{
		{"groups that are gone and have entries in memory", gone},
		{"bytes of old entries in memory that aren't counted", int(bytes - n.cold.bytes)},
		{"old entries in memory that are never let go", len(n.cold.entries) - kept},
	})
}

func (g *group) leftovers() (string, int) {
	r, snapshots := &g.reads, 0
	if g.role == raft.StateLeader {
		snapshots = btoi(g.outgoing.underWay())
	}
	what, left := firstOf([]leftover{
		{"proposals", len(g.pending) + len(g.proposed) + len(g.ordered) + len(g.entries)},
		{"appends that wait for a file", len(g.late)},
		{"followers that are gone", g.goneFollowers()},
		{"reads", len(r.asked) + len(r.waiting) + len(r.proven)},
		{"checkpoints of others", len(g.decoded) + btoi(g.incoming != nil) + btoi(g.offer != nil) + snapshots},
		{"appends and messages that wait for the disk", len(g.pipe.appends) + len(g.pipe.held)},
	})
	switch m := g.machine.(type) {
	case *partition:
		if left == 0 {
			what, left = "fetches that wait", m.parked.Len()+m.stable.parked.Len()
		}
	case *coordinator:
		if left == 0 {
			what, left = "fetches that wait", m.parked.Len()
		}
		for i := 0; i < len(m.groups) && left == 0; i++ {
			what, left = m.groups[i].leftovers()
		}
	case *txnCoordinator:
		if left == 0 {
			what, left = "fetches that wait", m.parked.Len()
		}
	case *catalog:
	default:
		panic(unknownMachine(m))
	}
	return what, left
}

// goneFollowers counts what a leader knows about replicas that are none any more.
func (g *group) goneFollowers() (gone int) {
	for _, f := range g.inSync.followers {
		gone += btoi(!slices.ContainsFunc([][]uint64{g.conf.GetVoters(), g.conf.GetVotersOutgoing(), g.conf.GetLearners(), g.conf.GetLearnersNext()},
			func(ids []uint64) bool { return slices.Contains(ids, f.id) }))
	}
	return gone
}

// leftovers is about a consumer group of which no member lives.
func (of *consumerGroup) leftovers() (string, int) {
	sessions := 0
	if of.modern != nil {
		sessions = len(of.modern.sessions) + of.modern.waiting.len()
	}
	c := of.classic
	if c == nil {
		return "sessions", sessions
	}
	return firstOf([]leftover{
		{"sessions", sessions},
		{"groups of which nothing ever came", btoi(of.idle() && c.commits == 0 && c.generation == 0 && of.stored.empty())},
		{"member ids that nobody came back for", len(c.promised)},
		{"members", len(c.members)},
		{"bytes of members that are gone", c.bytes},
		{"names of members that are gone", len(c.byID) + len(c.byName) + len(c.speakers) + c.joining},
	})
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"
	"slices"
)

// Overdue names something that should have gone on in the last step; "" if nothing should. It is asked for when nothing is
// under way that could be waited for: no message, disk operation or task. It finds that out from what is there, and not from
// the queues and counters by which the broker knows what to do next.
func (n *Node) Overdue() string {
	switch {
	case n.commands.underWay == nil && n.commands.queue.waiting() > 0:
		return "commands for the catalog, of which none is under way"
	case len(n.woken) > 0:
		return "fetches that were woken"
	case len(n.dirty)+len(n.due)+len(n.background) > 0:
		return "work that a step left"
	case len(n.queued)+n.deferred.len+n.patient.len+len(n.breaks.waiting) > 0:
		return "requests"
	}
	for _, g := range n.groups {
		if g.closed { // one that was damaged at the start has no raft
			continue
		}
		if why := g.overdue(); why != "" {
			return fmt.Sprintf("group %d: %s", g.id, why)
		}
	}
	return ""
}

// Paces reports whether old entries of some group wait until the rate limit allows them to be sent to followers (pace.go), or
// whatever is to be written until there is space on the disk again, which is tried once a second.
func (n *Node) Paces() bool {
	return n.log.Short() || slices.ContainsFunc(n.groups, func(g *group) bool { return g.view.waits })
}

// KeepsOut reports whether a second process speaks under the id of another broker, and isn't listened to: it may be the next
// start, and late messages of the one before have just arrived (rival.go).
func (n *Node) KeepsOut() bool {
	return slices.ContainsFunc(n.peers, func(p *peer) bool { return p.rivalHeard != 0 && n.now.Sub(p.rivalHeard) < n.rivalTime() })
}

func (g *group) overdue() string {
	switch {
	case len(g.pending) > 0:
		return "proposals that raft hasn't got"
	case g.rn.HasReady():
		return "raft has something to do"
	case g.reads.round == 0 && len(g.reads.waiting) > 0:
		return "reads wait, and no round is under way"
	case len(g.reads.proven) > 0 && g.reads.proven[0].index <= g.applied:
		return "reads whose entries are applied"
	}
	switch m := g.machine.(type) {
	case *partition:
		return cmp.Or(m.parkedFetches.overdue(), m.stable.overdue())
	case *coordinator:
		for _, of := range m.groups {
			if of.classic != nil && of.classic.overdue() {
				return fmt.Sprintf("all members of consumer group %s have joined", of.id)
			}
		}
		return m.parkedFetches.overdue()
	case *txnCoordinator:
		return m.overdue()
	case *catalog:
		return ""
	default:
		panic(unknownMachine(m))
	}
}

// overdue names a fetch that could be answered.
func (w *parkedFetches) overdue() string {
	for e := w.parked.Front(); e != nil; e = e.Next() {
		if f := e.Value.(*parking).fetch; !f.request.over() {
			if why := f.overdue(); why != "" {
				return why
			}
		}
	}
	return ""
}

// overdue says why a fetch that waits could be answered: a partition has an error, or records, and it waits for one byte.
func (f *fetch) overdue() string {
	n := f.node
	for i := range f.req.Topics {
		t := &f.req.Topics[i]
		name, err := n.topicName(f.req.Version >= 13, t.Topic, t.TopicID)
		for j := range t.Partitions {
			in := &t.Partitions[j]
			end := int64(0)
			switch {
			case err != nil:
			case name == transactionsTopic:
				_, err = n.readableTransactions(in.Partition, in.CurrentLeaderEpoch)
			case name == groupsTopic:
				var c *coordinator
				if c, err = n.readableCoordinator(in.Partition, in.CurrentLeaderEpoch); err == nil {
					end = c.log.end
				}
			case f.req.Rack != "":
				continue // it may wait at a follower, for more than its leader's word
			default:
				var p *partition
				if p, err = n.readable(name, in.Partition, in.CurrentLeaderEpoch); err == nil {
					end, _ = p.endFor(f.req.IsolationLevel)
				}
			}
			switch {
			case err != nil:
				return fmt.Sprintf("a fetch of %s/%d waits, and there is an error: %v", name, in.Partition, err)
			case in.FetchOffset < end && f.req.MinBytes <= 1:
				return fmt.Sprintf("a fetch of %s/%d at offset %d waits, and records are there up to %d", name, in.Partition, in.FetchOffset, end)
			}
		}
	}
	return ""
}

// overdue reports whether the members wait for each other though none is missing.
func (g *classicGroup) overdue() bool {
	if g.state != groupPreparing || g.delayed || len(g.promised) > 0 {
		return false
	}
	for _, m := range g.members {
		if m.join == nil {
			return false
		}
	}
	return len(g.members) > 0
}

// Crowded reports whether requests wait for memory that others hold, until those have what they asked for.
func (n *Node) Crowded() bool { return n.large.waiting.len > 0 }

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"
	"slices"

	"chronik/wal"
)

// A broker keeps much beside the truth, so that it needn't look: sums, lists of what is to be done, flags, indexes. One that
// drifts from what it summarises is a bug that nobody may notice for days. So each type that has some has a method check,
// which works it out again from the truth and says how the two differ. It states the invariant of each such field.
//
// What costs nothing (checkCounts) is checked after every step, in production too. The simulator also checks the groups that
// a step changed, and after some of the steps everything. An operator can have everything checked once (GET /check).

// Check compares what the broker has noted with what is there: of the groups that the last step changed, or of everything.
// The error says what differs. It must not be called during a step.
func (n *Node) Check(all bool) error {
	if !all {
		for _, id := range n.out.Changed {
			if g := n.byID[id]; g != nil {
				if err := g.check(false); err != nil {
					return fmt.Errorf("group %d: %w", id, err)
				}
			}
		}
		return nil
	}
	if err := n.checkCounts(); err != nil {
		return err
	}
	for _, g := range n.groups {
		if err := g.check(true); err != nil {
			return fmt.Errorf("group %d: %w", g.id, err)
		}
	}
	return cmp.Or(n.checkGroups(), n.checkToDo(), n.checkPlacing(), n.checkRequests(), n.catalog.check(), n.cold.check(), n.checkReaders(), n.compactor.check(), n.deadlines.Check(), n.log.Check())
}

// differ reports a number that is not what it counts.
func differ(what string, counted, there int64) error {
	if counted == there {
		return nil
	}
	return fmt.Errorf("%s: counted %d, there are %d", what, counted, there)
}

// bounded reports a number that is below 0 or above what it can be.
func bounded(what string, counted, most int64) error {
	if counted >= 0 && counted <= most {
		return nil
	}
	return fmt.Errorf("%s: counted %d, there can be 0 to %d", what, counted, most)
}

// broken reports an invariant that doesn't hold.
func broken(holds bool, what string) error {
	if holds {
		return nil
	}
	return fmt.Errorf("it doesn't hold that %s", what)
}

// checkCounts compares what costs nothing to compare.
func (n *Node) checkCounts() error {
	const any = 1<<63 - 1
	groups, none := len(n.groups), len(n.conns) == 0
	switch {
	case groups != len(n.byID), groups != len(n.partitions)+len(n.coordinators)+len(n.transactions)+1:
		return fmt.Errorf("%d groups, %d by id: %d partitions, %d and %d coordinators and the catalog", groups, len(n.byID), len(n.partitions), len(n.coordinators), len(n.transactions))
	case n.hotBytes < 0 || len(n.hot.read.groups)+len(n.hot.copies.groups) == 0 && n.hotBytes != 0:
		return differ("bytes of hot entries", n.hotBytes, 0)
	case n.underway < 0 || n.admitted.bytes < 0 || n.admitted.large < 0:
		return fmt.Errorf("%d bytes of proposals under way, %+v admitted", n.underway, n.admitted)
	case n.begun < 0 || none && n.begun != 0:
		return differ("requests under way", int64(n.begun), 0)
	case n.heldBytes < 0 || none && n.heldBytes != 0:
		return differ("bytes of answers that wait for an earlier one", n.heldBytes, 0)
	case none && n.waits.used+n.parkedBytes.used+n.commands.queue.count.used+n.commands.queue.bytes.used != 0:
		return fmt.Errorf("without connections, %d waits, %d bytes of fetches, %d commands of %d bytes", n.waits.used, n.parkedBytes.used, n.commands.queue.count.used, n.commands.queue.bytes.used)
	case n.large.orphans < 0 || n.large.orphans > n.large.memory.used || none && n.large.orphans != n.large.memory.used:
		return differ("memory of large requests that nobody waits for", n.large.orphans, n.large.memory.used)
	case n.orphans < 0 || n.orphans > maxOrphans || len(n.arrivals) == 0 && n.orphans != 0:
		return bounded("bytes of batches whose client is gone", n.orphans, maxOrphans)
	case len(n.syncNews) > 0:
		return differ("groups whose in-sync replicas are to be announced after the step", int64(len(n.syncNews)), 0)
	case len(n.sources) > len(n.conns):
		return bounded("addresses of clients", int64(len(n.sources)), int64(len(n.conns)))
	case n.commands.underWay == nil && n.commands.queue.waiting() > 0:
		return differ("commands that wait for none", int64(n.commands.queue.waiting()), 0)
	}
	return cmp.Or(
		bounded("checkpoints that followers fetch", int64(n.snapshotsOut), maxSnapshots),
		bounded("checkpoints that are fetched", int64(n.snapshotsIn), maxSnapshots),
		differ("partitions to be looked at", int64(len(n.placing.in)), int64(len(n.placing.queue))),
		differ("reads of old entries", int64(len(n.cold.reading)), int64(len(n.cold.pending))),
		differ("reads of old entries for clients", int64(n.tasks.colds.taken), int64(len(n.cold.forClients))),
		bounded("bytes in the cache", n.cold.bytes, any),
		bounded("requests that are cut into pieces", int64(n.deferred.len), any),
		bounded("requests that are cut into pieces and can wait", int64(n.patient.len), any),
	)
}

// checkGroups compares sums over the groups, and where they are, with the groups.
func (n *Node) checkGroups() error {
	hot, underway, all, out, in := int64(0), int64(0), admitted{}, 0, 0
	for i, g := range n.groups {
		if g.position != i || n.byID[g.id] != g {
			return fmt.Errorf("group %d is at position %d, it says %d", g.id, i, g.position)
		}
		hot += g.view.hotBytes
		for _, p := range slices.Concat(g.pending, g.ordered) {
			underway += p.size
		}
		all.bytes += g.admitted.bytes
		all.large += g.admitted.large
		out += btoi(g.outgoing.underWay())
		in += btoi(g.incoming != nil)
	}
	return cmp.Or(
		differ("bytes of hot entries", n.hotBytes, hot),
		differ("bytes of proposals under way", n.underway, underway),
		differ("bytes that were admitted", n.admitted.bytes, all.bytes),
		differ("large entries that were admitted", int64(n.admitted.large), int64(all.large)),
		differ("checkpoints that followers fetch", int64(n.snapshotsOut), int64(out)),
		differ("checkpoints that are fetched", int64(n.snapshotsIn), int64(in)),
	)
}

// checkToDo compares the lists of groups for which something is to be done with the flags of the groups.
func (n *Node) checkToDo() error {
	lists := []struct {
		what string
		list []*group
		once bool
		has  func(*group) bool
	}{
		{"groups to be advanced", n.dirty, true, func(g *group) bool { return g.dirty }},
		{"groups that wait for a file", n.noFile, true, func(g *group) bool { return g.noFile }},
		{"groups that are ticked", n.awake, true, func(g *group) bool { return !g.quiet.is }},
		{"groups with entries in memory that are read", n.hot.read.groups, true, func(g *group) bool { return g.hot == &n.hot.read }},
		{"groups with copies in memory", n.hot.copies.groups, true, func(g *group) bool { return g.hot == &n.hot.copies }},
		{"groups with a checkpoint to stage", n.staging, true, func(g *group) bool { return g.staged != nil && !g.closed }},
		{"groups that want a checkpoint", n.saves, false, func(g *group) bool { return g.toSave }}, // one may have been given up
	}
	for _, l := range lists {
		there, seen := 0, make(map[*group]bool, len(l.list))
		for _, g := range l.list {
			switch {
			case !seen[g]:
				seen[g] = true
				there += btoi(n.byID[g.id] == g && l.has(g))
			case l.once:
				return fmt.Errorf("%s: group %d is there twice", l.what, g.id)
			}
		}
		for _, g := range n.groups {
			if l.has(g) {
				there--
			}
		}
		if there != 0 {
			return fmt.Errorf("%s: the list has %d more than there are", l.what, there)
		}
	}
	return n.checkAppends()
}

// checkAppends looks at the appends under way: in order, and each group hears of its last one.
func (n *Node) checkAppends() error {
	last := make(map[*group]wal.LSN)
	for i, a := range n.appends {
		if i > 0 && a.end < n.appends[i-1].end {
			return fmt.Errorf("group %d has an append under way that ends before an earlier one", a.group.id)
		}
		last[a.group] = a.end
	}
	for _, g := range n.groups {
		if k := len(g.pipe.appends); k > 0 && last[g] != g.pipe.appends[k-1].end {
			return fmt.Errorf("group %d waits for the log to be durable up to %d, and hears of %d", g.id, g.pipe.appends[k-1].end, last[g])
		}
	}
	return nil
}

// checkPlacing looks for replicas that are wanted here and absent, or the other way round, and that nobody is to look at.
func (n *Node) checkPlacing() error {
	p := &n.placing
	for _, id := range p.queue {
		if !p.in[id] {
			return fmt.Errorf("partition %d is to be looked at, and isn't noted", id)
		}
	}
	if p.active != (len(p.queue) > 0) {
		return fmt.Errorf("%d partitions are to be looked at, under way: %v", len(p.queue), p.active)
	}
	for _, g := range n.groups {
		if g.id == 0 || p.in[g.id] {
			continue
		}
		meta := n.catalog.byGroup[g.id]
		if meta == nil {
			return fmt.Errorf("group %d is open, and the catalog has no such partition", g.id)
		}
		if r, here := meta.replica(n.self); !here || r.id() != g.self {
			return fmt.Errorf("group %d is open as replica %x, and the catalog wants %v", g.id, g.self, meta.goal())
		}
		if part := n.partitions[g.id]; part != nil && part.meta != meta {
			return fmt.Errorf("group %d is of a partition that the catalog doesn't know any more", g.id)
		}
	}
	if !n.catalog.knowsThisIncarnation() {
		return nil
	}
	for _, t := range n.catalog.topics {
		for _, meta := range t.Partitions {
			if _, here := meta.replica(n.self); here && n.byID[meta.Group] == nil && !p.in[meta.Group] {
				return fmt.Errorf("partition %d of topic %q should have a replica here, and nobody opens it", meta.Index, t.Name)
			}
		}
	}
	return nil
}

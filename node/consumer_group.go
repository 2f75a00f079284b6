// SPDX-License-Identifier: Apache-2.0

package node

import "chronik/kafka"

// consumerGroup is one group of consumers.
type consumerGroup struct {
	coordinator *coordinator
	id          string
	stored      storedGroup
	classic     *classicGroup // on a serving leader, else nil
	modern      *modernGroup  // there too, if members ever spoke the new protocol
}

// restore makes a group ready to be served.
func (g *consumerGroup) restore() {
	g.classic = restoreClassicGroup(g)
	if g.stored.modern != nil {
		g.modern = restoreModernGroup(g)
	}
	g.coordinator.node.out.Work.Parts += 1 + g.members()/2
}

// abandon ends the group on this broker: it is no longer its coordinator, or the group is deleted.
func (g *consumerGroup) abandon() {
	g.classic.abandon()
	if g.modern != nil {
		g.modern.abandon()
	}
}

// isModern reports whether the group is one of the new protocol: its members speak it, or did last. A broker that is its
// coordinator no more goes by what is stored.
func (g *consumerGroup) isModern() bool {
	return g.stored.modern != nil && (g.classic == nil || g.classic.idle())
}

// idle reports whether the group has no members of either protocol, nor any that are about to come.
func (g *consumerGroup) idle() bool {
	return g.classic.idle() && (g.modern == nil || !g.modern.busy && len(g.modern.state().members) == 0)
}

// state returns the name of what the group is doing.
func (g *consumerGroup) state() string {
	if g.isModern() {
		return g.stored.modern.state()
	}
	return g.classic.state.String()
}

// since returns when the last member left, in ms of the wall clock; 0 if there never was one.
func (g *consumerGroup) since() int64 {
	switch {
	case g.isModern():
		return g.stored.modern.Since
	case g.stored.metadata != nil:
		return g.classic.since
	}
	return 0
}

// expired reports whether a group without members can go: since it lost them, and since each commit,
// the time of retention is over. Without offsets there is nothing to retain.
func (g *consumerGroup) expired() bool {
	if !g.idle() || g.stored.empty() || g.stored.waiting > 0 {
		return false
	}
	if len(g.stored.topics) > 0 && !g.coordinator.node.clock.earliest.known {
		return false // nobody knows how old they are
	}
	horizon := g.coordinator.node.unixMs - g.coordinator.node.cfg.OffsetsRetention.Milliseconds()
	return len(g.stored.topics) == 0 || max(g.since(), g.stored.newestCommit()) <= horizon
}

// dropOrphans removes the offsets of deleted topics.
func (g *consumerGroup) dropOrphans(live *classicGroup) {
	records := g.tombstones(func(topic string, o *committedOffset) bool { return g.coordinator.node.orphaned(topic, o) })
	if len(records) == 0 {
		return
	}
	g.coordinator.propose(records, func(err error) {
		if err == nil && len(records) == maxRecords && live.state != groupDead {
			g.dropOrphans(live)
		}
		live.forgetIfUnused()
	})
}

// tombstones returns tombstones for those of a group's offsets that are to go, as many as one entry takes.
func (g *consumerGroup) tombstones(goes func(topic string, o *committedOffset) bool) (records []kafka.Record) {
	looked := 0
	for i := len(g.stored.topics) - 1; i >= 0 && len(records) < maxRecords; i-- { // from the end: then nothing has to move up
		t := &g.stored.topics[i]
		for j := len(t.partitions) - 1; j >= 0 && len(records) < maxRecords; j-- {
			if looked++; goes(t.name, t.partitions[j]) {
				records = append(records, offsetTombstone(g.id, t.name, t.partitions[j].partition))
			}
		}
	}
	g.coordinator.node.out.Work.Parts += looked/16 + len(records)/4
	return records
}

// orphaned reports whether the topic that an offset was committed for is deleted, perhaps replaced
// by another of the same name. A broker whose catalog lags behind says no.
func (n *Node) orphaned(topic string, o *committedOffset) bool {
	if o.topicID >= n.catalog.nextGroup {
		return false
	}
	t := n.catalog.byName[topic]
	return t == nil || t.id() != o.topicID
}

// remove deletes a group with its offsets. Until that is committed the group answers nobody. Very many offsets go first,
// entry by entry: the one that deletes the group is applied in one step.
func (g *consumerGroup) remove(done func(error)) {
	live := g.classic
	live.state = groupDead
	fail := func(err error) {
		live.state = groupEmpty // still there, should this broker still lead
		done(err)
	}
	if g.stored.offsets() > maxRecords {
		g.coordinator.propose(g.tombstones(func(string, *committedOffset) bool { return true }), func(err error) {
			if err != nil {
				fail(err)
			} else {
				g.remove(done)
			}
		})
		return
	}
	g.coordinator.propose([]kafka.Record{groupTombstone(g.id)}, func(err error) {
		if err != nil {
			fail(err)
			return
		}
		g.abandon()
		done(nil)
	})
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"slices"
)

// firstOn returns the first partition of which a broker has a replica; it has some.
func (c *catalog) firstOn(id BrokerID) *partitionMeta {
	for _, t := range c.topics {
		c.node.out.Work.Parts += len(t.Partitions) / 16
		for _, p := range t.Partitions {
			if _, ok := p.replica(id); ok {
				return p
			}
		}
	}
	panic(fmt.Sprintf("broken invariant: broker %d has %d replicas, but no partition has one there", id, c.hosted[id]))
}

// departure is a removed broker that group 0 still counts on, and who waits for the end of that.
type departure struct {
	request     *request
	broker      BrokerID
	incarnation uint32
	done        func(error)
}

// whenLeft calls done when a removed broker has no replica of group 0 any more, or is a member again.
func (c *catalog) whenLeft(d departure) {
	b := c.broker(d.broker)
	switch {
	case b != nil && !b.Removed && b.Incarnation != d.incarnation:
		d.done(errCameBack(b))
	case b != nil && c.isLeaving(b):
		c.leaving.add(d.request, d)
	default:
		d.done(nil)
	}
}

// isLeaving reports whether a broker was removed, and group 0 still counts on it.
func (c *catalog) isLeaving(b *brokerMeta) bool {
	return b.Removed && c.countsOn(b.ID) && (b.ID != c.node.self || c.node.removal.endAt == 0)
}

// anotherLeaving returns a broker that is leaving, other than a given one; nil if there is none.
func (c *catalog) anotherLeaving(than BrokerID) *brokerMeta {
	i := slices.IndexFunc(c.brokers, func(b *brokerMeta) bool { return b.ID != than && c.isLeaving(b) })
	if i < 0 {
		return nil
	}
	return c.brokers[i]
}

// countsOn reports whether group 0 counts on a broker's replica, or might after a crash of this broker.
func (c *catalog) countsOn(id BrokerID) bool { return c.group.hasReplica(id) || !c.group.confKept() }

// replicasChanged is called when the replicas of group 0 did, or the brokers, or when the former are kept.
func (c *catalog) replicasChanged() {
	for _, d := range c.leaving.all() {
		c.whenLeft(d)
	}
}

// SPDX-License-Identifier: Apache-2.0

package checker

import "slices"

// View is what one replica of a raft group believes after a step.
type View struct {
	Term          uint64
	Vote          int64 // broker, or any other name of a candidate; -1: none
	Leader        bool
	First         uint64 // first entry that is still in its log; Last+1 if there is none
	Last          uint64
	Commit        uint64
	Applied       uint64
	HighWatermark int64 // -1: the group has none
	LogStart      int64 // -1: the group has none
	// State is a hash of the whole state machine at Applied; 0: not given.
	State uint64
}

// Entry is what is kept of a log entry. Payloads count because two entries with the same index and
// term can still differ, when a broker forgot a term that it had used.
type Entry struct {
	Term uint64
	Hash uint64 // HashPayload of its payload
}

// Cluster holds what has been observed of all replicas, and checks raft's invariants against it
// after every step. Each method returns the first violation, after which the Cluster is of no more
// use. A call costs what changed, not what there is.
type Cluster struct {
	groups   map[uint64]*group
	byBroker map[int32][]*replica
	counts   [checkCount]int64
}

// NewCluster returns a Cluster of which nothing has been observed.
func NewCluster() *Cluster {
	return &Cluster{groups: map[uint64]*group{}, byBroker: map[int32][]*replica{}}
}

// SetReplicas says which brokers vote in a group, from now on.
func (c *Cluster) SetReplicas(group uint64, brokers []int32) {
	c.group(group).voters = slices.Clone(brokers)
}

// Observe takes what a replica believes after a step. entry returns the term and payload of an
// entry of its log, or false if it isn't in memory; it is called during Observe only.
func (c *Cluster) Observe(broker int32, group uint64, v View, entry func(index uint64) (term uint64, data []byte, ok bool)) *Violation {
	g := c.group(group)
	o := observation{c: c, g: g, r: c.replica(g, broker), v: v, entry: entry}
	if bad := o.check(); bad != nil {
		return bad
	}
	o.r.view, o.r.fresh = v, false
	return nil
}

// Durable says that, by the truth of the disk, an entry of a replica's log now survives a power
// loss. As in the log itself, an entry replaces another one at its index and everything after that;
// the same entry once more, as when a log is rewritten elsewhere, changes nothing.
func (c *Cluster) Durable(broker int32, group, index uint64, e Entry) {
	r := c.replica(c.group(group), broker)
	if old, ok := r.durable.at(index); ok && old.Entry == e {
		return
	}
	r.durable.put(index, mirrored{Entry: e, known: true})
	if at := slices.Index(r.replaced, indexed{index, e}); at >= 0 {
		r.replaced = slices.Delete(r.replaced, 0, at+1)
	}
}

// DurableVote says that a replica's term and vote (-1: none) now survive a power loss.
func (c *Cluster) DurableVote(broker int32, group, term uint64, vote int64) *Violation {
	g := c.group(group)
	r := c.replica(g, broker)
	if bad := c.checkVote(TermAndVoteForward, g, r, "wrote", r.durableVote, ballot{term, vote}); bad != nil {
		return bad
	}
	r.durableVote = ballot{term, vote}
	return nil
}

// Restarted says that a broker stopped, by whatever cause; the next Observe of each of its groups
// is what it recovered. If recovery makes durable what it found, the world has to say so with
// Durable and DurableVote: entries that were written but not synced may have survived.
func (c *Cluster) Restarted(broker int32) {
	for _, r := range c.byBroker[broker] {
		r.fresh = true
	}
}

// Installed says that a snapshot of the state at an entry took the place of a replica's whole log; the
// next Observe shows what is left. Until that is durable, a power loss may bring the old log back.
func (c *Cluster) Installed(broker int32, group, index uint64) {
	r := c.replica(c.group(group), broker)
	r.installed, r.cutAfter = true, index
}

// LostDisk says that a broker stopped and will start with an empty disk, as new replicas.
func (c *Cluster) LostDisk(broker int32) {
	for _, r := range c.byBroker[broker] {
		lost := append(r.lost, r.durable)
		*r = newReplica(r.broker)
		r.lost = lost
	}
}

// RemoveReplica says that a broker has no replica of the group any more.
func (c *Cluster) RemoveReplica(broker int32, group uint64) {
	g := c.group(group)
	is := func(r *replica) bool { return r.broker == broker }
	at := slices.IndexFunc(g.replicas, is)
	if at < 0 {
		return
	}
	gone := g.replicas[at]
	g.replicas = slices.Delete(g.replicas, at, at+1)
	c.byBroker[broker] = slices.DeleteFunc(c.byBroker[broker], func(r *replica) bool { return r == gone })
}

func (c *Cluster) group(id uint64) *group {
	g := c.groups[id]
	if g == nil {
		g = newGroup(id)
		c.groups[id] = g
	}
	return g
}

func (c *Cluster) replica(g *group, broker int32) *replica {
	for _, r := range g.replicas {
		if r.broker == broker {
			return r
		}
	}
	r := newReplica(broker)
	g.replicas = append(g.replicas, &r)
	c.byBroker[broker] = append(c.byBroker[broker], &r)
	return &r
}

// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"math"
	"slices"
)

// View is what one replica of a raft group believes after a step.
type View struct {
	Term          uint64
	Vote          ReplicaID // 0: none
	Leader        bool
	Config        uint64 // entry that made the configuration in force: one that Configured knows
	First         uint64 // first entry that is still in its log; Last+1 if there is none
	Last          uint64
	Commit        uint64
	Applied       uint64
	HighWatermark int64 // -1: the group has none
	LogStart      int64 // -1: the group has none
	// State is a hash of the whole state machine at Applied; 0: not given.
	State uint64
	// Begins is the position of this replica's first record in the broker's log. It separates this replica's
	// durable records from those of an earlier replica of the group on the same broker. It is meaningless for a
	// replica that existed when the broker started.
	Begins uint64
}

// Entry is what is kept of a log entry. Payloads count because two entries with the same index and
// term can still differ, when a broker forgot a term that it had used.
type Entry struct {
	Term uint64
	Hash uint64 // HashPayload of its payload
}

// Cluster holds what has been observed of all replicas, and checks raft's invariants against it after every step.
// Each method returns the first violation; after that the Cluster must not be used any more. The cost of a call grows
// with what has changed, not with the size of the state.
type Cluster struct {
	groups  map[uint64]*group
	brokers map[int32][]*disk
	counts  [checkCount]int64
}

// NewCluster returns a Cluster of which nothing has been observed.
func NewCluster() *Cluster {
	return &Cluster{groups: map[uint64]*group{}, brokers: map[int32][]*disk{}}
}

// Reset forgets all that was observed: an operator gave the cluster up, and begins another one.
func (c *Cluster) Reset() { c.groups, c.brokers = map[uint64]*group{}, map[int32][]*disk{} }

// Observe takes the view of a replica after a step. entry returns the term and payload of an
// entry of its log, or false if it isn't in memory; it is called only during Observe.
func (c *Cluster) Observe(id ReplicaID, group uint64, v View, entry func(index uint64) (term uint64, data []byte, ok bool)) *Violation {
	g := c.group(group)
	o := observation{c: c, g: g, r: c.replica(g, id, v.Begins), v: v, entry: entry}
	if bad := o.check(); bad != nil {
		return bad
	}
	o.r.view, o.r.fresh = v, false
	return nil
}

// Durable says that an entry at a position of a broker's log now survives a power loss, judged by the bytes on the
// disk. As in the log itself, an entry replaces another one at its index and everything after it. The same entry once
// more, as when the log moves it, changes nothing.
func (c *Cluster) Durable(broker int32, group, at, index uint64, e Entry) {
	l := c.disk(broker, group).life(at)
	if old, ok := l.log.at(index); ok && old.Entry == e {
		return
	}
	l.log.put(index, mirrored{Entry: e, known: true})
	if at := slices.Index(l.replaced, indexed{index, e}); at >= 0 {
		l.replaced = slices.Delete(l.replaced, 0, at+1)
	}
}

// DurableVote says that a term and vote (0: none), at a position of a broker's log, now survive a power
// loss.
func (c *Cluster) DurableVote(broker int32, group, at, term uint64, vote ReplicaID) *Violation {
	return c.durableVote(broker, group, c.disk(broker, group).life(at), ballot{term, vote})
}

func (c *Cluster) durableVote(broker int32, group uint64, l *life, now ballot) *Violation {
	g := c.group(group)
	if bad := c.checkVote(TermAndVoteForward, g, broker, "wrote", l.vote, now); bad != nil {
		return bad
	}
	l.vote = now
	if now.vote != 0 && !slices.Contains(g.ballots[now], l) {
		g.ballots[now] = append(g.ballots[now], l)
	}
	return nil
}

// DurableRemoval says that the removal of a replica, at a position of a broker's log, now survives a power loss:
// nothing of it can come back.
func (c *Cluster) DurableRemoval(broker int32, group, at uint64) {
	l := c.disk(broker, group).life(at)
	l.removed, l.ends = true, at+1
}

// ConfigEntry says that an entry which changes the configuration was written at an index. It may be
// replaced before it is committed.
func (c *Cluster) ConfigEntry(group, index uint64) {
	g := c.group(group)
	if at, ok := slices.BinarySearch(g.configEntries, index); !ok {
		g.configEntries = slices.Insert(g.configEntries, at, index)
	}
}

// Restarted says that a broker stopped, for whatever reason.
func (c *Cluster) Restarted(broker int32) {
	for _, d := range c.brokers[broker] {
		if d.running != nil {
			d.stopped, d.running = d.running, nil
		}
	}
}

// Recovered says that a broker that started found a replica in its log; the next Observe shows what.
// Entries that were written but not synced may have survived: if so, Durable has to be called before.
func (c *Cluster) Recovered(id ReplicaID, group uint64) {
	g, d := c.group(group), c.disk(id.Broker(), group)
	r := d.stopped
	if r == nil || r.id != id { // another number, if the end of the old replica got lost
		r = newReplica(id)
	}
	r.fresh, r.life = true, d.survivor()
	d.running, d.stopped = r, nil
	g.replicas[id] = r
}

// Started says that Recovered was called for all replicas that a broker found in its log. Any other replica that it had
// was removed, or its first record was lost. So later records of its group belong to a new replica.
func (c *Cluster) Started(broker int32) {
	for _, d := range c.brokers[broker] {
		if d.running == nil {
			d.lives = slices.DeleteFunc(d.lives, func(l *life) bool { return !l.removed })
		}
	}
}

// Forget drops what is known of a group's entries below an index, so that an endless run takes bounded memory. All
// replicas must have applied those entries, and no disk may still lose them. They aren't checked any more, not even
// when a new replica copies them.
func (c *Cluster) Forget(group, index uint64) {
	if g := c.group(group); index <= g.commit() {
		g.forget(index)
	}
}

// Installed says that a snapshot of the state at an entry replaced a replica's whole log. The next Observe shows
// what is left. Until that is durable, a power loss may bring the old log back.
func (c *Cluster) Installed(id ReplicaID, group, index, begins uint64) {
	r := c.replica(c.group(group), id, begins)
	r.installed, r.life.cutAfter = true, index
}

// LostDisk says that a broker stopped and will start with an empty disk, as new replicas.
func (c *Cluster) LostDisk(broker int32) {
	for _, d := range c.brokers[broker] {
		d.running, d.stopped = nil, nil
		for _, l := range d.lives {
			l.removed, l.ends = true, 0
			l.begins = math.MaxUint64 // no position of the new log is of this one
		}
	}
}

// RemoveReplica says that a broker has no replica of the group any more.
func (c *Cluster) RemoveReplica(broker int32, group uint64) {
	d := c.disk(broker, group)
	d.running, d.stopped = nil, nil
}

func (c *Cluster) group(id uint64) *group {
	g := c.groups[id]
	if g == nil {
		g = newGroup(id)
		c.groups[id] = g
	}
	return g
}

// disk returns what a broker's disk has of a group.
func (c *Cluster) disk(broker int32, group uint64) *disk {
	g := c.group(group)
	for _, d := range g.disks {
		if d.broker == broker {
			return d
		}
	}
	d := &disk{broker: broker}
	g.disks = append(g.disks, d)
	c.brokers[broker] = append(c.brokers[broker], d)
	return d
}

// replica returns the replica that runs on its broker, and begins it if it is new there.
func (c *Cluster) replica(g *group, id ReplicaID, begins uint64) *replica {
	d := c.disk(id.Broker(), g.id)
	if d.running == nil || d.running.id != id {
		d.running = newReplica(id)
		d.running.life = d.lifeOf(begins)
		g.replicas[id] = d.running
	}
	return d.running
}

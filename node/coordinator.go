// SPDX-License-Identifier: Apache-2.0

package node

import (
	"hash/fnv"
	"slices"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// groupsTopic is the internal topic whose partitions are the coordinators of consumer groups, named
// as in Kafka. It is created when the first client asks for a coordinator.
const groupsTopic = "__consumer_offsets"

// coordinator is one partition of groupsTopic: the consumer groups whose ids hash to it. Its entries
// are record batches (group_records.go); clients read what they add up to, in Kafka's format (keyed_log.go,
// groups_topic.go).
//
// A group has two halves. What has to survive is built by apply, the same on every replica: committed
// offsets, and the generation with its members and assignments as of the last completed rebalance.
// Who waits for whom in a rebalance is known to the leader only and gone with it; the next leader
// begins from the replicated half, and members go on in their generation as if nothing had happened.
type coordinator struct {
	node   *Node
	group  *group
	groups []*consumerGroup // ascending by id
	log    keyedLog
	// offsetBytes is about what the offsets of all groups take.
	offsetBytes int64
	sweep       *deadline // next look for expired offsets, on the leader
	loads       bool      // groups are being made ready, on a new leader
	old         bool      // it began with a checkpoint that doesn't say at which offsets records are
	readers
}

// consumerGroup is one group of consumers.
type consumerGroup struct {
	coordinator *coordinator
	id          string
	stored      storedGroup
	classic     *classicGroup // on a serving leader, else nil
	modern      *modernGroup  // there too, if members ever spoke the new protocol
}

// Limits on what clients can make a coordinator keep.
const (
	maxGroupID = 1 << 10 // bytes of a group's id
	maxRecords = 1 << 11 // in one entry: they are applied in one step
)

// coordinatorPartition returns the partition of groupsTopic that a group belongs to, nil before the
// topic exists. The number of partitions never changes, or groups would lose their offsets.
func (n *Node) coordinatorPartition(group string) *partitionMeta {
	t := n.catalog.byName[groupsTopic]
	if t == nil {
		return nil
	}
	h := fnv.New32a()
	h.Write([]byte(group))
	return t.Partitions[h.Sum32()%uint32(len(t.Partitions))]
}

// coordinatorOf finds the coordinator of a group, if that is this broker.
func (n *Node) coordinatorOf(group string) (*coordinator, error) {
	if err := checkGroupID(group); err != nil {
		return nil, err
	}
	meta := n.coordinatorPartition(group)
	if meta == nil {
		return nil, kerr.NotCoordinator // there will be one when the client has asked for it
	}
	c := n.coordinators[meta.Group]
	switch {
	case c == nil || brokerOf(c.group.lead) != n.self:
		return nil, kerr.NotCoordinator
	case !c.serves():
		return nil, kerr.CoordinatorLoadInProgress
	}
	return c, nil
}

// serves reports whether this broker leads, and all groups are ready.
func (c *coordinator) serves() bool { return c.group.serving && !c.loads }

func checkGroupID(id string) error {
	if id == "" || len(id) > maxGroupID {
		return kafka.Errorf(kerr.InvalidGroupID, "a group id has 1 to %d bytes, not %d", maxGroupID, len(id))
	}
	return nil
}

// find returns a group by id, nil if there is none.
func (c *coordinator) find(id string) *consumerGroup {
	i := c.position(id)
	if i < len(c.groups) && c.groups[i].id == id {
		return c.groups[i]
	}
	return nil
}

func (c *coordinator) position(id string) int {
	return sort.Search(len(c.groups), func(i int) bool { return c.groups[i].id >= id })
}

// next returns the first group after an id, nil if there is none.
func (c *coordinator) next(id string) *consumerGroup {
	i := c.position(id)
	if i < len(c.groups) && c.groups[i].id == id {
		i++
	}
	if i == len(c.groups) {
		return nil
	}
	return c.groups[i]
}

// ensure returns a group, new if it isn't there.
func (c *coordinator) ensure(id string) *consumerGroup {
	i := c.position(id)
	if i < len(c.groups) && c.groups[i].id == id {
		return c.groups[i]
	}
	g := &consumerGroup{coordinator: c, id: id}
	c.groups = slices.Insert(c.groups, i, g)
	return g
}

// open returns a group for a client that may begin one.
func (c *coordinator) open(id string) (*consumerGroup, error) {
	if g := c.find(id); g != nil {
		return g, nil
	}
	if len(c.groups) >= c.node.cfg.MaxGroups {
		err := kafka.Errorf(kerr.GroupMaxSizeReached, "group %.60q: the coordinator has %d groups, the most that it takes (setting max_groups_per_coordinator); delete groups that nobody needs", id, len(c.groups))
		c.node.event(Event{Kind: EventCreationRefused, Text: err.Error()})
		return nil, err
	}
	g := c.ensure(id)
	g.classic = newClassicGroup(g)
	return g, nil
}

func (c *coordinator) forget(g *consumerGroup) {
	i := c.position(g.id)
	c.groups = slices.Delete(c.groups, i, i+1)
}

// apply implements machine. The entries are the leader's own decisions: it knew all earlier ones
// when it made them, so they are refused only if this release can't parse them (parseGroupBatch).
func (c *coordinator) apply(index, _ uint64, data []byte) any {
	if len(data) == 0 {
		return nil
	}
	if err := c.applyBatch(data); err != nil {
		e := Event{Kind: EventEntryRefused, N: int64(index), Text: err.Error()}
		if c.group != nil { // not while the log is read
			e.Group = c.group.id
		}
		c.node.event(e)
		return err
	}
	return nil
}

// applyBatch applies all records of a batch, or none.
func (c *coordinator) applyBatch(batch []byte) error {
	b, err := kafka.ParseBatch(batch)
	if err != nil {
		return err
	}
	if b.Count == 0 {
		c.log.raise(b.BaseOffset)
		return nil
	}
	records, err := parseGroupBatch(batch)
	if err != nil {
		return err
	}
	c.node.out.Work.Parts += len(records) / 2
	for i := range records {
		if records[i].modern != nil { // it is JSON
			c.node.out.Work.Parts += len(batch) / len(records) / 256
		}
		c.applyRecord(&records[i])
	}
	c.log.expire(b.FirstTimestamp, 2*int(b.Count))
	c.wake()
	return nil
}

func (c *coordinator) applyRecord(r *groupRecord) {
	ms := r.ms
	switch g := c.find(r.group); {
	case r.modern != nil:
		if g == nil && r.modern.isTombstone() {
			return // removed twice
		}
		g = c.ensure(r.group)
		if g.applyModern(ms, r.modern); g.stored.empty() && g.classic == nil {
			c.forget(g)
		}
	case r.offset != nil:
		c.ensure(r.group).put(ms, r.topic, *r.offset)
	case r.metadata != nil:
		c.ensure(r.group).putClassic(ms, r.metadata)
	case g == nil: // removed twice
	case r.topic != "":
		g.removeOffset(ms, r.topic, r.partition)
		if g.stored.empty() && g.classic == nil {
			c.forget(g)
		}
	default:
		g.bury(ms)
		g.stored = storedGroup{}
		c.forget(g)
	}
}

// wake lets parked fetches look again, at the end of this step.
func (c *coordinator) wake() { c.readers.wake(c.node) }

// restore implements machine.
func (c *coordinator) restore(checkpoints [][]byte) error {
	c.groups, c.log, c.offsetBytes = nil, keyedLog{}, 0
	b := checkpoints[len(checkpoints)-1]
	if len(b) > 0 && b[0] != 0 {
		return c.restoreLog(b)
	}
	return c.restoreOld(b)
}

// adopt implements machine.
func (c *coordinator) adopt(received machine) {
	from := received.(*coordinator)
	c.groups, c.log, c.old, c.offsetBytes = from.groups, from.log, from.old, from.offsetBytes
	c.node.out.Work.Parts += len(c.groups) / 32
	for _, g := range c.groups {
		g.coordinator = c
	}
}

// retain implements machine: what is in the state needs no entries.
func (c *coordinator) retain() uint64 { return c.group.applied + 1 }

// propose puts records into the log: as one entry, but for very many. They are committed in order, so the last entry
// speaks for all.
func (c *coordinator) propose(records []kafka.Record, done func(error)) {
	for len(records) > maxRecords {
		c.group.propose(appendGroupBatch(nil, records[:maxRecords], c.node.unixMs), func(any, error) {})
		records = records[maxRecords:]
	}
	c.group.propose(appendGroupBatch(nil, records, c.node.unixMs), func(result any, err error) {
		if refused, ok := result.(error); ok {
			err = kafka.Errorf(kerr.UnknownServerError, "%v", refused)
		} else if err != nil {
			err = kerr.NotCoordinator
		}
		done(err)
	})
}

// leading implements machine: groups go on where the log left them. Before all are ready none is served.
func (c *coordinator) leading() {
	if c.old {
		c.group.propose(beginAt(c.log.end), func(any, error) {})
	}
	c.loads = true
	c.load("")
}

// load makes the groups after one ready, as many as half of the step's budget allows, and the rest in the next steps.
func (c *coordinator) load(after string) {
	for first := true; ; first = false {
		if !first && c.node.spent(2) {
			c.sweep = c.node.deadlines.add(c.node.now, func() { c.load(after) })
			return
		}
		g := c.next(after)
		if g == nil {
			break
		}
		after = g.id
		g.restore()
	}
	c.loads = false
	c.sweepAfter(c.node.cfg.OffsetsCheckInterval, "")
}

// restore makes a group ready to be served.
func (g *consumerGroup) restore() {
	g.classic = restoreClassicGroup(g)
	if g.stored.modern != nil {
		g.modern = restoreModernGroup(g)
	}
	g.coordinator.node.out.Work.Parts += 1 + g.members()/2
}

// following implements machine: whoever waits here has to look for the new coordinator.
func (c *coordinator) following() {
	c.wake()
	c.node.deadlines.cancel(c.sweep)
	c.loads = false
	c.node.out.Work.Parts += len(c.groups) / 16
	for _, g := range c.groups {
		if g.classic != nil {
			g.abandon()
			g.classic, g.modern = nil, nil
		}
	}
	c.groups = slices.DeleteFunc(c.groups, func(g *consumerGroup) bool { return g.stored.empty() })
}

// expireOffsets removes what nobody wants any more: all offsets of a group that has been empty for
// the time of retention (KIP-211), then the group, and offsets of topics that were deleted. It looks at groups after
// one, at as many as half of the step's budget allows, and at the rest in the next steps.
func (c *coordinator) expireOffsets(after string) {
	for first := true; ; first = false {
		if !first && c.node.spent(2) {
			c.sweepAfter(0, after)
			return
		}
		g := c.next(after)
		if g == nil {
			break
		}
		after = g.id
		c.node.out.Work.Parts += 1 + g.stored.offsets()/8
		live := g.classic
		if live.commits > 0 || live.state == groupDead {
			continue // what it may not see yet could be wanted
		}
		if g.expired() {
			c.node.event(Event{Kind: EventGroupExpired, Group: c.group.id, Text: g.id})
			g.remove(func(error) {})
			continue
		}
		g.dropOrphans(live)
	}
	c.sweepAfter(c.node.cfg.OffsetsCheckInterval, "")
}

// sweepAfter looks for expired offsets after some time, beginning after a group.
func (c *coordinator) sweepAfter(d time.Duration, group string) {
	c.sweep = c.node.deadlines.add(c.node.now.Add(d), func() { c.expireOffsets(group) })
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
	if !g.idle() || g.stored.empty() {
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

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"hash/fnv"
	"slices"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
	"chronik/node/step"
)

// groupsTopic is the internal topic whose partitions are the coordinators of consumer groups, named
// as in Kafka. It is created when the first client asks for a coordinator.
const groupsTopic = "__consumer_offsets"

// coordinator is one partition of groupsTopic: the consumer groups whose ids hash to it. Its entries
// are record batches (consumer_records.go); clients read what they add up to, in Kafka's format (consumer_log.go,
// consumer_topic.go).
//
// A group has two halves. Apply builds the half that has to survive, the same on every replica: committed
// offsets, and the generation with its members and assignments as of the last completed rebalance. The
// other half, who waits for whom in a rebalance, is known only to the leader and lost with it. The next leader
// starts from the replicated half, and members continue in their generation as if nothing had happened.
type coordinator struct {
	node   *Node
	group  *group
	groups []*consumerGroup // ascending by id
	log    keyedLog
	// offsetBytes is about what the offsets of all groups take.
	offsetBytes int64
	sweep       *step.Deadline // next look for expired offsets, on the leader
	loads       bool           // groups are being made ready, on a new leader
	old         bool           // it began with a checkpoint that doesn't say at which offsets records are
	txns        offsetTransactions
	markers     markers
	parkedFetches
}

// Limits on what clients can make a coordinator keep.
const (
	maxConsumerGroupID = 1 << 10 // bytes of a group's id
	maxRecords         = 1 << 11 // in one entry: they are applied in one step
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
	if id == "" || len(id) > maxConsumerGroupID {
		return kafka.Errorf(kerr.InvalidGroupID, "a group id has 1 to %d bytes, not %d", maxConsumerGroupID, len(id))
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
// when it made them, so they are refused only if this release can't parse them (parseGroupBatch). Those of transactions are
// judged here, as in a partition.
func (c *coordinator) apply(index, _ uint64, data []byte) any {
	if len(data) == 0 {
		return nil
	}
	refused, err := c.applyEntry(data)
	if err != nil {
		e := Event{Kind: EventEntryRefused, N: int64(index), Text: err.Error()}
		if c.group != nil { // not while the log is read
			e.Group = c.group.id
		}
		c.node.event(e)
	}
	if refused != nil {
		return refused
	}
	return nil
}

// applyEntry returns why an entry changes nothing, and that it does so because this release can't read it.
func (c *coordinator) applyEntry(data []byte) (refused, unreadable error) {
	if b, err := kafka.ParseBatch(data); err == nil && b.IsTransactional() {
		return c.applyTransactional(&b, data)
	}
	err := c.applyBatch(data)
	return err, err
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
	c.wakeFetches()
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
		c.dropPending(g)
		g.bury(ms)
		g.stored = storedGroup{}
		c.forget(g)
	}
}

// wakeFetches lets parked fetches look again, at the end of this step.
func (c *coordinator) wakeFetches() { c.parkedFetches.wakeAll(c.node) }

// restore implements machine.
func (c *coordinator) restore(checkpoints [][]byte) error {
	c.groups, c.log, c.txns, c.offsetBytes = nil, keyedLog{}, offsetTransactions{}, 0
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
	c.txns.adopt(&from.txns)
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

// leading implements machine: groups go on where the log left them. None is served until all are ready.
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
			c.sweep = c.node.deadlines.Add(c.node.now, func() { c.load(after) })
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

// following implements machine: whoever waits here has to look for the new coordinator.
func (c *coordinator) following() {
	c.wakeFetches()
	c.node.deadlines.Cancel(c.sweep)
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

// expireOffsets removes what nobody needs any more. If a group has been empty for the retention time, that is all its
// offsets (KIP-211) and then the group. Offsets of deleted topics go as well. It looks at the groups that come after a given
// one, as many as half of the step's budget allows, and continues in the next steps.
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
	c.sweep = c.node.deadlines.Add(c.node.now.Add(d), func() { c.expireOffsets(group) })
}

// groupOf finds a group that exists, on its coordinator. absent is the error if it doesn't.
func (n *Node) groupOf(id string, absent error) (*consumerGroup, error) {
	c, err := n.coordinatorOf(id)
	if err != nil {
		return nil, err
	}
	if g := c.find(id); g != nil {
		return g, nil
	}
	return nil, absent
}

// coordinatorTimeout bounds the wait for the log or a majority where a client waits for an answer.
const coordinatorTimeout = 5 * time.Second

// ownCoordinators lists those that this broker leads.
func (n *Node) ownCoordinators() (own []*coordinator) {
	t := n.catalog.byName[groupsTopic]
	if t == nil {
		return nil
	}
	for _, p := range t.Partitions {
		if c := n.coordinators[p.Group]; c != nil && brokerOf(c.group.lead) == n.self {
			own = append(own, c)
		}
	}
	return own
}

// rebalancing reports whether a raft group is a coordinator with a consumer group in a rebalance. The next leader would
// know nothing about the rebalance, not even who has left, and would wait for those members until their sessions end. So
// a leader that can choose when to hand over waits.
func (n *Node) rebalancing(id GroupID) bool {
	c := n.coordinators[id]
	return c != nil && slices.ContainsFunc(c.groups, func(g *consumerGroup) bool {
		return g.classic != nil && (g.classic.state == groupPreparing || g.classic.state == groupCompleting)
	})
}

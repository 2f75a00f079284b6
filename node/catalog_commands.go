// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// register notes a broker. With a new incarnation it lost its disk, so its replicas are gone: each
// gets a new number, upon which the leaders of their groups replace them.
func (c *catalog) register(cmd *register) {
	b := c.broker(cmd.ID)
	lost := b.Incarnation != 0 && cmd.Incarnation > b.Incarnation
	another := b.Start != cmd.Start
	b.Member, b.Incarnation, b.Removed = cmd.Member, cmd.Incarnation, false
	b.Start, b.Began, b.Levels = cmd.Start, cmd.Began, cmd.Levels
	if lost {
		for _, t := range c.topics {
			c.node.out.Work.Parts += len(t.Partitions) / 16
			for _, p := range t.Partitions {
				c.renumber(p, b.ID)
			}
		}
	}
	c.node.event(Event{Kind: EventBrokerRegistered, N: int64(cmd.ID)})
	if b.ID == c.node.self {
		c.node.overtaken(b)
	}
	c.node.brokerRegistered(&b.Member)
	c.replicasChanged()
	if another && b.ID != c.node.self {
		c.node.tellMachine()
	}
}

func (c *catalog) renumber(p *partitionMeta, b BrokerID) {
	if _, ok := p.replica(b); !ok {
		return
	}
	number := c.replicaNumber()
	for _, list := range []*[]replicaMeta{&p.Target, &p.Replicas, &p.Leaving} {
		*list = slices.Clone(*list) // a checkpoint that is being written has the old one
		for i := range *list {
			if (*list)[i].Broker == b {
				(*list)[i].Number = number
			}
		}
	}
	p.reported = false
}

func (c *catalog) replicaNumber() uint32 {
	c.nextReplica++
	return c.nextReplica - 1
}

func (c *catalog) createTopic(cmd *createTopic, most int) error {
	if c.byName[cmd.Name] != nil {
		return kafka.Errorf(kerr.TopicAlreadyExists, "topic %q exists", cmd.Name)
	}
	if cmd.Distinct {
		if err := c.checkCollision(cmd.Name); err != nil {
			return err
		}
	}
	for _, replicas := range cmd.Replicas {
		for _, b := range replicas {
			if m := c.broker(b); m != nil && m.Removed {
				return kafka.Errorf(kerr.InvalidReplicaAssignment, "broker %d is not in the cluster", b)
			}
		}
	}
	if err := c.checkHosted(cmd.Replicas, most); err != nil {
		return err
	}
	t := &topicMeta{Name: cmd.Name, Internal: cmd.Internal, Configs: cmd.Configs}
	c.appendPartitions(t, cmd.Replicas)
	c.addTopic(t)
	c.topics = slices.Insert(c.topics, c.position(t.Name), t)
	c.node.event(Event{Kind: EventTopicCreated, Text: t.Name})
	c.node.placeEach(t.Partitions)
	return nil
}

func (c *catalog) deleteTopic(cmd *deleteTopic) error {
	t := c.byName[cmd.Name]
	if cmd.ID != nil {
		t = c.byID[[16]byte(cmd.ID)]
	}
	switch {
	case t == nil && cmd.ID != nil && c.byName[cmd.Name] != nil:
		return errOutdated // it is named, but its sender didn't know of it
	case t == nil && cmd.ID != nil && cmd.Name == "":
		return kafka.Errorf(kerr.UnknownTopicID, "no topic has the id %x", cmd.ID)
	case t == nil:
		return kafka.Errorf(kerr.UnknownTopicOrPartition, "topic %q does not exist", cmd.Name)
	case t.Internal:
		return kafka.Errorf(kerr.InvalidTopicException, "%s is the brokers' own and still wanted", t.Name)
	}
	c.dropTopic(t)
	i := c.position(t.Name)
	c.topics = slices.Delete(c.topics, i, i+1)
	c.node.out.Work.Parts += len(t.Partitions) / 4
	for _, p := range t.Partitions {
		delete(c.byGroup, p.Group)
		c.host(p, -1)
	}
	c.node.event(Event{Kind: EventTopicDeleted, Text: t.Name})
	for _, p := range t.Partitions {
		c.node.event(Event{Kind: EventPartitionDeleted, Group: p.Group})
		c.node.placeLater(p.Group)
	}
	return nil
}

// reassign sets where a partition's replicas should be. An existing replica stays.
func (c *catalog) reassign(cmd *reassign, most int) error {
	p := c.partition(cmd.Topic, cmd.Partition)
	if p == nil {
		return kafka.Errorf(kerr.UnknownTopicOrPartition, "partition %d of topic %q does not exist", cmd.Partition, cmd.Topic)
	}
	if f := cmd.From; f != nil && (f.Group != p.Group || f.Moves != p.Moves) {
		return errOutdated
	}
	if len(cmd.Replicas) == 0 && len(p.Target) == 0 {
		return kafka.Errorf(kerr.NoReassignmentInProgress, "partition %d of topic %q is not moving", cmd.Partition, cmd.Topic)
	}
	if v, ok := p.Topic.config(minInsyncReplicasConfig); ok && len(cmd.Replicas) > 0 {
		if wrong := checkMinInsync(v, len(cmd.Replicas)); wrong != "" {
			return kafka.Errorf(kerr.InvalidReplicationFactor, "topic %q is configured with %s=%s, which %s", cmd.Topic, minInsyncReplicasConfig, v, wrong)
		}
	}
	if wrong := checkReplicaList(cmd.Replicas); wrong != "" {
		return kafka.Errorf(kerr.InvalidReplicaAssignment, "%s: name each broker once", wrong)
	}
	for _, b := range cmd.Replicas {
		if m := c.broker(b); m == nil || m.Removed {
			return kafka.Errorf(kerr.InvalidReplicaAssignment, "broker %d is not in the cluster", b)
		}
	}
	if err := c.checkHosted([][]BrokerID{newOn(p, cmd.Replicas)}, most); err != nil {
		return err
	}
	c.host(p, -1)
	var target []replicaMeta
	for _, b := range cmd.Replicas {
		r, ok := p.replica(b)
		if !ok {
			r = replicaMeta{b, c.replicaNumber()}
		}
		target = append(target, r)
	}
	for _, r := range p.Target {
		if !slices.Contains(p.Leaving, r) && !slices.Contains(p.Replicas, r) {
			p.Leaving = append(p.Leaving, r)
		}
	}
	p.Target, p.reported = target, false
	p.Moves++
	c.host(p, 1)
	c.node.placeLater(p.Group)
	return nil
}

// reassigned ends a move, if the goal is still the one that was reached, and never was another in between.
func (c *catalog) reassigned(cmd *reassigned) {
	p := c.byGroup[cmd.Group]
	if p == nil || p.Moves != cmd.Move || !slices.Equal(p.goal(), cmd.Replicas) {
		return
	}
	c.host(p, -1)
	p.Replicas, p.Target, p.Leaving = cmd.Replicas, nil, nil
	c.host(p, 1)
	c.node.placeLater(p.Group)
}

// replaceReplica gives a broker's replica of a group a new number, if it still has the old one.
type replaceReplica struct {
	Group   GroupID
	Replica replicaMeta
}

func (c *catalog) replaceReplica(cmd *replaceReplica) {
	p := c.byGroup[cmd.Group]
	if p == nil {
		return
	}
	if r, ok := p.replica(cmd.Replica.Broker); ok && r == cmd.Replica {
		c.renumber(p, r.Broker)
		c.node.placeLater(p.Group)
	}
}

// addPartitions gives a topic more partitions. As in createTopic the broker that was asked decides
// where they are.
type addPartitions struct {
	Topic    string
	ID       GroupID // topicMeta.id; 0 if the sender doesn't know the topic
	From     int     // partitions that the sender started from
	Replicas [][]BrokerID
}

func (c *catalog) addPartitions(cmd *addPartitions, most int) error {
	t := c.byName[cmd.Topic]
	switch {
	case t == nil:
		return unknownTopic(cmd.Topic)
	case t.id() != cmd.ID || len(t.Partitions) != cmd.From:
		return errOutdated
	}
	if err := c.checkHosted(cmd.Replicas, most); err != nil {
		return err
	}
	c.appendPartitions(t, cmd.Replicas)
	c.node.placeEach(t.Partitions[cmd.From:])
	return nil
}

// appendPartitions gives a topic partitions, each a group of its own.
func (c *catalog) appendPartitions(t *topicMeta, placement [][]BrokerID) {
	c.sizes.version++
	c.node.out.Work.Parts += len(placement) / 4
	replicas := 0
	for _, brokers := range placement {
		replicas += len(brokers)
	}
	// One array for each kind: a topic may have thousands of partitions, and they are made in one step.
	metas, places, founders := make([]partitionMeta, len(placement)), make([]replicaMeta, 0, replicas), make([]uint64, 0, replicas)
	t.Partitions = slices.Grow(t.Partitions, len(placement))
	for i, brokers := range placement {
		first := len(places)
		for _, b := range brokers {
			r := replicaMeta{b, c.replicaNumber()}
			places, founders = append(places, r), append(founders, r.id())
		}
		p := &metas[i]
		*p = partitionMeta{
			Topic: t, Index: int32(len(t.Partitions)), Group: c.nextGroup,
			Replicas: slices.Clip(places[first:]), Founders: slices.Clip(founders[first:]),
		}
		c.nextGroup++
		t.Partitions = append(t.Partitions, p)
		c.byGroup[p.Group] = p
		c.host(p, 1)
	}
}

// errOutdated refuses a command whose sender didn't know the newest state of the topic.
var errOutdated = errors.New("the command was worked out from an older state of the topic")

// alterConfigs gives a topic its configuration.
type alterConfigs struct {
	Topic   string
	ID      GroupID // topicMeta.id; 0 if the sender doesn't know the topic
	Changes uint64  // topicMeta.ConfigChanges, from which the sender started
	Configs []configValue
}

func (c *catalog) alterConfigs(cmd *alterConfigs) error {
	t := c.byName[cmd.Topic]
	switch {
	case t == nil:
		return unknownTopic(cmd.Topic)
	case t.id() != cmd.ID || t.ConfigChanges != cmd.Changes:
		return errOutdated
	}
	t.Configs = cmd.Configs
	t.ConfigChanges++
	return nil
}

// removeBroker forgets a broker that has no replicas any more. It is about the incarnation that the sender knew, 0 if
// none: one that joined since is another broker. Commands of earlier releases don't say which they mean.
type removeBroker struct {
	Broker      BrokerID
	Incarnation *uint32 `json:",omitempty"`
}

func (c *catalog) remove(cmd *removeBroker, through BrokerID) error {
	b := c.broker(cmd.Broker)
	switch {
	case b == nil || b.Removed:
		return kafka.Errorf(kerr.BrokerIDNotRegistered, "broker %d is not in the cluster", cmd.Broker)
	case cmd.Incarnation != nil && *cmd.Incarnation != b.Incarnation:
		return errOutdated
	}
	if c.hosted[b.ID] > 0 {
		p := c.firstOn(b.ID)
		return kafka.Errorf(kerr.InvalidRequest, "broker %d still has a replica of partition %d of topic %q; drain it first", b.ID, p.Index, p.Topic.Name)
	}
	others := 0
	for _, o := range c.brokers {
		others += btoi(o != b && !o.Removed)
	}
	if others == 0 {
		return kafka.Errorf(kerr.InvalidRequest, "broker %d is the last one of the cluster", b.ID)
	}
	b.Removed = true
	c.node.forgetHosts()
	if b.ID == c.node.self {
		c.node.removal.through = through
	}
	c.node.event(Event{Kind: EventBrokerRemoved, N: int64(b.ID), Term: uint64(b.Incarnation)})
	c.node.tellMembers = true
	return nil
}

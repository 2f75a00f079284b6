// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// catalog is the state of group 0, the same on every broker: who the brokers are, which topics
// there are, which group each partition is and where its replicas are. Only apply changes it.
type catalog struct {
	node  *Node
	group *group

	brokers      []*brokerMeta // ascending by id
	topics       []*topicMeta  // ascending by name
	byName       map[string]*topicMeta
	byGroup      map[GroupID]*partitionMeta
	nextGroup    GroupID // ids are never reused
	nextProducer int64   // first producer id that no broker got yet (KIP-98)
}

// brokerMeta is a registered broker. Session and Seq refuse commands that arrive twice or late:
// sessions grow with each start of the broker, and within one they apply in order.
type brokerMeta struct {
	Member
	Session uint64
	Seq     uint64
}

type topicMeta struct {
	Name       string
	Partitions []*partitionMeta
	Configs    []configValue // ascending by name, only what was set
}

type partitionMeta struct {
	Topic    *topicMeta
	Index    int32
	Group    GroupID
	Replicas []BrokerID // the first is the preferred leader

	// Not replicated: who leads, as the leader itself last said; for brokers without a replica.
	hintLeader BrokerID
	hintTerm   uint64
}

type configValue struct{ Name, Value string }

// command is one entry of group 0. Exactly one of the pointers is set.
type command struct {
	Origin  BrokerID // who wants to know the result
	Session uint64
	Seq     uint64

	Register    *Member            `json:",omitempty"`
	CreateTopic *createTopic       `json:",omitempty"`
	DeleteTopic *deleteTopic       `json:",omitempty"`
	ProducerIDs *allocateProducers `json:",omitempty"`
}

// createTopic carries the placement: it is decided by the broker that was asked, so that replicas
// of the catalog needn't agree on anything that isn't in the command.
type createTopic struct {
	Name     string
	Replicas [][]BrokerID // per partition
	Configs  []configValue
}

type deleteTopic struct{ Name string }

// allocateProducers reserves a block of producer ids for one broker.
type allocateProducers struct{ Count int64 }

// commandResult is what the origin of a command is told when it is applied.
type commandResult struct {
	err   error
	first int64 // ProducerIDs: first id of the block
}

func newCatalog(n *Node) *catalog {
	return &catalog{
		node:      n,
		byName:    make(map[string]*topicMeta),
		byGroup:   make(map[GroupID]*partitionMeta),
		nextGroup: 1,
	}
}

func (c *catalog) leading()   {}
func (c *catalog) following() {}

// apply implements machine. Commands decide their own fate: one that is refused changes nothing,
// on every replica alike.
func (c *catalog) apply(_, _ uint64, data []byte) any {
	if len(data) == 0 {
		return nil
	}
	var cmd command
	err := json.Unmarshal(data, &cmd)
	assert(err == nil, "every entry of group 0 is a command: %v", err)
	if !c.admit(&cmd) {
		return nil
	}
	var res commandResult
	switch {
	case cmd.Register != nil:
		c.register(cmd.Register)
	case cmd.CreateTopic != nil:
		res.err = c.createTopic(cmd.CreateTopic)
	case cmd.DeleteTopic != nil:
		res.err = c.deleteTopic(cmd.DeleteTopic)
	case cmd.ProducerIDs != nil:
		res.first = c.nextProducer
		c.nextProducer += cmd.ProducerIDs.Count
	}
	c.node.commands.applied(&cmd, res)
	return nil
}

// admit reports whether a command is applied for the first time and in order.
func (c *catalog) admit(cmd *command) bool {
	b := c.broker(cmd.Origin)
	if b == nil {
		if cmd.Register == nil {
			return false // its origin never registered: nobody waits for it
		}
		b = &brokerMeta{Member: *cmd.Register}
		i := sort.Search(len(c.brokers), func(i int) bool { return c.brokers[i].ID > b.ID })
		c.brokers = slices.Insert(c.brokers, i, b)
	}
	if cmd.Session < b.Session || cmd.Session == b.Session && cmd.Seq <= b.Seq {
		return false
	}
	b.Session, b.Seq = cmd.Session, cmd.Seq
	return true
}

func (c *catalog) register(m *Member) {
	c.broker(m.ID).Member = *m
	c.node.event(Event{Kind: EventBrokerRegistered, N: int64(m.ID)})
}

func (c *catalog) createTopic(cmd *createTopic) error {
	if c.byName[cmd.Name] != nil {
		return kafka.Errorf(kerr.TopicAlreadyExists, "topic %q exists", cmd.Name)
	}
	t := &topicMeta{Name: cmd.Name, Configs: cmd.Configs}
	for i, replicas := range cmd.Replicas {
		p := &partitionMeta{Topic: t, Index: int32(i), Group: c.nextGroup, Replicas: replicas}
		c.nextGroup++
		t.Partitions = append(t.Partitions, p)
		c.byGroup[p.Group] = p
	}
	c.byName[t.Name] = t
	i := sort.Search(len(c.topics), func(i int) bool { return c.topics[i].Name > t.Name })
	c.topics = slices.Insert(c.topics, i, t)
	c.node.event(Event{Kind: EventTopicCreated, Text: t.Name})
	c.node.topicCreated(t)
	return nil
}

func (c *catalog) deleteTopic(cmd *deleteTopic) error {
	t := c.byName[cmd.Name]
	if t == nil {
		return kafka.Errorf(kerr.UnknownTopicOrPartition, "topic %q does not exist", cmd.Name)
	}
	delete(c.byName, t.Name)
	c.topics = slices.DeleteFunc(c.topics, func(o *topicMeta) bool { return o == t })
	for _, p := range t.Partitions {
		delete(c.byGroup, p.Group)
	}
	c.node.event(Event{Kind: EventTopicDeleted, Text: t.Name})
	c.node.topicDeleted(t)
	return nil
}

func (c *catalog) broker(id BrokerID) *brokerMeta {
	i := sort.Search(len(c.brokers), func(i int) bool { return c.brokers[i].ID >= id })
	if i < len(c.brokers) && c.brokers[i].ID == id {
		return c.brokers[i]
	}
	return nil
}

// partitionOf returns the partition that a group is, nil if there is none.
func (c *catalog) partitionOf(g GroupID) *partitionMeta { return c.byGroup[g] }

// partition returns a partition by name, nil if there is none.
func (c *catalog) partition(topic string, index int32) *partitionMeta {
	t := c.byName[topic]
	if t == nil || index < 0 || int(index) >= len(t.Partitions) {
		return nil
	}
	return t.Partitions[index]
}

// config returns a topic's own value of a configuration.
func (t *topicMeta) config(name string) (string, bool) {
	i := sort.Search(len(t.Configs), func(i int) bool { return t.Configs[i].Name >= name })
	if i < len(t.Configs) && t.Configs[i].Name == name {
		return t.Configs[i].Value, true
	}
	return "", false
}

// place spreads the replicas of a new topic over the brokers: each partition starts one broker
// further, so that preferred leaders are spread too.
func (n *Node) place(partitions int32, replicas int16) ([][]BrokerID, error) {
	all := n.cfg.Members
	if replicas < 1 || int(replicas) > len(all) {
		return nil, kafka.Errorf(kerr.InvalidReplicationFactor,
			"replication factor %d, but the cluster has %d brokers", replicas, len(all))
	}
	start := len(n.catalog.topics)
	placement := make([][]BrokerID, partitions)
	for p := range placement {
		for r := range int(replicas) {
			placement[p] = append(placement[p], all[(start+p+r)%len(all)].ID)
		}
	}
	return placement, nil
}

// checkPlacement checks replicas that a client chose itself.
func (n *Node) checkPlacement(placement [][]BrokerID) error {
	for i, replicas := range placement {
		if len(replicas) == 0 || len(replicas) != len(placement[0]) {
			return kafka.Errorf(kerr.InvalidReplicaAssignment, "partition %d has %d replicas; give every partition the same number", i, len(replicas))
		}
		for j, b := range replicas {
			if slices.Contains(replicas[:j], b) {
				return kafka.Errorf(kerr.InvalidReplicaAssignment, "partition %d names broker %d twice", i, b)
			}
			if b != n.self && n.peer(b) == nil {
				return kafka.Errorf(kerr.InvalidReplicaAssignment, "partition %d names broker %d, which is not in the cluster", i, b)
			}
		}
	}
	return nil
}

// checkTopicName applies Kafka's rules for topic names.
func checkTopicName(name string) error {
	legal := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
	}
	switch {
	case name == "", name == ".", name == "..", len(name) > 249,
		slices.ContainsFunc([]rune(name), func(c rune) bool { return !legal(c) }):
		return kafka.Errorf(kerr.InvalidTopicException,
			"topic name %s: use 1 to 249 letters, digits, '.', '_' and '-', but not \".\" or \"..\"", fmt.Sprintf("%.60q", name))
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
	"chronik/node/acl"
	"chronik/node/quota"
)

// catalog is the state of group 0, the same on every broker: who the brokers are, which topics
// there are, which group each partition is and where its replicas are. Only apply changes it.
type catalog struct {
	node  *Node
	group *group

	brokers      []*brokerMeta // ascending by id
	topics       []*topicMeta  // ascending by name
	byName       map[string]*topicMeta
	unified      map[string]int // topics by unifiedName
	byID         map[[16]byte]*topicMeta
	byGroup      map[GroupID]*partitionMeta
	hosted       map[BrokerID]int  // replicas on each broker, those that leave or are to come included
	nextGroup    GroupID           // ids are never reused
	nextReplica  uint32            // numbers are never reused
	founders     []BrokerID        // ascending; empty: begun by an earlier release
	nextProducer int64             // first producer id that no broker got yet (KIP-98)
	level        int16             // the cluster's feature level, 0 for the first
	configured   []*configured     // ascending by kind and name
	overrides    *overrides        // of it, for this broker; nil: to be worked out
	users        []*userCredential // ascending by name and mechanism
	loginKey     []byte            // what users that there aren't are made up from; it came with the first one
	rules        *acl.Set          // who may do what
	rulesVersion uint64            // grows with each change of them
	quotas       *quota.Set        // and how much

	sizes   topicSizes
	leaving waiters[departure] // not replicated: who waits for brokers to leave
}

// brokerMeta is a registered broker. Session and Seq refuse commands that arrive twice or late:
// sessions grow with each start of the broker, and within one they apply in order.
type brokerMeta struct {
	Member
	Incarnation uint32
	Start       uint64 `json:",omitempty"` // start.nonce of the process that registered last, and
	Began       uint64 `json:",omitempty"` // start.began
	Session     uint64
	Seq         uint64
	Removed     bool // by an operator; it comes back only with a larger incarnation
	// Levels are those that it supports.
	Levels Levels `json:",omitzero"`
}

type topicMeta struct {
	Name       string
	Internal   bool // the brokers' own: clients can only read it
	Partitions []*partitionMeta
	Configs    []configValue // ascending by name, only what was set
	// ConfigChanges counts the changes of Configs.
	ConfigChanges uint64 `json:",omitempty"`

	uuid [16]byte // see topicID
}

// partitionMeta says where a partition is and where it should be.
type partitionMeta struct {
	Topic    *topicMeta `json:"-"`
	Index    int32
	Group    GroupID
	Founders []uint64      // raft ids of its first replicas: the configuration before its first entry
	Replicas []replicaMeta // the first is the preferred leader
	Target   []replicaMeta // where they are moving to; empty if they don't
	Leaving  []replicaMeta // of earlier targets, perhaps still there
	Moves    uint64        `json:",omitempty"` // goals so far: the end of an earlier move isn't the end of one back to the same place

	// Not replicated: who leads, as the leader itself last said; for brokers without a replica.
	hint     hint
	heard    heardInSync
	reported bool // as leader: that the replicas are where they should be
}

// replicaMeta is one replica. Number makes its raft id, see raftID.
type replicaMeta struct {
	Broker BrokerID
	Number uint32
}

func (r replicaMeta) id() uint64 { return raftID(r.Broker, r.Number) }

// goal is where the replicas should be.
func (p *partitionMeta) goal() []replicaMeta {
	if len(p.Target) > 0 {
		return p.Target
	}
	return p.Replicas
}

// moving reports whether the leader still has to bring the replicas to their goal.
func (p *partitionMeta) moving() bool { return len(p.Target)+len(p.Leaving) > 0 }

// replica returns a broker's replica, wherever it is listed.
func (p *partitionMeta) replica(b BrokerID) (replicaMeta, bool) {
	for _, list := range [][]replicaMeta{p.Target, p.Replicas, p.Leaving} {
		for _, r := range list {
			if r.Broker == b {
				return r, true
			}
		}
	}
	return replicaMeta{}, false
}

func brokersOf(replicas []replicaMeta) []BrokerID {
	ids := make([]BrokerID, len(replicas))
	for i, r := range replicas {
		ids[i] = r.Broker
	}
	return ids
}

type configValue struct{ Name, Value string }

func newCatalog(n *Node) *catalog {
	return &catalog{
		node:    n,
		byName:  make(map[string]*topicMeta),
		unified: make(map[string]int),
		byID:    make(map[[16]byte]*topicMeta),
		byGroup: make(map[GroupID]*partitionMeta),
		hosted:  make(map[BrokerID]int),
		rules:   acl.NewSet(nil), rulesVersion: 1,
		quotas:    quota.NewSet(nil),
		nextGroup: 1, nextReplica: 1,
	}
}

// catalogState is the catalog's checkpoint, as JSON.
type catalogState struct {
	Brokers      []*brokerMeta
	Topics       []*topicMeta
	NextGroup    GroupID
	NextReplica  uint32
	NextProducer int64
	Level        int16      `json:",omitempty"`
	Founders     []BrokerID `json:",omitempty"` // earlier releases didn't note them
	Configured   []*configured
	Rules        []*acl.Rule       `json:",omitempty"`
	Users        []*userCredential `json:",omitempty"`
	Quotas       []*quota.Quota    `json:",omitempty"`
	LoginKey     []byte            `json:",omitempty"`
}

// restore implements machine.
func (c *catalog) restore(checkpoints [][]byte) error {
	var s catalogState
	if err := json.Unmarshal(checkpoints[len(checkpoints)-1], &s); err != nil {
		return fmt.Errorf("state of the catalog: %w", err)
	}
	c.brokers, c.topics = s.Brokers, s.Topics
	c.nextGroup, c.nextReplica, c.nextProducer, c.founders = s.NextGroup, s.NextReplica, s.NextProducer, s.Founders
	c.configured, c.overrides = s.Configured, nil
	c.users, c.loginKey = s.Users, s.LoginKey
	c.sizes.version++
	c.unified, c.hosted = make(map[string]int), make(map[BrokerID]int)
	c.byName, c.byID, c.byGroup = make(map[string]*topicMeta), make(map[[16]byte]*topicMeta), make(map[GroupID]*partitionMeta)
	c.rules = acl.NewSet(s.Rules)
	c.rulesVersion++
	c.level = s.Level
	for _, t := range c.topics {
		c.addTopic(t)
		for _, p := range t.Partitions {
			p.Topic = t
			c.byGroup[p.Group] = p
			c.host(p, 1)
		}
	}
	c.quotas = quota.NewSet(s.Quotas)
	return nil
}

// adopt implements machine.
func (c *catalog) adopt(received machine) {
	from, old := received.(*catalog), c.byGroup
	c.brokers, c.topics = from.brokers, from.topics
	c.nextGroup, c.nextReplica, c.nextProducer, c.founders = from.nextGroup, from.nextReplica, from.nextProducer, from.founders
	c.configured, c.overrides = from.configured, nil
	c.users, c.loginKey = from.users, from.loginKey
	c.byName, c.byID, c.byGroup, c.unified, c.hosted = from.byName, from.byID, from.byGroup, from.unified, from.hosted
	c.sizes.version++
	c.rules = from.rules
	c.rulesVersion++
	c.quotas = from.quotas
	c.level = from.level
	c.learnLevel()
	c.installed(old)
}

// installed brings the node in line with a catalog that it was sent.
func (c *catalog) installed(old map[GroupID]*partitionMeta) {
	for _, id := range slices.Sorted(maps.Keys(old)) {
		if p := c.byGroup[id]; p == nil {
			c.node.placeLater(id)
		} else {
			p.hint, p.heard = old[id].hint, old[id].heard
			if part := c.node.partitions[id]; part != nil {
				part.meta = p
			}
		}
	}
	for _, b := range c.brokers {
		if b.ID == c.node.self {
			c.node.overtaken(b)
		}
		c.node.brokerRegistered(&b.Member)
	}
	c.node.placeAll()
	c.replicasChanged()
	c.node.commands.skipped(c.broker(c.node.self))
}

// retain implements machine: what is in the catalog needs no entries.
func (c *catalog) retain() uint64 { return c.group.applied + 1 }

// knowsThisIncarnation reports whether what the catalog says of this broker's replicas is about this
// incarnation of it.
func (c *catalog) knowsThisIncarnation() bool {
	b := c.broker(c.node.self)
	return b != nil && b.Incarnation == c.node.cfg.Incarnation
}

func (c *catalog) leading() {}

func (c *catalog) following() {}

// apply implements machine. Commands decide their own fate: one that is refused changes nothing,
// on every replica alike.
func (c *catalog) apply(index, term uint64, data []byte) any {
	if len(data) == 0 {
		return nil
	}
	cmd, err := parseCommand(data)
	if err != nil {
		c.node.event(Event{Kind: EventCommandRefused, N: int64(cmd.Origin), Text: err.Error()})
		c.node.commands.applied(&cmd, commandResult{err: kafka.Errorf(kerr.UnsupportedVersion, "%v; run the same release on all brokers", err)})
		return nil
	}
	if cmd.isLate(term) {
		return nil
	}
	if !c.admit(&cmd) {
		c.node.commands.disowned(&cmd, c.broker(cmd.Origin))
		return nil
	}
	var res commandResult
	switch {
	case cmd.Register != nil:
		c.register(cmd.Register)
	case cmd.CreateTopic != nil:
		res.err = c.createTopic(cmd.CreateTopic, cmd.MostReplicas)
	case cmd.DeleteTopic != nil:
		res.err = c.deleteTopic(cmd.DeleteTopic)
	case cmd.AddPartitions != nil:
		res.err = c.addPartitions(cmd.AddPartitions, cmd.MostReplicas)
	case cmd.AlterConfigs != nil:
		res.err = c.alterConfigs(cmd.AlterConfigs)
	case cmd.Configure != nil:
		res.err = c.configure(cmd.Configure, index)
	case cmd.ChangeUser != nil:
		res.err = c.changeUser(cmd.ChangeUser)
	case cmd.ProducerIDs != nil:
		res.first = c.nextProducer
		c.nextProducer += cmd.ProducerIDs.Count
	case cmd.Reassign != nil:
		res.err = c.reassign(cmd.Reassign, cmd.MostReplicas)
	case cmd.Reassigned != nil:
		c.reassigned(cmd.Reassigned)
	case cmd.Remove != nil:
		res.err = c.remove(cmd.Remove, cmd.Origin)
	case cmd.Replace != nil:
		c.replaceReplica(cmd.Replace)
	case cmd.CreateRules != nil:
		res.err = c.createRules(cmd.CreateRules)
	case cmd.DeleteRules != nil:
		res.rules, res.more = c.deleteRules(cmd.DeleteRules)
	case cmd.ChangeQuotas != nil:
		res.err = c.changeQuotas(cmd.ChangeQuotas)
	case cmd.SetLevel != nil:
		res.err = c.raise(cmd.SetLevel)
	}
	if what := cmd.what(); what != "" && res.err == nil {
		c.node.event(Event{Kind: EventCatalogChanged, Term: term, N: int64(index), Text: what})
	}
	c.node.commands.applied(&cmd, res)
	return nil
}

// admit reports whether a command is applied for the first time and in order.
func (c *catalog) admit(cmd *command) bool {
	if cmd.Register != nil && c.admissible(cmd.Register) != nil {
		c.notAdmitted(cmd)
		return false
	}
	b := c.broker(cmd.Origin)
	if b == nil {
		if cmd.Register == nil {
			return false // its origin never registered: nobody waits for it
		}
		b = &brokerMeta{Member: cmd.Register.Member}
		i := sort.Search(len(c.brokers), func(i int) bool { return c.brokers[i].ID > b.ID })
		c.brokers = slices.Insert(c.brokers, i, b)
	}
	if cmd.Session < b.Session || cmd.Session == b.Session && cmd.Seq <= b.Seq {
		return false
	}
	if cmd.Session != b.Session && cmd.Register == nil {
		return false // a session begins with a registration: no broker sent this
	}
	if b.Removed && (cmd.Register == nil || cmd.Register.Incarnation <= b.Incarnation) {
		return false
	}
	b.Session, b.Seq = cmd.Session, cmd.Seq
	return true
}

// wantedFor returns where a group's replicas should be; nil for a partition that was deleted.
func (c *catalog) wantedFor(g GroupID) *wanted {
	if g == 0 {
		return c.wantedHere()
	}
	p := c.byGroup[g]
	if p == nil {
		return nil
	}
	goal := p.goal()
	w := &wanted{voters: make([]uint64, 0, len(goal))}
	for _, r := range goal {
		w.voters = append(w.voters, r.id())
	}
	return w
}

// maxCatalogVoters bounds the voters of group 0; the other brokers follow as learners.
const maxCatalogVoters = 5

// wantedHere returns the replicas of group 0: one on every broker, of which one on a machine votes. Founders that have not
// registered yet keep theirs.
func (c *catalog) wantedHere() *wanted {
	w := &wanted{}
	ids := make([]uint64, 0, len(c.group.conf.Voters)+len(c.brokers))
	for _, id := range c.group.conf.Voters {
		if c.broker(brokerOf(id)) == nil {
			ids = append(ids, id)
		}
	}
	for _, b := range c.brokers {
		if !b.Removed {
			ids = append(ids, raftID(b.ID, b.Incarnation))
		}
	}
	slices.Sort(ids)
	w.voters, w.learners = firstVoters(ids, maxCatalogVoters, c.node.sharesMachine)
	return w
}

func (c *catalog) broker(id BrokerID) *brokerMeta {
	i := sort.Search(len(c.brokers), func(i int) bool { return c.brokers[i].ID >= id })
	if i < len(c.brokers) && c.brokers[i].ID == id {
		return c.brokers[i]
	}
	return nil
}

// topicFrom returns the first topic by name that isn't before a name, nil if there is none.
func (c *catalog) topicFrom(name string) *topicMeta {
	i := c.position(name)
	if i == len(c.topics) {
		return nil
	}
	return c.topics[i]
}

// position is where a topic of a name is, or would be.
func (c *catalog) position(name string) int {
	return sort.Search(len(c.topics), func(i int) bool { return c.topics[i].Name >= name })
}

// partitionOf returns the partition of a group, nil if it isn't a partition's.
func (c *catalog) partitionOf(g GroupID) *partitionMeta { return c.byGroup[g] }

// partition returns a partition by name, nil if there is none.
func (c *catalog) partition(topic string, index int32) *partitionMeta {
	t := c.byName[topic]
	if t == nil || index < 0 || int(index) >= len(t.Partitions) {
		return nil
	}
	return t.Partitions[index]
}

// id tells a topic from others that had the same name before or get it later. Ids grow.
func (t *topicMeta) id() GroupID { return t.Partitions[0].Group }

// config returns a topic's own value of a configuration.
func (t *topicMeta) config(name string) (string, bool) { return findConfig(t.Configs, name) }

// findConfig returns a value from a list that is ascending by name.
func findConfig(configs []configValue, name string) (string, bool) {
	i := sort.Search(len(configs), func(i int) bool { return configs[i].Name >= name })
	if i < len(configs) && configs[i].Name == name {
		return configs[i].Value, true
	}
	return "", false
}

const maxTopicName = 249 // bytes

// checkTopicName applies Kafka's rules for topic names.
func checkTopicName(name string) error {
	legal := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
	}
	switch {
	case name == "", name == ".", name == "..", len(name) > maxTopicName,
		slices.ContainsFunc([]rune(name), func(c rune) bool { return !legal(c) }):
		return kafka.Errorf(kerr.InvalidTopicException,
			"topic name %s: use 1 to 249 letters, digits, '.', '_' and '-', but not \".\" or \"..\"", fmt.Sprintf("%.60q", name))
	}
	return nil
}

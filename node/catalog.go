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
	hosted       map[BrokerID]int // replicas on each broker, those that leave or are to come included
	nextGroup    GroupID          // ids are never reused
	nextReplica  uint32           // numbers are never reused
	founders     []BrokerID       // ascending; empty: begun by an earlier release
	nextProducer int64            // first producer id that no broker got yet (KIP-98)

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

// partitionMeta is where a partition is and shall be.
type partitionMeta struct {
	Topic    *topicMeta `json:"-"`
	Index    int32
	Group    GroupID
	Founders []uint64      // raft ids of its first replicas: the configuration before its first entry
	Replicas []replicaMeta // the first is the preferred leader
	Target   []replicaMeta // where they are moving to; empty if they don't
	Leaving  []replicaMeta // of earlier targets, still there perhaps
	Moves    uint64        `json:",omitempty"` // goals so far: the end of an earlier move isn't the end of one back to the same place

	// Not replicated: who leads, as the leader itself last said; for brokers without a replica.
	hintLeader BrokerID
	hintTerm   uint64
	heard      heardInSync
	reported   bool // as leader: that the replicas are where they shall be
}

// replicaMeta is one replica. Number makes its raft id, see raftID.
type replicaMeta struct {
	Broker BrokerID
	Number uint32
}

func (r replicaMeta) id() uint64 { return raftID(r.Broker, r.Number) }

// goal is where the replicas shall be.
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

// command is one entry of group 0. Exactly one of the pointers is set.
type command struct {
	Origin  BrokerID // who wants to know the result
	Session uint64
	Seq     uint64
	// Term is that of group 0 when this copy was sent, as far as its sender knew; see isLate.
	Term uint64 `json:",omitempty"`
	// MostReplicas is how many replicas a broker takes; see limits.go. 0: any number.
	MostReplicas int `json:",omitempty"`

	Register      *register          `json:",omitempty"`
	CreateTopic   *createTopic       `json:",omitempty"`
	DeleteTopic   *deleteTopic       `json:",omitempty"`
	AddPartitions *addPartitions     `json:",omitempty"`
	AlterConfigs  *alterConfigs      `json:",omitempty"`
	ProducerIDs   *allocateProducers `json:",omitempty"`
	Reassign      *reassign          `json:",omitempty"`
	Reassigned    *reassigned        `json:",omitempty"`
	Remove        *removeBroker      `json:",omitempty"`
	Replace       *replaceReplica    `json:",omitempty"`
}

// register makes a broker known, or tells its new address or incarnation.
type register struct {
	Member
	Incarnation uint32
	Start       uint64 `json:",omitempty"` // see brokerMeta
	Began       uint64 `json:",omitempty"`
}

// reassign says where the replicas of a partition shall be; nowhere new if Replicas is empty, which
// ends a move that is under way.
type reassign struct {
	Topic     string
	Partition int32
	Replicas  []BrokerID
	From      *moveFrom `json:",omitempty"` // commands of earlier releases don't say
}

// moveFrom is what a move was planned from: it is refused when that has changed, so that a copy that comes late
// undoes no later move. It is empty if the sender doesn't know the partition.
type moveFrom struct {
	Group GroupID
	Moves uint64
}

// reassigned is the group's leader saying that the replicas are where they shall be.
type reassigned struct {
	Group    GroupID
	Replicas []replicaMeta
	Move     uint64 `json:",omitempty"` // partitionMeta.Moves
}

// createTopic carries the placement: it is decided by the broker that was asked, so that replicas
// of the catalog needn't agree on anything that isn't in the command.
type createTopic struct {
	Name     string
	Replicas [][]BrokerID // per partition
	Configs  []configValue
	Internal bool `json:",omitempty"`
	// Distinct refuses a name that collides with another topic's. Commands of before that was a rule don't say so.
	Distinct bool `json:",omitempty"`
}

// deleteTopic names a topic by its 16 bytes of id, and also by its name if the client did. Commands of earlier
// releases have the name alone.
type deleteTopic struct {
	Name string
	ID   []byte `json:",omitempty"`
}

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
		unified:   make(map[string]int),
		byID:      make(map[[16]byte]*topicMeta),
		byGroup:   make(map[GroupID]*partitionMeta),
		hosted:    make(map[BrokerID]int),
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
	Founders     []BrokerID `json:",omitempty"` // earlier releases didn't note them
}

// restore implements machine.
func (c *catalog) restore(checkpoints [][]byte) error {
	var s catalogState
	if err := json.Unmarshal(checkpoints[len(checkpoints)-1], &s); err != nil {
		return fmt.Errorf("state of the catalog: %w", err)
	}
	c.brokers, c.topics = s.Brokers, s.Topics
	c.nextGroup, c.nextReplica, c.nextProducer, c.founders = s.NextGroup, s.NextReplica, s.NextProducer, s.Founders
	c.sizes.version++
	c.unified, c.hosted = make(map[string]int), make(map[BrokerID]int)
	c.byName, c.byID, c.byGroup = make(map[string]*topicMeta), make(map[[16]byte]*topicMeta), make(map[GroupID]*partitionMeta)
	for _, t := range c.topics {
		c.addTopic(t)
		for _, p := range t.Partitions {
			p.Topic = t
			c.byGroup[p.Group] = p
			c.host(p, 1)
		}
	}
	return nil
}

// adopt implements machine.
func (c *catalog) adopt(received machine) {
	from, old := received.(*catalog), c.byGroup
	c.brokers, c.topics = from.brokers, from.topics
	c.nextGroup, c.nextReplica, c.nextProducer, c.founders = from.nextGroup, from.nextReplica, from.nextProducer, from.founders
	c.byName, c.byID, c.byGroup, c.unified, c.hosted = from.byName, from.byID, from.byGroup, from.unified, from.hosted
	c.sizes.version++
	c.installed(old)
}

// installed brings the node in line with a catalog that it was sent.
func (c *catalog) installed(old map[GroupID]*partitionMeta) {
	for _, id := range slices.Sorted(maps.Keys(old)) {
		if p := c.byGroup[id]; p == nil {
			c.node.placeLater(id)
		} else {
			p.hintLeader, p.hintTerm, p.heard = old[id].hintLeader, old[id].hintTerm, old[id].heard
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

// joining reports whether this broker has yet to learn who is in the cluster: it joins, or comes back
// with an empty disk, and knows only what its operator told it. It plans no topic before: one with too
// few replicas would come of it.
func (n *Node) joining() bool {
	return n.cfg.Incarnation != founder && !n.catalog.knowsThisIncarnation()
}

// errJoining is answered to whoever wants a topic planned.
var errJoining = kafka.Errorf(kerr.NotController, "this broker is joining the cluster and doesn't know all brokers yet; try again, or ask another one")

func (c *catalog) leading()   {}
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
	if cmd.isLate(term) || !c.admit(&cmd) {
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
	}
	if what := cmd.what(); what != "" && res.err == nil {
		c.node.event(Event{Kind: EventCatalogChanged, Term: term, N: int64(index), Text: what})
	}
	c.node.commands.applied(&cmd, res)
	return nil
}

// admit reports whether a command is applied for the first time and in order.
func (c *catalog) admit(cmd *command) bool {
	b := c.broker(cmd.Origin)
	if b == nil {
		if cmd.Register == nil || c.admissible(cmd.Register) != nil {
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
	if cmd.Register != nil && c.admissible(cmd.Register) != nil {
		return false
	}
	b.Session, b.Seq = cmd.Session, cmd.Seq
	return true
}

// register notes a broker. With a new incarnation it lost its disk, so its replicas are gone: each
// gets a new number, upon which the leaders of their groups replace them.
func (c *catalog) register(cmd *register) {
	b := c.broker(cmd.ID)
	lost := b.Incarnation != 0 && cmd.Incarnation > b.Incarnation
	b.Member, b.Incarnation, b.Removed = cmd.Member, cmd.Incarnation, false
	b.Start, b.Began = cmd.Start, cmd.Began
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
	for _, b := range slices.Concat(cmd.Replicas...) {
		if m := c.broker(b); m != nil && m.Removed {
			return kafka.Errorf(kerr.InvalidReplicaAssignment, "broker %d is not in the cluster", b)
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

// reassign sets where a partition's replicas shall be. A replica that is there already stays.
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

// wantedFor returns where a group's replicas shall be; nil for a partition that was deleted.
func (c *catalog) wantedFor(g GroupID) *wanted {
	if g == 0 {
		return c.wantedHere()
	}
	p := c.byGroup[g]
	if p == nil {
		return nil
	}
	w := &wanted{}
	for _, r := range p.goal() {
		w.voters = append(w.voters, r.id())
	}
	return w
}

// maxCatalogVoters bounds the voters of group 0; the other brokers follow as learners.
const maxCatalogVoters = 5

// wantedHere returns the replicas of group 0: one on every broker. Founders that have not registered
// yet keep theirs.
func (c *catalog) wantedHere() *wanted {
	w := &wanted{}
	var ids []uint64
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
	n := min(len(ids), maxCatalogVoters)
	w.voters, w.learners = ids[:n], ids[n:]
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

// id tells a topic from others that had the same name before or get it later. Ids grow.
func (t *topicMeta) id() GroupID { return t.Partitions[0].Group }

// config returns a topic's own value of a configuration.
func (t *topicMeta) config(name string) (string, bool) {
	i := sort.Search(len(t.Configs), func(i int) bool { return t.Configs[i].Name >= name })
	if i < len(t.Configs) && t.Configs[i].Name == name {
		return t.Configs[i].Value, true
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

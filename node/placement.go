// SPDX-License-Identifier: Apache-2.0

package node

import (
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// Where the replicas of new partitions go is decided by the broker that is asked for them, by whom it hears.
// A broker that is dead, or whose disk is full, gets replicas only if the others are too few, as in Kafka; and
// not the majority of a partition, which could never elect a leader.

// hosts are the brokers of the cluster, ascending: those that can serve now, those that can't, and those that could but
// have as many replicas as they take. They must not be changed.
type hosts struct {
	able, unable, full []BrokerID

	machines machines   // of those that name one
	order    []BrokerID // the able ones as they take turns
}

// count returns on how many machines they are: the most replicas that a partition can have.
func (h *hosts) count() int { return h.machines.count(h.able, h.unable, h.full) }

func (h *hosts) brokers() int { return len(h.able) + len(h.unable) + len(h.full) }

// candidates lists the brokers that replicas can be placed on. A request may ask for very many topics, so the list is
// made once in a step.
func (n *Node) candidates() *hosts {
	if n.hosts == nil {
		n.hosts = n.hostsBelow(n.cfg.MaxPartitionsPerBroker)
	}
	return n.hosts
}

// hostsBelow does the same for a number of replicas that a broker takes.
func (n *Node) hostsBelow(most int) *hosts {
	h := &hosts{machines: n.machines()}
	for _, m := range n.members() {
		n.out.Work.Names++
		switch {
		case n.unlocated(m.ID):
		case n.catalog.hosted[m.ID] >= most:
			h.full = append(h.full, m.ID)
		case n.alive(m.ID) && n.hasRoom(m.ID):
			h.able = append(h.able, m.ID)
		default:
			h.unable = append(h.unable, m.ID)
		}
	}
	h.order = h.machines.interleaved(h.able)
	return h
}

// place spreads the replicas of a new topic over the brokers: each partition starts one broker
// further, so that preferred leaders are spread too.
func (n *Node) place(partitions int32, replicas int16) ([][]BrokerID, error) {
	return n.placeWithin(len(n.catalog.topics), int(partitions), int(replicas))
}

// placeOwn does the same for the brokers' own topic, which has no limit.
func (n *Node) placeOwn(partitions int32, replicas int16) ([][]BrokerID, error) {
	return n.spread(n.hostsBelow(math.MaxInt), len(n.catalog.topics), int(partitions), int(replicas))
}

// placeMore goes on where place began when the topic was created: one broker further per partition.
func (n *Node) placeMore(t *topicMeta, more, replicas int) ([][]BrokerID, error) {
	first := max(0, slices.Index(n.candidates().order, t.Partitions[0].Replicas[0].Broker))
	return n.placeWithin(first+len(t.Partitions), more, replicas)
}

// placeWithin spreads replicas over brokers that take so many.
func (n *Node) placeWithin(start, partitions, replicas int) ([][]BrokerID, error) {
	h, most := n.candidates(), n.cfg.MaxPartitionsPerBroker
	if have := h.machines.count(h.able, h.unable); len(h.full) > 0 && replicas <= h.count() && (replicas > have || majority(replicas) > h.machines.count(h.able)) {
		return nil, n.catalog.tooMany(h.full[0], most)
	}
	placement, err := n.spread(h, start, partitions, replicas)
	if err == nil {
		err = n.catalog.checkHosted(placement, most)
	}
	return placement, err
}

func (n *Node) spread(h *hosts, start, partitions, replicas int) ([][]BrokerID, error) {
	if n.joining() {
		return nil, errJoining
	}
	able := h.machines.count(h.able)
	switch all := h.count(); {
	case replicas > all && all < h.brokers():
		return nil, kafka.Errorf(kerr.InvalidReplicationFactor,
			"replication factor %d, but the cluster's %d brokers are on %d machines, and no two replicas of a partition are on one; add machines, or ask for at most %d", replicas, h.brokers(), all, all)
	case replicas < 1 || replicas > all:
		return nil, kafka.Errorf(kerr.InvalidReplicationFactor, "replication factor %d, but the cluster has %d brokers", replicas, all)
	case majority(replicas) > able:
		return nil, kafka.Errorf(kerr.InvalidReplicationFactor,
			"replication factor %d, but only %d of the %d %s can take replicas now, and a partition needs a majority of its own to be led; start the others, or make room on their disks",
			replicas, able, all, h.kind())
	}
	n.out.Work.Parts += partitions / 8
	placement, room := make([][]BrokerID, partitions), make([]BrokerID, partitions*replicas)
	for p := range placement {
		placement[p] = h.pick(room[p*replicas:p*replicas:(p+1)*replicas], start+p, replicas)
	}
	return placement, nil
}

// kind names what replicas are spread over.
func (h *hosts) kind() string {
	if h.count() < h.brokers() {
		return "machines"
	}
	return "brokers"
}

// pick adds brokers of one partition to a list, those that are able first, from a place in their order on. No two are on one machine.
func (h *hosts) pick(to []BrokerID, start, replicas int) []BrokerID {
	for _, list := range [...][]BrokerID{h.order, h.unable} {
		first := start + len(to)
		for i := 0; i < len(list) && len(to) < replicas; i++ {
			b := list[(first+i)%len(list)]
			if _, taken := h.machines.among(to, b); !taken {
				to = append(to, b)
			}
		}
	}
	return to
}

// defaultReplicas is how many replicas a topic gets whose creator does not say.
func (n *Node) defaultReplicas() int16 {
	return min(n.cfg.DefaultReplicas, int16(n.candidates().count()))
}

// checkNewPlacement checks replicas that a client chose for new partitions.
func (n *Node) checkNewPlacement(placement [][]BrokerID) error {
	if len(placement) > maxPartitions {
		return kafka.Errorf(kerr.InvalidPartitions, "%d partitions; a topic has at most %d", len(placement), maxPartitions)
	}
	if err := n.checkPlacement(placement); err != nil {
		return err
	}
	if err := n.catalog.checkHosted(placement, n.cfg.MaxPartitionsPerBroker); err != nil {
		return err
	}
	able := n.candidates().able
	for i, replicas := range placement {
		there := 0
		for _, b := range replicas {
			_, ok := slices.BinarySearch(able, b)
			there += btoi(ok)
		}
		if there < majority(len(replicas)) {
			return kafka.Errorf(kerr.InvalidReplicaAssignment,
				"partition %d is assigned to %v, of which only %d can take a replica now, and it needs a majority to be led; the brokers that can are %v", i, replicas, there, able)
		}
	}
	return nil
}

// checkPlacement checks replicas that a client chose itself.
func (n *Node) checkPlacement(placement [][]BrokerID) error {
	if n.joining() {
		return errJoining
	}
	last := make(map[BrokerID]int) // partition that names a broker, plus one
	for i, replicas := range placement {
		n.out.Work.Parts += len(replicas) / 32
		if len(replicas) == 0 || len(replicas) != len(placement[0]) {
			return kafka.Errorf(kerr.InvalidReplicaAssignment, "partition %d has %d replicas; give every partition the same number", i, len(replicas))
		}
		for _, b := range replicas {
			again := last[b] == i+1
			last[b] = i + 1
			if again {
				return kafka.Errorf(kerr.InvalidReplicaAssignment, "partition %d names broker %d twice", i, b)
			}
			if b != n.self && n.peer(b) == nil {
				return kafka.Errorf(kerr.InvalidReplicaAssignment, "partition %d names broker %d, which is not in the cluster", i, b)
			}
		}
	}
	return n.checkMachines(placement)
}

// brokerRegistered is called by the catalog. Replicas on this broker wait for its registration:
// before, the catalog may still speak of replicas that an earlier incarnation lost.
func (n *Node) brokerRegistered(m *Member) {
	if n.catalog.group == nil {
		return
	}
	n.addPeer(m.ID)
	n.forgetHosts()
	n.tellMembers = true
	if m.ID == n.self {
		n.placeAll()
	}
}

// replicasAsWanted is called by a group's leader when its replicas are where they should be. It reports whether nothing is left to
// do.
func (n *Node) replicasAsWanted(g *group) bool {
	p := n.catalog.byGroup[g.id]
	switch {
	case p == nil:
		return false
	case p.moving() && !p.reported && !g.confKnown():
		g.confTicks = 1
	case p.moving():
		if !p.reported {
			p.reported = true
			n.commands.submit(command{Reassigned: &reassigned{g.id, p.goal(), p.Moves}}, func(commandResult) {})
		}
	case n.now.Sub(g.servingSince) > balanceAfter && !n.rebalancing(g.id):
		g.balance(p.Replicas[0].Broker, "")
	}
	return !p.moving() && p.Replicas[0].Broker == n.self
}

// balanceAfter is how long a leader leads before it looks whether another replica is preferred.
const balanceAfter = 5 * time.Second

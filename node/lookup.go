// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// namedPartition is a partition as a request names it.
type namedPartition struct {
	topic string
	index int32
}

// topicName returns the name of a topic that a request names by its name, or from a version on by
// its id.
func (n *Node) topicName(byID bool, name string, id [16]byte) (string, error) {
	if !byID {
		return name, nil
	}
	if t := n.catalog.byID[id]; t != nil {
		return t.Name, nil
	}
	return "", kafka.Errorf(kerr.UnknownTopicID, "no topic has the id %x", id)
}

// leaderOf returns the leader of a partition and its epoch, as far as this broker knows; -1 if it
// doesn't.
func (n *Node) leaderOf(p *partitionMeta) (BrokerID, int32) {
	if g := n.group(p.Group); g != nil && !g.closed {
		leader := brokerOf(g.lead)
		if p := n.peer(leader); p != nil && p.lost {
			return -1, -1
		}
		return leader, leaderEpoch(g.term)
	}
	if p.hint.term == 0 || !n.alive(p.hint.leader) {
		return -1, -1
	}
	return p.hint.leader, leaderEpoch(p.hint.term)
}

// replicaFor returns this broker's replica of a partition, whether it leads or not.
func (n *Node) replicaFor(topic string, index int32) (*partition, error) {
	meta := n.catalog.partition(topic, index)
	if meta == nil {
		return nil, kafka.Errorf(kerr.UnknownTopicOrPartition, "partition %d of topic %q does not exist", index, topic)
	}
	if meta.Topic.Internal {
		return nil, errBrokersOwn(topic)
	}
	part := n.partitions[meta.Group]
	if part == nil {
		return nil, errLedElsewhere(topic, index)
	}
	return part, nil
}

func errLedElsewhere(topic string, index int32) error {
	return kafka.Errorf(kerr.NotLeaderForPartition, "this broker does not lead partition %d of %q", index, topic)
}

// partitionFor finds the partition that this broker leads.
func (n *Node) partitionFor(topic string, index int32) (*partition, error) {
	part, err := n.replicaFor(topic, index)
	if err == nil && brokerOf(part.group.lead) != n.self {
		err = errLedElsewhere(topic, index)
	}
	if err != nil {
		return nil, err
	}
	return part, nil
}

// readable finds a partition of which this broker may answer reads now. Partitions of __consumer_offsets have
// readableCoordinator.
func (n *Node) readable(topic string, index int32, epoch int32) (*partition, error) {
	p, err := n.replicaFor(topic, index)
	switch {
	case err != nil:
		return nil, err
	case p.group.checkEpoch(epoch) != nil: // before the question who leads, as in Kafka: a client that knows more isn't behind
		return nil, p.group.checkEpoch(epoch)
	case brokerOf(p.group.lead) != n.self:
		return nil, errLedElsewhere(topic, index)
	case !p.leads():
		return nil, kerr.NotLeaderForPartition // a new leader that doesn't know its high watermark yet
	}
	return p, nil
}

// checkEpoch fences clients that know of another leadership than this replica (KIP-320).
func (g *group) checkEpoch(epoch int32) error {
	switch {
	case epoch >= 0 && epoch < leaderEpoch(g.term):
		return kerr.FencedLeaderEpoch
	case epoch > leaderEpoch(g.term):
		return kerr.UnknownLeaderEpoch
	}
	return nil
}

// How long the answer to a request that makes partitions waits for their leaders, at most, and how
// often it looks. Kafka's controller names the leader when it makes a partition; here the replicas
// elect one, within a few milliseconds. A client that asks for metadata right after the answer must find it.
const (
	ledPatience = 2 * time.Second
	ledCheck    = 5 * time.Millisecond
)

// whenLed calls done when this broker knows the leader of each of some partitions, or after ledPatience. It doesn't call
// done if the request is over before that.
func (n *Node) whenLed(r *request, partitions []*partitionMeta, done func()) {
	end := n.now.Add(ledPatience)
	var check func()
	check = func() {
		if r.over() { // it would look again and again for one that is gone
			return
		}
		for looked := 1; n.now < end && len(partitions) > 0; looked++ {
			if !n.led(partitions[0]) {
				n.deadlines.Add(n.now.Add(ledCheck), check)
				return
			}
			partitions = partitions[1:] // those that were led once needn't be looked at again
			if looked%32 == 0 {
				if n.out.Work.Parts++; n.spent(1) {
					n.deadlines.Add(n.now, check)
					return
				}
			}
		}
		done()
	}
	check()
}

// led reports whether a partition has a leader that is known here and, if that is this broker, serves.
func (n *Node) led(p *partitionMeta) bool {
	leader, _ := n.leaderOf(p)
	g := n.group(p.Group)
	return leader >= 0 && (leader != n.self || g != nil && g.serving)
}

// eachAsked calls do for every partition that a request names, once for each, or for all that there are. One that
// doesn't exist is nil.
func (n *Node) eachAsked(r *request, all bool, topics int, topic func(i int) (string, []int32), do func(key namedPartition, p *partitionMeta), then func()) {
	if all {
		list := slices.Clone(n.catalog.topics)
		n.eachPart(r, len(list), func(i int) int { return len(list[i].Partitions) }, func(i, j int) {
			do(namedPartition{list[i].Name, int32(j)}, list[i].Partitions[j])
		}, then)
		return
	}
	asked := make(map[namedPartition]bool)
	var name string
	var partitions []int32
	n.eachPart(r, topics, func(i int) int {
		name, partitions = topic(i)
		return len(partitions)
	}, func(_, j int) {
		key := namedPartition{name, partitions[j]}
		if !asked[key] {
			asked[key] = true
			do(key, n.catalog.partition(name, partitions[j]))
		}
	}, then)
}

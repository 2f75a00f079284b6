// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
	"chronik/node/step"
)

// joining reports whether this broker has yet to learn who is in the cluster: it joins, or comes back with an
// empty disk, and knows only its configuration. Until then it places no topic, since that would get too few
// replicas.
func (n *Node) joining() bool {
	return n.cfg.Incarnation != founder && !n.catalog.knowsThisIncarnation()
}

// errJoining is the answer to a request that needs a topic placed.
var errJoining = kafka.Errorf(kerr.NotController, "this broker is joining the cluster and doesn't know all brokers yet; try again, or ask another one")

// members lists all brokers of the cluster, ascending: those that registered, and the others in this one's
// configuration. A broker that was only mentioned by others is contacted, but counts for nothing until it registers.
func (n *Node) members() []*Member {
	all := make([]*Member, 0, len(n.catalog.brokers)+n.configured)
	for _, b := range n.catalog.brokers {
		if !b.Removed {
			all = append(all, &b.Member)
		}
	}
	for i := range n.cfg.Members[:n.configured] {
		if m := &n.cfg.Members[i]; n.catalog.broker(m.ID) == nil {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *Member) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// member returns a broker's address, nil if it isn't in the cluster.
func (n *Node) member(id BrokerID) *Member {
	if b := n.catalog.broker(id); b != nil {
		if b.Removed {
			return nil
		}
		return &b.Member
	}
	for i := range n.cfg.Members {
		if n.cfg.Members[i].ID == id {
			return &n.cfg.Members[i]
		}
	}
	return nil
}

// liveBrokers lists the brokers of the cluster, ascending, without those that have been dead for a while.
// A broker that only restarts stays in the list. Newer versions of librdkafka drop a broker that is missing from one
// answer, and if it was the coordinator of a group, they wait for ever.
func (n *Node) liveBrokers() []*Member {
	return slices.DeleteFunc(n.members(), func(m *Member) bool {
		p := n.peer(m.ID)
		return p != nil && n.now.Sub(p.heard) >= brokerSession
	})
}

// brokerSession is how long a dead broker stays in metadata, Kafka's broker.session.timeout.ms.
const brokerSession = 9 * time.Second

// controller is the leader of group 0, which Kafka's clients send administrative requests to; -1
// while there is none.
func (n *Node) controller() int32 { return int32(brokerOf(n.catalog.group.lead)) }

// controllerFor is the same for the clients of a listener. If they can't reach that broker, it is this one, which takes
// administrative requests as well.
func (n *Node) controllerFor(listener string) int32 {
	if c := n.controller(); c < 0 || n.reachable(BrokerID(c), listener) {
		return c
	}
	return int32(n.self)
}

// unregistered counts the brokers that others have mentioned and the catalog doesn't know.
func (n *Node) unregistered() (count int) {
	for _, m := range n.cfg.Members {
		if n.catalog.broker(m.ID) == nil {
			count++
		}
	}
	return count
}

// correspondents lists the brokers that this one talks to: the members, and those that were removed
// until they had a chance to hear of it.
func (n *Node) correspondents() []Member {
	var all []Member
	for _, m := range n.members() {
		all = append(all, *m)
	}
	for _, m := range n.cfg.Members[n.configured:] {
		if n.catalog.broker(m.ID) == nil {
			all = append(all, m)
		}
	}
	for _, b := range n.catalog.brokers {
		if p := n.peer(b.ID); b.Removed && (n.catalog.countsOn(b.ID) || p != nil && p.telling) {
			all = append(all, b.Member)
		}
	}
	return all
}

func appendMembers(envelope []byte, members []Member) []byte {
	text, err := json.Marshal(members)
	step.Assert(err == nil, "members can be encoded: %v", err)
	return appendBytes(append(envelope, itemMembers), text)
}

// receiveMembers notes the addresses of brokers that another broker mentions and this one's catalog doesn't know yet.
func (n *Node) receiveMembers(from BrokerID, r *reader) {
	var members []Member
	if err := json.Unmarshal(r.bytes(), &members); err != nil {
		r.fail()
		return
	}
	if len(members) > maxBrokers {
		r.fail()
		return
	}
	for _, m := range members {
		if m.check() != "" {
			r.fail()
			return
		}
		if n.founding.open {
			m.Folder = "" // it may still be emptied and formatted again
		}
		i := slices.IndexFunc(n.cfg.Members, func(o Member) bool { return o.ID == m.ID })
		switch {
		case m.ID == n.self || n.catalog.broker(m.ID) != nil || i >= 0 && n.cfg.Members[i].equal(&m):
			continue
		case i < 0 && !n.joining() && n.unregistered() >= maxUnregistered:
			n.event(Event{Kind: EventEnvelopeRefused, N: int64(from), Text: "it tells of more brokers that never registered"})
			return
		case i >= 0:
			n.cfg.Members[i] = m
		default:
			n.cfg.Members = append(n.cfg.Members, m)
		}
		n.addPeer(m.ID)
		n.tellMembers = true
	}
}

// introduce tells its address to a broker that doesn't answer. That one may not know it: it was cut off while
// this one joined, and can't hear of it from the catalog if this one leads that by now.
func (n *Node) introduce(p *peer) {
	if n.alive(p.id) || n.now.Sub(p.met) < n.electionTimeout() {
		return
	}
	p.met = n.now
	all := n.correspondents()
	if i := slices.IndexFunc(all, func(m Member) bool { return m.ID == n.self }); i >= 0 {
		p.envelope = appendMembers(p.begin(), all[i:i+1])
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"go.etcd.io/raft/v3"
)

// sharesMachine reports whether two brokers are one, or on one machine.
func (n *Node) sharesMachine(a, b BrokerID) bool { return a == b || n.member(a).near(n.member(b)) }

// near reports whether two brokers name the same machine. One that isn't known, nil, is alone on one.
func (m *Member) near(o *Member) bool {
	return m != nil && o != nil && m.Machine != "" && m.Machine == o.Machine
}

// firstVoters picks the voters of group 0 from replicas in ascending order: one on a machine, and not too many. The others are learners.
func firstVoters(ids []uint64, most int, shared func(a, b BrokerID) bool) (voters, learners []uint64) {
	for _, id := range ids {
		near := func(v uint64) bool { return shared(brokerOf(v), brokerOf(id)) }
		if len(voters) < most && !slices.ContainsFunc(voters, near) {
			voters = append(voters, id)
		} else {
			learners = append(learners, id)
		}
	}
	return voters, learners
}

// makeWay lets a leader that isn't to stay go first, if one of the new voters is on its machine. Otherwise both would vote until the
// leader goes, and the machine would take two with it. If no replica that stays can lead, there is no other way.
func (g *group) makeWay(want *wanted, next []uint64) bool {
	n := g.node
	near := func(id uint64) bool { return id != g.self && n.sharesMachine(brokerOf(id), n.self) }
	if slices.Contains(want.voters, g.self) || !slices.ContainsFunc(next, near) {
		return false
	}
	for _, id := range want.voters {
		if b := brokerOf(id); slices.Contains(g.conf.Voters, id) && n.alive(b) && n.hasRoom(b) && g.caughtUp(id) {
			if g.rn.BasicStatus().LeadTransferee == raft.None {
				g.balance(b, "")
			}
			return true
		}
	}
	return false
}

// crowded reports whether two voters of a group are on one machine.
func (g *group) crowded() bool {
	m := g.node.machines()
	if m == nil {
		return false
	}
	for i, id := range g.conf.Voters {
		for _, other := range g.conf.Voters[:i] {
			if m.shared(brokerOf(id), brokerOf(other)) {
				return true
			}
		}
	}
	return false
}

// onOneMachine is sharesMachine by what the catalog has alone.
func (c *catalog) onOneMachine(a, b BrokerID) bool {
	x, y := c.broker(a), c.broker(b)
	return a == b || x != nil && y != nil && x.near(&y.Member)
}

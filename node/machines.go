// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/kafka"
)

// A machine may run several brokers, one for each core that they are to use, and takes all of them with it when it dies. So each says
// on which machine it is (Member.Machine), and no two replicas of a partition are on one machine, nor two voters of group 0. A broker
// that says nothing is alone on one. A rack is something else: clients hear of it, and it bounds nothing.
//
// Where replicas go is decided by the broker that is asked, and who votes in group 0 by its leader, from what they know. Nobody has to
// agree with them: the decision stands in the command, or in the change of the group's replicas. So the name of the machine is a
// field of the registration that earlier releases pass over. They forget it, too, and place regardless of it. Therefore a
// broker that names a machine registers again when the process of another one registers, which may be of another release than before.
//
// A broker that moves to another machine keeps its replicas, and may find a second one of a partition there: that is reported
// (GroupStats.Crowded), and an operator moves one of them.

// machines says on which machine brokers are that name one.
type machines map[BrokerID]string

// shared reports whether two brokers are one, or on one machine.
func (m machines) shared(a, b BrokerID) bool {
	on, named := m[a]
	return a == b || named && on == m[b]
}

// among returns a broker of a list that shares a machine with another one.
func (m machines) among(list []BrokerID, with BrokerID) (BrokerID, bool) {
	if m[with] == "" {
		return 0, false
	}
	i := slices.IndexFunc(list, func(b BrokerID) bool { return m.shared(b, with) })
	if i < 0 {
		return 0, false
	}
	return list[i], true
}

// count returns on how many machines brokers are.
func (m machines) count(lists ...[]BrokerID) (count int) {
	var seen map[string]bool
	for _, list := range lists {
		for _, b := range list {
			on, named := m[b]
			if named && seen[on] {
				continue
			}
			if named {
				if seen == nil {
					seen = make(map[string]bool)
				}
				seen[on] = true
			}
			count++
		}
	}
	return count
}

// interleaved orders brokers so that those of one machine are far from each other: first one of each machine, then the second ones.
// Whoever goes on by one broker for each partition then spreads replicas evenly.
func (m machines) interleaved(list []BrokerID) []BrokerID {
	if len(m) == 0 {
		return list
	}
	before := make(map[string]int)
	type place struct {
		broker BrokerID
		round  int
	}
	places := make([]place, len(list))
	for i, b := range list {
		places[i].broker = b
		if on, named := m[b]; named {
			places[i].round = before[on]
			before[on]++
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.round, b.round) })
	ordered := make([]BrokerID, len(list))
	for i, p := range places {
		ordered[i] = p.broker
	}
	return ordered
}

// machines says where the cluster's brokers are, as of this step; nil if none names a machine.
func (n *Node) machines() machines {
	if n.looked {
		return n.onMachines
	}
	n.looked = true
	for _, m := range n.members() {
		if m.Machine != "" {
			if n.onMachines == nil {
				n.onMachines = make(machines)
			}
			n.onMachines[m.ID] = m.Machine
		}
	}
	return n.onMachines
}

// unlocated reports whether a broker may be on the machine of another one: this broker knows it from its configuration, or from others,
// and nobody has said where it is. It says so when it registers.
func (n *Node) unlocated(id BrokerID) bool {
	m := n.machines()
	return m != nil && m[id] == "" && n.catalog.broker(id) == nil
}

// forgetHosts is called when what is known of the brokers may have changed.
func (n *Node) forgetHosts() { n.hosts, n.onMachines, n.looked = nil, nil, false }

// tellMachine registers this broker again, if it names a machine: another process has registered, and what it knows of the brokers may be
// what an earlier release wrote down, without machines. It learns this registration after its own, which is in the log before.
func (n *Node) tellMachine() {
	if n.catalog.group == nil || n.telling || n.cfg.selfMember().Machine == "" || !n.catalog.knowsThisIncarnation() {
		return
	}
	n.telling = true
	n.commands.submit(command{Register: n.registration()}, func(commandResult) { n.telling = false })
}

// checkMachines refuses replicas that a client chose, if two of a partition would be on one machine.
func (n *Node) checkMachines(placement [][]BrokerID) error {
	named := n.machines()
	if named == nil {
		return nil
	}
	for i, replicas := range placement {
		n.out.Work.Parts += len(replicas) / 16
		for r, b := range replicas {
			if n.unlocated(b) {
				return kafka.Errorf(kerr.InvalidReplicaAssignment, "partition %d names broker %d, which hasn't registered yet, so nobody knows on which machine it is; try again when it runs", i, b)
			}
			if other, two := named.among(replicas[:r], b); two {
				return kafka.Errorf(kerr.InvalidReplicaAssignment,
					"partition %d is assigned to the brokers %d and %d, which are both on machine %q and die with it: name one broker of each machine; there are %d machines",
					i, other, b, named[b], n.candidates().count())
			}
		}
	}
	return nil
}

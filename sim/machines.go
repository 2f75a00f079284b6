// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"strconv"

	"chronik/node"
)

// Where a plan has machines, brokers share them: what ends a broker's process, or takes its power, does so to all brokers of its machine. No
// partition may have two replicas on one, nor group 0 two voters, wherever the catalog wants replicas, and what clients ask for.

// machineName is the machine that a broker names; "" if each has its own.
func (w *world) machineName(broker int) string {
	if w.plan.Machines == 0 {
		return ""
	}
	return "m" + strconv.Itoa(w.plan.Machine(broker))
}

// withMates adds to brokers those that share a machine with one of them.
func (w *world) withMates(brokers []*broker) []*broker {
	if w.plan.Machines == 0 {
		return brokers
	}
	all := slices.Clone(brokers)
	for _, b := range w.brokers {
		near := func(o *broker) bool { return w.plan.Machine(o.number) == w.plan.Machine(b.number) }
		if !slices.Contains(brokers, b) && slices.ContainsFunc(brokers, near) {
			all = append(all, b)
		}
	}
	return all
}

// together returns two brokers of a list that share a machine.
func (w *world) together(brokers []node.BrokerID) (a, b node.BrokerID, found bool) {
	for i, b := range brokers {
		for _, a := range brokers[:i] {
			if w.plan.Machine(int(a)) == w.plan.Machine(int(b)) {
				return a, b, true
			}
		}
	}
	return 0, 0, false
}

// checkMachines looks at where a broker's copy of the catalog wants replicas, and who votes in group 0. While a leader of that goes
// away because its broker was removed, it still votes, and so may another broker of its machine.
func (w *world) checkMachines(b *broker, v *node.View) {
	if w.plan.Machines == 0 || v.Group != 0 {
		return
	}
	for _, ids := range [][]uint64{v.Voters, v.Outgoing} {
		if x, y, crowded := w.together(brokersOf(ids)); crowded && !w.plan.Leaves(int(x)) && !w.plan.Leaves(int(y)) {
			w.fail("machines", "as broker %d has it, the brokers %d and %d vote on the catalog and are both on machine %d", b.number, x, y, w.plan.Machine(int(x)))
		}
	}
	for _, g := range w.judge.groups {
		for _, list := range b.node.Placement(g.id) {
			if x, y, crowded := w.together(list); crowded {
				w.fail("machines", "broker %d has %s/%d on the brokers %v, of which %d and %d are both on machine %d", b.number, g.topic, g.partition, list, x, y, w.plan.Machine(int(x)))
			}
		}
	}
}

func brokersOf(ids []uint64) (list []node.BrokerID) {
	for _, id := range ids {
		list = append(list, node.BrokerID(id>>32))
	}
	return list
}

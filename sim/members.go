// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"strconv"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// This file is what an operator does to machines: they join with an empty disk, get a new disk in the
// place of a broken one, and are taken away when their broker has left the cluster.

// members are the brokers that b can find the cluster by: for a founder all founders, for others some
// of those that were there when its disk was made, and among them one that never leaves.
func (w *world) members(b *broker) []node.Member {
	if b.first != nil {
		return elsewhere(b, w.members(b.first))
	}
	if b.diskNumber == 1 {
		return w.foundersOf(b)
	}
	var members []node.Member
	for _, o := range w.brokers {
		if o == b || b.diskNumber > 1 && w.knows(b, o.number) {
			members = append(members, machine(o.number))
		}
	}
	return members
}

// machine is where a broker is, for clients and for other brokers.
func machine(number int) node.Member {
	return node.Member{ID: node.BrokerID(number), Host: host(number), Port: 9092, Peer: host(number)}
}

// rackOf is the rack in which a broker is; "" if the plan has none.
func (w *world) rackOf(number int) string {
	if w.plan.Racks == 0 {
		return ""
	}
	return rackName(1 + number%w.plan.Racks)
}

// inRacks says of brokers in which rack and on which machine they are.
func (w *world) inRacks(members []node.Member) []node.Member {
	for i := range members {
		members[i].Rack, members[i].Machine = w.rackOf(int(members[i].ID)), w.machineName(int(members[i].ID))
	}
	return members
}

func rackName(rack int) string {
	if rack == 0 {
		return ""
	}
	return "r" + strconv.Itoa(rack)
}

// dial notes at which machines a broker looks for the others.
func (w *world) dial(b *broker, members []node.Member) {
	if members == nil {
		return
	}
	clear(b.dials[:])
	for _, m := range members {
		if int(m.ID) <= len(w.brokers) {
			b.dials[m.ID] = slices.IndexFunc(w.brokers, func(o *broker) bool { return host(o.number) == m.Peer }) + 1
		}
	}
}

// knows says whether a broker that joined was told of another one.
func (w *world) knows(b *broker, number int) bool {
	if !b.met[number] {
		return false
	}
	var stay []int
	for n, met := range b.met {
		if met && !w.plan.Leaves(n) {
			stay = append(stay, n)
		}
	}
	who := keyed.Pair(b.number, int(b.diskNumber))
	if len(stay) == 0 || number == stay[w.seed.Draw(domainMembers, who, 0).Below(int64(len(stay)))] {
		return true
	}
	return w.seed.Draw(domainMembers, who, uint64(number)).Ratio(1, 2)
}

// newDisk gives a machine an empty disk; whoever is in the cluster now can tell it of the others.
func (w *world) newDisk(b *broker) {
	w.judge.lostDisk(b)
	b.diskNumber = max(b.diskNumber, 1) + 1
	b.disk = newDisk(w.seed, keyed.Pair(b.number, int(b.diskNumber)))
	b.disk.full = b.full > 0
	b.limbo, b.lent = nil, nil
	b.leaving, b.away = false, false
	for _, o := range w.brokers {
		b.met[o.number] = o != b && o.diskNumber > 0 && !o.leaving
	}
}

// join starts a broker that isn't in the cluster.
func (w *world) join(b *broker) bool {
	if b.diskNumber > 0 && !b.leaving {
		return false
	}
	w.takeAway(b)
	w.newDisk(b)
	w.boot(b)
	return true
}

// loseDisk lets a broker die and come back with an empty disk, if no record can be lost by that.
func (w *world) loseDisk(b *broker, down node.Time) bool {
	if b.diskNumber == 0 || b.leaving || !w.plan.Beyond() && (w.founding() || !w.begun(b) || !w.spare(b)) {
		return false
	}
	w.crash(b, true, down)
	w.newDisk(b)
	return true
}

// begun says that a disk other than this broker's shows that the cluster was founded. That the founders heard each other is
// in their memory only: if all were started again before the catalog's first entry was committed, they would wait for
// the founder whose disk was lost, which comes back to join and founds nothing.
func (w *world) begun(b *broker) bool {
	return slices.ContainsFunc(w.brokers, func(o *broker) bool {
		return o != b && o.diskNumber > 0 && !o.leaving && !o.away && o.disk.commits(w.config(o).Log)(0) > 1
	})
}

// left is called when a broker was removed from the cluster: it goes on until it notices, and should disturb nobody.
func (w *world) left(b *broker) {
	b.leaving = true
	if w.seed.Draw(domainLeave, uint64(b.number), uint64(b.diskNumber)).Ratio(1, 2) {
		w.takeAway(b)
	}
}

// outOfCluster ends a broker that says that the cluster goes on without it. That is right only if an operator wanted it
// removed, it happened, and the catalog doesn't count on it any more. Its operator may try to start it again.
func (w *world) outOfCluster(b *broker, end *node.End) {
	if end.Kind != node.EndRemoved || !w.plan.Leaves(b.number) || b.removed != b.diskNumber {
		w.fail("ended", "broker %d ended, though nobody removed it: %v", b.number, end)
	}
	w.judge.checkLeft(w, b)
	again := w.seed.Draw(domainLeave, uint64(b.number), b.crashes).Next().Ratio(1, 4)
	b.leaving = true
	w.takeAway(b)
	if again && !w.healing {
		b.away = false
		w.schedule(event{at: w.now + span(w.seed.Draw(domainLeave, uint64(b.number), b.crashes), second), kind: evRestart, broker: b, incarnation: b.incarnation})
	}
}

// waitForEnds demands that brokers that were removed end by themselves.
func (w *world) waitForEnds() {
	running := func(b *broker) bool { return b.leaving && b.node != nil }
	if !w.runUntil(w.now+w.patience(), func() bool { return !slices.ContainsFunc(w.brokers, running) }) {
		w.fail("ended", "a broker that was removed still runs %v after all faults ended", plan.Duration(w.now-w.healedAt))
	}
}

// takeAway switches a machine off for good. One with an older copy of its folder is told apart by nobody any more.
func (w *world) takeAway(b *broker) {
	b.away, b.lent = true, nil
	if b.node != nil {
		w.crash(b, true, 0)
	}
	b.putNewestBack()
}

// spare says whether the cluster can do without what is on a broker's disk: the fault atlas. Raft
// never votes twice, since a replica that comes back has a new id; what has to be shown is that what
// is left can decide, now and after every change that may be under way, and so holds all that was
// decided. So at most one disk may be missing at a time: no replica may know a configuration, by what
// is durable, that counts on a disk which is lost already; and every group that counts on this one has
// three voters, and keeps that many. A partition that was founded before the catalog knew of a lost disk counts on it, too:
// so all of them must have been opened.
func (w *world) spare(b *broker) bool {
	j, stay := w.judge, 0
	for _, o := range w.brokers {
		if o.diskNumber > 0 && !o.leaving && !w.plan.Leaves(o.number) {
			stay++
		}
	}
	if stay < 3 || !w.placed() {
		return false
	}
	for _, o := range w.brokers {
		if o.diskNumber == 0 || o.leaving {
			continue
		}
		durable := o.disk.commits(w.config(o).Log)
		if o.placing {
			return false
		}
		for _, r := range j.seen[o.number] {
			newest := j.newestConfig(r.group)
			if !j.gone[r.group] && (durable(r.group) < newest || r.group == 0 && r.view.Applied < newest || !w.canSpare(b, r)) {
				return false
			}
		}
	}
	return true
}

// placed says that it is known on which disks the partitions are that may have too few replicas. One
// that is created while a disk is lost, and its broker isn't back, may be put on that disk.
func (w *world) placed() bool {
	for i := range w.plan.Topics {
		t := &w.plan.Topics[i]
		for p := range t.Partitions {
			if w.plan.FewestReplicas(t.Name, p) < 3 && (w.doomed[t.Name] || !w.judge.has(t.Name, p)) {
				return false
			}
		}
	}
	return true
}

// has says whether a partition's group is known.
func (j *judge) has(topic string, partition int32) bool {
	return slices.ContainsFunc(j.groups, func(g groupInfo) bool { return g.topic == topic && g.partition == partition })
}

// canSpare says whether a group can do without a broker, as one of its replicas sees it.
func (w *world) canSpare(b *broker, r *seenReplica) bool {
	all := append(replicaIDs(r.view.Voters), replicaIDs(r.view.Learners)...)
	for _, id := range append(replicaIDs(r.view.Outgoing), all...) {
		if !w.current(id, r.group) {
			return false
		}
	}
	few := r.group != 0 && w.plan.FewestReplicas(r.view.Topic, r.view.Partition) < 3
	for _, ids := range [][]checker.ReplicaID{all, replicaIDs(r.view.Voters), replicaIDs(r.view.Outgoing)} {
		for _, id := range ids {
			if int(id.Broker()) == b.number && (len(ids) < 3 || few) {
				return false
			}
		}
	}
	return true
}

// current says whether a replica is one that its broker has now, and not one that was lost.
func (w *world) current(id checker.ReplicaID, g node.GroupID) bool {
	b := w.brokers[id.Broker()-1]
	if b.away {
		return false
	}
	if g == 0 {
		return uint32(id) == b.diskNumber
	}
	r := w.judge.find(b, g)
	return r != nil && r.view.Self == uint64(id) && !w.isRotten(uint64(id), g)
}

// newestConfig is the entry of the newest configuration that any replica of a group applied.
func (j *judge) newestConfig(g node.GroupID) uint64 {
	newest := uint64(0)
	for _, seen := range j.seen {
		for _, r := range seen {
			if r.group == g {
				newest = max(newest, r.view.ConfIndex)
			}
		}
	}
	return newest
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// What brokers say of replicas in sync is judged twice: whoever comes into the list, as its leader keeps it, has what
// was committed a while ago, and when all is healed every broker says of every partition that all its replicas are.

// commitPoint is how far some group was known to be committed when.
type commitPoint struct {
	at    node.Time
	index uint64
}

// commitsKept bounds what is remembered of a group, commitStep how close in time two of them are.
const (
	commitsKept = 512
	commitStep  = node.Time(50 * millisecond)
)

// noteCommit remembers the commit index of a group.
func (j *judge) noteCommit(now node.Time, g node.GroupID, index uint64) {
	list := j.progress[g]
	if n := len(list); n > 0 && (index <= list[n-1].index || now < list[n-1].at+commitStep) {
		return
	}
	if len(list) == commitsKept {
		list = slices.Delete(list, 0, commitsKept/2)
	}
	j.progress[g] = append(list, commitPoint{now, index})
}

// committedBefore returns what of a group was committed at a time, or a little less.
func (j *judge) committedBefore(g node.GroupID, t node.Time) uint64 {
	list := j.progress[g]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].at <= t {
			return list[i].index
		}
	}
	return 0
}

// syncBound is how old the state may be that a follower has when it comes into the list: an election timeout by
// the leader's clock, and what a look, a message and a step take.
func (w *world) syncBound() node.Time {
	k := &w.plan.Knobs
	return 4 * node.Time(k.Tick) * node.Time(k.ElectionTicks)
}

// checkInSync looks who came into the list of a leader. One that was deposed and doesn't know it yet goes by what it
// knows. So does one that hears late what a broker said before it was put on an older copy of its folder.
func (j *judge) checkInSync(w *world, lead *broker, g node.GroupID) {
	was := j.inSync[lead.number][g]
	_, now := lead.node.InSync(g)
	j.inSync[lead.number][g] = now
	need := j.committedBefore(g, w.now-w.syncBound())
	for _, id := range now {
		b := w.brokers[id-1]
		if b == lead || slices.Contains(was, id) || b.node == nil || b.stray || j.deposed(lead, g) {
			continue
		}
		if v, ok := b.node.Inspect(g); ok && !v.Closed && v.LastIndex < need && !replaced(lead, &v) {
			w.fail("in-sync", "broker %d says that broker %d is in sync in group %d, with the entries up to %d, and up to %d was committed %v ago",
				lead.number, b.number, g, v.LastIndex, need, plan.Duration(w.syncBound()))
		}
	}
}

// replaced says that a leader doesn't know yet that a replica has taken the place of another one, on the same broker.
func replaced(lead *broker, v *node.View) bool {
	mine, _ := lead.node.Inspect(v.Group)
	return slices.ContainsFunc(mine.Voters, func(id uint64) bool {
		return id != v.Self && checker.ReplicaID(id).Broker() == checker.ReplicaID(v.Self).Broker()
	})
}

// newestTerm is the latest term of a group that some broker is in, 0 if it isn't there.
func (j *judge) newestTerm(g node.GroupID) (term uint64) {
	for _, replicas := range j.seen {
		for _, r := range replicas {
			if r.group == g {
				term = max(term, r.view.Term)
			}
		}
	}
	return term
}

// deposed says that some replica of a group is in a later term than a leader.
func (j *judge) deposed(lead *broker, g node.GroupID) bool {
	mine, ok := lead.node.Inspect(g)
	for n := range j.seen {
		if r := j.seen[n]; ok && n != lead.number {
			i := slices.IndexFunc(r, func(s *seenReplica) bool { return s.group == g })
			ok = i < 0 || r[i].view.Term <= mine.Term
		}
	}
	return !ok
}

// notInSync says which broker doesn't know yet that a replica of a group is in sync; "" if all do.
func (w *world) notInSync(g groupInfo, voters []uint64) string {
	if g.id == 0 {
		return ""
	}
	votes := replicaIDs(voters)
	for _, b := range w.brokers {
		if b.node == nil || b.leaving {
			continue
		}
		replicas, inSync := b.node.InSync(g.id)
		for _, id := range replicas {
			if !slices.Contains(inSync, id) && slices.ContainsFunc(votes, func(v checker.ReplicaID) bool { return v.Broker() == int32(id) }) {
				return fmt.Sprintf("broker %d says that of group %d's replicas only those on %v are in sync", b.number, g.id, inSync)
			}
		}
	}
	return ""
}

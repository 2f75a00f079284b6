// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"fmt"
	"slices"

	"chronik/checker"
	"chronik/node"
)

// mostBehind is how many bytes patience allows a follower to lack.
const mostBehind = 8 << 20

// converge demands that all replicas of each group come to the same state.
func (w *world) converge() {
	var why string
	if !w.runUntil(w.now+w.patience(), w.afterSteps(func() bool {
		why = w.difference()
		return why == ""
	})) {
		w.fail("liveness", "replicas don't become equal: %s", why)
	}
	w.compareStates()
}

// compareStates demands that replicas which have applied the same entries have the same state: offsets,
// leader epochs, producer windows, the catalog, consumer groups.
func (w *world) compareStates() {
	for _, g := range w.judge.groups {
		leader := w.leader(g.id)
		if w.judge.gone[g.id] || leader == nil {
			continue
		}
		want := leader.node.StateOf(g.id)
		for _, b := range w.brokers {
			if b == leader || b.node == nil {
				continue
			}
			if have := b.node.StateOf(g.id); have != nil && !bytes.Equal(have, want) {
				w.fail("state-equal", "brokers %d and %d have applied the same entries of group %d and have different states: %q and %q",
					leader.number, b.number, g.id, want, have)
			}
		}
	}
}

// difference says what still differs between replicas; "" if nothing does. The group that differed before is looked at first.
func (w *world) difference() string {
	groups := w.judge.groups
	if w.differs < len(groups) {
		if why := w.differenceIn(groups[w.differs]); why != "" {
			return why
		}
	}
	for i, g := range groups {
		if why := w.differenceIn(g); why != "" {
			w.differs = i
			return why
		}
	}
	return ""
}

func (w *world) differenceIn(g groupInfo) string {
	leader := w.leader(g.id)
	switch {
	case w.judge.gone[g.id]:
		return ""
	case leader == nil:
		return fmt.Sprintf("group %d has no leader", g.id)
	}
	v, _ := leader.node.Inspect(g.id)
	if a, b, crowded := w.together(brokersOf(v.Voters)); crowded {
		return fmt.Sprintf("group %d has voters on the brokers %d and %d, which are both on machine %d", g.id, a, b, w.plan.Machine(int(a)))
	}
	all := append(replicaIDs(v.Voters), replicaIDs(v.Learners)...)
	for _, id := range all {
		b := w.brokers[id.Broker()-1]
		if b.node == nil {
			return fmt.Sprintf("group %d counts on broker %v, which has left", g.id, id)
		}
		o, ok := b.node.Inspect(g.id)
		if why := unequal(&v, &o, ok && o.Self == uint64(id) && !o.Closed); why != "" {
			return fmt.Sprintf("group %d: %s", g.id, why)
		}
	}
	for _, b := range w.brokers {
		if b.node != nil && !slices.ContainsFunc(all, func(id checker.ReplicaID) bool { return int(id.Broker()) == b.number }) {
			if _, ok := b.node.Inspect(g.id); ok {
				return fmt.Sprintf("broker %d keeps a replica of group %d that has moved elsewhere", b.number, g.id)
			}
		}
	}
	return w.notInSync(g, v.Voters)
}

func unequal(v, o *node.View, ok bool) string {
	switch {
	case !ok:
		return "a broker doesn't have the replica that the others count on"
	case len(v.Outgoing) > 0:
		return "the configuration is still joint"
	case v.Lead < 0:
		return "a replica knows no leader"
	case v.LastIndex != o.LastIndex || v.Commit != o.Commit || v.Applied != o.Applied || v.Applied != v.LastIndex:
		return fmt.Sprintf("logs have different ends: broker %d has entries to %d, commit index %d, applied %d; the leader %d, %d, %d",
			node.BrokerID(o.Self>>32), o.LastIndex, o.Commit, o.Applied, v.LastIndex, v.Commit, v.Applied)
	case v.ConfIndex != o.ConfIndex:
		return "configurations differ"
	case v.HighWatermark != o.HighWatermark:
		return "high watermarks differ"
	}
	return ""
}

// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"testing"

	"chronik/sim/plan"
)

// TestListsAreMended guards against wrong lists that are drawn and change nothing.
func TestListsAreMended(t *testing.T) {
	const seeds = 600
	var all ListCount
	for s := range uint64(seeds) {
		p := mustGenerate(t, s, "clumsy")
		if len(p.Lists) == 0 {
			continue
		}
		r := Run(p, Options{})
		if r.Failure != nil {
			t.Errorf("seed %d: %v", s, r.Failure)
		}
		all.Emptied += r.Lists.Emptied
		all.Joined += r.Lists.Joined
		all.Ended += r.Lists.Ended
		all.Kept += r.Lists.Kept
		if min(all.Emptied, all.Joined, all.Ended, all.Kept) > 0 {
			return
		}
	}
	t.Errorf("of wrong lists came in %d seeds: %+v", seeds, all)
}

func TestOneClusterOnly(t *testing.T) {
	w := newWorld(mustGenerate(t, 1, "tiny"), Options{})
	w.plan.Lists = []plan.List{{Broker: 1, Members: []int{1, 2}}}
	if got := failureOf(w, func() { w.judge.leadsCatalog(w, w.brokers[1]) }); got != "two-clusters" {
		t.Errorf("a leader whose founders don't agree: %q", got)
	}
}

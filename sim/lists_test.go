// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strings"
	"testing"
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

// A plan in which two clusters are right can't be run.
func TestListsRefused(t *testing.T) {
	for _, c := range []struct {
		lists []List
		want  string
	}{
		{[]List{{Broker: 1, Members: []int{1}}, {Broker: 2, Members: []int{2}}}, "they can't know of each other"},
		{[]List{{Broker: 1, Members: []int{1, 2}}, {Broker: 2, Members: []int{1, 2}}}, "agree on a cluster of their own"},
		{[]List{{Broker: 1, Members: []int{2, 3}}}, "itself in it"},
		{[]List{{Broker: 1, Members: []int{1, 2, 3}, Swapped: []int{1, 2}}}, "two others"},
	} {
		p := mustGenerate(t, 1, "tiny")
		p.Lists = c.lists
		if err := p.validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want one about %q", c.lists, err, c.want)
		}
	}
	w := newWorld(mustGenerate(t, 1, "tiny"), Options{})
	w.plan.Lists = []List{{Broker: 1, Members: []int{1, 2}}}
	if got := failureOf(w, func() { w.judge.leadsCatalog(w, w.brokers[1]) }); got != "two-clusters" {
		t.Errorf("a leader whose founders don't agree: %q", got)
	}
}

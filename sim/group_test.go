// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strings"
	"testing"

	"chronik/checker"
	"chronik/node"
	"chronik/sim/plan"
)

// runGroups carries out a plan and returns its world.
func runGroups(t *testing.T, p *plan.Plan) *world {
	t.Helper()
	w := newWorld(p, Options{})
	defer w.random.install()()
	w.result.Failure = w.protect(func() {
		w.start()
		w.runUntil(at(p.Safety), func() bool { return false })
		w.settle()
	})
	if w.result.Failure != nil {
		t.Errorf("seed %d: %v\n%s", p.Seed, w.result.Failure, w.result.Failure.Stack)
	}
	return w
}

// TestGroupsAreBusy guards against members that do nothing: everything that the checks of groups look
// at has to occur, and often.
func TestGroupsAreBusy(t *testing.T) {
	count := make(map[string]int)
	for s := range uint64(60) {
		w := runGroups(t, mustGenerate(t, s, "groups"))
		for _, g := range w.judge.histories.Groups {
			countCalls(&g, count)
		}
		count["member lost"] += int(w.result.Events[node.EventGroupMemberLost])
		count["generation"] += int(w.result.Events[node.EventGroupGeneration])
	}
	for what, least := range map[string]int{
		"sync ok": 100, "beat ok": 300, "commit ok": 300, "commit failed": 10, "commit unknown": 10, "read": 1000,
		"delivery": 500, "leave": 3, "moved": 50, "member lost": 20, "generation": 100,
	} {
		if count[what] < least {
			t.Errorf("%s: %d times in 60 worlds, expected are at least %d", what, count[what], least)
		}
	}
}

func countCalls(g *checker.ConsumerGroup, count map[string]int) {
	last := make(map[string]string) // owner by partition
	for _, s := range g.Syncs {
		count["sync "+string(s.Outcome)]++
		for _, p := range s.Partitions {
			if last[p] != "" && last[p] != s.Owner {
				count["moved"]++
			}
			last[p] = s.Owner
		}
	}
	for _, b := range g.Beats {
		count["beat "+string(b.Outcome)]++
		if b.Sent < 0 {
			count["leave"]++
		}
	}
	for _, c := range g.Commits {
		count["commit "+string(c.Outcome)]++
	}
	count["read"] += len(g.Reads)
	count["delivery"] += len(g.Deliveries)
}

// TestGroupsRepeat compares two runs of one plan, in between which other worlds run.
func TestGroupsRepeat(t *testing.T) {
	for s := uint64(1); s < 5; s++ {
		p := mustGenerate(t, s, "groups")
		first := Run(p, Options{}).Hash
		Run(mustGenerate(t, s+100, "groups"), Options{})
		lines := 0
		if again := Run(p, Options{Trace: func(string) { lines++ }}).Hash; first != again || lines == 0 {
			t.Errorf("seed %d: trace hash %016x, then %016x", s, first, again)
		}
	}
}

// TestGroupsThatDoNotSettle shows the demands on healed groups failing.
func TestGroupsThatDoNotSettle(t *testing.T) {
	for what, spoil := range map[string]func(*member){
		"is no member":    func(m *member) { m.phase = phaseJoin },
		"has no owner":    func(m *member) { m.owned = m.owned[1:] },
		"has two owners":  func(m *member) { m.owned = append(m.owned, m.owned[0]) },
		"has come to":     func(m *member) { m.owned[0].position-- },
		"isn't committed": func(m *member) { m.owned[0].acked-- },
	} {
		w := runGroups(t, mustGenerate(t, 2, "groups"))
		if why := w.unsettled(); why != "" {
			t.Fatalf("at rest, and yet: %s", why)
		}
		for _, m := range w.consumers {
			if m.client != nil && len(m.owned) > 0 && m.owned[0].position > 0 {
				spoil(m)
				break
			}
		}
		if why := w.unsettled(); !strings.Contains(why, what) {
			t.Errorf("%q, expected is something that %s", why, what)
		}
	}
}

// TestPausedMember shows that what comes to a process that stands still comes when it goes on, in
// order.
func TestPausedMember(t *testing.T) {
	w := newWorld(mustGenerate(t, 2, "groups"), Options{})
	w.newMembers()
	m := w.consumers[0]
	m.start()
	m.paused, m.resume = true, node.Time(second)
	for i := range 3 {
		w.handle(event{kind: evTimer, at: node.Time(i), client: m.client})
	}
	if len(m.held) != 3 || m.held[2].at != 2 {
		t.Fatalf("held are %v", m.held)
	}
	w.resumed(m.spec.ID)
	if !m.paused {
		t.Error("it went on before its time")
	}
	w.now = node.Time(second)
	w.resumed(m.spec.ID)
	if m.paused || len(m.held) > 0 {
		t.Error("it didn't go on")
	}
}

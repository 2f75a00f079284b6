// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"
)

const ms = int64(time.Millisecond)

func during(from, to int64) Span { return Span{Client: 1, Call: from * ms, Return: to * ms} }

// rightGroup is a history of a group of the classic protocol: a and b share t/0 and t/1 in generation
// 1; in generation 2, for which both joined anew, they change places.
func rightGroup() *ConsumerGroup {
	patience := 1000 * ms
	return &ConsumerGroup{
		Group: "g",
		Joins: []Join{
			{during(0, 10), "a", OK},
			{during(0, 10), "b", OK},
			{during(100, 110), "a", OK},
			{during(100, 110), "b", OK},
		},
		Syncs: []Sync{
			{during(10, 20), "a", 1, true, OK, []string{"t/0"}, patience},
			{during(10, 20), "b", 1, false, OK, []string{"t/1"}, patience},
			{during(110, 120), "a", 2, true, OK, []string{"t/1"}, patience},
			{during(110, 120), "b", 2, false, OK, []string{"t/0"}, patience},
		},
		Commits: []Commit{
			{during(30, 40), 1, "t/0", 5, "a", "", 1, OK},
			{during(60, 200), 2, "t/0", 7, "a", "", 1, Unknown},
			{during(140, 150), 3, "t/0", 9, "b", "", 2, OK},
			{during(150, 160), 4, "t/0", 8, "a", "", 1, Failed},
			{during(160, 170), 5, "t/0", 10, "b", "", 2, OK},
		},
		Reads: []OffsetRead{
			{during(21, 25), "t/0", -1, 0},
			{during(45, 50), "t/0", 5, 1},
			{during(121, 125), "t/0", 7, 2},
			{during(152, 155), "t/0", 9, 3},
			{during(171, 172), "t/0", 10, 5},
		},
		Deliveries: []Delivery{{"t/0", 5, 9}, {"t/0", 0, 5}, {"t/0", 9, 10}},
	}
}

// rightModern is one of KIP-848: b joins, a gives t/1 up, then b gets it.
func rightModern() *ConsumerGroup {
	both, one := []string{"t/0", "t/1"}, []string{"t/0"}
	return &ConsumerGroup{
		Group: "g",
		Beats: []Beat{
			{during(0, 10), "a", 0, nil, true, OK, 1, true, both},
			{during(20, 30), "b", 0, nil, true, OK, 2, true, nil},
			{during(40, 50), "a", 1, both, true, OK, 1, true, one},
			{during(60, 70), "b", 2, nil, true, OK, 2, true, nil},
			{during(80, 90), "a", 1, one, true, OK, 2, true, one},
			{during(100, 110), "b", 2, nil, true, OK, 2, true, []string{"t/1"}},
			{during(120, 130), "c", 0, nil, true, OK, 3, true, nil},
			{during(140, 150), "b", 2, []string{"t/1"}, true, OK, 3, true, []string{"t/1"}},
		},
		Commits: []Commit{{during(55, 60), 1, "t/1", 4, "a", "", 1, OK}, {during(115, 118), 2, "t/1", 6, "b", "", 2, OK}},
		Reads:   []OffsetRead{{during(111, 112), "t/1", 4, 1}},
	}
}

func rightTruth() *Truth {
	t := &Truth{}
	for i := range int64(10) {
		t.Records = append(t.Records, Record{Offset: i})
	}
	return t
}

func TestRightGroups(t *testing.T) {
	if v := CheckConsumerGroup(rightGroup()); v != nil {
		t.Error(v)
	}
	if v := CheckConsumerGroup(rightModern()); v != nil {
		t.Error(v)
	}
	if v := CheckDelivered(rightGroup(), "t/0", rightTruth()); v != nil {
		t.Error(v)
	}
}

// TestCorruptedGroups corrupts right histories, and demands the right complaint.
func TestCorruptedGroups(t *testing.T) {
	for name, c := range map[string]struct {
		corrupt func(*ConsumerGroup)
		want    string
	}{
		"one generation assigned twice":  {func(g *ConsumerGroup) { g.Syncs[1].Partitions = []string{"t/0", "t/1"} }, TwoOwners},
		"the owner didn't join anew":     {func(g *ConsumerGroup) { g.Joins = g.Joins[:3] }, TwoOwners},
		"an acknowledged commit is lost": {func(g *ConsumerGroup) { g.Reads[1] = OffsetRead{during(45, 50), "t/0", -1, 0} }, CommittedOffset},
		"a committed offset goes back":   {func(g *ConsumerGroup) { g.Reads[4].Offset, g.Reads[4].Commit = 9, 3 }, CommittedOffset},
		"another offset than committed":  {func(g *ConsumerGroup) { g.Reads[1].Offset = 6 }, CommittedOffset},
		"nobody committed that":          {func(g *ConsumerGroup) { g.Reads[1].Commit = 77 }, CommittedOffset},
		"an offset from nowhere":         {func(g *ConsumerGroup) { g.Reads[0].Offset = 3 }, CommittedOffset},
		"read before it was committed":   {func(g *ConsumerGroup) { g.Reads[0].Offset, g.Reads[0].Commit = 5, 1 }, CommittedOffset},
		"a refused commit takes effect":  {func(g *ConsumerGroup) { g.Reads[3].Offset, g.Reads[3].Commit = 8, 4 }, FencedCommit},
		"a stale commit is acknowledged": {func(g *ConsumerGroup) { g.Commits[3].Outcome = OK }, FencedCommit},
		"a commit of the old generation takes effect after the new one began": {func(g *ConsumerGroup) {
			g.Reads[2] = OffsetRead{during(121, 125), "t/0", 5, 1}
			g.Reads[3].Offset, g.Reads[3].Commit = 7, 2
		}, CommittedOffset},
		"static members of one name take turns": {func(g *ConsumerGroup) {
			for i, member := range []string{"x", "y", "x"} {
				from := 200 + 10*int64(i)
				g.Commits = append(g.Commits, Commit{during(from, from+5), 6 + int64(i), "t/3", 1, member, "i", 2, OK})
			}
		}, FencedCommit},
		"generations start again": {func(g *ConsumerGroup) {
			g.Syncs = append(g.Syncs, Sync{during(180, 190), "a", 1, true, OK, nil, 1000 * ms})
			g.Joins = append(g.Joins, Join{during(170, 180), "a", OK}, Join{during(170, 180), "b", OK})
			g.Commits = append(g.Commits, Commit{during(191, 192), 6, "t/0", 11, "a", "", 1, OK})
		}, GenerationBack},
	} {
		g := rightGroup()
		c.corrupt(g)
		expect(t, name, CheckConsumerGroup(g), c.want)
	}
}

func TestCorruptedModernGroups(t *testing.T) {
	for name, c := range map[string]struct {
		corrupt func(*ConsumerGroup)
		want    string
	}{
		"given before it was given up":                 {func(g *ConsumerGroup) { g.Beats[3].Granted, g.Beats[5].Owned = []string{"t/1"}, []string{"t/1"} }, TwoOwners},
		"a member joins in an old epoch":               {func(g *ConsumerGroup) { g.Beats[6].Epoch = 1 }, GenerationBack},
		"in the next epoch with what it shall give up": {func(g *ConsumerGroup) { g.Beats[4].Owned = []string{"t/0", "t/1"} }, TwoOwners},
		"a member's epoch goes back":                   {func(g *ConsumerGroup) { g.Beats[7].Epoch = 1 }, GenerationBack},
		"a commit of an old epoch": {func(g *ConsumerGroup) {
			g.Commits = append(g.Commits, Commit{during(95, 99), 3, "t/1", 5, "a", "", 1, OK})
		}, FencedCommit},
		"a commit of the former owner takes effect late": {func(g *ConsumerGroup) {
			g.Commits = append(g.Commits, Commit{during(56, 300), 3, "t/1", 5, "a", "", 1, Unknown})
			g.Reads = append(g.Reads, OffsetRead{during(119, 120), "t/1", 5, 3})
		}, CommittedOffset},
	} {
		g := rightModern()
		c.corrupt(g)
		expect(t, name, CheckConsumerGroup(g), c.want)
	}
}

func TestMissedDeliveries(t *testing.T) {
	for name, list := range map[string][]Delivery{
		"a record in the middle": {{"t/0", 0, 4}, {"t/0", 5, 10}},
		"the first":              {{"t/0", 1, 10}},
		"the last":               {{"t/0", 0, 9}, {"t/1", 0, 10}},
	} {
		g := rightGroup()
		g.Deliveries = list
		expect(t, name, CheckDelivered(g, "t/0", rightTruth()), NotDelivered)
	}
}

func expect(t *testing.T, name string, v *Violation, want string) {
	t.Helper()
	switch {
	case v == nil:
		t.Errorf("%s: passes", name)
	case v.Check != want:
		t.Errorf("%s: %v, want %s", name, v, want)
	}
}

// TestLegalGroups changes a right history in ways that are right too.
func TestLegalGroups(t *testing.T) {
	lost := rightModern() // a came to epoch 2 with a call whose answer was lost, and is to give up t/0 since then
	lost.Beats[4].Outcome = Unknown
	lost.Beats = append(lost.Beats[:5:5], Beat{during(92, 95), "a", 1, []string{"t/0"}, true, OK, 2, true, nil})
	lost.Commits, lost.Reads = nil, nil
	if v := CheckConsumerGroup(lost); v != nil {
		t.Errorf("a lost answer: %v", v)
	}
	elsewhere := lost // and another broker said meanwhile that it isn't the coordinator
	elsewhere.Beats = slices.Insert(slices.Clone(lost.Beats), 5, Beat{Span: during(91, 92), Member: "a", Sent: 1, Owned: []string{"t/0"}, Says: true, Outcome: Failed})
	if v := CheckConsumerGroup(elsewhere); v != nil {
		t.Errorf("a lost answer, and another broker's error: %v", v)
	}
	for name, change := range map[string]func(*ConsumerGroup){
		"the owner was waited for": func(g *ConsumerGroup) {
			g.Joins = g.Joins[:3]
			for i := range g.Syncs {
				g.Syncs[i].Patience = 80 * ms
			}
		},
		"the owner's call came late": func(g *ConsumerGroup) {
			g.Joins = append(g.Joins[:3], Join{Span{1, 5 * ms, math.MaxInt64}, "b", Unknown})
		},
		"it left": func(g *ConsumerGroup) { g.Joins[3].Outcome = Unknown },
		"a commit without an answer takes effect late": func(g *ConsumerGroup) {
			g.Commits[1] = Commit{during(126, 300), 2, "t/0", 7, "b", "", 2, Unknown}
			g.Reads[2] = OffsetRead{during(121, 125), "t/0", 5, 1}
			g.Reads = append(g.Reads, OffsetRead{during(300, 301), "t/0", 7, 2})
		},
		"nobody knows what came of a commit": func(g *ConsumerGroup) { g.Commits[1].Outcome = Failed; g.Reads[2] = g.Reads[1] },
	} {
		g := rightGroup()
		change(g)
		if v := CheckConsumerGroup(g); v != nil {
			t.Errorf("%s: %v", name, v)
		}
	}
}

// TestRegisterAgainstSearch compares the decision by zones with porcupine's search.
func TestRegisterAgainstSearch(t *testing.T) {
	broken := 0
	rapid.Check(t, func(t *rapid.T) {
		g := &ConsumerGroup{}
		at := func(name string) Span {
			call := rapid.Int64Range(0, 20).Draw(t, name)
			return Span{Call: 2 * call, Return: 2*(call+rapid.Int64Range(0, 8).Draw(t, "length")) + 1}
		}
		commits := rapid.Int64Range(0, 4).Draw(t, "commits")
		for id := range commits {
			outcome := rapid.SampledFrom([]Outcome{OK, OK, Unknown, Failed}).Draw(t, "outcome")
			g.Commits = append(g.Commits, Commit{at("commit"), id + 1, "t/0", id + 1, "a", "", 0, outcome})
		}
		for range rapid.IntRange(0, 5).Draw(t, "reads") {
			id := rapid.Int64Range(0, commits).Draw(t, "commit read")
			offset := id
			if id == 0 {
				offset = -1
			}
			g.Reads = append(g.Reads, OffsetRead{at("read"), "t/0", offset, id})
		}
		bad, want := g.checkCommits(), searchRegister(g)
		if (bad == nil) != (want == Linearizable) {
			t.Fatalf("%v, the search says %s", bad, want)
		}
		if bad != nil {
			broken++
		}
	})
	if broken == 0 {
		t.Error("no history was broken")
	}
}

// searchRegister decides the same by search.
func searchRegister(g *ConsumerGroup) Verdict {
	var ops []porcupine.Operation
	for _, c := range g.Commits {
		op := porcupine.Operation{Input: c.ID, Call: c.Call, Return: c.Return}
		switch c.Outcome {
		case Failed:
			continue
		case Unknown:
			op.Return = forever
		}
		ops = append(ops, op)
	}
	for _, r := range g.Reads {
		ops = append(ops, porcupine.Operation{Input: int64(-1), Output: r.Commit, Call: r.Call, Return: r.Return})
	}
	for i := range ops {
		ops[i].ClientId = i
	}
	return verdict(porcupine.Model{
		Init: func() any { return int64(0) },
		Step: func(state, input, output any) (bool, any) {
			if id := input.(int64); id > 0 {
				return true, id
			}
			return state == output, state
		},
	}, ops, 0)
}

func TestConsumerGroupText(t *testing.T) {
	h := &Histories{Groups: []ConsumerGroup{*rightGroup()}}
	var text strings.Builder
	if err := h.Write(&text); err != nil {
		t.Fatal(err)
	}
	back, err := Read(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	var again strings.Builder
	if back.Write(&again); again.String() != text.String() || len(back.Groups) != 1 {
		t.Errorf("%s\nis read as\n%s", text.String(), again.String())
	}
}

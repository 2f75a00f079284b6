// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func placed(replicas ...[]int32) (partitions []partition) {
	for i, r := range replicas {
		partitions = append(partitions, partition{"t", int32(i), r})
	}
	return partitions
}

func TestPlans(t *testing.T) {
	for _, c := range []struct {
		name    string
		before  []partition
		brokers []int32
		do      func(*plan)
		want    string // of the partitions that change
	}{
		{"drain", placed([]int32{1, 2}, []int32{2, 3}, []int32{3, 1}), []int32{1, 2, 3}, func(p *plan) { p.drain([]int32{3}) }, "t/1:[2 1] t/2:[1 2]"},
		{"drain two", placed([]int32{1, 2}, []int32{2, 3}, []int32{1, 5}), []int32{1, 2, 3, 4, 5}, func(p *plan) { p.drain([]int32{1, 2}) }, "t/0:[4 5] t/1:[3 4] t/2:[5 3]"},
		{"grow", placed([]int32{1}, []int32{1}, []int32{1}, []int32{1}), []int32{1, 2}, (*plan).spread, "t/0:[2] t/1:[2]"},
		{"only leaders", placed([]int32{1, 2}, []int32{1, 2}), []int32{1, 2}, (*plan).spread, "t/0:[2 1]"},
		{
			"leaders over a chain", placed([]int32{1, 2}, []int32{1, 2}, []int32{2, 3}),
			[]int32{1, 2, 3},
			func(p *plan) { p.evenPreferred() },
			"t/0:[2 1] t/2:[3 2]",
		},
		{"nothing to do", placed([]int32{1, 2}, []int32{2, 3}, []int32{3, 1}), []int32{1, 2, 3}, (*plan).spread, ""},
		{"replicas on a dead broker stay", placed([]int32{1, 9}, []int32{1, 2}), []int32{1, 2}, (*plan).spread, "t/1:[2 1]"},
	} {
		p := newPlan(c.before, c.brokers)
		c.do(p)
		var got []string
		for _, part := range p.changes(c.before) {
			got = append(got, fmt.Sprintf("%v:%v", part, part.replicas))
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Brokers 1 and 4 are on one machine, 2 and 5, 3 and 6.
func TestPlansKeepMachinesApart(t *testing.T) {
	on := map[int32]string{1: "a", 4: "a", 2: "b", 5: "b", 3: "c", 6: "c"}
	for _, c := range []struct {
		name    string
		before  []partition
		brokers []int32
		do      func(*plan) error
		want    string
	}{
		{"drain", placed([]int32{1, 2, 3}, []int32{4, 2, 3}), []int32{1, 2, 3, 4, 5, 6}, func(p *plan) error { return p.drain([]int32{1, 2}) }, "t/0:[3 5 4] t/1:[4 5 3]"},
		{"drain a machine", placed([]int32{1, 2, 3}), []int32{1, 2, 3, 4, 5, 6}, func(p *plan) error { return p.drain([]int32{1, 4}) }, "the broker"},
		{"spread", placed([]int32{1, 2, 3}, []int32{1, 2, 3}), []int32{1, 2, 3, 4, 5, 6}, func(p *plan) error { p.spread(); return nil }, "t/0:[4 5 6]"},
		{"take apart", placed([]int32{1, 4, 2}, []int32{1, 2, 3}, []int32{2, 1, 5}), []int32{1, 2, 3, 4, 5, 6}, separated(0), "t/0:[1 6 2] t/2:[2 1 3]"},
		{"no machine for it", placed([]int32{1, 4, 2}, []int32{1, 4}), []int32{1, 2, 4, 5}, separated(1), "t/1:[1 5]"},
	} {
		p := newPlan(c.before, c.brokers)
		p.machines = on
		err := c.do(p)
		var got []string
		for _, part := range p.changes(c.before) {
			got = append(got, fmt.Sprintf("%v:%v", part, part.replicas))
		}
		if c.want == "the broker" {
			if err == nil || !strings.Contains(err.Error(), "on a machine without one") {
				t.Errorf("%s: %v, %v", c.name, err, got)
			}
			continue
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
}

// separated takes replicas apart; for some partitions there is no way.
func separated(without int) func(*plan) error {
	return func(p *plan) error {
		if left := p.separate(); len(left) != without {
			return fmt.Errorf("there is no way for %v", left)
		}
		return nil
	}
}

func TestTooFewBrokersToDrain(t *testing.T) {
	err := newPlan(placed([]int32{1, 2, 3}), []int32{1, 2, 3}).drain([]int32{2})
	if err == nil || !strings.Contains(err.Error(), "partition t/0 has 3 replicas, and there is no other live broker without one") {
		t.Errorf("got %v", err)
	}
}

// draw makes a cluster, and a placement that is as uneven as chance makes it.
func draw(t *rapid.T) (before []partition, brokers []int32) {
	for b := range rapid.IntRange(1, 7).Draw(t, "brokers") {
		brokers = append(brokers, int32(b*b))
	}
	sizes := rapid.SliceOfN(rapid.IntRange(1, len(brokers)), 1, 40).Draw(t, "replicas")
	for i, n := range sizes {
		before = append(before, partition{fmt.Sprint("t", i%3), int32(i), rapid.Permutation(brokers).Draw(t, "on")[:n]})
	}
	return before, brokers
}

// counted holds the counts of a plan against its partitions, which must have as many replicas as
// before, none twice.
func counted(t *rapid.T, p *plan, before []partition) {
	load, preferred := make(map[int32]int), make(map[int32]int)
	for i, part := range p.partitions {
		distinct := slices.Compact(slices.Sorted(slices.Values(part.replicas)))
		if len(distinct) != len(before[i].replicas) || len(part.replicas) != len(distinct) {
			t.Fatalf("%v moves from %v to %v", part, before[i].replicas, part.replicas)
		}
		for _, b := range distinct {
			load[b]++
		}
		preferred[part.replicas[0]]++
	}
	for _, count := range []map[int32]int{p.load, p.preferred} {
		maps.DeleteFunc(count, func(_ int32, n int) bool { return n == 0 })
	}
	if diff := cmp.Diff(load, p.load) + cmp.Diff(preferred, p.preferred); diff != "" {
		t.Fatal(diff)
	}
}

func TestSpreadIsEvenAndMovesNoMoreThanItMust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, brokers := draw(t)
		p := newPlan(before, brokers)
		p.spread()
		counted(t, p, before)
		loads := make([]int, len(brokers))
		total := 0
		for i, b := range brokers {
			loads[i] = p.load[b]
			total += loads[i]
		}
		if slices.Max(loads)-slices.Min(loads) > 1 {
			t.Fatalf("replicas per broker: %v", loads)
		}
		moved, above, below := 0, 0, 0
		was := newPlan(before, brokers)
		for i, part := range p.partitions {
			for _, b := range part.replicas {
				if !slices.Contains(before[i].replicas, b) {
					moved++
				}
			}
		}
		for _, b := range brokers { // what is above the even share has to go, and what a broker lacks has to come
			above += max(0, was.load[b]-(total+len(brokers)-1)/len(brokers))
			below += max(0, total/len(brokers)-was.load[b])
		}
		least := max(above, below)
		if moved < least || moved > least+len(brokers)/2 {
			t.Fatalf("%d moves from %v to %v, at least %d are needed", moved, was.load, p.load, least)
		}
		again := newPlan(p.partitions, brokers)
		if again.spread(); len(again.changes(p.partitions)) > 0 {
			t.Fatal("a second time changes more")
		}
	})
}

func TestDrainTakesEverythingAndKeepsTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, brokers := draw(t)
		leaving := rapid.SampledFrom(brokers).Draw(t, "leaving")
		p := newPlan(before, brokers)
		if p.drain([]int32{leaving}) != nil {
			return
		}
		counted(t, p, before)
		for i, part := range p.partitions {
			had := slices.Contains(before[i].replicas, leaving)
			stayed := 0
			for _, b := range part.replicas {
				if slices.Contains(before[i].replicas, b) {
					stayed++
				}
			}
			switch {
			case slices.Contains(part.replicas, leaving):
				t.Fatalf("%v is still on broker %d", part, leaving)
			case !had && !slices.Equal(part.replicas, before[i].replicas):
				t.Fatalf("%v moves although it was not on broker %d", part, leaving)
			case had && stayed != len(part.replicas)-1:
				t.Fatalf("%v moves from %v to %v", part, before[i].replicas, part.replicas)
			}
		}
	})
}

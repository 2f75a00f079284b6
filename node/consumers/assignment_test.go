// SPDX-License-Identifier: Apache-2.0

package consumers

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chronik/wal"
)

var anyAssignment = rapid.Custom(func(t *rapid.T) Assignment {
	var all []Slot
	for topic := range wal.GroupID(4) {
		for p := range int32(5) {
			if rapid.Bool().Draw(t, "in") {
				all = append(all, Slot{topic, p})
			}
		}
	}
	return AssignmentOf(all)
})

// TestSets compares the operations on sets of partitions with those on a map.
func TestSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyAssignment.Draw(t, "a"), anyAssignment.Draw(t, "b")
		for name, c := range map[string]struct {
			got  Assignment
			want func(inA, inB bool) bool
		}{
			"and":   {a.And(b), func(inA, inB bool) bool { return inA && inB }},
			"or":    {a.Or(b), func(inA, inB bool) bool { return inA || inB }},
			"minus": {a.Minus(b), func(inA, inB bool) bool { return inA && !inB }},
		} {
			var want []Slot
			for topic := range wal.GroupID(4) {
				for p := range int32(5) {
					if s := (Slot{topic, p}); c.want(slices.Contains(a.Slots(), s), slices.Contains(b.Slots(), s)) {
						want = append(want, s)
					}
				}
			}
			if diff := cmp.Diff(AssignmentOf(want), c.got); diff != "" {
				t.Fatalf("%s of %v and %v: %s", name, a, b, diff)
			}
		}
		if a.Equal(b) != (len(a.Minus(b)) == 0 && len(b.Minus(a)) == 0) {
			t.Fatalf("equal of %v and %v", a, b)
		}
	})
}

// drawMembers makes up a group: topics of different sizes, who subscribes to which, and who had what.
func drawMembers(t *rapid.T) (members []candidate, same bool) {
	var topics Assignment
	for i := range rapid.IntRange(1, 4).Draw(t, "topics") {
		s := TopicSet{Topic: wal.GroupID(i)}
		for p := range rapid.Int32Range(1, 8).Draw(t, "partitions") {
			s.Partitions = append(s.Partitions, p)
		}
		topics = append(topics, s)
	}
	same = rapid.Bool().Draw(t, "same subscriptions")
	for range rapid.IntRange(1, 6).Draw(t, "members") {
		c := candidate{had: anyAssignment.Draw(t, "had")}
		for _, s := range topics {
			if same || rapid.Bool().Draw(t, "subscribes") {
				c.topics = append(c.topics, s)
			}
		}
		members = append(members, c)
	}
	return members, same
}

// checkAssignment holds what every assignor owes: each partition that somebody wants has one owner,
// who wants it.
func checkAssignment(t *rapid.T, members []candidate, got []Assignment) {
	wanted, given, n := Assignment(nil), Assignment(nil), 0
	for i, a := range got {
		if left := a.Minus(members[i].topics); len(left) > 0 {
			t.Fatalf("member %d got %v, which it doesn't subscribe to", i, left)
		}
		wanted, given = wanted.Or(members[i].topics), given.Or(a)
		n += len(a.Slots())
	}
	if !wanted.Equal(given) {
		t.Fatalf("nobody got %v", wanted.Minus(given))
	}
	if n != len(given.Slots()) {
		t.Fatalf("%d partitions were given %d times", len(given.Slots()), n)
	}
}

func TestAssignUniform(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, same := drawMembers(t)
		got := assignUniform(members)
		checkAssignment(t, members, got)
		load := make([]int, len(got))
		for i := range got {
			load[i] = len(got[i].Slots())
		}
		for i, a := range got {
			for _, s := range a.Slots() {
				for j := range members {
					if load[i] > load[j]+1 && members[j].topics.hasTopic(s.Topic) {
						t.Fatalf("%v could move from member %d with %d partitions to member %d with %d", s, i, load[i], j, load[j])
					}
				}
			}
		}
		if same && slices.Max(load)-slices.Min(load) > 1 {
			t.Fatalf("loads %v", load)
		}
		for i := range members { // what is balanced stays as it is
			members[i].had = got[i]
		}
		if diff := cmp.Diff(got, assignUniform(members)); diff != "" {
			t.Fatal("partitions moved for nothing: ", diff)
		}
	})
}

func TestAssignRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, _ := drawMembers(t)
		got := assignRange(members)
		checkAssignment(t, members, got)
		for _, a := range got {
			for _, s := range a {
				if int(s.Partitions[len(s.Partitions)-1]-s.Partitions[0]) != len(s.Partitions)-1 {
					t.Fatalf("%v is no range", s)
				}
			}
		}
	})
}

// TestFewMovesWhenAMemberComes: of 12 partitions of two members the third one gets 4, and the others
// keep the rest of theirs.
func TestFewMovesWhenAMemberComes(t *testing.T) {
	var topic TopicSet
	for p := range int32(12) {
		topic.Partitions = append(topic.Partitions, p)
	}
	all := Assignment{topic}
	first := assignUniform([]candidate{{topics: all}, {topics: all}})
	second := assignUniform([]candidate{{all, first[0]}, {all, first[1]}, {all, nil}})
	for i := range first {
		if kept := len(second[i].And(first[i]).Slots()); kept != 4 || len(second[i].Slots()) != 4 {
			t.Errorf("member %d had %v and has %v", i, first[i], second[i])
		}
	}
}

func BenchmarkAssignUniform(b *testing.B) {
	var all Assignment
	for t := range wal.GroupID(100) {
		s := TopicSet{Topic: t}
		for p := range int32(100) {
			s.Partitions = append(s.Partitions, p)
		}
		all = append(all, s)
	}
	some := all[:99]
	for name, last := range map[string]Assignment{"same": all, "different": some} {
		members := make([]candidate, 1000)
		for i := range members {
			members[i].topics = all
		}
		members[999].topics = last
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				assignUniform(members)
			}
		})
	}
}

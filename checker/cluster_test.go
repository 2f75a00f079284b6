// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// stage plays replicas of one group by hand: each has a view and a log that a test changes, shows
// to the Cluster, or makes durable.
type stage struct {
	c    *Cluster
	logs map[int32][]string // "term payload"; entry i is at i-1
	view map[int32]*View
	bad  *Violation // the first one
}

const stageGroup = 7

func newStage() *stage {
	s := &stage{c: NewCluster(), logs: map[int32][]string{}, view: map[int32]*View{}}
	s.c.SetReplicas(stageGroup, []int32{1, 2, 3})
	for b := int32(1); b <= 3; b++ {
		s.view[b] = &View{Vote: -1, First: 1}
	}
	return s
}

func parseEntry(text string) (term uint64, data []byte) {
	var payload string
	if _, err := fmt.Sscanf(text, "%d %s", &term, &payload); err != nil {
		panic(err)
	}
	return term, []byte(payload)
}

func (s *stage) note(v *Violation) {
	if s.bad == nil {
		s.bad = v
	}
}

// show observes broker b after change.
func (s *stage) show(b int32, change func(v *View)) {
	v := s.view[b]
	v.Last = uint64(len(s.logs[b]))
	if change != nil {
		change(v)
	}
	s.note(s.c.Observe(b, stageGroup, *v, func(i uint64) (uint64, []byte, bool) {
		if i < 1 || i > uint64(len(s.logs[b])) {
			return 0, nil, false
		}
		term, data := parseEntry(s.logs[b][i-1])
		return term, data, true
	}))
}

// sync makes the whole log of broker b, and its term and vote, durable.
func (s *stage) sync(b int32) {
	for i, text := range s.logs[b] {
		term, data := parseEntry(text)
		s.c.Durable(b, stageGroup, uint64(i+1), Entry{Term: term, Hash: HashPayload(data)})
	}
	s.note(s.c.DurableVote(b, stageGroup, s.view[b].Term, s.view[b].Vote))
}

// replicate gives brokers the entries, durable, and shows the first of them as leader of the term.
func (s *stage) replicate(term uint64, entries []string, brokers ...int32) {
	for _, b := range brokers {
		s.logs[b] = append(s.logs[b], entries...)
		s.show(b, func(v *View) { v.Term, v.Vote = term, int64(brokers[0]) })
		s.sync(b)
	}
	s.show(brokers[0], func(v *View) { v.Leader = true })
}

func commitTo(index uint64) func(*View) { return func(v *View) { v.Commit = index } }

func applyTo(index uint64, highWatermark int64) func(*View) {
	return func(v *View) { v.Commit, v.Applied, v.HighWatermark = index, index, highWatermark }
}

func TestClusterChecks(t *testing.T) {
	ab := []string{"1 a", "1 b"}
	var shown [checkCount]bool
	for _, c := range []struct {
		name  string
		check Invariant
		text  string
		play  func(s *stage)
	}{
		{"two leaders", OneLeaderPerTerm, "brokers 1 and 2 are both leader of term 1", func(s *stage) {
			s.replicate(1, ab, 1)
			s.show(2, func(v *View) { v.Term, v.Leader = 1, true })
		}},
		{"the same leader twice", OneLeaderPerTerm, "broker 1 became leader of term 1 twice", func(s *stage) {
			s.replicate(1, ab, 1)
			s.c.Restarted(1)
			s.show(1, nil)
		}},
		{"term back", TermAndVoteForward, "broker 1 shows term 4 after term 5", func(s *stage) {
			s.show(1, func(v *View) { v.Term = 5 })
			s.show(1, func(v *View) { v.Term = 4 })
		}},
		{"vote changed", TermAndVoteForward, "vote for 3 in term 5, in which it voted for 2", func(s *stage) {
			s.show(1, func(v *View) { v.Term, v.Vote = 5, 2 })
			s.show(1, func(v *View) { v.Vote = 3 })
		}},
		{"durable term back", TermAndVoteForward, "broker 1 wrote term 4 after term 5", func(s *stage) {
			s.c.DurableVote(1, stageGroup, 5, -1)
			s.note(s.c.DurableVote(1, stageGroup, 4, -1))
		}},
		{"vote forgotten", TermAndVoteDurable, "recovered no vote in term 5, in which it voted for 2", func(s *stage) {
			s.show(1, func(v *View) { v.Term, v.Vote = 5, 2 })
			s.sync(1)
			s.c.Restarted(1)
			s.show(1, func(v *View) { v.Vote = -1 })
		}},
		{"term forgotten", TermAndVoteDurable, "broker 1 recovered term 0 after term 5", func(s *stage) {
			s.show(1, func(v *View) { v.Term = 5 })
			s.sync(1)
			s.c.Restarted(1)
			s.show(1, func(v *View) { v.Term = 0 })
		}},
		{"durable entry gone", LogDurable, "ends at 1, but its entry 2 of term 1 was durable", func(s *stage) {
			s.replicate(1, ab, 2, 1)
			s.c.Restarted(1)
			s.logs[1] = s.logs[1][:1]
			s.show(1, nil)
		}},
		{"older entry wins", LogDurable, "recovered entry 2 of term 1, but entry 2 of term 2 was durable", func(s *stage) {
			s.replicate(1, ab, 2, 1)
			s.logs[1][1] = "2 c"
			s.show(1, func(v *View) { v.Term = 2 })
			s.sync(1)
			s.c.Restarted(1)
			s.logs[1][1] = "1 b"
			s.show(1, nil)
		}},
		{"leader rewrites", LeaderAppendOnly, "leader of term 2, replaced or removed its entries 2 to 2", func(s *stage) {
			s.replicate(1, ab, 1)
			s.show(1, func(v *View) { v.Term = 2 })
			s.logs[1][1] = "2 c"
			s.show(1, nil)
		}},
		{"two payloads", LogMatching, "entry 2 of term 1 has two payloads, one on broker 1 and one on broker 2", func(s *stage) {
			s.replicate(1, ab, 1)
			s.logs[2] = []string{"1 a", "1 c"}
			s.show(2, nil)
		}},
		{"different past", LogMatching, "the same entry 2 of term 2, but not the same entries before it", func(s *stage) {
			s.replicate(2, []string{"1 a", "2 b"}, 1)
			s.logs[2] = []string{"2 a", "2 b"}
			s.show(2, nil)
		}},
		{"committed entry replaced", NoTruncationBelowCommit, "replaced or removed entry 2, but had commit index 2", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(2, commitTo(2))
			s.logs[2][1] = "2 c"
			s.show(2, func(v *View) { v.Term = 2 })
		}},
		{"committed entry removed", NoTruncationBelowCommit, "entry 2, but had commit index 2", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(2, commitTo(2))
			s.logs[2] = s.logs[2][:1]
			s.show(2, func(v *View) { v.Commit = 1 })
		}},
		{"commit past the end", CommitWithinLog, "commit index 3, but its log ends at 2", func(s *stage) {
			s.replicate(1, ab, 1)
			s.show(1, commitTo(3))
		}},
		{"commit back", CommitForward, "commit index from 2 back to 1", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, commitTo(2))
			s.show(1, commitTo(1))
		}},
		{"different entries committed", CommittedEqual, "brokers 1 and 3 committed different entries at or before index 2 (terms 1 and 2)", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, commitTo(2))
			s.logs[3] = []string{"1 a", "2 c"}
			s.show(3, commitTo(2))
		}},
		{"committed on one disk", CommittedDurable, "entry 1 of term 1, which is durable on 1 of 3 replicas", func(s *stage) {
			s.replicate(1, ab, 1)
			s.logs[2] = ab
			s.show(2, nil)
			s.show(1, commitTo(2))
		}},
		{"another payload on the second disk", CommittedDurable, "entry 2 of term 1, which is durable on 1 of 3 replicas", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.c.Durable(2, stageGroup, 2, Entry{Term: 1, Hash: HashPayload([]byte("c"))})
			s.show(1, commitTo(2))
		}},
		{"leader lacks an entry", LeaderCompleteness, "broker 3 is leader of term 2 with a log that ends at 1, but entry 2 was committed in term 1", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, commitTo(2))
			s.replicate(2, ab[:1], 3)
		}},
		{"leader has another entry", LeaderCompleteness, "other entries up to 2", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, commitTo(2))
			s.replicate(3, []string{"1 a", "2 c"}, 3)
		}},
		{"commit seen after the next leader won", LeaderCompleteness, "broker 3 is leader of term 2", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.replicate(2, ab[:1], 3)
			s.show(1, commitTo(2))
		}},
		{"applied before commit", AppliedWithinCommit, "applied entry 2, but its commit index is 1", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, func(v *View) { v.Commit, v.Applied = 1, 2 })
		}},
		{"applied back", AppliedForward, "applied index from 2 back to 1", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, applyTo(2, 2))
			s.show(1, func(v *View) { v.Applied = 1 })
		}},
		{"high watermark back", HighWatermarkForward, "high watermark from 2 back to 1", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, applyTo(1, 2))
			s.show(1, applyTo(2, 1))
		}},
		{"log start above high watermark", HighWatermarkAboveStart, "log start offset 3 above its high watermark 2", func(s *stage) {
			s.show(1, func(v *View) { v.HighWatermark, v.LogStart = 2, 3 })
		}},
		{"high watermarks differ", StateEqual, "with entries up to 2 applied, broker 1 has high watermark 2 and broker 2 has 3", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, applyTo(2, 2))
			s.show(2, applyTo(2, 3))
		}},
		{"high watermark without an entry", StateEqual, "with entries up to 1 applied", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, applyTo(1, 1))
			s.show(1, applyTo(1, 2))
		}},
		{"states differ", StateEqual, "different states", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, func(v *View) { v.Commit, v.Applied, v.State = 2, 2, 10 })
			s.show(2, func(v *View) { v.Commit, v.Applied, v.State = 2, 2, 11 })
		}},
		{"high watermark ahead of its log", HighWatermarkFollowsLog, "broker 2 has high watermark 5 after 1 entries, broker 1 has 2 after 2", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, applyTo(2, 2))
			s.show(2, applyTo(1, 5))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			shown[c.check] = true
			s := newStage()
			c.play(s)
			if s.bad == nil {
				t.Fatal("nothing was found")
			}
			if s.bad.Check != c.check.String() || !strings.Contains(s.bad.Text, c.text) {
				t.Errorf("found %v, want %v: ... %s", s.bad, c.check, c.text)
			}
		})
	}
	for i, ok := range shown {
		if !ok {
			t.Errorf("no case shows that %v can fail", Invariant(i))
		}
	}
}

// What looks wrong and isn't.
func TestClusterIsSilent(t *testing.T) {
	ab := []string{"1 a", "1 b"}
	for _, c := range []struct {
		name string
		play func(s *stage)
	}{
		{"uncommitted tail replaced", func(s *stage) {
			s.replicate(1, ab, 1)
			s.replicate(2, []string{"2 c", "2 d", "2 e"}, 2, 3)
			s.show(2, commitTo(3))
			s.logs[1] = slices.Clone(s.logs[2])
			s.show(1, func(v *View) { v.Term, v.Vote, v.Leader, v.Commit = 2, -1, false, 3 })
		}},
		{"tail lost that was not durable", func(s *stage) {
			s.replicate(1, ab[:1], 1, 2)
			s.logs[2] = slices.Clone(ab)
			s.show(2, nil)
			s.c.Restarted(2)
			s.logs[2] = s.logs[2][:1]
			s.show(2, nil)
		}},
		{"replacement of a durable entry, not durable, survives", func(s *stage) {
			s.replicate(1, ab, 2, 1)
			s.logs[1] = []string{"1 a", "2 c"}
			s.show(1, func(v *View) { v.Term = 2 })
			s.c.Restarted(1)
			s.show(1, nil)
		}},
		{"replacement of a durable entry, not durable, is undone", func(s *stage) {
			s.replicate(1, ab, 2, 1)
			s.logs[1] = []string{"1 a", "2 c"}
			s.show(1, func(v *View) { v.Term = 2 })
			s.c.Restarted(1)
			s.logs[1] = []string{"1 a", "1 b"}
			s.show(1, nil)
		}},
		{"rewritten elsewhere", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			term, data := parseEntry(ab[0])
			s.c.Durable(1, stageGroup, 1, Entry{Term: term, Hash: HashPayload(data)})
			s.show(1, commitTo(2))
		}},
		{"commit and applied start again", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, applyTo(2, 2))
			s.c.Restarted(1)
			s.show(1, func(v *View) { v.Leader, v.Commit, v.Applied, v.HighWatermark = false, 0, 0, 0 })
			s.show(1, func(v *View) { v.Commit, v.Applied, v.HighWatermark = 2, 2, 2 })
		}},
		{"deposed leader with an older commit in a later term's time", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.replicate(2, []string{"2 c"}, 2, 3)
			s.logs[3] = slices.Clone(s.logs[2])
			s.show(3, nil)
			s.sync(3)
			s.show(2, commitTo(3))
			s.show(1, nil)
		}},
		{"acknowledged on a disk that was lost since", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.c.LostDisk(2)
			s.show(1, commitTo(2))
		}},
		{"snapshot replaces the log", func(s *stage) {
			s.replicate(1, []string{"1 a", "1 b", "1 c", "1 d"}, 1, 2)
			s.show(1, commitTo(3))
			s.view[3].First = 4
			s.logs[3] = []string{"9 x", "9 x", "9 x", "1 d"} // the first three are not looked at
			s.show(3, commitTo(3))
		}},
		{"snapshot replaces a log that went another way, durable or not", func(s *stage) {
			s.replicate(1, []string{"1 a", "1 b", "1 c"}, 3)
			s.replicate(2, []string{"2 a", "2 b"}, 1, 2)
			s.show(1, commitTo(2))
			s.c.Installed(3, stageGroup, 2)
			s.logs[3] = []string{"9 x", "9 x"} // not looked at
			s.show(3, func(v *View) { v.First, v.Term, v.Vote, v.Leader, v.Commit = 3, 2, -1, false, 2 })
			s.c.Restarted(3)
			s.show(3, nil)
		}},
		{"replica removed and back", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, commitTo(2))
			s.c.RemoveReplica(1, stageGroup)
			s.logs[1] = nil
			*s.view[1] = View{Vote: -1, First: 1}
			s.show(1, nil)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage()
			c.play(s)
			if s.bad != nil {
				t.Error(s.bad)
			}
		})
	}
}

func TestHashPayload(t *testing.T) {
	seen := map[uint64]string{}
	for n := range 40 {
		for flip := range n + 1 {
			data := make([]byte, n)
			if flip < n {
				data[flip] = 1
			}
			h := HashPayload(data)
			if other, ok := seen[h]; ok {
				t.Fatalf("%x and %s have the same hash", data, other)
			}
			seen[h] = fmt.Sprintf("%x", data)
		}
	}
	if got := HashPayload([]byte("chronik")); got != HashPayload([]byte("chronik")) {
		t.Error("not a function")
	}
}

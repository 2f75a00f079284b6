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
	name map[int32]ReplicaID
	bad  *Violation // the first one
}

const stageGroup = 7

func newStage() *stage {
	s := &stage{c: NewCluster(), logs: map[int32][]string{}, view: map[int32]*View{}, name: map[int32]ReplicaID{}}
	for b := int32(1); b <= 5; b++ {
		s.view[b] = &View{First: 1}
		s.name[b] = NewReplicaID(b, 1)
		s.c.Recovered(s.name[b], stageGroup)
	}
	s.configure(1, 0, []int32{1, 2, 3}, nil)
	return s
}

// configure shows broker b with a configuration of the brokers' replicas of now.
func (s *stage) configure(b int32, index uint64, voters, outgoing []int32) {
	conf := Config{Index: index}
	for _, v := range voters {
		conf.Voters = append(conf.Voters, s.name[v])
	}
	for _, v := range outgoing {
		conf.Outgoing = append(conf.Outgoing, s.name[v])
	}
	s.note(s.c.Configured(s.name[b], stageGroup, conf))
	s.view[b].Config = index
}

// restart stops broker b; the next show is what it recovered.
func (s *stage) restart(b int32) {
	s.c.Restarted(b)
	s.c.Recovered(s.name[b], stageGroup)
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
	s.note(s.c.Observe(s.name[b], stageGroup, *v, func(i uint64) (uint64, []byte, bool) {
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
		s.c.Durable(b, stageGroup, s.view[b].Begins, uint64(i+1), Entry{Term: term, Hash: HashPayload(data)})
	}
	s.note(s.c.DurableVote(b, stageGroup, s.view[b].Begins, s.view[b].Term, s.view[b].Vote))
}

// replicate gives brokers the entries, durable, and shows the first of them as leader of the term. If
// it is alone another broker has voted for it all the same.
func (s *stage) replicate(term uint64, entries []string, brokers ...int32) {
	for _, b := range brokers {
		s.logs[b] = append(s.logs[b], entries...)
		s.show(b, func(v *View) { v.Term, v.Vote = term, s.name[brokers[0]] })
		s.sync(b)
	}
	if len(brokers) == 1 {
		s.elect((brokers[0]+1)%3+1, term, brokers[0])
	}
	s.show(brokers[0], func(v *View) { v.Leader = true })
}

// elect gives broker b's vote, durable, to a candidate.
func (s *stage) elect(b int32, term uint64, candidate int32) {
	s.show(b, func(v *View) { v.Term, v.Vote, v.Leader = term, s.name[candidate], false })
	s.note(s.c.DurableVote(b, stageGroup, s.view[b].Begins, term, s.name[candidate]))
}

// replace begins another replica on broker b, with an empty log, in the place of the one that is there.
func (s *stage) replace(b int32, number uint32, begins uint64) {
	s.name[b], s.logs[b] = NewReplicaID(b, number), nil
	*s.view[b] = View{First: 1, Begins: begins}
	s.show(b, nil)
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
			s.restart(1)
			s.show(1, nil)
		}},
		{"term back", TermAndVoteForward, "broker 1 shows term 4 after term 5", func(s *stage) {
			s.show(1, func(v *View) { v.Term = 5 })
			s.show(1, func(v *View) { v.Term = 4 })
		}},
		{"vote changed", TermAndVoteForward, "vote for 3 in term 5, in which it voted for 2", func(s *stage) {
			s.show(1, func(v *View) { v.Term, v.Vote = 5, s.name[2] })
			s.show(1, func(v *View) { v.Vote = s.name[3] })
		}},
		{"durable term back", TermAndVoteForward, "broker 1 wrote term 4 after term 5", func(s *stage) {
			s.c.DurableVote(1, stageGroup, 0, 5, 0)
			s.note(s.c.DurableVote(1, stageGroup, 0, 4, 0))
		}},
		{"vote forgotten", TermAndVoteDurable, "recovered no vote in term 5, in which it voted for 2", func(s *stage) {
			s.show(1, func(v *View) { v.Term, v.Vote = 5, s.name[2] })
			s.sync(1)
			s.restart(1)
			s.show(1, func(v *View) { v.Vote = 0 })
		}},
		{"term forgotten", TermAndVoteDurable, "broker 1 recovered term 0 after term 5", func(s *stage) {
			s.show(1, func(v *View) { v.Term = 5 })
			s.sync(1)
			s.restart(1)
			s.show(1, func(v *View) { v.Term = 0 })
		}},
		{"durable entry gone", LogDurable, "ends at 1, but its entry 2 of term 1 was durable", func(s *stage) {
			s.replicate(1, ab, 2, 1)
			s.restart(1)
			s.logs[1] = s.logs[1][:1]
			s.show(1, nil)
		}},
		{"older entry wins", LogDurable, "recovered entry 2 of term 1, but entry 2 of term 2 was durable", func(s *stage) {
			s.replicate(1, ab, 2, 1)
			s.logs[1][1] = "2 c"
			s.show(1, func(v *View) { v.Term = 2 })
			s.sync(1)
			s.restart(1)
			s.logs[1][1] = "1 b"
			s.show(1, nil)
		}},
		{"leader rewrites", LeaderAppendOnly, "leader of term 2, replaced or removed its entries 2 to 2", func(s *stage) {
			s.replicate(1, ab, 1)
			s.show(1, func(v *View) { v.Term, v.Leader = 2, false })
			s.replicate(2, nil, 1)
			s.logs[1][1] = "2 c"
			s.show(1, nil)
		}},
		{"two payloads", LogMatching, "entry 2 of term 1 has two payloads, one on broker 1 and one on broker 2", func(s *stage) {
			s.replicate(1, ab, 1)
			s.logs[2] = []string{"1 a", "1 c"}
			s.show(2, nil)
		}},
		{"two payloads behind what was forgotten", LogMatching, "entry 3 of term 1 has two payloads", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, commitTo(2))
			s.show(2, commitTo(2))
			s.c.Forget(stageGroup, 2)
			s.logs[1] = append(s.logs[1], "1 c")
			s.show(1, nil)
			s.logs[2] = append(s.logs[2], "1 d")
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
			s.c.Durable(2, stageGroup, 0, 2, Entry{Term: 1, Hash: HashPayload([]byte("c"))})
			s.show(1, commitTo(2))
		}},
		{"leader without a durable term", LeaderTermDurable, "a power loss would put it back to term 0", func(s *stage) {
			s.show(1, func(v *View) { v.Term, v.Leader = 1, true })
		}},
		{"leader without durable votes", VotesDurable, "only 1 of 3 replicas ever had a durable vote", func(s *stage) {
			s.elect(1, 1, 1)
			s.elect(2, 1, 2)
			s.show(1, func(v *View) { v.Term, v.Vote, v.Leader = 1, s.name[1], true })
		}},
		{"leader by the vote of a replica that is gone", VotesDurable, "only 1 of 3 replicas ever had a durable vote", func(s *stage) {
			s.elect(1, 1, 1)
			s.elect(2, 1, 1)
			s.replace(2, 9, 100)
			s.c.ConfigEntry(stageGroup, 1) // a joint configuration between
			s.configure(1, 2, []int32{1, 2, 3}, nil)
			s.show(1, nil)
			s.show(1, func(v *View) { v.Term, v.Vote, v.Leader = 1, s.name[1], true })
		}},
		{"votes of the old majority only", VotesDurable, "of 3 replicas", func(s *stage) {
			s.configure(1, 1, []int32{1, 4, 5}, []int32{1, 2, 3})
			s.show(1, nil)
			s.elect(1, 1, 1)
			s.elect(2, 1, 1)
			s.show(1, func(v *View) { v.Term, v.Vote, v.Leader = 1, s.name[1], true })
		}},
		{"committed without the new majority", CommittedDurable, "durable on 1 of 3 replicas", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.configure(1, 1, []int32{1, 4, 5}, []int32{1, 2, 3})
			s.show(1, nil)
			s.show(1, commitTo(2))
		}},
		{"committed by a replica's predecessor", CommittedDurable, "durable on 1 of 3 replicas", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.replace(2, 9, 100)
			s.c.ConfigEntry(stageGroup, 1) // a joint configuration between
			s.configure(1, 2, []int32{1, 2, 3}, nil)
			s.show(1, nil)
			s.show(1, commitTo(2))
		}},
		{"two configurations at one entry", ConfigEqual, "after entry 1 broker 2 has the configuration [1 2 4], another replica has [1 2 3]", func(s *stage) {
			s.configure(1, 1, []int32{1, 2, 3}, nil)
			s.configure(2, 1, []int32{1, 2, 4}, nil)
		}},
		{"two replicas replaced at once", ConfigsOverlap, "the configuration [1 2 3] of entry 0 and the next one, [1 4 5] of entry 1, have majorities without a common replica", func(s *stage) {
			s.configure(1, 1, []int32{1, 4, 5}, nil)
		}},
		{"joint for the new majority only", ConfigsOverlap, "[1 4 5] and [1 4 5]", func(s *stage) {
			s.configure(1, 1, []int32{1, 4, 5}, []int32{1, 4, 5})
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
			s.show(1, func(v *View) { v.Term, v.Vote, v.Leader, v.Commit = 2, 0, false, 3 })
		}},
		{"tail lost that was not durable", func(s *stage) {
			s.replicate(1, ab[:1], 1, 2)
			s.logs[2] = slices.Clone(ab)
			s.show(2, nil)
			s.restart(2)
			s.logs[2] = s.logs[2][:1]
			s.show(2, nil)
		}},
		{"replacement of a durable entry, not durable, survives", func(s *stage) {
			s.replicate(1, ab, 2, 1)
			s.logs[1] = []string{"1 a", "2 c"}
			s.show(1, func(v *View) { v.Term = 2 })
			s.restart(1)
			s.show(1, nil)
		}},
		{"replacement of a durable entry, not durable, is undone", func(s *stage) {
			s.replicate(1, ab, 2, 1)
			s.logs[1] = []string{"1 a", "2 c"}
			s.show(1, func(v *View) { v.Term = 2 })
			s.restart(1)
			s.logs[1] = []string{"1 a", "1 b"}
			s.show(1, nil)
		}},
		{"rewritten elsewhere", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			term, data := parseEntry(ab[0])
			s.c.Durable(1, stageGroup, 0, 1, Entry{Term: term, Hash: HashPayload(data)})
			s.show(1, commitTo(2))
		}},
		{"commit and applied start again", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, applyTo(2, 2))
			s.restart(1)
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
			s.c.Installed(s.name[3], stageGroup, 2, 0)
			s.logs[3] = []string{"9 x", "9 x"} // not looked at
			s.show(3, func(v *View) { v.First, v.Term, v.Vote, v.Leader, v.Commit = 3, 2, 0, false, 2 })
			s.restart(3)
			s.show(3, nil)
		}},
		{"replicas move", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, commitTo(2))
			s.c.ConfigEntry(stageGroup, 3)
			s.c.ConfigEntry(stageGroup, 4)
			s.configure(1, 3, []int32{1, 4, 5}, []int32{1, 2, 3})
			s.show(1, nil)
			s.logs[4] = slices.Clone(ab)
			s.logs[5] = slices.Clone(ab)
			s.configure(4, 4, []int32{1, 4, 5}, nil)
			for _, b := range []int32{4, 5} {
				s.show(b, nil)
			}
			s.replicate(2, []string{"2 c"}, 4, 5)
			s.show(4, commitTo(3))
		}},
		{"a configuration that nobody was seen with", func(s *stage) {
			s.c.ConfigEntry(stageGroup, 3)
			s.configure(1, 5, []int32{1, 4, 5}, nil)
		}},
		{"end of a replica lost with the power", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.replace(2, 9, 100)
			s.logs[2] = slices.Clone(ab) // the log that it starts with again is still there
			s.restart(2)
			s.c.ConfigEntry(stageGroup, 1) // a joint configuration between
			s.configure(1, 2, []int32{1, 2, 3}, nil)
			s.show(1, nil)
			s.show(2, func(v *View) { v.Term, v.Vote = 1, s.name[1] })
			s.show(1, commitTo(2))
		}},
		{"replica removed for good, and another one", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, commitTo(2))
			s.c.RemoveReplica(2, stageGroup)
			s.c.DurableRemoval(2, stageGroup, 50)
			s.replace(2, 9, 100)
			s.restart(2)
			s.show(2, nil)
		}},
		{"positions of the log lost and given out again", func(s *stage) {
			s.c.RemoveReplica(2, stageGroup)
			s.c.DurableRemoval(2, stageGroup, 50)
			s.replace(2, 9, 100)
			s.show(2, nil)
			s.restart(2)
			s.view[2].Begins = 60
			s.c.ConfigEntry(stageGroup, 1) // a joint configuration between
			s.configure(1, 2, []int32{1, 2, 3}, nil)
			s.replicate(1, ab, 1, 2)
			s.show(1, commitTo(2))
		}},
		{"the first record on a new disk", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.c.LostDisk(2)
			s.note(s.c.DurableVote(2, stageGroup, 10, 0, 0))
		}},
		{"a record is durable before the replica is seen", func(s *stage) {
			s.c.RemoveReplica(2, stageGroup)
			s.c.DurableRemoval(2, stageGroup, 50)
			s.note(s.c.DurableVote(2, stageGroup, 110, 0, 0))
			s.replace(2, 9, 100)
			s.show(2, nil)
			s.c.ConfigEntry(stageGroup, 1) // a joint configuration between
			s.configure(1, 2, []int32{1, 2, 3}, nil)
			s.replicate(1, ab, 1, 2)
			s.restart(2)
			s.show(2, nil)
			s.show(1, commitTo(2))
		}},
		{"beginning of a replica lost with the power", func(s *stage) {
			s.c.RemoveReplica(2, stageGroup)
			s.c.DurableRemoval(2, stageGroup, 50)
			s.replace(2, 9, 100)
			s.show(2, nil)
			s.c.Restarted(2)
			s.c.Started(2)
			s.replace(2, 9, 60)
			s.show(2, nil)
			s.c.ConfigEntry(stageGroup, 1) // a joint configuration between
			s.configure(1, 2, []int32{1, 2, 3}, nil)
			s.replicate(1, ab, 1, 2)
			s.c.Restarted(2)
			s.c.Recovered(s.name[2], stageGroup)
			s.c.Started(2)
			s.show(2, nil)
			s.show(1, commitTo(2))
		}},
		{"entries that are forgotten", func(s *stage) {
			s.replicate(1, ab, 1, 2, 3)
			for _, b := range []int32{1, 2, 3} {
				s.show(b, commitTo(2))
			}
			s.c.Forget(stageGroup, 2)
			s.c.Forget(stageGroup, 1)
			s.restart(2)
			s.show(2, nil)
			s.replicate(2, []string{"2 c"}, 2, 3)
			s.show(2, commitTo(3))
			s.logs[1] = slices.Clone(s.logs[2])
			s.show(1, func(v *View) { v.Term, v.Vote, v.Leader = 2, 0, false })
			s.show(1, commitTo(3))
		}},
		{"replica removed and back", func(s *stage) {
			s.replicate(1, ab, 1, 2)
			s.show(1, commitTo(2))
			s.c.RemoveReplica(1, stageGroup)
			s.logs[1] = nil
			*s.view[1] = View{First: 1}
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

// TestDurableBeforeSeen lets records of a replica be durable before it is seen.
func TestDurableBeforeSeen(t *testing.T) {
	d := &disk{broker: 1}
	early := d.life(20)
	seen := d.lifeOf(10)
	seen.log.put(1, mirrored{Entry: Entry{Term: 1}, known: true})
	if seen != early || d.life(15) != seen || d.life(30) != seen || d.survivor() != seen || len(d.lives) != 1 {
		t.Errorf("one replica has %d lives", len(d.lives))
	}
	if next := d.lifeOf(40); next == seen {
		t.Error("the next replica goes on with the life of the one before")
	}
}

// TestReplicaThatWroteNothing lets a replica come and go without a record. The next one is what a start finds.
func TestReplicaThatWroteNothing(t *testing.T) {
	d := &disk{broker: 1}
	d.lifeOf(10)
	next := d.lifeOf(40)
	if d.survivor() == next {
		t.Error("the next replica survives a power loss before its first record")
	}
	next = d.lifeOf(40)
	d.life(50).log.put(1, mirrored{Entry: Entry{Term: 1}, known: true})
	if d.survivor() != next {
		t.Error("a replica that never wrote anything survives in place of the next one")
	}
	last := d.lifeOf(60) // the end of the one before isn't durable, and it has an entry
	d.life(70).log.put(1, mirrored{Entry: Entry{Term: 2}, known: true})
	if d.survivor() == last {
		t.Error("a replica whose removal never became durable is taken for removed")
	}
}

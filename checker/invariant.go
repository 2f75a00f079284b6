// SPDX-License-Identifier: Apache-2.0

package checker

import "fmt"

// Invariant names one thing that a Cluster checks. The comments say when it was evaluated.
type Invariant int

// The invariants. Section and figure numbers are those of "In Search of an Understandable Consensus
// Algorithm" (Ongaro and Ousterhout, extended version).
const (
	OneLeaderPerTerm        Invariant = iota // Election Safety, figure 3; each time that a leader wins
	TermAndVoteForward                       // 5.1, 5.2; each observation after the first, and each durable vote after the first
	TermAndVoteDurable                       // 5.1, figure 2 "persistent state"; each restart of a replica that had made a term durable
	LogDurable                               // figure 2 "persistent state"; each restart of a replica that had made entries durable
	LeaderAppendOnly                         // figure 3; each observation of a leader that was one before
	LogMatching                              // figure 3; each entry that a replica gets after another replica of the group
	NoTruncationBelowCommit                  // follows from State Machine Safety; each truncation
	CommitWithinLog                          // each observation
	CommitForward                            // each observation but the first since the start
	CommittedEqual                           // State Machine Safety, figure 3; each entry that a further replica commits
	CommittedDurable                         // figure 2; each entry that is committed, on all disks
	LeaderTermDurable                        // the hold rule, on which asynchronous writes depend; each win
	VotesDurable                             // 5.2, figure 2 "persistent state"; each win, on all disks
	ConfigEqual                              // State Machine Safety for configurations; each that a further replica applies
	ConfigsOverlap                           // section 6; each configuration and the next one
	LeaderCompleteness                       // figure 3; each win, and each commit that becomes known later
	AppliedWithinCommit                      // each observation
	AppliedForward                           // each observation but the first since the start
	HighWatermarkForward                     // each observation of a partition but the first since the start
	HighWatermarkAboveStart                  // each observation of a partition
	StateEqual                               // State Machine Safety; each time that two replicas are seen at the same applied index
	HighWatermarkFollowsLog                  // each time that two replicas of a partition are seen at different applied indexes
	checkCount
)

var invariantNames = [checkCount]string{
	OneLeaderPerTerm:        "one-leader-per-term",
	TermAndVoteForward:      "term-and-vote-forward",
	TermAndVoteDurable:      "term-and-vote-durable",
	LogDurable:              "log-durable",
	LeaderAppendOnly:        "leader-append-only",
	LogMatching:             "log-matching",
	NoTruncationBelowCommit: "no-truncation-below-commit",
	CommitWithinLog:         "commit-within-log",
	CommitForward:           "commit-forward",
	CommittedEqual:          "committed-equal",
	CommittedDurable:        "committed-durable",
	LeaderTermDurable:       "leader-term-durable",
	VotesDurable:            "votes-durable",
	ConfigEqual:             "config-equal",
	ConfigsOverlap:          "configs-overlap",
	LeaderCompleteness:      "leader-completeness",
	AppliedWithinCommit:     "applied-within-commit",
	AppliedForward:          "applied-forward",
	HighWatermarkForward:    "high-watermark-forward",
	HighWatermarkAboveStart: "high-watermark-above-start",
	StateEqual:              "state-equal",
	HighWatermarkFollowsLog: "high-watermark-follows-log",
}

// String returns the invariant's name, as it stands in Violation.Check.
func (i Invariant) String() string { return invariantNames[i] }

// Evaluation says how often an invariant had something to compare.
type Evaluation struct {
	Check string `json:"check"`
	Count int64  `json:"count"`
}

// Evaluations lists all invariants in a fixed order. One that was never evaluated in a whole
// campaign has proved nothing.
func (c *Cluster) Evaluations() []Evaluation {
	list := make([]Evaluation, checkCount)
	for i := range list {
		list[i] = Evaluation{Check: invariantNames[i], Count: c.counts[i]}
	}
	return list
}

// broken returns the violation of an invariant in a group.
func (g *group) broken(i Invariant, format string, args ...any) *Violation {
	return &Violation{Check: i.String(), Text: fmt.Sprintf("group %d: ", g.id) + fmt.Sprintf(format, args...)}
}

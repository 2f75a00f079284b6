// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"slices"
	"strings"
)

// ConsumerGroup is what the members of one consumer group saw. Every attempt is a call of its own: a
// retry is another call. Members of the classic protocol have Joins and Syncs, those of KIP-848 have
// Beats.
type ConsumerGroup struct {
	Group      string       `json:"group"`
	Joins      []Join       `json:"joins,omitempty"`
	Syncs      []Sync       `json:"syncs,omitempty"`
	Beats      []Beat       `json:"beats,omitempty"`
	Commits    []Commit     `json:"commits,omitempty"`
	Reads      []OffsetRead `json:"reads,omitempty"`
	Deliveries []Delivery   `json:"deliveries,omitempty"`
}

// Join is a call of JoinGroup or LeaveGroup. By making it a member gives up all that it owns.
type Join struct {
	Span
	Owner   string  `json:"owner"`
	Outcome Outcome `json:"outcome"`
}

// Sync is a call of SyncGroup.
type Sync struct {
	Span
	// Owner is who gets partitions: the instance id of a static member, else the member id. A static
	// member that restarts has another member id and takes its former self's place (KIP-345).
	Owner      string   `json:"owner"`
	Generation int32    `json:"generation"`
	Leads      bool     `json:"leads"` // it sent the assignment
	Outcome    Outcome  `json:"outcome"`
	Partitions []string `json:"partitions"` // if OK: what it was told that it owns, ascending
	// Patience is how long the coordinator waits for this member at the least before it gives its
	// partitions to others, in ns: the smaller one of its session and rebalance timeouts.
	Patience int64 `json:"patience"`
}

// Beat is a call of ConsumerGroupHeartbeat.
type Beat struct {
	Span
	Member  string   `json:"member"`
	Sent    int32    `json:"sent"` // member epoch; 0: joins, below: leaves
	Owned   []string `json:"owned"`
	Says    bool     `json:"says"` // the call says that it owns Owned
	Outcome Outcome  `json:"outcome"`
	Epoch   int32    `json:"epoch"` // if OK
	Told    bool     `json:"told"`  // the answer says what it may own: Granted, ascending
	Granted []string `json:"granted"`
}

// Commit is one attempt to commit the offset of one partition. Outcome Failed means that the
// coordinator refused it for good.
type Commit struct {
	Span
	ID         int64   `json:"id"` // unique in the group, from 1; part of what is committed
	Partition  string  `json:"partition"`
	Offset     int64   `json:"offset"`
	Member     string  `json:"member"`
	Instance   string  `json:"instance,omitempty"` // of a static member
	Generation int32   `json:"generation"`         // or member epoch
	Outcome    Outcome `json:"outcome"`
}

// OffsetRead is an answered OffsetFetch of one partition.
type OffsetRead struct {
	Span
	Partition string `json:"partition"`
	Offset    int64  `json:"offset"` // -1: none is committed
	Commit    int64  `json:"commit"` // the ID of the commit; 0: none
}

// Delivery is a run of records that a member got: all that there were from From to before To.
type Delivery struct {
	Partition string `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// ConsumerGroup returns the history of a group and makes it if there is none.
func (h *Histories) ConsumerGroup(name string) *ConsumerGroup {
	at, ok := slices.BinarySearchFunc(h.Groups, name, func(g ConsumerGroup, name string) int { return strings.Compare(g.Group, name) })
	if !ok {
		h.Groups = slices.Insert(h.Groups, at, ConsumerGroup{Group: name})
	}
	return &h.Groups[at]
}

// The checks of consumer groups.
const (
	TwoOwners       = "two-owners"       // a partition has two owners at one time
	GenerationBack  = "generation-back"  // a group's generation or epoch went back
	FencedCommit    = "fenced-commit"    // a commit of an old generation or epoch took effect
	CommittedOffset = "committed-offset" // committed offsets are no linearizable register
	NotDelivered    = "not-delivered"    // no member ever got a record
)

// CheckConsumerGroup judges what the members of a group saw.
func CheckConsumerGroup(g *ConsumerGroup) *Violation {
	for _, check := range []func() *Violation{g.checkGenerations, g.checkHandover, g.checkEpochs, g.checkRevocations, g.checkHolders, g.checkInstances, g.checkCommits} {
		if v := check(); v != nil {
			v.Text = fmt.Sprintf("group %s: ", g.Group) + v.Text
			return v
		}
	}
	return nil
}

// CheckDelivered demands that the group got every record that the partition holds when all is over.
func CheckDelivered(g *ConsumerGroup, partition string, truth *Truth) *Violation {
	var runs []Delivery
	for _, d := range g.Deliveries {
		if d.Partition == partition {
			runs = append(runs, d)
		}
	}
	slices.SortFunc(runs, func(a, b Delivery) int { return int(max(-1, min(1, a.From-b.From))) })
	reached := int64(0)
	for _, r := range truth.Records {
		for len(runs) > 0 && runs[0].From <= r.Offset {
			reached = max(reached, runs[0].To)
			runs = runs[1:]
		}
		if r.Offset >= reached {
			return violation(NotDelivered, nil, "group %s: no member ever got the record at offset %d of %s, which is committed", g.Group, r.Offset, partition)
		}
	}
	return nil
}

// common returns a partition that both lists have; "" if there is none. Both ascend.
func common(a, b []string) string {
	for len(a) > 0 && len(b) > 0 {
		switch strings.Compare(a[0], b[0]) {
		case 0:
			return a[0]
		case -1:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return ""
}

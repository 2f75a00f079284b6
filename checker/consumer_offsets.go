// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"math"
	"slices"
)

// The committed offset of one partition is a register: commits write it and OffsetFetch reads it.
// Every commit writes something of its own, its ID, so that whether the history is linearizable can be
// decided without a search (Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 1997,
// section 4.1). All calls that concern one commit are its cluster; they have to be linearized next to
// each other. The zone of a cluster lies between the first return and the last call in it. If the
// first return comes first, the value was there during the zone: such zones must not overlap. If the
// last call comes first, the cluster can be at any one moment of its zone: it must not lie within the
// time in which another value was there.

// zone is where a cluster has to be.
type zone struct {
	commit   *Commit // nil: nothing was committed
	from, to int64   // the value was there from here to there, or at one moment in between
	lasting  bool    // the former
	read     *OffsetRead
}

// checkCommits judges the commits and reads of each partition.
func (g *ConsumerGroup) checkCommits() *Violation {
	commits := map[string][]*Commit{}
	reads := map[string][]*OffsetRead{}
	var partitions []string
	seen := func(p string) {
		if commits[p] == nil && reads[p] == nil {
			partitions = append(partitions, p)
		}
	}
	for i := range g.Commits {
		c := &g.Commits[i]
		seen(c.Partition)
		commits[c.Partition] = append(commits[c.Partition], c)
	}
	for i := range g.Reads {
		r := &g.Reads[i]
		seen(r.Partition)
		reads[r.Partition] = append(reads[r.Partition], r)
	}
	slices.Sort(partitions)
	fences := g.fences()
	for _, p := range partitions {
		if v := g.checkRegister(commits[p], reads[p], fences); v != nil {
			v.Partition = p
			return v
		}
	}
	return nil
}

// checkRegister judges one partition.
func (g *ConsumerGroup) checkRegister(commits []*Commit, reads []*OffsetRead, fences []fence) *Violation {
	of := map[int64][]*OffsetRead{} // by commit
	for _, r := range reads {
		of[r.Commit] = append(of[r.Commit], r)
	}
	zones := []zone{cluster(nil, math.MinInt64/2, of[0])}
	for _, r := range of[0] {
		if r.Offset != -1 {
			return violation(CommittedOffset, nil, "%s is of a commit that nobody made", r)
		}
	}
	delete(of, 0)
	for _, c := range commits {
		mine := of[c.ID]
		delete(of, c.ID)
		bound, v := g.admissible(c, mine, fences)
		if v != nil {
			return v
		}
		if c.Outcome == OK || len(mine) > 0 {
			zones = append(zones, cluster(c, bound, mine))
		}
	}
	for _, r := range reads {
		if len(of[r.Commit]) > 0 {
			return violation(CommittedOffset, nil, "%s is of a commit that nobody made", r)
		}
	}
	return separate(zones)
}

// admissible looks at one commit and what was read of it, and returns the time by which it took
// effect, if it did.
func (g *ConsumerGroup) admissible(c *Commit, reads []*OffsetRead, fences []fence) (int64, *Violation) {
	for _, r := range reads {
		switch {
		case r.Offset != c.Offset || r.Return < c.Call:
			return 0, violation(CommittedOffset, nil, "%s can't be of the %s", r, c)
		case c.Outcome == Failed:
			return 0, violation(FencedCommit, nil, "the %s was refused, but took effect: %s", c, r)
		}
	}
	fenced := g.fencedAt(c, fences)
	if c.Call > fenced && (c.Outcome == OK || len(reads) > 0) {
		check, why := FencedCommit, "a later generation was complete"
		if g.startedAfter(c, fenced) {
			check, why = GenerationBack, "the group had come to a later generation before this one began"
		}
		return 0, violation(check, nil, "the %s took effect, though %s at %s", c, why, seconds(fenced))
	}
	bound := fenced
	if c.Outcome == OK {
		bound = min(bound, c.Return)
	}
	return bound, nil
}

// cluster makes the zone of a commit that took effect by bound.
func cluster(c *Commit, bound int64, reads []*OffsetRead) zone {
	first, last := bound, int64(math.MinInt64)
	if c != nil {
		last = c.Call
	}
	z := zone{commit: c}
	for _, r := range reads {
		first = min(first, r.Return)
		if r.Call > last {
			last, z.read = r.Call, r
		}
	}
	z.lasting = first < last
	z.from, z.to = min(first, last), max(first, last)
	return z
}

// separate looks for two clusters that can't be linearized.
func separate(zones []zone) *Violation {
	slices.SortStableFunc(zones, func(a, b zone) int { return int(max(-1, min(1, a.from-b.from))) })
	var there *zone // the last of those that lasted
	for i := range zones {
		z := &zones[i]
		if !z.lasting {
			continue
		}
		if there != nil && z.from < there.to {
			return violation(CommittedOffset, nil, "%s was there until %s, but %s was there from %s on", there, seconds(there.to), z, seconds(z.from))
		}
		there = z
	}
	for i := range zones {
		for j := range zones {
			if z, o := &zones[i], &zones[j]; z.lasting && !o.lasting && z.from < o.from && o.to < z.to {
				return violation(CommittedOffset, nil, "%s was there from before %s to after %s, in which time there was %s", z, seconds(o.from), seconds(o.to), o)
			}
		}
	}
	return nil
}

func (z *zone) String() string {
	text := "nothing"
	if z.commit != nil {
		text = "the " + z.commit.String()
	}
	if z.read != nil {
		text += fmt.Sprintf(" (%s)", z.read)
	}
	return text
}

func (c *Commit) String() string {
	return fmt.Sprintf("commit %d of offset %d, %s, by %s in generation %d%s", c.ID, c.Offset, c.Outcome, c.Member, c.Generation, c.span())
}

func (r *OffsetRead) String() string {
	return fmt.Sprintf("read of offset %d, commit %d%s", r.Offset, r.Commit, r.span())
}

// fence is a time at which a generation of the classic protocol was complete.
type fence struct {
	generation int32
	at         int64
}

// fences lists them ascending by generation; at is when that generation or a later one was complete.
func (g *ConsumerGroup) fences() (list []fence) {
	for _, s := range g.granted() {
		if n := len(list); n > 0 && list[n-1].generation == s.Generation {
			list[n-1].at = min(list[n-1].at, s.Return)
		} else {
			list = append(list, fence{s.Generation, s.Return})
		}
	}
	for i := len(list) - 2; i >= 0; i-- {
		list[i].at = min(list[i].at, list[i+1].at)
	}
	return list
}

// fencedAt returns a time after which a commit must not take effect any more: a later generation was
// complete, or in KIP-848 another member was given the partition, or, if the commit was made later,
// the member had come to a later epoch.
func (g *ConsumerGroup) fencedAt(c *Commit, fences []fence) int64 {
	at := int64(math.MaxInt64 / 2)
	for _, f := range fences {
		if f.generation > c.Generation {
			at = f.at
			break
		}
	}
	given := int64(math.MinInt64)
	for i := range g.Beats {
		b := &g.Beats[i]
		if b.Member != c.Member || b.Outcome != OK {
			continue
		}
		if b.Epoch > c.Generation && b.Return < c.Call {
			at = min(at, b.Return)
		}
		if b.Return <= c.Call && slices.Contains(b.Granted, c.Partition) {
			given = max(given, b.Return)
		}
	}
	for i := range g.Beats {
		if b := &g.Beats[i]; b.Member != c.Member && b.Outcome == OK && given < b.Call && given > math.MinInt64 && slices.Contains(b.Granted, c.Partition) {
			at = min(at, b.Return)
		}
	}
	return at
}

// startedAfter reports whether the member of a commit entered its generation only after a time.
func (g *ConsumerGroup) startedAfter(c *Commit, at int64) bool {
	return slices.ContainsFunc(g.Syncs, func(s Sync) bool {
		return s.Generation == c.Generation && s.Outcome == OK && s.Client == c.Client && s.Call > at
	})
}

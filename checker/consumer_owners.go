// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"math"
	"slices"
)

// Who owns what in a consumer group. All rules hold with coordinators that were deposed and don't
// know it: those still answer what needs no entry in the log, so only such answers are compared that
// can't be given before an entry is committed.

// checkGenerations demands that no partition has two owners in one generation of the classic
// protocol. Generations that were answered to SyncGroup are committed, so their numbers are unique.
func (g *ConsumerGroup) checkGenerations() *Violation {
	granted := g.granted()
	for i, a := range granted {
		for _, b := range granted[i+1:] {
			if b.Generation != a.Generation {
				break
			}
			if p := common(a.Partitions, b.Partitions); p != "" && a.Owner != b.Owner {
				return violation(TwoOwners, nil, "in generation %d partition %s belongs to %s%s and to %s%s", a.Generation, p, a.Owner, a.span(), b.Owner, b.span())
			}
		}
	}
	return nil
}

// granted returns the answered calls of SyncGroup, ascending by generation.
func (g *ConsumerGroup) granted() []*Sync {
	var list []*Sync
	for i := range g.Syncs {
		if g.Syncs[i].Outcome == OK {
			list = append(list, &g.Syncs[i])
		}
	}
	slices.SortStableFunc(list, func(a, b *Sync) int { return int(a.Generation) - int(b.Generation) })
	return list
}

// checkHandover demands that in the classic protocol a partition goes to another member only when its
// owner has joined anew or left, or was waited for long enough. Time can't be shorter than it was since
// the leader sent the assignment of the owner's generation: no coordinator, not even a later one, can
// have begun to wait before. Clocks of brokers may be fast by a fifth.
func (g *ConsumerGroup) checkHandover() *Violation {
	granted := g.granted()
	for _, owner := range granted {
		began := g.assignedAt(owner.Generation)
		patient := began + owner.Patience*5/6
		for _, next := range granted {
			if next.Generation <= owner.Generation || next.Owner == owner.Owner || next.Return >= patient {
				continue
			}
			if p := common(owner.Partitions, next.Partitions); p != "" && !g.gaveUp(owner, next.Return) {
				return violation(TwoOwners, nil, "partition %s goes to %s in generation %d%s, though its owner in generation %d, %s%s, neither joined anew nor left, and was waited for less than %s",
					p, next.Owner, next.Generation, next.span(), owner.Generation, owner.Owner, owner.span(), seconds(owner.Patience))
			}
		}
	}
	return nil
}

// assignedAt is a time before which a generation's assignment can't have been committed.
func (g *ConsumerGroup) assignedAt(generation int32) int64 {
	first := int64(math.MaxInt64 / 2)
	led := false
	for i := range g.Syncs {
		if s := &g.Syncs[i]; s.Generation == generation && s.Leads {
			first, led = min(first, s.Call), true
		}
	}
	if !led {
		return math.MinInt64 / 2 // the assignment's sender isn't in the history
	}
	return first
}

// gaveUp reports whether an owner joined or left before a time, by a call that wasn't answered when it
// asked for its part: one that is answered late may have come late.
func (g *ConsumerGroup) gaveUp(owner *Sync, before int64) bool {
	return slices.ContainsFunc(g.Joins, func(j Join) bool {
		return j.Owner == owner.Owner && j.Call < before && (j.Outcome == Unknown || j.Return > owner.Call)
	})
}

// checkEpochs demands that the epoch of a group of KIP-848 never goes back: a member that joins comes
// to the group's epoch, which is at least that of every member before.
func (g *ConsumerGroup) checkEpochs() *Violation {
	for i := range g.Beats {
		b := &g.Beats[i]
		if b.Outcome != OK || b.Sent < 0 {
			continue
		}
		if b.Epoch < b.Sent {
			return violation(GenerationBack, nil, "member %s is in epoch %d and is answered %d%s", b.Member, b.Sent, b.Epoch, b.span())
		}
		if b.Sent > 0 {
			continue
		}
		for j := range g.Beats {
			if o := &g.Beats[j]; o.Outcome == OK && o.Epoch > b.Epoch && o.Return < b.Call {
				return violation(GenerationBack, nil, "member %s joins in epoch %d%s, though member %s was in epoch %d before%s", b.Member, b.Epoch, b.span(), o.Member, o.Epoch, o.span())
			}
		}
	}
	return nil
}

// checkRevocations demands that a member of KIP-848 comes to a new epoch only when it owns nothing any
// more that it has to give up. If a call since the last one that succeeded had no answer or an error, it may have come to the epoch by
// that: a coordinator that hands its leadership over answers that it isn't the coordinator, and what it has written may count.
func (g *ConsumerGroup) checkRevocations() *Violation {
	unanswered := map[string]bool{} // by member: its last call didn't succeed
	for i := range g.Beats {
		b := &g.Beats[i]
		again := unanswered[b.Member]
		unanswered[b.Member] = b.Outcome != OK
		if again || b.Outcome != OK || !b.Says || !b.Told || b.Sent <= 0 || b.Epoch <= b.Sent {
			continue
		}
		for _, p := range b.Owned {
			if !slices.Contains(b.Granted, p) {
				return violation(TwoOwners, nil, "member %s comes from epoch %d to %d though it says that it still owns %s, which it shall give up%s", b.Member, b.Sent, b.Epoch, p, b.span())
			}
		}
	}
	return nil
}

// checkInstances demands that of static members with one name the former can't commit any more when
// the latter could (KIP-345): their acknowledged commits don't alternate.
func (g *ConsumerGroup) checkInstances() *Violation {
	var acked []*Commit
	for i := range g.Commits {
		if c := &g.Commits[i]; c.Outcome == OK && c.Instance != "" {
			acked = append(acked, c)
		}
	}
	for _, b := range acked {
		var before *Commit // by another member, before b
		for _, a := range acked {
			switch {
			case a.Instance != b.Instance || a.Member == b.Member:
			case a.Return < b.Call && before == nil:
				before = a
			case a.Call > b.Return && before != nil && a.Member == before.Member:
				return violation(FencedCommit, nil, "members of the name %s take turns: %s, then %s, then %s", b.Instance, before, b, a)
			}
		}
	}
	return nil
}

// holding is a time in which a member of KIP-848 surely held a partition: from the answer that gave it
// on, until the last call before the member gave it up of which the answer proves, by a new epoch in
// the log, that it had been a member all the time.
type holding struct {
	member, partition string
	from, to          int64
}

// checkHolders demands that no two members hold a partition at one time.
func (g *ConsumerGroup) checkHolders() *Violation {
	list := g.holdings()
	slices.SortStableFunc(list, func(a, b holding) int { return int(max(-1, min(1, a.from-b.from))) })
	last := map[string]holding{}
	for _, h := range list {
		if o, ok := last[h.partition]; ok && o.member != h.member && h.from < o.to {
			return violation(TwoOwners, nil, "partition %s belongs to member %s from %s at least to %s, and to member %s from %s at least to %s",
				h.partition, o.member, seconds(o.from), seconds(o.to), h.member, seconds(h.from), seconds(h.to))
		}
		if h.to > last[h.partition].to {
			last[h.partition] = h
		}
	}
	return nil
}

// holdings follows each member through its calls, which are made one after another.
func (g *ConsumerGroup) holdings() (list []holding) {
	members := map[string]*holder{}
	for i := range g.Beats {
		b := &g.Beats[i]
		h := members[b.Member]
		if h == nil || b.Sent <= 0 {
			h = &holder{}
			members[b.Member] = h
		}
		list = append(list, h.beat(b)...)
	}
	return list
}

// holder is one member while its calls are followed.
type holder struct {
	held   []holding
	asked  []holding // held at the first call since the last answer: its answer may have been lost
	since  int64     // when that was made
	unsure bool      // there was such a call
}

// beat takes the member's next call and returns what it proves.
func (h *holder) beat(b *Beat) (proved []holding) {
	if !h.unsure {
		h.asked, h.since, h.unsure = slices.Clone(h.held), b.Call, true
	}
	h.held = slices.DeleteFunc(h.held, func(x holding) bool { return !slices.Contains(b.Owned, x.partition) })
	if b.Outcome != OK {
		return nil
	}
	h.unsure = false
	if b.Epoch > b.Sent {
		for _, x := range h.asked {
			x.to = h.since
			proved = append(proved, x)
		}
	}
	for _, p := range b.Granted {
		if !slices.ContainsFunc(h.held, func(x holding) bool { return x.partition == p }) {
			h.held = append(h.held, holding{member: b.Member, partition: p, from: b.Return})
		}
	}
	return proved
}

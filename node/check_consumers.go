// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"chronik/node/consumers"
)

// check compares the groups of a coordinator with the log of them, and with what is counted of them.
func (c *coordinator) check() error {
	err := cmp.Or(
		ascending("groups", c.groups, func(a, b *consumerGroup) int { return cmp.Compare(a.id, b.id) }),
		c.log.check(),
	)
	if err != nil {
		return err
	}
	bytes, err := c.txns.check(c)
	if err != nil {
		return err
	}
	places := 0
	for _, g := range c.groups {
		if g.coordinator != c {
			return fmt.Errorf("group %q is of another coordinator", g.id)
		}
		b, n, err := g.stored.check(g)
		if err != nil {
			return fmt.Errorf("group %q: %w", g.id, err)
		}
		bytes, places = bytes+b, places+n
		if err := g.check(); err != nil {
			return fmt.Errorf("group %q: %w", g.id, err)
		}
	}
	graves := 0
	for _, p := range c.log.graves {
		graves += btoi(p.in != nil)
	}
	return cmp.Or(
		differ("bytes of offsets", c.offsetBytes, bytes),
		differ("places of groups, and tombstones", int64(c.log.count), int64(places+graves)),
	)
}

// check compares what the keyed log counts with its places.
func (l *keyedLog) check() error {
	count, next := 0, int64(0)
	for i, c := range l.chunks {
		dropped := 0
		for _, p := range c.places {
			switch {
			case p.in != nil && p.in != c:
				return fmt.Errorf("the place at offset %d isn't in the chunk that it says", p.offset)
			case p.offset < next:
				return fmt.Errorf("the place at offset %d comes after one that ends at %d", p.offset, next)
			case p.in != nil && p.ms > c.newest:
				return fmt.Errorf("the place at offset %d is of %d, its chunk at most of %d", p.offset, p.ms, c.newest)
			case p.in == nil && p.was != nil && (p.offset < l.writeFrom || p.offset >= l.writeUntil):
				return fmt.Errorf("the place at offset %d is kept for a checkpoint that doesn't want it", p.offset)
			}
			next = p.offset + p.width()
			dropped += btoi(p.in == nil)
			count += btoi(p.in != nil)
		}
		if len(c.places) == 0 || dropped != c.dropped {
			return fmt.Errorf("chunk %d has %d places, %d of them dropped; counted are %d", i, len(c.places), dropped, c.dropped)
		}
	}
	for i, p := range l.graves {
		if p.kind != placeGrave || i > 0 && p.offset <= l.graves[i-1].offset {
			return fmt.Errorf("a tombstone at offset %d is out of order, or is none", p.offset)
		}
	}
	return cmp.Or(
		differ("places", int64(l.count), int64(count)),
		broken(next <= l.end, fmt.Sprintf("the log ends after its last place: at %d, not %d", next, l.end)),
	)
}

// holds reports whether a place in the log is that of something of a group.
func (g *consumerGroup) holds(p *place, kind placeKind, name string) error {
	if p == nil || p.in == nil || p.group != g || p.kind != kind || p.name != name {
		return fmt.Errorf("%q is not where the log has it: %+v", name, p)
	}
	return nil
}

// check looks where the log has what is stored of a group, and returns how many bytes its offsets take and how many places
// it has.
func (s *storedGroup) check(g *consumerGroup) (bytes int64, places int, err error) {
	err = ascending("topics", s.topics, func(a, b topicOffsets) int { return cmp.Compare(a.name, b.name) })
	for _, t := range s.topics {
		err = cmp.Or(err, broken(len(t.partitions) > 0, "a topic has offsets"),
			ascending("partitions", t.partitions, func(a, b *committedOffset) int { return cmp.Compare(a.partition, b.partition) }))
		for _, o := range t.partitions {
			if bytes += o.bytes(); err == nil {
				err = g.holds(o.place, placeOffset, t.name)
			}
			places++
		}
	}
	err = cmp.Or(err, broken((s.metadata != nil) == (s.place != nil), "a classic group has a place"))
	if s.place != nil && err == nil {
		places++
		err = g.holds(s.place, placeClassic, "")
	}
	if s.modern != nil && err == nil {
		var members int
		members, err = s.modern.check(g)
		places += members
	}
	return bytes, places, cmp.Or(err, broken(s.metadata == nil || s.modern == nil, "a group speaks one protocol"))
}

// check compares what the members of a group hold with the index of it, and returns how many places they have.
func (s *modernState) check(g *consumerGroup) (places int, err error) {
	if err := ascending("members", s.members, func(a, b *modernMember) int { return cmp.Compare(a.ID, b.ID) }); err != nil {
		return 0, err
	}
	held := make(map[consumers.Slot][]string)
	for _, m := range s.members {
		if err := g.holds(m.place, placeMember, m.ID); err != nil {
			return 0, err
		}
		for _, p := range append(m.Owned.Slots(), m.Revoking.Slots()...) {
			if !slices.Contains(held[p], m.ID) {
				held[p] = append(held[p], m.ID)
			}
		}
	}
	places = len(s.members)
	if s.place != nil {
		places++
		if err := g.holds(s.place, placeModern, ""); err != nil {
			return 0, err
		}
	}
	return places, broken(maps.EqualFunc(held, s.held, slices.Equal), fmt.Sprintf("members hold what is noted: %v, noted is %v", held, s.held))
}

// check looks at what a leader has of a group besides: who waits for what.
func (g *consumerGroup) check() error {
	if g.classic == nil {
		return broken(g.modern == nil && !g.coordinator.serves(), "a coordinator that serves has its groups ready")
	}
	if err := cmp.Or(g.classic.roster.check(), g.classic.check()); err != nil || g.modern == nil {
		return err
	}
	return g.modern.check()
}

// check compares what is counted of the members with the members.
func (r *roster) check() error {
	sum := roster{}
	for _, m := range r.members {
		sum.enlist(m)
	}
	return cmp.Or(
		differ("bytes of members", int64(r.bytes), int64(sum.bytes)),
		differ("members that wait for the others", int64(r.joining), int64(sum.joining)),
		differ("members by id", int64(len(sum.byID)), int64(len(r.members))),
		broken(maps.Equal(r.byID, sum.byID) && maps.Equal(r.byName, sum.byName), "members are found by their id and name"),
		broken(maps.Equal(r.speakers, sum.speakers), fmt.Sprintf("members speak %v, counted are %v", sum.speakers, r.speakers)),
	)
}

// check looks for somebody who waits, in a state in which nobody will answer, or without a time at which that ends.
func (g *classicGroup) check() error {
	if g.state == groupDead {
		return nil
	}
	timed := g.state == groupPreparing || g.state == groupCompleting && g.owed()
	for _, m := range g.members {
		switch {
		case m.join != nil && g.state != groupPreparing:
			return fmt.Errorf("member %q waits for the others to join, in state %v", m.id, g.state)
		case m.sync != nil && g.state != groupCompleting:
			return fmt.Errorf("member %q waits for its assignment, in state %v", m.id, g.state)
		case !m.timer.Waits() || m.timer.At > m.expires:
			return fmt.Errorf("member %q has no session", m.id)
		}
	}
	//det:ok whether all are right has no order
	for id, timer := range g.promised {
		if !timer.Waits() {
			return fmt.Errorf("member id %q was promised for ever", id)
		}
	}
	return cmp.Or(
		broken(!timed || g.timer.Waits(), fmt.Sprintf("a rebalance ends: state %v", g.state)),
		broken((g.state == groupEmpty) == (len(g.members) == 0) || g.state == groupPreparing, fmt.Sprintf("state %v goes with %d members", g.state, len(g.members))),
		broken(len(g.members) == 0 || g.byID[g.leader] != nil, "the leader is a member"),
		broken(g.offsets == 0 || g.offsets > 0 && g.commits > 0, fmt.Sprintf("%d offsets are on their way into the log in %d commits", g.offsets, g.commits)),
		bounded("commits on their way into the log", int64(g.commits), 1<<62),
	)
}

// owed reports whether a member has yet to ask for its assignment.
func (g *classicGroup) owed() bool {
	return slices.ContainsFunc(g.members, func(m *groupMember) bool { return m.owes })
}

// check looks for members without a session, and for requests that wait for no change.
func (g *modernGroup) check() error {
	if g.dead() {
		return nil
	}
	//det:ok whether all are right has no order
	for id, s := range g.sessions {
		if !s.expires.Waits() && !g.busy && g.waiting.len() == 0 {
			return fmt.Errorf("the session of member %q never ends", id)
		}
	}
	for _, m := range g.state().members {
		if g.sessions[m.ID] == nil && !g.busy {
			return fmt.Errorf("member %q has no session", m.ID)
		}
	}
	return broken(g.waiting.len() == 0 || g.busy || g.resumes, "requests wait for a change that is under way")
}

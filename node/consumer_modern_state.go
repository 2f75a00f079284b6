// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka"
	"chronik/node/consumers"
	"chronik/node/step"
)

// modernState is what the log says of a group of the new protocol (KIP-848). It is JSON: no client
// reads it, and it changes only when the group does.
type modernState struct {
	Epoch       int32                // grows with every change of members, subscriptions or topics
	TargetEpoch int32                // for which the members' targets were made
	Topics      consumers.Assignment // for which they were made: every partition of every subscribed topic
	Assignor    string               // by which they were made
	Since       int64                // wall clock in ms when the last member left

	members []*modernMember             // ascending by id
	held    map[consumers.Slot][]string // partitions that committed members have or still have to give up, and their ids, ascending: one, if no leader went wrong
	place   *place
}

// modernMember is a member of such a group. It is never changed, only replaced.
type modernMember struct {
	ID          string
	Instance    *string  `json:",omitempty"` // of a static member (KIP-345)
	Rack        *string  `json:",omitempty"`
	ClientID    string   `json:",omitempty"`
	Host        string   `json:",omitempty"` // where the client is
	RebalanceMs int32    // how long it may take to give partitions up
	Topics      []string `json:",omitempty"` // names that it subscribes to, ascending
	Regex       string   `json:",omitempty"` // and those that match
	Principal   string   `json:",omitempty"` // who it is, where it has a say in what matches
	Assignor    string   `json:",omitempty"` // that it prefers

	Epoch    int32                // the target epoch that it has come to; awayEpoch for a static member that is away
	Previous int32                // its epoch before, in case an answer gets lost
	Owned    consumers.Assignment // what it may use
	Revoking consumers.Assignment // what it has to give up first, before it gets anything new
	Target   consumers.Assignment // what it shall own

	place *place
}

// Epochs by which a member says what it wants.
const (
	joinEpoch  = 0
	leaveEpoch = -1
	awayEpoch  = -2 // a static member that will be back within its session
)

// settled reports whether a member has come to its target.
func (m *modernMember) settled(s *modernState) bool {
	return m.Epoch == s.TargetEpoch && len(m.Revoking) == 0 && m.Owned.Equal(m.Target)
}

func (s *modernState) position(id string) (int, bool) {
	return sort.Find(len(s.members), func(i int) int { return strings.Compare(id, s.members[i].ID) })
}

// member returns a member by id, nil if there is none.
func (s *modernState) member(id string) *modernMember {
	if i, ok := s.position(id); ok {
		return s.members[i]
	}
	return nil
}

func (s *modernState) byInstance(instance string) *modernMember {
	for _, m := range s.members {
		if m.Instance != nil && *m.Instance == instance {
			return m
		}
	}
	return nil
}

func (s *modernState) put(m *modernMember) {
	i, ok := s.position(m.ID)
	if ok {
		s.members[i] = m
	} else {
		s.members = slices.Insert(s.members, i, m)
	}
}

func (s *modernState) remove(id string) {
	if i, ok := s.position(id); ok {
		s.members = slices.Delete(s.members, i, i+1)
	}
}

// commit puts a member in the place of what it was before, as the log says; remove lets it go.
func (s *modernState) commit(m *modernMember) {
	s.release(m.ID)
	s.put(m)
	for _, p := range append(m.Owned.Slots(), m.Revoking.Slots()...) {
		if s.held == nil {
			s.held = make(map[consumers.Slot][]string)
		}
		if i, holds := slices.BinarySearch(s.held[p], m.ID); !holds {
			s.held[p] = slices.Insert(s.held[p], i, m.ID)
		}
	}
}

// release notes that a member has nothing any more.
func (s *modernState) release(id string) {
	m := s.member(id)
	if m == nil {
		return
	}
	for _, p := range append(m.Owned.Slots(), m.Revoking.Slots()...) {
		if i, holds := slices.BinarySearch(s.held[p], id); holds {
			s.held[p] = slices.Delete(s.held[p], i, i+1)
		}
		if len(s.held[p]) == 0 {
			delete(s.held, p)
		}
	}
	if len(s.held) == 0 {
		s.held = nil
	}
}

// state returns the name of what the group is doing.
func (s *modernState) state() string {
	switch {
	case len(s.members) == 0:
		return "Empty"
	case s.Epoch > s.TargetEpoch:
		return "Assigning"
	case slices.ContainsFunc(s.members, func(m *modernMember) bool { return !m.settled(s) }):
		return "Reconciling"
	default:
		return "Stable"
	}
}

// placeOf returns where a member's records are, or with no member the group's; nil if there are none.
func (s *modernState) placeOf(id string) *place {
	if s == nil {
		return nil
	}
	if id == "" {
		return s.place
	}
	if m := s.member(id); m != nil {
		return m.place
	}
	return nil
}

// modernKey is the key of a member's record, or with no member of the group's.
func modernKey(group, member string) []byte {
	kind := uint16(keyModernGroup)
	if member != "" {
		kind = keyModernMember
	}
	key := binary.BigEndian.AppendUint16(nil, kind)
	key = binary.BigEndian.AppendUint16(key, uint16(len(group)))
	return append(append(key, group...), member...)
}

func modernRecord(key []byte, v any) kafka.Record {
	value, err := json.Marshal(v)
	step.Assert(err == nil, "a modern group can be encoded: %v", err)
	return kafka.Record{Key: key, Value: value}
}

func (s *modernState) record(group string) kafka.Record {
	return modernRecord(modernKey(group, ""), s)
}

func (m *modernMember) record(group string) kafka.Record {
	return modernRecord(modernKey(group, m.ID), m)
}

// applyModern takes a change of a group of the new protocol or of one of its members.
func (g *storedGroup) applyModern(c *modernChange) {
	if g.modern == nil {
		g.modern, g.metadata = &modernState{}, nil
	}
	if c.state != nil {
		c.state.members, c.state.held, c.state.place = g.modern.members, g.modern.held, g.modern.place
		g.modern = c.state
	} else {
		c.now.place = g.modern.placeOf(c.member)
		g.modern.commit(c.now)
	}
}

// draft is a change in the making: what a heartbeat or the end of a session makes of a group. Nothing
// counts before its records are committed.
type draft struct {
	group   string
	state   modernState
	epoch   int32    // before the change
	target  int32    // before the change
	changed []string // members to be written, some of them several times
	removed []string
	header  bool // the group's own record is to be written
}

// newDraft begins with what is committed.
func newDraft(group string, s *modernState) *draft {
	d := &draft{group: group, state: *s, epoch: s.Epoch, target: s.TargetEpoch}
	d.state.members = slices.Clone(s.members)
	return d
}

func (d *draft) put(m *modernMember) {
	d.state.put(m)
	d.changed = append(d.changed, m.ID)
}

func (d *draft) remove(id string) {
	d.state.remove(id)
	d.removed = append(d.removed, id)
}

// records returns what has to be written, at most limit bytes in an entry. If it takes more, a leader
// may fall between entries: so the epoch comes first, and that the targets belong to it last.
func (d *draft) records(limit int) (records []kafka.Record) {
	for _, id := range d.removed {
		records = append(records, kafka.Record{Key: modernKey(d.group, id)})
	}
	written := make(map[string]bool)
	for _, id := range d.changed {
		if m := d.state.member(id); m != nil && !written[id] {
			written[id] = true
			records = append(records, m.record(d.group))
		}
	}
	if d.header && batchBytes(records) > limit {
		first := d.state
		first.TargetEpoch = d.target
		records = slices.Insert(records, 0, first.record(d.group))
	}
	if d.header {
		records = append(records, d.state.record(d.group))
	}
	return records
}

// identify finds the member that a request comes from.
func (s *modernState) identify(req *kmsg.ConsumerGroupHeartbeatRequest) (*modernMember, error) {
	if req.InstanceID != nil {
		m := s.byInstance(*req.InstanceID)
		switch {
		case m == nil:
			return nil, kerr.UnknownMemberID
		case m.ID != req.MemberID:
			return nil, kerr.FencedInstanceID
		}
		return m, nil
	}
	if m := s.member(req.MemberID); m != nil {
		return m, nil
	}
	return nil, kerr.UnknownMemberID
}

// preferred is the assignor that most members ask for.
func (s *modernState) preferred() string {
	ranges, asked := 0, 0
	for _, m := range s.members {
		if m.Assignor != "" {
			asked++
		}
		if m.Assignor == consumers.AssignorRange {
			ranges++
		}
	}
	if ranges > asked-ranges {
		return consumers.AssignorRange
	}
	return consumers.AssignorUniform
}

// reconcile decides what a member may own now. It first gives up what it shall not own any more, and
// stays in its epoch until it has said that it did: by all that it owns. Then it gets what its target holds and no other
// member still has.
func (s *modernState) reconcile(m *modernMember, owned consumers.Assignment, all bool) *modernMember {
	if len(m.Revoking) > 0 && (!all || len(owned.And(m.Revoking)) > 0) {
		return m
	}
	if m.settled(s) {
		return m
	}
	next := *m
	next.Owned = m.Owned.And(m.Target)
	next.Revoking = nil
	if left := m.Owned.Minus(next.Owned); len(left) > 0 && (!all || len(owned.And(left)) > 0) {
		next.Revoking = left
		return &next
	}
	if next.Epoch != s.TargetEpoch {
		next.Previous, next.Epoch = m.Epoch, s.TargetEpoch
	}
	if missing := m.Target.Minus(next.Owned); len(missing) > 0 {
		next.Owned = next.Owned.Or(s.free(missing, m.ID))
	}
	return &next
}

// free returns which of the partitions no other member has, or still has to give up.
func (s *modernState) free(want consumers.Assignment, member string) consumers.Assignment {
	return consumers.AssignmentOf(slices.DeleteFunc(want.Slots(), func(p consumers.Slot) bool {
		return slices.ContainsFunc(s.held[p], func(holder string) bool { return holder != member })
	}))
}

func (m *modernMember) bytes() int {
	sum := len(m.ID) + len(m.ClientID) + len(m.Host) + len(m.Regex) + len(m.Principal) + len(m.Assignor)
	for _, text := range []*string{m.Instance, m.Rack} {
		if text != nil {
			sum += len(*text)
		}
	}
	for _, name := range m.Topics {
		sum += 16 + len(name)
	}
	return sum
}

func (m *modernMember) subscribesAs(o *modernMember) bool {
	return slices.Equal(m.Topics, o.Topics) && m.Regex == o.Regex && m.as() == o.as()
}

func (m *modernMember) same(o *modernMember) bool {
	return m.ID == o.ID && sameText(m.Instance, o.Instance) && sameText(m.Rack, o.Rack) && m.ClientID == o.ClientID && m.Host == o.Host &&
		m.RebalanceMs == o.RebalanceMs && m.subscribesAs(o) && m.Assignor == o.Assignor && m.Epoch == o.Epoch && m.Previous == o.Previous &&
		m.Owned.Equal(o.Owned) && m.Revoking.Equal(o.Revoking) && m.Target.Equal(o.Target)
}

func sameText(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

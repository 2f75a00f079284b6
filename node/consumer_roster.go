// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// roster is the members of a classic group, and what is counted of them so that nobody has to look at all of them.
type roster struct {
	members  []*groupMember // in order of arrival
	byID     map[string]*groupMember
	byName   map[string]*groupMember // static members
	speakers map[string]int          // how many members speak a protocol
	bytes    int                     // that members say about themselves
	joining  int                     // members that wait for the others to join
}

// enlist adds a member.
func (r *roster) enlist(m *groupMember) {
	if r.byID == nil {
		r.byID, r.byName, r.speakers = make(map[string]*groupMember), make(map[string]*groupMember), make(map[string]int)
	}
	r.members = append(r.members, m)
	r.count(m, 1)
}

// count adds a member to what is counted, or takes it out again. Whoever changes what a member says or is called
// does so between the two.
func (r *roster) count(m *groupMember, sign int) {
	r.bytes += sign * m.bytes()
	for i := range m.protocols {
		name := m.protocols[i].Name
		if r.speakers[name] += sign; r.speakers[name] == 0 {
			delete(r.speakers, name)
		}
	}
	if m.join != nil {
		r.joining += sign
	}
	if sign < 0 {
		delete(r.byID, m.id)
		if m.instance != nil {
			delete(r.byName, *m.instance)
		}
		return
	}
	r.byID[m.id] = m
	if m.instance != nil {
		r.byName[*m.instance] = m
	}
}

// change lets a member change.
func (r *roster) change(m *groupMember, f func()) {
	r.count(m, -1)
	f()
	r.count(m, 1)
}

// strike takes members out.
func (r *roster) strike(out func(*groupMember) bool) {
	r.members = slices.DeleteFunc(r.members, func(m *groupMember) bool {
		gone := out(m)
		if gone {
			r.count(m, -1)
		}
		return gone
	})
}

// member returns a member by id, nil if there is none.
func (r *roster) member(id string) *groupMember { return r.byID[id] }

// byInstance returns a static member by name, nil if there is none.
func (r *roster) byInstance(instance string) *groupMember { return r.byName[instance] }

// known returns the member that a client would be, if it is let in.
func (r *roster) known(req *kmsg.JoinGroupRequest) *groupMember {
	if req.InstanceID != nil {
		if m := r.byName[*req.InstanceID]; m != nil {
			return m
		}
	}
	return r.byID[req.MemberID]
}

// allSpeak reports whether all members know a protocol.
func (r *roster) allSpeak(protocol string) bool { return r.speakers[protocol] == len(r.members) }

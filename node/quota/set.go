// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"fmt"
	"slices"
	"strings"
)

// Quota is what is set for an entity. It is never changed, only replaced.
type Quota struct {
	Entity
	Values []Value // ascending by key; never none
}

// value returns the limit of a key; 0: none is set.
func (q *Quota) value(k Key) float64 {
	for i := range q.Values {
		if q.Values[i].Key == keyNames[k] {
			return q.Values[i].Value
		}
	}
	return 0
}

// after returns the quota with a change made; nil if nothing is left.
func (q *Quota) after(c *Change) *Quota {
	fresh := &Quota{Entity: c.Entity}
	if q != nil {
		fresh.Values = slices.Clone(q.Values)
	}
	for _, op := range c.Ops {
		i, there := slices.BinarySearchFunc(fresh.Values, op.Key, func(v Value, key string) int { return strings.Compare(v.Key, key) })
		switch {
		case op.Remove && there:
			fresh.Values = slices.Delete(fresh.Values, i, i+1)
		case op.Remove:
		case there:
			fresh.Values[i].Value = op.Value.Value
		default:
			fresh.Values = slices.Insert(fresh.Values, i, op.Value)
		}
	}
	if len(fresh.Values) == 0 {
		return nil
	}
	return fresh
}

// Set is all quotas of a cluster. The list is never changed in place, so that whoever has it can go through it in pieces.
type Set struct {
	quotas  []*Quota // ascending by entity
	of      map[Entity]*Quota
	set     [keys]int // so many entities have a value for each key
	changes uint64
}

// NewSet makes a set of quotas, which are ascending and no entity twice.
func NewSet(quotas []*Quota) *Set {
	s := &Set{quotas: quotas, of: make(map[Entity]*Quota)}
	for _, q := range quotas {
		s.of[q.Entity] = q
		s.count(q, 1)
	}
	return s
}

// Quotas returns all quotas, ascending by entity. Neither they nor the list may be changed.
func (s *Set) Quotas() []*Quota { return s.quotas }

// Has reports whether anybody has a limit of a key.
func (s *Set) Has(k Key) bool { return s.set[k] > 0 }

// HasClients reports whether anybody but an address has a limit.
func (s *Set) HasClients() bool {
	return s.set[Fetch]|s.set[Mutations]|s.set[Produce]|s.set[Request] != 0
}

// Addresses calls each with the limits of addresses, and returns the default; 0: there is none.
func (s *Set) Addresses(each func(address string, rate float64)) (byDefault float64) {
	for _, q := range s.quotas {
		switch ip := q.IP.Text(); {
		case ip != nil:
			each(*ip, q.value(Connections))
		case q.IP != "":
			byDefault = q.value(Connections)
		}
	}
	return byDefault
}

// Changes grows with every change.
func (s *Set) Changes() uint64 { return s.changes }

// Fresh is how many entities some changes name that have no quotas yet.
func (s *Set) Fresh(changes []Change) (fresh int) {
	for i := range changes {
		if s.of[changes[i].Entity] == nil {
			fresh++
		}
	}
	return fresh
}

// Apply makes changes, one after the other. It costs as much as the list is long, once.
func (s *Set) Apply(changes []Change) {
	s.changes++
	s.quotas = slices.Clone(s.quotas)
	for i := range changes {
		c := &changes[i]
		was := s.of[c.Entity]
		now := was.after(c)
		at, _ := slices.BinarySearchFunc(s.quotas, c.Entity, func(q *Quota, e Entity) int { return q.Compare(e) })
		s.count(was, -1)
		s.count(now, 1)
		if was != nil {
			s.quotas = slices.Delete(s.quotas, at, at+1)
			delete(s.of, c.Entity)
		}
		if now != nil {
			s.quotas = slices.Insert(s.quotas, at, now)
			s.of[c.Entity] = now
		}
	}
}

func (s *Set) count(q *Quota, by int) {
	if q == nil {
		return
	}
	for k := range keys {
		if q.value(k) > 0 {
			s.set[k] += by
		}
	}
}

// Check looks at the order of the quotas, whether each can be one, and at what is noted of them.
func (s *Set) Check() error {
	again := NewSet(s.quotas)
	for i, q := range s.quotas {
		for j, v := range q.Values {
			if wrong := q.checkValue(v); wrong != "" || j > 0 && q.Values[j-1].Key >= v.Key {
				return fmt.Errorf("quotas of %v: %.60q is %v, or out of order (%s)", q.Entity, v.Key, v.Value, wrong)
			}
		}
		if wrong := q.check(); wrong != "" || len(q.Values) == 0 || i > 0 && s.quotas[i-1].Compare(q.Entity) >= 0 || s.of[q.Entity] != q {
			return fmt.Errorf("quotas of %v: empty, out of order, not found, or %q", q.Entity, wrong)
		}
	}
	if len(s.of) != len(s.quotas) || again.set != s.set {
		return fmt.Errorf("%d quotas, of which %d are found; %v have values, as counted: %v", len(s.quotas), len(s.of), again.set, s.set)
	}
	return nil
}

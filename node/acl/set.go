// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"fmt"
	"slices"
)

// Set is all rules of a cluster. The list of its rules is never changed in place, so that whoever has it can go through it
// in pieces.
type Set struct {
	rules []*Rule // ascending by Compare
	bytes int64   // see Rule.Bytes
	index *index
}

// NewSet makes a set of rules, which are ascending and none of them twice.
func NewSet(rules []*Rule) *Set {
	s := &Set{rules: rules, index: newIndex()}
	for _, r := range rules {
		s.index.add(r)
		s.bytes += r.Bytes()
	}
	return s
}

// Rules returns all rules, ascending. Neither they nor the list may be changed.
func (s *Set) Rules() []*Rule { return s.rules }

// Bytes is about what the rules take in memory.
func (s *Set) Bytes() int64 { return s.bytes }

func (s *Set) find(r *Rule) (int, bool) { return slices.BinarySearchFunc(s.rules, r, Compare) }

// Has reports whether there is such a rule.
func (s *Set) Has(r *Rule) bool {
	_, there := s.find(r)
	return there
}

// Add adds rules, of which those that are there already change nothing. It costs as much as the list is long, once.
func (s *Set) Add(rules []*Rule) {
	fresh := make([]*Rule, 0, len(rules))
	for _, r := range rules {
		if !s.Has(r) {
			fresh = append(fresh, r)
		}
	}
	slices.SortFunc(fresh, Compare)
	fresh = slices.CompactFunc(fresh, func(a, b *Rule) bool { return *a == *b })
	merged, from := make([]*Rule, 0, len(s.rules)+len(fresh)), 0
	for _, r := range fresh {
		i, _ := s.find(r)
		merged = append(append(merged, s.rules[from:i]...), r)
		from = i
		s.index.add(r)
		s.bytes += r.Bytes()
	}
	s.rules = append(merged, s.rules[from:]...)
}

// Remove removes rules, of which those that aren't there change nothing. It costs as much as the list is long, once.
func (s *Set) Remove(rules []*Rule) {
	gone := make([]int, 0, len(rules))
	for _, r := range rules {
		if i, there := s.find(r); there {
			gone = append(gone, i)
		}
	}
	slices.Sort(gone)
	gone = slices.Compact(gone)
	left, from := make([]*Rule, 0, len(s.rules)-len(gone)), 0
	for _, i := range gone {
		s.index.remove(s.rules[i])
		s.bytes -= s.rules[i].Bytes()
		left = append(left, s.rules[from:i]...)
		from = i + 1
	}
	s.rules = append(left, s.rules[from:]...)
}

// Allowed reports whether a principal may do an operation from a host to a resource. The host is spelled as by Host.
func (s *Set) Allowed(principal, host string, op Operation, t ResourceType, name string) bool {
	return s.index.decide(principal, host, t, name).allows(op)
}

// Operations returns which of some operations a principal may do, as a field of bits by their numbers.
func (s *Set) Operations(principal, host string, of []Operation, t ResourceType, name string) (bits int32) {
	v := s.index.decide(principal, host, t, name)
	for _, op := range of {
		if v.allows(op) {
			bits |= int32(op.bit())
		}
	}
	return bits
}

// AllowedSome reports whether a principal may do an operation to any resource of a type at all, as Kafka's
// authorizeByResourceType: if something is allowed that isn't denied as a whole. What else allows it by implication
// doesn't count. Only what is allowed and denied again is gone through.
func (s *Set) AllowedSome(principal, host string, op Operation, t ResourceType) bool {
	x, parties := s.index, s.parties(principal, host)
	if s.Allowed(principal, host, op, t, "hardcode") { // as Kafka does, for what is allowed by way of such a name
		return true
	}
	denied := func(p pattern) bool {
		for _, who := range parties {
			if x.denials[grant{who, t, op}][p] || x.denials[grant{who, t, All}][p] {
				return true
			}
		}
		return false
	}
	if denied(pattern{t, Literal, Wildcard}) {
		return false
	}
	for _, who := range parties {
		for _, o := range [...]Operation{op, All} {
			if granted := x.grants[grant{who, t, o}]; granted != nil && slices.ContainsFunc(granted.list, func(p pattern) bool { return x.effective(p, denied) }) {
				return true
			}
		}
	}
	return false
}

func (s *Set) parties(principal, host string) [4]party {
	return [4]party{{principal, host}, {principal, Wildcard}, {Everybody, host}, {Everybody, Wildcard}}
}

// effective reports whether a pattern isn't denied as a whole, by the same pattern or by a prefix of it. A literal denial
// takes nothing from a prefix, and no prefix anything from the wildcard.
func (x *index) effective(p pattern, denied func(pattern) bool) bool {
	if p.pattern == Literal && p.name == Wildcard {
		return true
	}
	if p.pattern == Literal && denied(p) {
		return false
	}
	if l := x.lengths[p.kind]; l != nil {
		for _, n := range l.sorted {
			if n > len(p.name) {
				break
			}
			if denied(pattern{p.kind, Prefixed, p.name[:n]}) {
				return false
			}
		}
	}
	return true
}

// Check compares what is noted with the rules.
func (s *Set) Check() error {
	for i := 1; i < len(s.rules); i++ {
		if Compare(s.rules[i-1], s.rules[i]) >= 0 {
			return fmt.Errorf("rules: the order is broken at position %d of %d", i, len(s.rules))
		}
	}
	again := NewSet(s.rules)
	if again.bytes != s.bytes {
		return fmt.Errorf("bytes of rules: counted %d, there are %d", s.bytes, again.bytes)
	}
	x, y := s.index, again.index
	if len(x.patterns) != len(y.patterns) || len(x.grants) != len(y.grants) || len(x.denials) != len(y.denials) {
		return fmt.Errorf("index of rules: %d patterns, %d grants and %d denials, there are %d, %d and %d",
			len(x.patterns), len(x.grants), len(x.denials), len(y.patterns), len(y.grants), len(y.denials))
	}
	for _, r := range s.rules {
		p, who := pattern{r.Type, r.Pattern, r.Name}, party{r.Principal, r.Host}
		if v := x.patterns[p][who]; v == nil || *v != *y.patterns[p][who] || len(x.patterns[p]) != len(y.patterns[p]) {
			return fmt.Errorf("index of rules: what it has of %v differs", r)
		}
	}
	for t := Topic; t <= User; t++ {
		if !slices.Equal(x.lengthsOf(t).sorted, y.lengthsOf(t).sorted) {
			return fmt.Errorf("index of rules: prefixes of %v have other lengths", t)
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package acl

import "slices"

// index finds the rules that have a say in a decision without looking at the others. Rules of one pattern, principal and
// host are two sets of bits, so a decision is four look-ups for the name, four for the wildcard, and four for each
// length that prefixes have. However many rules there are, that is at most as many lengths as the name has bytes.
type index struct {
	patterns map[pattern]map[party]*verdicts
	lengths  map[ResourceType]*lengths  // of prefixes
	grants   map[grant]*patternSet      // patterns that allow an operation: for AllowedSome
	denials  map[grant]map[pattern]bool // and that deny it
}

type pattern struct {
	kind    ResourceType
	pattern PatternType
	name    string
}

// party is whom a rule is about.
type party struct{ principal, host string }

// verdicts are sets of operations, of which All is one.
type verdicts struct{ allow, deny uint32 }

// grant is what a party may do to something or other, or may not.
type grant struct {
	party
	kind ResourceType
	op   Operation
}

func newIndex() *index {
	return &index{
		patterns: make(map[pattern]map[party]*verdicts), lengths: make(map[ResourceType]*lengths),
		grants: make(map[grant]*patternSet), denials: make(map[grant]map[pattern]bool),
	}
}

// add notes a rule that isn't noted.
func (x *index) add(r *Rule) {
	p, who := pattern{r.Type, r.Pattern, r.Name}, party{r.Principal, r.Host}
	parties := x.patterns[p]
	if parties == nil {
		parties = make(map[party]*verdicts)
		x.patterns[p] = parties
		if p.pattern == Prefixed {
			x.lengthsOf(p.kind).add(len(p.name))
		}
	}
	v := parties[who]
	if v == nil {
		v = &verdicts{}
		parties[who] = v
	}
	g := grant{who, r.Type, r.Operation}
	if r.Permission == Deny {
		v.deny |= r.Operation.bit()
		if x.denials[g] == nil {
			x.denials[g] = make(map[pattern]bool)
		}
		x.denials[g][p] = true
		return
	}
	v.allow |= r.Operation.bit()
	if x.grants[g] == nil {
		x.grants[g] = &patternSet{at: make(map[pattern]int)}
	}
	x.grants[g].add(p)
}

func (x *index) lengthsOf(t ResourceType) *lengths {
	if x.lengths[t] == nil {
		x.lengths[t] = &lengths{count: make(map[int]int)}
	}
	return x.lengths[t]
}

// remove forgets a rule that is noted. Nothing is left of what has no rules any more.
func (x *index) remove(r *Rule) {
	p, who := pattern{r.Type, r.Pattern, r.Name}, party{r.Principal, r.Host}
	v, g := x.patterns[p][who], grant{who, r.Type, r.Operation}
	if r.Permission == Deny {
		v.deny &^= r.Operation.bit()
		if delete(x.denials[g], p); len(x.denials[g]) == 0 {
			delete(x.denials, g)
		}
	} else {
		v.allow &^= r.Operation.bit()
		if x.grants[g].remove(p); len(x.grants[g].list) == 0 {
			delete(x.grants, g)
		}
	}
	if *v != (verdicts{}) {
		return
	}
	if delete(x.patterns[p], who); len(x.patterns[p]) == 0 {
		delete(x.patterns, p)
		if p.pattern == Prefixed {
			x.lengths[p.kind].remove(len(p.name))
		}
	}
}

// decide collects what all rules say that are about a resource and a party.
func (x *index) decide(principal, host string, t ResourceType, name string) (v verdicts) {
	add := func(p pattern) {
		parties := x.patterns[p]
		if parties == nil {
			return
		}
		for _, who := range [...]party{{principal, host}, {principal, Wildcard}, {Everybody, host}, {Everybody, Wildcard}} {
			if of := parties[who]; of != nil {
				v.allow |= of.allow
				v.deny |= of.deny
			}
		}
	}
	add(pattern{t, Literal, name})
	add(pattern{t, Literal, Wildcard})
	if l := x.lengths[t]; l != nil {
		for _, n := range l.sorted {
			if n > len(name) {
				break
			}
			add(pattern{t, Prefixed, name[:n]})
		}
	}
	return v
}

func (o Operation) bit() uint32 { return 1 << uint(o) }

// Operations that imply another where a rule allows them.
var (
	impliesDescribe        = Describe.bit() | Read.bit() | Write.bit() | Delete.bit() | Alter.bit()
	impliesDescribeConfigs = DescribeConfigs.bit() | AlterConfigs.bit()
)

// allows reports what becomes of an operation: deny wins, and means only the operation that it names.
func (v verdicts) allows(op Operation) bool {
	if v.deny&(op.bit()|All.bit()) != 0 {
		return false
	}
	wanted := op.bit()
	switch op {
	case Describe:
		wanted = impliesDescribe
	case DescribeConfigs:
		wanted = impliesDescribeConfigs
	}
	return v.allow&(wanted|All.bit()) != 0
}

// lengths are those of the prefixes of a type of resources, ascending.
type lengths struct {
	count  map[int]int // patterns of each
	sorted []int
}

func (l *lengths) add(n int) {
	if l.count[n]++; l.count[n] == 1 {
		i, _ := slices.BinarySearch(l.sorted, n)
		l.sorted = slices.Insert(l.sorted, i, n)
	}
}

func (l *lengths) remove(n int) {
	if l.count[n]--; l.count[n] == 0 {
		delete(l.count, n)
		i, _ := slices.BinarySearch(l.sorted, n)
		l.sorted = slices.Delete(l.sorted, i, i+1)
	}
}

// patternSet is a set that can be walked through in a certain order.
type patternSet struct {
	list []pattern
	at   map[pattern]int
}

func (s *patternSet) add(p pattern) {
	s.at[p] = len(s.list)
	s.list = append(s.list, p)
}

func (s *patternSet) remove(p pattern) {
	i, last := s.at[p], s.list[len(s.list)-1]
	s.list[i], s.at[last] = last, i
	s.list[len(s.list)-1] = pattern{}
	s.list = s.list[:len(s.list)-1]
	delete(s.at, p)
}

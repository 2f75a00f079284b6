// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Rights is what a cluster's rules and users were, change by change, as its catalog has them. Each broker decides by the changes
// that it has applied, so what it decides between two moments must be right by one of the states that it had in between. How
// rules are decided by is written down here once more, rule by rule, and owes nothing to the code of brokers.
type Rights struct {
	supers []string
	states []RightsState // ascending; the first is that before any change
}

// RightsState is what holds from an entry of the catalog on.
type RightsState struct {
	index  uint64
	supers []string
	rules  []Rule
	users  map[Credential]string // passwords; look-up only
}

// Rule is an access control list's entry. Its numbers are those of Kafka's protocol.
type Rule struct {
	Type       int8
	Pattern    int8
	Name       string
	Principal  string
	Host       string
	Operation  int8
	Permission int8
}

// Credential names a password of a user: there may be one for each mechanism.
type Credential struct {
	User      string
	Mechanism string
}

// Numbers of Kafka's protocol.
const (
	opAll = 2

	resourceTopic, resourceCluster = 2, 4

	patternLiteral, patternPrefixed = 3, 4

	permissionDeny, permissionAllow = 2, 3
)

// Operations and types of resources, by Kafka's numbers.
const (
	OpRead, OpWrite, OpCreate, OpDelete, OpAlter, OpDescribe              = 3, 4, 5, 6, 7, 8
	OpClusterAction, OpDescribeConfigs, OpAlterConfigs, OpIdempotentWrite = 9, 10, 11, 12

	OfTopic, OfGroup, OfCluster, OfTransaction = resourceTopic, 3, resourceCluster, 5
)

// NewRights begins with a cluster without rules and users, in which some principals may do everything.
func NewRights(supers ...string) *Rights {
	return &Rights{supers: supers, states: []RightsState{{supers: supers, users: make(map[Credential]string)}}}
}

// next begins the state from an entry on. Entries come in order.
func (r *Rights) next(index uint64) *RightsState {
	last := &r.states[len(r.states)-1]
	if index <= last.index {
		panic("changes of the catalog come in order")
	}
	r.states = append(r.states, RightsState{index: index, supers: r.supers, rules: slices.Clone(last.rules), users: maps.Clone(last.users)})
	return &r.states[len(r.states)-1]
}

// Created notes rules that an entry created.
func (r *Rights) Created(index uint64, rules []Rule) {
	s := r.next(index)
	for _, rule := range rules {
		if !slices.Contains(s.rules, rule) {
			s.rules = append(s.rules, rule)
		}
	}
}

// Deleted notes that an entry deleted rules.
func (r *Rights) Deleted(index uint64, which func(*Rule) bool) {
	s := r.next(index)
	s.rules = slices.DeleteFunc(s.rules, func(rule Rule) bool { return which(&rule) })
}

// Changed notes that an entry gave a user a password for a mechanism.
func (r *Rights) Changed(index uint64, which Credential, password string) {
	r.next(index).users[which] = password
}

// Removed notes that an entry took it away.
func (r *Rights) Removed(index uint64, which Credential) { delete(r.next(index).users, which) }

// Last is the last entry that changed something.
func (r *Rights) Last() uint64 { return r.states[len(r.states)-1].index }

// Users are those that there are after all changes, in order.
func (r *Rights) Users() []Credential {
	return slices.SortedFunc(maps.Keys(r.states[len(r.states)-1].users), Credential.Compare)
}

// Compare orders credentials by users, then by mechanisms.
func (c Credential) Compare(o Credential) int {
	return cmp.Or(strings.Compare(c.User, o.User), strings.Compare(c.Mechanism, o.Mechanism))
}

// During says whether something held, and whether it didn't, in one of the states of a broker that had applied the entries up to
// one when it began and up to another one when it was done.
func (r *Rights) During(from, to uint64, holds func(*RightsState) bool) (held, not bool) {
	i, _ := slices.BinarySearchFunc(r.states, from+1, func(s RightsState, index uint64) int {
		if s.index < index {
			return -1
		}
		return 1
	})
	for i--; i < len(r.states) && (r.states[i].index <= to || r.states[i].index <= from); i++ {
		if holds(&r.states[i]) {
			held = true
		} else {
			not = true
		}
	}
	return held, not
}

// Allows says whether the rules allow a principal that speaks from an address to do something.
func (s *RightsState) Allows(principal, host string, op, kind int8, name string) bool {
	if slices.Contains(s.supers, principal) {
		return true
	}
	if name == SomeName {
		return s.allowsSome(principal, host, op, kind)
	}
	allowed := false
	for i := range s.rules {
		r := &s.rules[i]
		switch {
		case !r.speaksOf(principal, host, kind, name):
		case r.Permission == permissionDeny && (r.Operation == op || r.Operation == opAll):
			return false
		case r.Permission == permissionAllow && r.allows(op):
			allowed = true
		}
	}
	return allowed
}

// SomeName stands for any name at all: something is allowed with it if it is with some name.
const SomeName = "\x00"

// allowsSome looks for a name: one that a rule allows, or one that begins with what a rule allows and that no other rule names.
func (s *RightsState) allowsSome(principal, host string, op, kind int8) bool {
	return slices.ContainsFunc(s.rules, func(r Rule) bool {
		name := r.Name
		switch {
		case r.Type != kind:
			return false
		case r.Pattern == patternPrefixed:
			name += "\x01"
		case name == "*":
			name = "\x01"
		}
		return s.Allows(principal, host, op, kind, name)
	})
}

func (r *Rule) speaksOf(principal, host string, kind int8, name string) bool {
	return r.Type == kind && (r.Principal == principal || r.Principal == "User:*") && (r.Host == host || r.Host == "*") &&
		(r.Pattern == patternLiteral && (r.Name == name || r.Name == "*") || r.Pattern == patternPrefixed && strings.HasPrefix(name, r.Name))
}

// allows: what allows to read, write, delete or alter allows to describe as well.
func (r *Rule) allows(op int8) bool {
	switch r.Operation {
	case op, opAll:
		return true
	case OpRead, OpWrite, OpDelete, OpAlter:
		return op == OpDescribe
	case OpAlterConfigs:
		return op == OpDescribeConfigs
	}
	return false
}

// plain is the mechanism that goes by the passwords of the others: the stronger one, if there is one.
const plain = "PLAIN"

// LogsIn says whether a password is the one by which a user logs in.
func (s *RightsState) LogsIn(which Credential, password string) bool {
	if which.Mechanism == plain {
		which.Mechanism = "SCRAM-SHA-512"
		if _, there := s.users[which]; !there {
			which.Mechanism = "SCRAM-SHA-256"
		}
	}
	is, there := s.users[which]
	return there && is == password
}

// RightsSpan is what a broker knew of the catalog while it decided.
type RightsSpan struct {
	From, To uint64 // the last entries that it had applied when it got the request, and when it answered
	Must     uint64 // the last one that it must have applied by then
	Because  string // why it must
}

// RightsCall is a request to a broker, and what came of it.
type RightsCall struct {
	RightsSpan
	What    string // for people: who asked whom for what
	Refused bool
	Needs   func(*RightsState) bool
}

// Check demands that a broker gives what the rules allow, and nothing else, by a state that it had.
func (r *Rights) Check(c *RightsCall) *Violation {
	allowed, denied := r.During(c.From, c.To, c.Needs)
	switch {
	case !c.Refused && !allowed:
		return &Violation{Check: "unauthorized", Text: fmt.Sprintf("%s is served, though no rules that the broker had meanwhile allow it (entries %d to %d of the catalog)", c.What, c.From, c.To)}
	case c.Refused && !denied:
		return &Violation{Check: "refused-wrongly", Text: fmt.Sprintf("%s is refused, though all rules that the broker had meanwhile allow it (entries %d to %d of the catalog)", c.What, c.From, c.To)}
	case r.outdated(&c.RightsSpan, c.Refused, c.Needs):
		return &Violation{Check: map[bool]string{true: "refused-wrongly", false: "unauthorized"}[c.Refused], Text: c.What + c.pastRules(c.Refused)}
	}
	return nil
}

// outdated says that a decision is another one than that of the state which a broker must have come to, and it hadn't.
func (r *Rights) outdated(s *RightsSpan, refused bool, holds func(*RightsState) bool) bool {
	if s.To >= s.Must {
		return false
	}
	held, _ := r.During(s.Must, s.Must, holds)
	return held == refused
}

func (s *RightsSpan) pastRules(refused bool) string {
	return fmt.Sprintf(" is %s by what was so in the past, as of entry %d of the catalog: the broker must know entry %d, %s",
		map[bool]string{true: "refused", false: "served"}[refused], s.To, s.Must, s.Because)
}

// Login is an attempt to log in, and what came of it.
type Login struct {
	RightsSpan
	What string
	Credential
	Password string
	Refused  bool
}

// CheckLogin demands that a broker lets in whoever knows a password that it had meanwhile, and nobody else.
func (r *Rights) CheckLogin(l *Login) *Violation {
	is := func(s *RightsState) bool { return s.LogsIn(l.Credential, l.Password) }
	right, wrong := r.During(l.From, l.To, is)
	switch {
	case !l.Refused && !right:
		return &Violation{Check: "logged-in-wrongly", Text: fmt.Sprintf("%s logs in, though that was never the password meanwhile (entries %d to %d of the catalog)", l.What, l.From, l.To)}
	case l.Refused && !wrong:
		return &Violation{Check: "refused-wrongly", Text: fmt.Sprintf("%s can't log in, though that was the password all the time (entries %d to %d of the catalog)", l.What, l.From, l.To)}
	case r.outdated(&l.RightsSpan, l.Refused, is):
		return &Violation{Check: map[bool]string{true: "refused-wrongly", false: "logged-in-wrongly"}[l.Refused], Text: l.What + l.pastRules(l.Refused)}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// model decides as Kafka's documentation says it, rule by rule.
type model []Rule

func (m model) applies(r *Rule, principal, host string, t ResourceType, name string) bool {
	return r.Type == t && (r.Principal == principal || r.Principal == "User:*") && (r.Host == host || r.Host == "*") &&
		(r.Pattern == Literal && (r.Name == name || r.Name == "*") || r.Pattern == Prefixed && strings.HasPrefix(name, r.Name))
}

func (m model) allowed(principal, host string, op Operation, t ResourceType, name string) bool {
	allowed := false
	for i := range m {
		r := &m[i]
		if !m.applies(r, principal, host, t, name) {
			continue
		}
		same := r.Operation == op || r.Operation == All
		if r.Permission == Deny && same {
			return false
		}
		implied := false
		switch r.Operation {
		case Read, Write, Delete, Alter:
			implied = op == Describe
		case AlterConfigs:
			implied = op == DescribeConfigs
		}
		allowed = allowed || r.Permission == Allow && (same || implied)
	}
	return allowed
}

// allowedSome is a transcript of Kafka's Authorizer.authorizeByResourceType.
func (m model) allowedSome(principal, host string, op Operation, t ResourceType) bool {
	if m.allowed(principal, host, op, t, "hardcode") {
		return true
	}
	deny, allow, all := map[PatternType]map[string]bool{Literal: {}, Prefixed: {}}, map[PatternType]map[string]bool{Literal: {}, Prefixed: {}}, false
	for _, r := range m {
		if r.Type != t || r.Host != host && r.Host != "*" || r.Principal != principal && r.Principal != "User:*" || r.Operation != op && r.Operation != All {
			continue
		}
		switch {
		case r.Permission == Deny && r.Pattern == Literal && r.Name == "*":
			return false
		case r.Permission == Deny:
			deny[r.Pattern][r.Name] = true
		case r.Pattern == Literal && r.Name == "*":
			all = true
		default:
			allow[r.Pattern][r.Name] = true
		}
	}
	if all {
		return true
	}
	for kind, names := range allow {
		for name := range names {
			dominated := kind == Literal && deny[Literal][name]
			for i := range name {
				dominated = dominated || deny[Prefixed][name[:i+1]]
			}
			if !dominated {
				return true
			}
		}
	}
	return false
}

func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

func someName(rng *rand.Rand) string {
	if rng.IntN(6) == 0 {
		return "*"
	}
	name := pick(rng, "a", "b")
	for rng.IntN(2) == 0 && len(name) < 6 {
		name += pick(rng, "a", "b")
	}
	return name
}

func someRule(rng *rand.Rand) Rule {
	return Rule{
		pick(rng, Topic, Topic, Group), pick(rng, Literal, Prefixed), someName(rng), pick(rng, "User:a", "User:b", Everybody),
		pick(rng, "*", "*", "1.2.3.4", "5.6.7.8"), pick(rng, All, Read, Write, Create, Describe, DescribeConfigs, AlterConfigs), pick(rng, Allow, Allow, Deny),
	}
}

// TestDecisions compares decisions with those of the model, while rules come and go.
func TestDecisions(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s, m := NewSet(nil), model{}
		for range 60 {
			if rng.IntN(3) > 0 || len(m) == 0 {
				r := someRule(rng)
				if !s.Has(&r) {
					m = append(m, r)
				}
				s.Add([]*Rule{&r, &r})
			} else {
				i := rng.IntN(len(m))
				gone, absent := m[i], someRule(rng)
				absent.Principal = "User:nobody"
				m = append(m[:i:i], m[i+1:]...)
				s.Remove([]*Rule{&gone, &absent, &gone})
			}
			if err := s.Check(); err != nil || len(s.Rules()) != len(m) {
				t.Fatalf("seed %d: %d rules, want %d: %v", seed, len(s.Rules()), len(m), err)
			}
			if len(m) == 0 && len(s.index.patterns)+len(s.index.grants)+len(s.index.denials) > 0 {
				t.Fatalf("seed %d: the index has something left", seed)
			}
			for range 20 {
				who, from, kind, name := pick(rng, "User:a", "User:b", "User:c"), pick(rng, "1.2.3.4", "9.9.9.9"), pick(rng, Topic, Group), someName(rng)
				op := pick(rng, Read, Write, Create, Describe, DescribeConfigs, AlterConfigs, Delete)
				if got, want := s.Allowed(who, from, op, kind, name), m.allowed(who, from, op, kind, name); got != want {
					t.Fatalf("seed %d: %s from %s, %v %v %q: %v, want %v by %v", seed, who, from, op, kind, name, got, want, m)
				}
				if got, want := s.AllowedSome(who, from, op, kind), m.allowedSome(who, from, op, kind); got != want {
					t.Fatalf("seed %d: %s from %s, %v some %v: %v, want %v by %v", seed, who, from, op, kind, got, want, m)
				}
			}
		}
	}
}

// TestTable has the cases of the documentation, one by one.
func TestTable(t *testing.T) {
	allow := func(op Operation, p PatternType, name string) *Rule {
		return &Rule{Topic, p, name, "User:a", "*", op, Allow}
	}
	deny := func(op Operation, p PatternType, name string) *Rule {
		r := allow(op, p, name)
		r.Permission = Deny
		return r
	}
	for what, c := range map[string]struct {
		rules []*Rule
		op    Operation
		want  bool
	}{
		"no rule":                                {nil, Read, false},
		"literal":                                {[]*Rule{allow(Read, Literal, "foobar")}, Read, true},
		"literal of a part":                      {[]*Rule{allow(Read, Literal, "foo")}, Read, false},
		"prefix":                                 {[]*Rule{allow(Read, Prefixed, "foo")}, Read, true},
		"prefix that is the name":                {[]*Rule{allow(Read, Prefixed, "foobar")}, Read, true},
		"longer prefix":                          {[]*Rule{allow(Read, Prefixed, "foobarx")}, Read, false},
		"wildcard":                               {[]*Rule{allow(Read, Literal, "*")}, Read, true},
		"prefix *":                               {[]*Rule{allow(Read, Prefixed, "*")}, Read, false},
		"all operations":                         {[]*Rule{allow(All, Literal, "foobar")}, AlterConfigs, true},
		"deny wins over a longer allow":          {[]*Rule{allow(Read, Literal, "foobar"), deny(Read, Prefixed, "f")}, Read, false},
		"deny everything":                        {[]*Rule{allow(Read, Literal, "foobar"), deny(All, Literal, "*")}, Read, false},
		"read implies describe":                  {[]*Rule{allow(Read, Literal, "foobar")}, Describe, true},
		"write implies describe":                 {[]*Rule{allow(Write, Literal, "foobar")}, Describe, true},
		"delete implies describe":                {[]*Rule{allow(Delete, Literal, "foobar")}, Describe, true},
		"alter implies describe":                 {[]*Rule{allow(Alter, Literal, "foobar")}, Describe, true},
		"create doesn't imply describe":          {[]*Rule{allow(Create, Literal, "foobar")}, Describe, false},
		"alter configs implies describe configs": {[]*Rule{allow(AlterConfigs, Literal, "foobar")}, DescribeConfigs, true},
		"describe configs isn't describe":        {[]*Rule{allow(DescribeConfigs, Literal, "foobar")}, Describe, false},
		"deny describe though read is allowed":   {[]*Rule{allow(Read, Literal, "foobar"), deny(Describe, Literal, "foobar")}, Describe, false},
		"read though describe is denied":         {[]*Rule{allow(Read, Literal, "foobar"), deny(Describe, Literal, "foobar")}, Read, true},
		"denied read implies nothing":            {[]*Rule{allow(Describe, Literal, "foobar"), deny(Read, Literal, "foobar")}, Describe, true},
	} {
		s := NewSet(nil)
		s.Add(c.rules)
		if got := s.Allowed("User:a", "1.2.3.4", c.op, Topic, "foobar"); got != c.want {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
		if s.Allowed("User:b", "1.2.3.4", c.op, Topic, "foobar") || s.Allowed("User:a", "1.2.3.4", c.op, Group, "foobar") {
			t.Errorf("%s: allowed to somebody else, or for something else", what)
		}
	}
}

// TestSublinear counts what a decision looks at: no more with many rules than with few.
func TestSublinear(t *testing.T) {
	var rules []*Rule
	for i := range 20_000 {
		rules = append(rules, &Rule{Topic, pick(rand.New(rand.NewPCG(uint64(i), 0)), Literal, Prefixed), fmt.Sprintf("t%05d", i), fmt.Sprintf("User:u%d", i%100), "*", Read, Allow})
	}
	s := NewSet(nil)
	s.Add(rules)
	if l := s.index.lengths[Topic].sorted; len(l) != 1 {
		t.Fatalf("prefixes have the lengths %v, want one: a decision makes as many look-ups", l)
	}
	// Of 200 rules for this principal none is gone through when it asks for another operation.
	for who := range s.index.grants {
		if who.op != Read {
			t.Fatalf("there is a list of grants for %+v", who)
		}
	}
}

func BenchmarkAllowed(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		var rules []*Rule
		for i := range n {
			rules = append(rules, &Rule{Topic, PatternType(3 + i%2), fmt.Sprintf("t%05d", i)[:2+i%5], fmt.Sprintf("User:u%d", i), "*", Read, Allow})
		}
		s := NewSet(nil)
		s.Add(rules)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Allowed("User:u7", "1.2.3.4", Read, Topic, "t00007")
			}
		})
	}
}

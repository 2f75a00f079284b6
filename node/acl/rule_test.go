// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"strings"
	"testing"
)

func text(s string) *string { return &s }

func TestFilter(t *testing.T) {
	rule := func(p PatternType, name string) *Rule { return &Rule{Topic, p, name, "User:a", "*", Read, Allow} }
	anything := Filter{AnyResource, AnyPattern, nil, nil, nil, AnyOperation, AnyPermission}
	with := func(change func(*Filter)) Filter {
		f := anything
		change(&f)
		return f
	}
	named := func(p PatternType, name string) Filter {
		return with(func(f *Filter) { f.Pattern, f.Name = p, &name })
	}
	for i, c := range []struct {
		filter Filter
		rule   *Rule
		want   bool
	}{
		{anything, rule(Prefixed, "foo"), true},
		{named(AnyPattern, "foo"), rule(Prefixed, "foo"), true},
		{named(AnyPattern, "foo"), rule(Literal, "foo"), true},
		{named(AnyPattern, "foobar"), rule(Prefixed, "foo"), false},
		{named(AnyPattern, "foo"), rule(Literal, "*"), false},
		{named(Match, "foobar"), rule(Prefixed, "foo"), true},
		{named(Match, "foobar"), rule(Literal, "foo"), false},
		{named(Match, "foobar"), rule(Literal, "*"), true},
		{named(Match, "foo"), rule(Prefixed, "foobar"), false},
		{named(Literal, "foo"), rule(Literal, "*"), false},
		{named(Literal, "*"), rule(Literal, "*"), true},
		{named(Literal, "foo"), rule(Prefixed, "foo"), false},
		{named(Prefixed, "foo"), rule(Prefixed, "foo"), true},
		{named(Prefixed, "foobar"), rule(Prefixed, "foo"), false},
		{with(func(f *Filter) { f.Type = Group }), rule(Literal, "foo"), false},
		{with(func(f *Filter) { f.Type = Topic }), rule(Literal, "foo"), true},
		{with(func(f *Filter) { f.Principal = text("User:b") }), rule(Literal, "foo"), false},
		{with(func(f *Filter) { f.Host = text("1.2.3.4") }), rule(Literal, "foo"), false}, // the host of the rule is *
		{with(func(f *Filter) { f.Operation = Write }), rule(Literal, "foo"), false},
		{with(func(f *Filter) { f.Operation = Describe }), rule(Literal, "foo"), false}, // nothing is implied
		{with(func(f *Filter) { f.Permission = Deny }), rule(Literal, "foo"), false},
	} {
		if got := c.filter.Matches(c.rule); got != c.want {
			t.Errorf("%d: %+v matches %v: %v, want %v", i, c.filter, c.rule, got, c.want)
		}
		if unknown := c.filter.Unknown(); unknown != "" {
			t.Errorf("%d: %s", i, unknown)
		}
	}
	for _, f := range []Filter{{}, with(func(f *Filter) { f.Pattern = 5 }), with(func(f *Filter) { f.Type = 8 }), with(func(f *Filter) { f.Operation = 16 }), with(func(f *Filter) { f.Permission = 4 })} {
		if f.Unknown() == "" {
			t.Errorf("%+v is known", f)
		}
	}
}

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"1.2.3.4": "1.2.3.4", "::ffff:1.2.3.4": "1.2.3.4", "::1": "0:0:0:0:0:0:0:1", "0:0:0:0:0:0:0:1": "0:0:0:0:0:0:0:1",
		"fe80::1%eth0": "fe80:0:0:0:0:0:0:1%eth0", "64:ff9b::1.2.3.4": "64:ff9b:0:0:0:0:102:304", "::": "0:0:0:0:0:0:0:0", "1::": "1:0:0:0:0:0:0:0",
		"1:2:3:4:5:6:7": "1:2:3:4:5:6:7", "1::2::3": "1::2::3", "1:2:3:4:5:6:7::8": "1:2:3:4:5:6:7::8", "::1.2.3.400": "::1.2.3.400", "::g": "::g", "12345::": "12345::", ":::": ":::",
		"2001:DB8::00ff": "2001:db8:0:0:0:0:0:ff", "*": "*", "example.org": "example.org", "": "",
	} {
		if got := Host(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestCheckRule(t *testing.T) {
	good := Rule{Topic, Literal, "t", "User:a", "*", Read, Allow}
	if wrong := good.Check(); wrong != "" {
		t.Fatal(wrong)
	}
	for what, change := range map[string]func(*Rule){
		"only valid name for the CLUSTER": func(r *Rule) { r.Type = Cluster },
		"empty resource name":             func(r *Rule) { r.Name = "" },
		"resourceType ANY":                func(r *Rule) { r.Type = AnyResource },
		"resourceType UNKNOWN":            func(r *Rule) { r.Type = 99 },
		"patternType MATCH":               func(r *Rule) { r.Pattern = Match },
		"operation ANY":                   func(r *Rule) { r.Operation = AnyOperation },
		"permissionType ANY":              func(r *Rule) { r.Permission = AnyPermission },
		"no colon":                        func(r *Rule) { r.Principal = "alice" },
		"at most 1024 bytes, not 1025":    func(r *Rule) { r.Name = strings.Repeat("n", 1025) },
		"at most 1024 bytes each":         func(r *Rule) { r.Host = strings.Repeat("n", 1025) },
		"not spelled":                     func(r *Rule) { r.Host = "::1" },
	} {
		r := good
		change(&r)
		if wrong := r.Check(); !strings.Contains(wrong, what) {
			t.Errorf("%q, want %q", wrong, what)
		}
	}
}

func TestIsAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"10.0.0.7": true, "255.255.255.255": true, "::1": true, "fe80::1%eth0": true, "0:0:0:0:0:0:0:1": true, "::ffff:1.2.3.4": true, "::": true,
		"": false, "1": false, "1.2.3": false, "1.2.3.4.5": false, "256.1.1.1": false, "host.example": false, "localhost": false, "1:2": false, ":::": false, "1.2.3.4:5": false, "abcd": false,
	} {
		if IsAddress(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

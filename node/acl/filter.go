// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"fmt"
	"strings"
)

// Filter says which rules a client means. A nil text stands for any. A host is spelled as by Host.
type Filter struct {
	Type       ResourceType
	Pattern    PatternType
	Name       *string
	Principal  *string
	Host       *string
	Operation  Operation
	Permission Permission
}

// Unknown reports whether a filter names what Kafka's protocol doesn't know: "" if not, and else Kafka's words for it.
func (f *Filter) Unknown() string {
	switch {
	case f.Type != AnyResource && !f.Type.real() || f.Pattern < AnyPattern || f.Pattern > Prefixed:
		return "Unknown patternFilter."
	case f.Operation != AnyOperation && !f.Operation.real() || f.Permission < AnyPermission || f.Permission > Allow:
		return "Unknown entryFilter."
	}
	return ""
}

// Matches reports whether a filter means a rule.
func (f *Filter) Matches(r *Rule) bool {
	return (f.Type == AnyResource || f.Type == r.Type) && f.matchesName(r) &&
		(f.Principal == nil || *f.Principal == r.Principal) && (f.Host == nil || *f.Host == r.Host) &&
		(f.Operation == AnyOperation || f.Operation == r.Operation) && (f.Permission == AnyPermission || f.Permission == r.Permission)
}

// matchesName: a pattern type and a name mean the rules of that pattern, Any those of the very name, and Match those that
// have a say in what becomes of the name.
func (f *Filter) matchesName(r *Rule) bool {
	switch {
	case f.Pattern != AnyPattern && f.Pattern != Match && f.Pattern != r.Pattern:
		return false
	case f.Name == nil:
		return true
	case f.Pattern != Match:
		return *f.Name == r.Name
	case r.Pattern == Prefixed:
		return strings.HasPrefix(*f.Name, r.Name)
	}
	return *f.Name == r.Name || r.Name == Wildcard
}

// Bytes is about what a filter takes in memory.
func (f *Filter) Bytes() (n int64) {
	for _, s := range []*string{f.Name, f.Principal, f.Host} {
		if s != nil {
			n += int64(len(*s))
		}
	}
	return n + 128
}

// String shows a filter as an operator reads it.
func (f *Filter) String() string {
	shown := func(s *string) string {
		if s == nil {
			return "<any>"
		}
		return fmt.Sprintf("%.200q", *s)
	}
	return fmt.Sprintf("%v %s from %s to %v %v %v %s", f.Permission, shown(f.Principal), shown(f.Host), f.Operation, f.Type, f.Pattern, shown(f.Name))
}

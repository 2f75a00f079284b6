// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/json"
	"slices"

	"chronik/node/step"
)

// The bytes of the catalog's checkpoint are JSON of a catalogState, written partition by partition.

// snapshot implements machine. The catalog is copied at once, as far as commands change it in place.
func (c *catalog) snapshot(uint64) pieces {
	s := c.short()
	s.Topics, s.Configured = []*topicMeta{}, []*configured{}
	topics := make([]*topicMeta, len(c.topics))
	for i, t := range c.topics {
		topics[i] = t.copy()
		c.node.out.Work.Parts += len(t.Partitions) / 32
	}
	configured, rules, users, quotas := slices.Clone(c.configured), c.rules.Rules(), slices.Clone(c.users), c.quotas.Quotas()
	c.node.out.Work.Parts += (len(configured) + len(users)) / 128
	before, rest := cutList(encodable(s), "Topics")
	between, rest := cutList(rest, "Configured")
	return inTurn([]longList{
		{before, false, len(topics), func(i int) pieces { return topics[i].pieces() }},
		{between, false, len(configured), func(i int) pieces { return whole(configured[i]) }},
		{[]byte(`],"Rules":[`), true, len(rules), func(i int) pieces { return whole(rules[i]) }},
		{[]byte(`],"Users":[`), true, len(users), func(i int) pieces { return whole(users[i]) }},
		{[]byte(`],"Quotas":[`), true, len(quotas), func(i int) pieces { return whole(quotas[i]) }},
	}, rest)
}

// longList is one of the lists that are written piece by piece, with what stands before it.
type longList struct {
	before  []byte
	optIn   bool // nothing is said of it if it is empty
	count   int
	element func(i int) pieces
}

// inTurn writes lists one after the other, and the rest, which ends the last of them.
func inTurn(lists []longList, rest []byte) (all pieces) {
	lists = slices.DeleteFunc(lists, func(l longList) bool { return l.optIn && l.count == 0 })
	for i, l := range slices.Backward(lists) {
		if i == len(lists)-1 {
			all = bracketed(l.before, l.count, l.element, rest)
		} else {
			all = follow(bracketed(l.before, l.count, l.element, nil), all)
		}
	}
	return all
}

// follow writes one thing after another.
func follow(first, second pieces) pieces {
	return func(b []byte) (_ []byte, more bool) {
		if first == nil {
			return second(b)
		}
		if b, more = first(b); !more {
			first = nil
		}
		return b, true
	}
}

// whole writes something in one piece.
func whole(v any) pieces {
	return func(b []byte) ([]byte, bool) { return append(b, encodable(v)...), false }
}

// short is the state without its long lists.
func (c *catalog) short() catalogState {
	return catalogState{
		Brokers: c.brokers, NextGroup: c.nextGroup, NextReplica: c.nextReplica, NextProducer: c.nextProducer, Level: c.level, Founders: c.founders, LoginKey: c.loginKey,
	}
}

// state implements machine.
func (c *catalog) state(uint64) []byte {
	s := c.short()
	s.Topics, s.Configured = append([]*topicMeta{}, c.topics...), append([]*configured{}, c.configured...)
	s.Rules, s.Users, s.Quotas = c.rules.Rules(), c.users, c.quotas.Quotas()
	return encodable(s)
}

// copy returns a topic that nobody changes.
func (t *topicMeta) copy() *topicMeta {
	c, partitions := *t, make([]partitionMeta, len(t.Partitions))
	c.Partitions = make([]*partitionMeta, len(t.Partitions))
	for i, p := range t.Partitions {
		partitions[i], c.Partitions[i] = *p, &partitions[i]
	}
	return &c
}

func (t *topicMeta) pieces() pieces {
	head := *t
	head.Partitions = []*partitionMeta{}
	before, rest := cutList(encodable(head), "Partitions")
	return bracketed(before, len(t.Partitions), func(i int) pieces {
		return func(b []byte) ([]byte, bool) { return append(b, encodable(t.Partitions[i])...), false }
	}, rest)
}

func encodable(v any) []byte {
	b, err := json.Marshal(v)
	step.Assert(err == nil, "the catalog can be encoded: %v", err)
	return b
}

// cutList takes JSON with an empty list apart, at the list's end.
func cutList(b []byte, name string) (before, rest []byte) {
	empty := []byte(`"` + name + `":[]`)
	i := bytes.Index(b, empty)
	step.Assert(i >= 0, "%q has no empty list %s", b, name)
	i += len(empty) - 1
	return slices.Clip(b[:i]), b[i:]
}

// bracketed writes a list: what stands before it, its elements and the rest.
func bracketed(before []byte, count int, element func(i int) pieces, rest []byte) pieces {
	i, next := 0, pieces(nil)
	return func(b []byte) (_ []byte, more bool) {
		switch {
		case before != nil:
			b, before = append(b, before...), nil
		case i == count:
			return append(b, rest...), false
		default:
			if next == nil {
				if next = element(i); i > 0 {
					b = append(b, ',')
				}
			}
			if b, more = next(b); !more {
				i, next = i+1, nil
			}
		}
		return b, true
	}
}

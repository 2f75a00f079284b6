// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/json"
	"slices"

	"chronik/node/acl"
	"chronik/node/step"
)

// The bytes of the catalog's checkpoint are JSON of a catalogState, written partition by partition.

// snapshot implements machine. The catalog is copied at once, as far as commands change it in place.
func (c *catalog) snapshot(uint64) pieces {
	all := encodable(catalogState{c.brokers, []*topicMeta{}, c.nextGroup, c.nextReplica, c.nextProducer, c.founders, []*configured{}, nil})
	topics := make([]*topicMeta, len(c.topics))
	for i, t := range c.topics {
		topics[i] = t.copy()
		c.node.out.Work.Parts += len(t.Partitions) / 32
	}
	configured := slices.Clone(c.configured)
	c.node.out.Work.Parts += len(configured) / 128
	before, rest := cutList(all, "Topics")
	between, rest := cutList(rest, "Configured")
	return inTurn(
		bracketed(before, len(topics), func(i int) pieces { return topics[i].pieces() }, nil),
		withRules(c.rules.Rules(), rest, func(rest []byte) pieces {
			return bracketed(between, len(configured), func(i int) pieces {
				return func(b []byte) ([]byte, bool) { return append(b, encodable(configured[i])...), false }
			}, rest)
		}),
	)
}

// withRules writes what comes before rules, the rules, which are never changed, and the rest, which ends the list before them.
// Without rules nothing is said of them.
func withRules(rules []*acl.Rule, rest []byte, before func(rest []byte) pieces) pieces {
	if len(rules) == 0 {
		return before(rest)
	}
	return inTurn(before(nil), bracketed([]byte(`],"Rules":[`), len(rules), func(i int) pieces {
		return func(b []byte) ([]byte, bool) { return append(b, encodable(rules[i])...), false }
	}, rest))
}

// inTurn writes one state after the other.
func inTurn(first, second pieces) pieces {
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

// state implements machine.
func (c *catalog) state(uint64) []byte {
	return encodable(catalogState{c.brokers, append([]*topicMeta{}, c.topics...), c.nextGroup, c.nextReplica, c.nextProducer, c.founders, append([]*configured{}, c.configured...), c.rules.Rules()})
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

// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Bytes prints the plan, one line per call and fault. Parse of it gives the same plan.
func (p *Plan) Bytes() []byte {
	var b bytes.Buffer
	b.WriteString("{\n")
	field := func(name string, v any, end string) {
		fmt.Fprintf(&b, "%q: %s%s\n", name, mustJSON(v), end)
	}
	field("why", p.Why, ",")
	field("commit", p.Commit, ",")
	field("seed", p.Seed, ",")
	field("profile", p.Profile, ",")
	field("brokers", p.Brokers, ",")
	field("founders", p.Founders, ",")
	if len(p.Expect) > 0 {
		field("expect", p.Expect, ",")
	}
	field("safety", p.Safety, ",")
	if p.AbortsWithin > 0 {
		field("aborts_within", p.AbortsWithin, ",")
	}
	if p.Racks > 0 {
		field("racks", p.Racks, ",")
	}
	if p.Machines > 0 {
		field("machines", p.Machines, ",")
	}
	field("knobs", p.Knobs, ",")
	if p.Watcher != nil {
		field("watcher", p.Watcher, ",")
	}
	lines(&b, "clocks", p.Clocks, ",")
	lines(&b, "topics", p.Topics, ",")
	lines(&b, "clients", p.Clients, ",")
	lines(&b, "calls", p.Calls, ",")
	lines(&b, "faults", p.Faults, ",")
	lines(&b, "members", p.Members, ",")
	p.optional(&b, field)
	b.WriteString("}\n")
	return b.Bytes()
}

// optional prints the lists that come last, but those that are empty and needn't be there.
func (p *Plan) optional(b *bytes.Buffer, field func(name string, v any, end string)) {
	rest := []struct {
		any   bool
		print func(end string)
	}{
		{true, func(end string) { lines(b, "turns", p.Turns, end) }},
		{len(p.Attacks) > 0, func(end string) { lines(b, "attacks", p.Attacks, end) }},
		{len(p.Lies) > 0, func(end string) { lines(b, "lies", p.Lies, end) }},
		{len(p.Lists) > 0, func(end string) { lines(b, "lists", p.Lists, end) }},
		{len(p.Asks) > 0, func(end string) { lines(b, "asks", p.Asks, end) }},
		{len(p.Transactors) > 0, func(end string) { lines(b, "transactors", p.Transactors, end) }},
		{len(p.Readers) > 0, func(end string) { lines(b, "readers", p.Readers, end) }},
		{p.Security != nil, func(end string) { field("security", p.Security, end) }},
		{len(p.Orders) > 0, func(end string) { lines(b, "orders", p.Orders, end) }},
		{len(p.Visitors) > 0, func(end string) { lines(b, "visitors", p.Visitors, end) }},
		{len(p.Hasty) > 0, func(end string) { lines(b, "hasty", p.Hasty, end) }},
		{p.Rollout != nil, func(end string) { field("rollout", p.Rollout, end) }},
	}
	for i := range rest {
		end := ""
		for _, later := range rest[i+1:] {
			if later.any {
				end = ","
			}
		}
		if rest[i].any {
			rest[i].print(end)
		}
	}
}

func lines[T any](b *bytes.Buffer, name string, items []T, end string) {
	fmt.Fprintf(b, "%q: [", name)
	for i, item := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "\n  %s", mustJSON(item))
	}
	if len(items) > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "]%s\n", end)
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a plan holds nothing that JSON can't
	}
	return b
}

// Parse reads a printed plan. It refuses unknown fields and plans that cannot be run.
func Parse(text []byte) (*Plan, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	p := new(Plan)
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("plan: text after the closing brace; keep one plan per file")
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}

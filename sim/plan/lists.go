// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
)

// List is a founder's list of members that contradicts the others', until its operator mends it. The cluster must not
// be founded twice: one leads the catalog only if all that it lists have the same list, and nobody ever leads that of
// another list. When it is mended, all must come right.
//
// How it is mended: the broker gets an empty folder and the right list. If it lists only itself it has a cluster; once
// that may hold something of somebody's the other founders get empty folders, and join it. People take longer to
// do that than a message is on its way.
type List struct {
	Broker  int      `json:"broker"`
	Members []int    `json:"members"`           // itself among them; above Plan.Brokers: one that there isn't
	Swapped []int    `json:"swapped,omitempty"` // two of them are listed at each other's address
	Ahead   Duration `json:"ahead,omitempty"`   // one that lists only itself starts so long before the others
	For     Duration `json:"for"`
}

// RightList is what all founders should list.
func (p *Plan) RightList() []int {
	var all []int
	for b := 1; b <= p.FounderCount(); b++ {
		all = append(all, b)
	}
	return all
}

// ListOf returns a founder's list, nil if it is right.
func (p *Plan) ListOf(broker int) *List {
	for i := range p.Lists {
		if p.Lists[i].Broker == broker {
			return &p.Lists[i]
		}
	}
	return nil
}

// alone says that some founder lists only itself.
func (p *Plan) alone() bool {
	return slices.ContainsFunc(p.Lists, func(l List) bool { return len(l.Members) == 1 })
}

// Listed says that some wrong list names a broker.
func (p *Plan) Listed(broker int) bool {
	return slices.ContainsFunc(p.Lists, func(l List) bool { return slices.Contains(l.Members, broker) })
}

func (p *Plan) validateLists() error {
	alone := 0
	for i, l := range p.Lists {
		if l.Broker < 1 || l.Broker > p.FounderCount() || p.FounderCount() < 2 || p.ListOf(l.Broker) != &p.Lists[i] || l.For < 0 || l.Ahead < 0 || l.Ahead > 0 && len(l.Members) > 1 ||
			!slices.Contains(l.Members, l.Broker) || !slices.IsSorted(l.Members) || l.Members[0] < 1 {
			return fmt.Errorf("list of broker %d: one for each founder of several, itself in it, ascending", l.Broker)
		}
		if len(l.Swapped) != 0 && (len(l.Swapped) != 2 || slices.ContainsFunc(l.Swapped, func(b int) bool { return b == l.Broker || b > p.Brokers || !slices.Contains(l.Members, b) })) {
			return fmt.Errorf("list of broker %d: swapped needs two others that it lists", l.Broker)
		}
		switch {
		case len(l.Members) == 1:
			alone++
		case p.agreed(l.Members):
			return fmt.Errorf("list of broker %d: all that it lists agree on a cluster of their own", l.Broker)
		}
		if p.Leaves(l.Broker) {
			return fmt.Errorf("list of broker %d: it is removed later", l.Broker)
		}
	}
	if alone > 1 {
		return fmt.Errorf("%d founders list only themselves: they can't know of each other", alone)
	}
	return nil
}

// agreed says that all in a list which isn't the right one have it.
func (p *Plan) agreed(list []int) bool {
	return !slices.Equal(list, p.RightList()) && !slices.ContainsFunc(list, func(b int) bool {
		o := p.ListOf(b)
		return o == nil || !slices.Equal(o.Members, list)
	})
}

// lists draws wrong lists for one or two founders.
func (g *generator) lists() {
	p := g.plan
	leaving := slices.ContainsFunc(p.Calls, func(c Call) bool { return c.Kind == CallRemove })
	if g.prof.lists == 0 || p.FounderCount() < 2 || leaving || !g.chance(g.prof.lists, 100) {
		return
	}
	for range g.between(1, 2) {
		p.Lists = append(p.Lists, g.list())
		if p.validateLists() != nil {
			p.Lists = p.Lists[:len(p.Lists)-1]
		}
	}
}

func (g *generator) list() List {
	p := g.plan
	b := int(g.between(1, int64(p.FounderCount())))
	l := List{Broker: b, Members: p.RightList(), For: g.span(100*millisecond, p.Safety)}
	other := 1 + int(g.pick(int64(p.FounderCount())))
	stranger := p.FounderCount() + 1 + int(g.pick(3)) // one that joins later, or that there isn't
	drop := func() { l.Members = slices.DeleteFunc(l.Members, func(o int) bool { return o == other && o != b }) }
	switch g.pick(5) {
	case 0:
		l.Members = []int{b}
		if g.chance(2, 3) {
			l.Ahead = g.span(millisecond, p.Safety)
		}
	case 1:
		drop()
	case 2:
		l.Members = append(l.Members, stranger)
	case 3:
		drop()
		l.Members = append(l.Members, stranger)
	case 4:
		rest := slices.DeleteFunc(p.RightList(), func(o int) bool { return o == b })
		if len(rest) > 1 {
			l.Swapped = rest[:2]
		}
	}
	return l
}

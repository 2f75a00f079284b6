// SPDX-License-Identifier: Apache-2.0

package hunt

import (
	"fmt"
	"slices"
	"strings"

	"chronik/sim/plan"
)

// breeder makes a plan from another one. What it puts in comes from plans that the generator made for the same
// profile, or that are kept, so bred plans keep to what worlds of that profile may be like.
type breeder struct {
	*draws
	hunt    *Hunt
	feature string // because of which the parent was chosen
	parent  *Kept
	plan    *plan.Plan
}

// breed changes a kept plan in a few ways. If a change can't be run it is left out, so the plan can be.
func (h *Hunt) breed(d *draws, f *feature, parent *Kept) *plan.Plan {
	b := &breeder{draws: d, hunt: h, feature: f.name, parent: parent, plan: parent.Plan.Clone()}
	b.plan.Expect = nil // the story may be over
	b.plan.Why, b.plan.Commit = "", ""
	total := int64(0)
	for _, c := range changes {
		total += c.weight
	}
	var done []string
	for n := b.wide(1, 5); n > 0; n-- {
		x := b.pick(total)
		c := changes[slices.IndexFunc(changes, func(c change) bool { x -= c.weight; return x < 0 })]
		before := b.plan.Clone()
		c.do(b)
		if b.plan.Validate() != nil {
			b.plan = before
			continue
		}
		done = append(done, c.name)
	}
	b.plan.Why = fmt.Sprintf("bred from %s for %q: %s", parent.Name, f.name, strings.Join(done, ", "))
	return b.plan
}

// other is another kept plan.
func (b *breeder) other() *plan.Plan { return b.hunt.kept[b.below(len(b.hunt.kept))].Plan }

// sibling is a new plan of the same profile.
func (b *breeder) sibling() *plan.Plan {
	p, err := plan.Generate(uint64(b.next()), b.plan.Profile)
	if err != nil {
		panic(err) // the plan was made for it
	}
	return p
}

// rareEvent is one that faults can wait for: the one that the parent was chosen for, or a rare one that it shows.
func (b *breeder) rareEvent() (string, bool) {
	if e, ok := eventOf(b.feature); ok && b.chance(2, 3) {
		return e, true
	}
	var best *feature
	for range 8 { // the rarest of a few
		f := b.hunt.byName[b.parent.Features[b.below(len(b.parent.Features))]]
		if _, ok := eventOf(f.name); ok && (best == nil || f.count < best.count) {
			best = f
		}
	}
	if best == nil {
		return "", false
	}
	return eventOf(best.name)
}

// eventOf is the event that a feature ends with, or the one before it, if faults can wait for it.
func eventOf(feature string) (string, bool) {
	_, pair, ok := strings.Cut(feature, ": ")
	if !ok {
		return "", false
	}
	first, then, _ := strings.Cut(pair, " > ")
	for _, e := range [...]string{then, first} {
		if _, ok := plan.AnchorIndex(e); ok && e != plan.AnchorNames()[0] {
			return e, true
		}
	}
	return "", false
}

// anchor is the k-th event of a kind, mostly an early one.
func (b *breeder) anchor(event string) *plan.Anchor {
	most := int64(8)
	if slices.Contains([]string{"appended", "committed", "write issued", "write synced", "replied"}, event) {
		most = 400
	}
	a := &plan.Anchor{Event: event, Count: int(b.wide(1, most))}
	if b.chance(1, 3) {
		a.Broker = 1 + b.below(b.plan.Brokers)
	}
	return a
}

// span is a length of time.
func (b *breeder) span(lo, hi plan.Duration) plan.Duration {
	return plan.Duration(b.wide(int64(lo), int64(hi))) / microsecond * microsecond
}

// within is a time of the safety phase.
func (b *breeder) within() plan.Duration {
	return plan.Duration(b.pick(int64(b.plan.Safety)+1)) / microsecond * microsecond
}

// nextID is larger than all ids of a list.
func nextID[T any](list []T, id func(*T) int) int {
	most := 0
	for i := range list {
		most = max(most, id(&list[i]))
	}
	return most + 1
}

// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"chronik/sim/keyed"
)

// domain is what the draws of plans are about; those of worlds come after it, see package sim.
const domain keyed.Domain = 1

// Generate expands a seed into a plan. The run takes only the plan.
func Generate(s uint64, profile string) (*Plan, error) {
	n := uint64(0)
	return GenerateFrom(s, profile, func(limit int64) int64 {
		n++
		return keyed.Seed(s).Draw(domain, 0, n).Below(limit)
	})
}

// Profiles lists the names that Generate knows.
func Profiles() []string {
	var names []string
	for _, p := range slices.Concat(profiles, scenarios) {
		names = append(names, p.name)
	}
	return names
}

// IsScenario reports whether a profile is a story.
func IsScenario(name string) bool {
	return slices.ContainsFunc(scenarios, func(p profile) bool { return p.name == name })
}

// generator draws a plan. pick(n) is uniform in [0, n); 0 is always the simplest choice, so that a
// property test that draws the choices shrinks towards a plain world.
type generator struct {
	pick  func(n int64) int64
	prof  *profile
	plan  *Plan
	dense bool
	moves bool

	wrongClocks int // of brokers 1 to this; the others are right; 0: nothing is known

	producers, consumers []int // of a script
}

// GenerateFrom makes a plan of choices: pick chooses one of n.
func GenerateFrom(s uint64, name string, pick func(int64) int64) (*Plan, error) {
	profiles := slices.Concat(profiles, scenarios)
	i := slices.IndexFunc(profiles, func(p profile) bool { return p.name == name })
	if i < 0 {
		return nil, fmt.Errorf("unknown profile %q; use one of %v", name, Profiles())
	}
	g := &generator{pick: pick, prof: &profiles[i], plan: &Plan{Seed: s, Profile: name}}
	if g.prof.script != nil {
		g.prof.script(g)
		return g.checked(), nil
	}
	g.dense = g.prof.dense || g.prof.calls > 100 && g.chance(1, 3)
	g.world()
	g.topics()
	g.knobs()
	g.clients()
	g.membership()
	g.faults()
	g.groups()
	if g.chance(1, 2) { // drawn last: the other draws of a seed stay what they were
		g.plan.Knobs.CatchUpRate = g.wide(256<<10, 4<<20)
	}
	g.late()
	g.attacks()
	g.lies()
	g.lists()
	g.watching()
	g.seconds()
	g.heldCommands()
	g.states()
	g.habits()
	g.asks()
	g.moreFaults()
	g.roomForStorms()
	g.transactions()
	g.security()
	g.rollout()
	g.keepers()
	g.machines()
	return g.checked(), nil
}

func (g *generator) checked() *Plan {
	if err := g.plan.Validate(); err != nil {
		panic("the generator made a plan that can't be run: " + err.Error())
	}
	return g.plan
}

// upTo is uniform in [0, n].
func (g *generator) upTo(n int64) int64 { return g.pick(n + 1) }

// between is uniform in [lo, hi].
func (g *generator) between(lo, hi int64) int64 { return lo + g.pick(hi-lo+1) }

// wide is in [lo, hi], each doubling as likely as the next; lo must be positive.
func (g *generator) wide(lo, hi int64) int64 {
	a, b := keyed.Log2(lo), keyed.Log2(hi)
	return min(max(keyed.Exp2(a+g.pick(b-a+1)), lo), hi)
}

// skew is in (-limit, limit), near 0 more often.
func (g *generator) skew(limit int64) int64 {
	ahead, behind := g.wide(1, limit), g.wide(1, limit)
	return ahead - behind
}

func (g *generator) span(lo, hi Duration) Duration {
	// Rounded to 3 digits or so, for people.
	d := g.wide(int64(lo), int64(hi))
	unit := int64(1)
	for d/unit >= 10_000 {
		unit *= 10
	}
	return Duration(max(d/unit*unit, int64(lo)))
}

func (g *generator) chance(num, den int64) bool { return g.pick(den) >= den-num }

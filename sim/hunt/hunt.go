// SPDX-License-Identifier: Apache-2.0

// Package hunt breeds plans. A run tells what it was like, in features (see sim/features.go). A plan that shows something
// new is kept, and later ones are made from it by small changes. It knows plans and features only: who runs them, and where
// they are kept, is the caller's business (simrun hunt).
//
// Reading order: hunt.go (what is kept, and what comes next), breed.go with changes.go (how a plan is changed).
package hunt

import (
	"cmp"
	"fmt"
	"hash/crc64"
	"slices"
	"strings"

	"chronik/sim/keyed"
	"chronik/sim/plan"
)

// domain is what the draws of a hunt are about. Those of plans and worlds have small numbers.
const domain keyed.Domain = 1 << 32

// champions is how many plans a feature keeps: the shortest that show it.
const champions = 3

// Hunt is a search under way. Given its seed, and features that depend on plans alone, it is the same every time.
type Hunt struct {
	seed     keyed.Seed
	profiles []string
	runs     uint64 // plans given out
	kept     []*Kept
	features []*feature // in the order in which they were first seen
	byName   map[string]*feature
	kinds    []*kind
}

// Kept is a plan that is one of the shortest to show some feature.
type Kept struct {
	Name     string // follows from the plan
	Plan     *plan.Plan
	Steps    int64 // that its run took
	Features []string
	shortest int // of so many features
}

type feature struct {
	name  string
	count uint64 // runs that showed it
	tried uint64 // plans that were bred because of it
	best  []*Kept
}

// kind is a sort of features. One is drawn before a feature is, so that those with many features don't crowd out the others.
type kind struct {
	number   int // see kindOf
	weight   int64
	features []*feature
}

// The kinds: requests that meet a leader which shouldn't answer, or not yet; then by the first word. A request that meets a deposed
// leader is closer to a bug than a knob is; but the catalog is asked everywhere, and may be told what is old.
var weights = []struct {
	name   string
	weight int64
}{
	{"outrun leader", 8},
	{"deposed leader", 6},
	{"new leader", 4},
	{"pair", 8},
	{"fault", 2},
	{"asked", 1},
	{"answer", 1},
	{"anchor", 1},
	{"count", 1},
	{"knob", 1},
}

// kindOf is the place of a feature's kind among the weights, -1 if nobody knows it.
func kindOf(name string) int {
	first, rest, _ := strings.Cut(name, " ")
	for i, w := range weights {
		if w.name == first || (first == "asked" || first == "answer") && strings.Contains(rest, w.name) && !strings.Contains(rest, "of catalog") {
			return i
		}
	}
	return -1
}

// New begins a search among the worlds of some profiles.
func New(seed uint64, profiles []string) *Hunt {
	return &Hunt{seed: keyed.Seed(seed), profiles: profiles, byName: make(map[string]*feature)}
}

// fewRuns is how many seeds are run before anything is bred. Later one plan in freshShare is a seed, too.
const (
	fewRuns    = 16
	freshShare = 5
)

// Next returns the plan of the next run.
func (h *Hunt) Next() *plan.Plan {
	h.runs++
	d := &draws{seed: h.seed, run: h.runs}
	if h.runs <= fewRuns || len(h.kept) == 0 || d.chance(1, freshShare) {
		return h.fresh(d)
	}
	f := h.drawFeature(d)
	f.tried++
	return h.breed(d, f, f.best[d.below(len(f.best))])
}

// fresh is the plan of a seed.
func (h *Hunt) fresh(d *draws) *plan.Plan {
	p, err := plan.Generate(uint64(d.next()), h.profiles[d.below(len(h.profiles))])
	if err != nil {
		panic(err) // the caller has checked the profiles
	}
	return p
}

// drawFeature draws one, rare ones more often, and those less often that were tried often already.
func (h *Hunt) drawFeature(d *draws) *feature {
	total := int64(0)
	for _, k := range h.kinds {
		total += k.weight
	}
	x := d.pick(total)
	i := slices.IndexFunc(h.kinds, func(k *kind) bool { x -= k.weight; return x < 0 })
	k := h.kinds[i]
	total = 0
	for _, f := range k.features {
		total += f.worth()
	}
	x = d.pick(total)
	i = slices.IndexFunc(k.features, func(f *feature) bool { x -= f.worth(); return x < 0 })
	return k.features[i]
}

func (f *feature) worth() int64 { return max(1, 1<<20/int64(f.count+f.tried)) }

// Learn takes what a run was like that passed, and says how many features of it are new. The runs of plans that were
// given out must be told in the order of Next.
func (h *Hunt) Learn(p *plan.Plan, features []string, steps int64) int {
	k := &Kept{Name: Name(p), Plan: p, Steps: steps, Features: features}
	fresh := h.keep(k, 1)
	h.forget()
	return fresh
}

// keep counts a plan's features, and enters it where it is one of the shortest.
func (h *Hunt) keep(k *Kept, runs uint64) int {
	fresh := 0
	for _, name := range k.Features {
		f := h.byName[name]
		if f == nil {
			f = h.add(name)
			fresh++
		}
		f.count += runs
		f.enter(k)
	}
	if k.shortest > 0 {
		h.kept = append(h.kept, k)
	}
	return fresh
}

func (h *Hunt) add(name string) *feature {
	f := &feature{name: name}
	h.byName[name] = f
	h.features = append(h.features, f)
	n := kindOf(name)
	i := slices.IndexFunc(h.kinds, func(k *kind) bool { return k.number == n })
	if i < 0 {
		i = len(h.kinds)
		k := &kind{number: n, weight: 1}
		if n >= 0 {
			k.weight = weights[n].weight
		}
		h.kinds = append(h.kinds, k)
	}
	h.kinds[i].features = append(h.kinds[i].features, f)
	return f
}

// enter puts a plan among the shortest that show the feature, if it is one.
func (f *feature) enter(k *Kept) {
	shorter := func(a, b *Kept) int { return cmp.Or(cmp.Compare(a.Steps, b.Steps), strings.Compare(a.Name, b.Name)) }
	at, found := slices.BinarySearchFunc(f.best, k, shorter)
	if found || at == champions {
		return
	}
	f.best = slices.Insert(f.best, at, k)
	k.shortest++
	if len(f.best) > champions {
		f.best[champions].shortest--
		f.best = f.best[:champions]
	}
}

// forget drops plans that are among the shortest of no feature any more.
func (h *Hunt) forget() {
	h.kept = slices.DeleteFunc(h.kept, func(k *Kept) bool { return k.shortest == 0 })
}

// Name is what a plan is called.
func Name(p *plan.Plan) string {
	return fmt.Sprintf("%016x", crc64.Checksum(p.Bytes(), crc64.MakeTable(crc64.ECMA)))
}

// Counted is how often a feature was seen, and how often plans were bred because of it.
type Counted struct {
	Feature string `json:"feature"`
	Runs    uint64 `json:"runs"`
	Tried   uint64 `json:"tried"`
}

// Runs is how many plans were given out.
func (h *Hunt) Runs() uint64 { return h.runs }

// Kept returns the plans that are kept, in the order in which they were found.
func (h *Hunt) Kept() []*Kept { return h.kept }

// Counts returns the features in the order in which they were first seen.
func (h *Hunt) Counts() []Counted {
	var all []Counted
	for _, f := range h.features {
		all = append(all, Counted{f.name, f.count, f.tried})
	}
	return all
}

// Resume adds what another search had found, or this one before it was interrupted. A search that has done nothing else
// goes on as if it had never been interrupted.
func (h *Hunt) Resume(runs uint64, counts []Counted, kept []*Kept) {
	h.runs += runs
	for _, c := range counts {
		f := h.byName[c.Feature]
		if f == nil {
			f = h.add(c.Feature)
		}
		f.count += c.Runs
		f.tried += c.Tried
	}
	for _, k := range kept {
		h.keep(&Kept{Name: k.Name, Plan: k.Plan, Steps: k.Steps, Features: k.Features}, 0)
	}
	h.forget()
}

// Minimise keeps few plans that together show every feature: always the one that shows most of what is missing, of
// those the shortest. The smallest such set is hard to find, and seldom much smaller.
func (h *Hunt) Minimise() {
	missing := make(map[string]bool)
	for _, k := range h.kept {
		for _, f := range k.Features {
			missing[f] = true
		}
	}
	var few []*Kept
	for len(missing) > 0 {
		var best *Kept
		most := 0
		for _, k := range h.kept {
			n := 0
			for _, f := range k.Features {
				if missing[f] {
					n++
				}
			}
			if n > most || n == most && n > 0 && k.Steps < best.Steps {
				best, most = k, n
			}
		}
		few = append(few, best)
		for _, f := range best.Features {
			delete(missing, f)
		}
	}
	for _, f := range h.features {
		f.best = nil
	}
	h.kept = nil
	for _, k := range few {
		h.keep(&Kept{Name: k.Name, Plan: k.Plan, Steps: k.Steps, Features: k.Features}, 0)
	}
}

// draws are the decisions of one run.
type draws struct {
	seed    keyed.Seed
	run     uint64
	counter uint64
}

func (d *draws) next() keyed.Draw {
	d.counter++
	return d.seed.Draw(domain, d.run, d.counter)
}

func (d *draws) pick(n int64) int64         { return d.next().Below(n) }
func (d *draws) below(n int) int            { return int(d.pick(int64(n))) }
func (d *draws) chance(num, den int64) bool { return d.pick(den) < num }

// wide is in [lo, hi], each doubling as likely as the next.
func (d *draws) wide(lo, hi int64) int64 { return d.next().LogUniform(lo, hi) }

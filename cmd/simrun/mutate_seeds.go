// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"chronik/seeds/mutation"
	"chronik/sim/plan"
)

// visit is a seed that comes to the place of a mutant.
type visit struct {
	profile string
	seed    uint64
	hash    uint64 // of its trace without any mutant
	price   int64  // steps of the run, less if it comes to the place often
}

// mutantLimit is how much processor time a seed of a mutant may take: many never end.
const mutantLimit = 8 * time.Second

// mutantTimeout is of wall time, after which the machine, not the mutant, is to blame.
const mutantTimeout = 30 * time.Minute

// environment activates a mutant; 0: none.
func environment(number int) string { return mutation.ActiveVariable + "=" + strconv.Itoa(number) }

// survey runs all seeds once without a mutant, and notes which of them come to the place of which mutant. No other can show
// anything of it.
func (m *mutator) survey(mutants int) error {
	m.visits = make([][]visit, mutants+1)
	profiles := plan.Profiles()
	if m.profile != "" {
		profiles = []string{m.profile}
	}
	for _, p := range profiles {
		seeds := seedRange{1, m.most}
		if p != "default" && m.profile == "" {
			seeds.last = m.most / 4
		}
		c := &campaign{
			seeds: seeds, profile: p, workers: m.workers, program: m.program,
			env: []string{environment(0), limitVariable + "=" + mutantLimit.String()},
		}
		var failed error
		c.each = func(o outcome) {
			if f := o.Result.Failure; f != nil {
				failed = fmt.Errorf("seed %d of %s fails without any mutant: %s", o.Result.Seed, p, f)
			}
			for i, k := range o.Reached {
				price := o.Result.Steps / int64(1+bits.Len32(o.Times[i]))
				m.visits[k] = append(m.visits[k], visit{p, o.Result.Seed, o.Result.Hash, price})
			}
		}
		if err := cmp.Or(c.run(), failed); err != nil {
			return err
		}
	}
	for k := range m.visits {
		m.visits[k] = inTurn(m.visits[k])
	}
	return nil
}

// inTurn takes seeds of all profiles in turn, of each the cheapest first.
func inTurn(all []visit) []visit {
	slices.SortFunc(all, func(a, b visit) int {
		return cmp.Or(strings.Compare(a.profile, b.profile), cmp.Compare(a.price, b.price), cmp.Compare(a.seed, b.seed))
	})
	type placed struct {
		round int
		visit
	}
	var list []placed
	round := 0
	for i, v := range all {
		if round++; i == 0 || v.profile != all[i-1].profile {
			round = 0
		}
		list = append(list, placed{round, v})
	}
	slices.SortStableFunc(list, func(a, b placed) int { return cmp.Or(cmp.Compare(a.round, b.round), cmp.Compare(a.price, b.price)) })
	for i := range list {
		all[i] = list[i].visit
	}
	return all
}

// simulate runs seeds that come to the place of a mutant until one fails.
func (m *mutator) simulate(number int, f *fate) error {
	visits := m.visits[number]
	f.Reached = len(visits)
	if len(visits) == 0 {
		return nil
	}
	w, err := startWorker(m.program, "default", false, environment(number), limitVariable+"="+mutantLimit.String(), onceVariable+"=1")
	if err != nil {
		return err
	}
	defer w.close()
	for _, v := range visits[:min(m.runs, len(visits))] {
		o, _ := w.runLine(fmt.Sprintf("%s %d", v.profile, v.seed), v.seed, v.profile, mutantTimeout)
		f.Seeds++
		f.CPUSeconds += time.Duration(o.CPUNs).Seconds()
		if r := o.Result; r.Failure != nil {
			if r.Failure.Check == checkHang {
				return fmt.Errorf("%s, with mutant %s", r.Failure.Text, f.ID)
			}
			f.Check, f.In, f.Differ, f.Text = r.Failure.Check, fmt.Sprintf("%s %d", v.profile, v.seed), 0, oneLine(r.Failure.Text)
			return nil
		}
		if o.Result.Hash != v.hash {
			f.Differ++
		}
		if f.Differ == 0 && f.Seeds >= m.alike {
			return nil
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package plan

// SecondEmpty is Fault.Rate of a second process that joins with an empty folder; others have a copy, which is For old.
const SecondEmpty = 1

// seconds draws a second process for a share of worlds.
func (g *generator) seconds() {
	p := g.plan
	if g.prof.seconds == 0 || p.Brokers < 2 || !g.chance(g.prof.seconds, 100) {
		return
	}
	for range g.between(1, 3) {
		f := Fault{
			ID: len(p.Faults) + 1, Kind: FaultSecond, At: Duration(g.upTo(int64(p.Safety)) / 1000 * 1000),
			Target: Target([]string{"1", "2", "3", "4", "5", "6", "7"}[g.pick(int64(p.Brokers))]), Rate: g.pick(3),
		}
		if f.Rate != SecondEmpty && g.chance(2, 3) {
			f.For = g.span(millisecond, 5*second)
		}
		p.Faults = append(p.Faults, f)
	}
}

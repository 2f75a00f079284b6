// SPDX-License-Identifier: Apache-2.0

package hunt

import "chronik/sim/plan"

const microsecond plan.Duration = 1e3

// change is a way to change a plan. It may find nothing to change.
type change struct {
	name   string
	weight int64
	do     func(*breeder)
}

// changes are the ways to change a plan.
var changes = []change{
	{"noise", 4, (*breeder).otherNoise},
}

// otherNoise gives all latencies, and whatever else the plan doesn't spell out, other values.
func (b *breeder) otherNoise() { b.plan.Seed = uint64(b.next()) }

// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"fmt"

	"chronik/sim"
	"chronik/sim/plan"
)

// A seed expands into a plan, and a plan decides all that happens in a world: the same plan gives the same hash.
func ExampleRun() {
	world, err := plan.Generate(8, "tiny")
	if err != nil {
		fmt.Println(err)
		return
	}
	first, second := sim.Run(world, sim.Options{}), sim.Run(world, sim.Options{})
	fmt.Println("failed:", first.Failure != nil, "alike:", first.Hash == second.Hash)
	// Output: failed: false alike: true
}

// A plan is data: it can be written down, edited and carried out again.

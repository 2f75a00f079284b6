// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"

	"chronik/sim/plan"
)

func ExampleParse() {
	p, _ := plan.Generate(8, "tiny")
	again, err := plan.Parse(p.Bytes())
	fmt.Println(again.Seed, again.Profile, err)
	// Output: 8 tiny <nil>
}

// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"testing"
)

// TestShrink gives the shrinker a failure that needs one fault and one call, and expects just them.
func TestShrink(t *testing.T) {
	var p *Plan
	var fault, call int
	for s := uint64(0); ; s++ {
		p = mustGenerate(t, s, "default")
		if len(p.Faults) > 10 && len(p.Calls) > 100 {
			fault, call = p.Faults[7].ID, p.Calls[60].ID
			break
		}
	}
	runs := 0
	small := Shrink(p, func(p *Plan) bool {
		runs++
		return slices.ContainsFunc(p.Faults, func(f Fault) bool { return f.ID == fault }) &&
			slices.ContainsFunc(p.Calls, func(c Call) bool { return c.ID == call })
	})
	if len(small.Faults) != 1 || len(small.Calls) != 1 || len(small.Clients) != 1 || len(small.Topics) != 1 {
		t.Errorf("%d faults, %d calls, %d clients and %d topics are left", len(small.Faults), len(small.Calls), len(small.Clients), len(small.Topics))
	}
	if err := small.Validate(); err != nil {
		t.Error(err)
	}
	if runs > 500 {
		t.Errorf("%d runs", runs)
	}
	if len(p.Calls) < 100 {
		t.Error("the plan that was given is changed")
	}
}

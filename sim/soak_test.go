// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"testing"

	"chronik/sim/plan"
)

// TestSoak lets a world go on into its third epoch, twice.
func TestSoak(t *testing.T) {
	var hashes []uint64
	for range 2 {
		var states []SoakState
		r := Soak(3, 3*plan.EpochLength, func(s SoakState) { states = append(states, s) })
		if r.Failure != nil {
			t.Fatalf("%v\n%s", r.Failure, r.Failure.Stack)
		}
		if len(states) != 3 || states[2].Hot == 0 || r.Acked < 10_000 {
			t.Fatalf("%d epochs, %d records acknowledged, the last state %+v", len(states), r.Acked, states[len(states)-1])
		}
		hashes = append(hashes, r.Hash)
	}
	if hashes[0] != hashes[1] {
		t.Errorf("trace hashes %016x and %016x", hashes[0], hashes[1])
	}
}

func TestHeapDropsKinds(t *testing.T) {
	var h eventHeap
	for i, kind := range []eventKind{evFault, evMessage, evFaultEnd, evTimer, evMessage} {
		h.push(event{at: 7, kind: kind, index: i})
	}
	h.drop(evFault, evFaultEnd)
	var order []int
	for len(h.keys) > 0 {
		order = append(order, h.pop().index)
	}
	if !slices.Equal(order, []int{1, 3, 4}) {
		t.Errorf("left are %v, in this order", order)
	}
}

// SPDX-License-Identifier: Apache-2.0

package wal

import "testing"

// What it costs to forget a group doesn't grow with those that stay: at most one of them moves.
func TestForgettingMovesOneOther(t *testing.T) {
	log, _ := mustOpen(t, newDisk(), Options{})
	for g := range GroupID(100) {
		log.SetVote(g, 1, 0)
	}
	for range 50 {
		before := append([]*group(nil), log.order...)
		log.RemoveGroup(before[len(before)/2].id)
		moved := 0
		for i, g := range log.order {
			if g.position != i || log.groups[g.id] != g {
				t.Fatalf("group %d at %d believes that it is at %d", g.id, i, g.position)
			}
			if before[i] != g {
				moved++
			}
		}
		if len(log.order) != len(before)-1 || moved > 1 {
			t.Fatalf("of %d groups one was removed, and %d others moved", len(before), moved)
		}
	}
}

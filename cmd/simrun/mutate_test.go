// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScores(t *testing.T) {
	fates := []*fate{
		{ID: "wal/a.go:1:negate:1", Tests: "TestA", Check: "liveness"},
		{ID: "wal/a.go:2:negate:9", Check: "recovery"},
		{ID: "node/b.go:1:negate:1", Tests: "TestB"},
		{ID: "node/b.go:3:negate:30"},
	}
	var out strings.Builder
	printScores(&out, fates, 3, true)
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"package mutants tests simulator both",
		"node 2 50 % 0 % 50 %", "wal 2 50 % 100 % 100 %", "all 4 50 % 50 % 75 %", "3 more don't build",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if line := fates[3].line(true); !strings.HasPrefix(line, "ALIVE ") {
		t.Error(line)
	}
}

// Seeds of all profiles come in turn, of each the cheapest first, so that a mutant doesn't take all the seeds of one.
func TestSeedsInTurn(t *testing.T) {
	list := inTurn([]visit{
		{profile: "a", seed: 1, price: 30},
		{profile: "a", seed: 2, price: 10},
		{profile: "b", seed: 7, price: 5},
		{profile: "a", seed: 3, price: 10},
		{profile: "c", seed: 4, price: 7},
		{profile: "c", seed: 5, price: 50},
	})
	var got []uint64
	for _, v := range list {
		got = append(got, v.seed)
	}
	if d := cmp.Diff([]uint64{7, 4, 2, 3, 5, 1}, got); d != "" {
		t.Error(d)
	}
}

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

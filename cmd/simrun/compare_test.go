// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"slices"
	"strings"
	"testing"
)

func TestDifferent(t *testing.T) {
	ok := verdict{hash: 7}
	for _, c := range []struct {
		what        string
		mine, other verdicts
		want        []uint64
	}{
		{"equal", verdicts{1: ok, 2: ok}, verdicts{1: ok, 2: ok}, nil},
		{"another hash", verdicts{1: ok, 2: ok}, verdicts{1: ok, 2: {hash: 8}}, []uint64{2}},
		{"a check fails in one", verdicts{1: ok, 2: ok}, verdicts{1: {hash: 7, check: "acked"}, 2: ok}, []uint64{1}},
		{"the same check fails in both", verdicts{1: {hash: 7, check: "acked"}, 2: ok}, verdicts{1: {hash: 7, check: "acked"}, 2: ok}, nil},
		{"both workers die, so that nothing is known", verdicts{1: {check: checkWorkerDied}, 2: ok}, verdicts{1: {check: checkWorkerDied}, 2: ok}, []uint64{1}},
		{"one wasn't run", verdicts{1: ok, 2: ok}, verdicts{1: ok}, []uint64{2}},
	} {
		if got := different(seedRange{1, 2}, c.mine, c.other); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v differ, want %v", c.what, got, c.want)
		}
	}
}

func TestParting(t *testing.T) {
	scan := func(lines ...string) *bufio.Scanner {
		return bufio.NewScanner(strings.NewReader(strings.Join(lines, "\n")))
	}
	got := parting(scan("1", "2", "3", "4", "5", "6", "7", "x"), scan("1", "2", "3", "4", "5", "6", "7", "y"))
	want := []string{"the traces part at line 8:", "  3", "  4", "  5", "  6", "  7", "- x", "+ y"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	got = parting(scan("1"), scan("1", "2"))
	want = []string{"the traces part at line 2:", "  1", "- (the trace ends)", "+ 2"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got = parting(scan("1"), scan("1")); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

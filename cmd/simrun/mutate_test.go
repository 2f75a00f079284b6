// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
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

// A run goes on with what it has written down, but not with what another one has.
func TestResumedCount(t *testing.T) {
	name, this := filepath.Join(t.TempDir(), "fates"), run{Tree: "t", Args: []string{"-runs=3"}}
	p, err := resumed(name, this)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.keep(&fate{ID: "a", Check: "liveness"}); err != nil {
		t.Fatal(err)
	}
	p.file.WriteString(`{"id":"torn","ch`)
	p.file.Close()
	for _, id := range []string{"b", "c"} {
		if p, err = resumed(name, this); err != nil {
			t.Fatal(err)
		}
		if f := p.known("a"); f == nil || f.Check != "liveness" || p.known("torn") != nil || p.known(id) != nil {
			t.Errorf("before %s was tried it has %v", id, p.done)
		}
		if err := p.keep(&fate{ID: id}); err != nil {
			t.Fatal(err)
		}
		p.file.Close()
	}
	if p, err = resumed(name, this); err != nil || len(p.done) != 3 {
		t.Errorf("%v, %v", p, err)
	}
	p.file.Close()
	if _, err := resumed(name, run{Tree: "another", Args: this.Args}); !errors.Is(err, errUsage) {
		t.Errorf("results of another tree are taken: %v", err)
	}
	if err := os.WriteFile(name, []byte("no"), 0o644); err != nil {
		t.Fatal(err)
	}
	if p, err := resumed(name, this); err != nil || len(p.done) != 0 {
		t.Errorf("a torn first line: %v", err)
	}
}

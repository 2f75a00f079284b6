// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"chronik/sim"
	"chronik/sim/hunt"
)

// huntHere runs a number of plans in this process.
func huntHere(t *testing.T, h *hunt.Hunt, runs int) (hashes []uint64) {
	t.Helper()
	for range runs {
		p := h.Next()
		o := runPlan(p, sim.Options{Features: true})
		if o.Result.Failure != nil {
			t.Fatalf("%v\n%s", o.Result.Failure, p.Bytes())
		}
		hashes = append(hashes, o.Result.Hash)
		h.Learn(p, o.Result.Features, o.Result.Steps)
	}
	return hashes
}

// TestBredPlansRun demands that bred plans run, twice in the same way, and that to look at a run doesn't change it.
func TestBredPlansRun(t *testing.T) {
	profiles := []string{"tiny", "groups"}
	h := hunt.New(1, profiles)
	first := huntHere(t, h, 28)
	if again := huntHere(t, hunt.New(1, profiles), 28); !slices.Equal(first, again) {
		t.Error("two hunts of one seed differ")
	}
	for _, k := range h.Kept()[:3] {
		with, without := sim.Run(k.Plan, sim.Options{Features: true}), sim.Run(k.Plan, sim.Options{})
		if with.Hash != without.Hash || len(with.Features) == 0 || len(without.Features) != 0 {
			t.Errorf("plan %s: trace hash %016x with %d features, %016x with %d", k.Name, with.Hash, len(with.Features), without.Hash, len(without.Features))
		}
		if !slices.Equal(with.Features, k.Features) || !slices.IsSorted(k.Features) {
			t.Errorf("plan %s: another run has other features", k.Name)
		}
	}
}

func TestCorpus(t *testing.T) {
	one, two, both := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two"), filepath.Join(t.TempDir(), "both")
	profiles := []string{"tiny"}
	h := hunt.New(1, profiles)
	huntHere(t, h, 32)
	if err := saveCorpus(one, h, 1, profiles); err != nil {
		t.Fatal(err)
	}
	resumed := hunt.New(1, profiles)
	if _, err := loadCorpus(one, resumed); err != nil {
		t.Fatal(err)
	}
	if a, b := huntHere(t, h, 16), huntHere(t, resumed, 16); !slices.Equal(a, b) {
		t.Error("a search that was interrupted goes on differently")
	}
	if err := saveCorpus(one, h, 1, profiles); err != nil { // plans that went are removed
		t.Fatal(err)
	}
	if files, err := os.ReadDir(one); err != nil || len(files) != len(h.Kept())+1 {
		t.Errorf("%d files for %d plans: %v", len(files), len(h.Kept()), err)
	}
	other := hunt.New(2, profiles)
	huntHere(t, other, 32)
	if err := saveCorpus(two, other, 2, profiles); err != nil {
		t.Fatal(err)
	}
	merged, err := mergeCorpora(both, []string{one, two})
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]bool)
	for _, k := range merged.Kept() {
		p, err := loadPlan(filepath.Join(both, k.Name+".json"), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range sim.Run(p, sim.Options{Features: true}).Features {
			shown[f] = true
		}
	}
	for _, c := range append(h.Counts(), other.Counts()...) {
		if !shown[c.Feature] {
			t.Errorf("the merged corpus doesn't show %q", c.Feature)
		}
	}
	if merged.Runs() != h.Runs()+other.Runs() || len(merged.Kept()) >= len(h.Kept())+len(other.Kept()) {
		t.Errorf("%d plans of %d runs", len(merged.Kept()), merged.Runs())
	}
}

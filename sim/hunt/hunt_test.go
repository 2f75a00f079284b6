// SPDX-License-Identifier: Apache-2.0

package hunt

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"chronik/sim/plan"
)

// features stands for a run: what it was like follows from the plan alone, and rare things take several changes.
func features(p *plan.Plan) ([]string, int64) {
	seen := make(map[string]bool)
	for i := range p.Faults {
		f := &p.Faults[i]
		seen[fmt.Sprintf("fault %s at %s", f.Kind, f.Target)] = true
		if f.After != nil {
			seen[fmt.Sprintf("pair at leader of partition: %s > %s", f.After.Event, f.Kind)] = true
			seen[fmt.Sprintf("anchor %s after %s", f.Kind, f.After.Event)] = true
		}
	}
	seen[fmt.Sprintf("count calls %d", len(p.Calls)/16)] = true
	var all []string
	for f := range seen {
		all = append(all, f)
	}
	slices.Sort(all)
	return all, int64(p.Safety) + int64(len(p.Calls))
}

func breedSome(t *testing.T, h *Hunt, runs int) []byte {
	t.Helper()
	var all []byte
	for range runs {
		p := h.Next()
		if err := p.Validate(); err != nil {
			t.Fatalf("a bred plan can't be run: %v\n%s", err, p.Bytes())
		}
		back, err := plan.Parse(p.Bytes())
		if err != nil || !bytes.Equal(back.Bytes(), p.Bytes()) {
			t.Fatalf("a bred plan isn't what was printed of it: %v", err)
		}
		seen, steps := features(p)
		h.Learn(p, seen, steps)
		all = append(all, p.Bytes()...)
	}
	return all
}

// TestSameAgain breeds twice from one seed, for worlds of every profile.
func TestSameAgain(t *testing.T) {
	a, b := New(7, plan.Profiles()), New(7, plan.Profiles())
	if !bytes.Equal(breedSome(t, a, 150), breedSome(t, b, 150)) {
		t.Error("two hunts of one seed differ")
	}
}

// TestParentsStay demands that breeding changes no plan that is kept, nor shares what it changes.
func TestParentsStay(t *testing.T) {
	h := New(3, plan.Profiles())
	breedSome(t, h, 400)
	for _, k := range h.Kept() {
		if Name(k.Plan) != k.Name {
			t.Errorf("kept plan %s became %s", k.Name, Name(k.Plan))
		}
	}
}

// TestResume demands that a search goes on as if it hadn't been interrupted.
func TestResume(t *testing.T) {
	whole := New(11, []string{"default"})
	breedSome(t, whole, 100)
	rest := New(11, []string{"default"})
	rest.Resume(whole.Runs(), whole.Counts(), whole.Kept())
	if !bytes.Equal(breedSome(t, whole, 50), breedSome(t, rest, 50)) {
		t.Error("a resumed search goes on differently")
	}
}

// TestMinimise demands that fewer plans show the same features.
func TestMinimise(t *testing.T) {
	h := New(2, []string{"default"})
	breedSome(t, h, 200)
	before, plans := h.Counts(), len(h.Kept())
	h.Minimise()
	shown := make(map[string]bool)
	for _, k := range h.Kept() {
		for _, f := range k.Features {
			shown[f] = true
		}
	}
	for _, c := range before {
		if !shown[c.Feature] {
			t.Errorf("no plan shows %q any more", c.Feature)
		}
	}
	if len(h.Kept()) >= plans || len(h.Counts()) != len(before) {
		t.Errorf("%d of %d plans are left, %d of %d features", len(h.Kept()), plans, len(h.Counts()), len(before))
	}
	for i, k := range h.Kept() { // none of them is needless
		others := make(map[string]bool)
		for j, o := range h.Kept() {
			for _, f := range o.Features {
				others[f] = others[f] || j < i
			}
		}
		if !slices.ContainsFunc(k.Features, func(f string) bool { return !others[f] }) {
			t.Errorf("plan %s shows nothing that those before it don't", k.Name)
		}
	}
}

// TestShortest demands that a feature keeps the shortest plans that show it.
func TestShortest(t *testing.T) {
	h := New(1, []string{"tiny"})
	for i, steps := range []int64{50, 40, 60, 30, 70} {
		p := h.Next()
		h.Learn(p, []string{"asked x"}, steps)
		if want := min(i+1, champions); len(h.Kept()) != want {
			t.Errorf("after %d runs %d plans are kept, want %d", i+1, len(h.Kept()), want)
		}
	}
	var steps []int64
	for _, k := range h.Kept() {
		steps = append(steps, k.Steps)
	}
	if !slices.Equal(steps, []int64{50, 40, 30}) {
		t.Errorf("kept: %v", steps)
	}
}

func TestEventOf(t *testing.T) {
	for _, c := range []struct{ feature, want string }{
		{"pair at leader of partition: truncated > voted", "voted"},
		{"pair at follower of catalog: voted > down", "voted"},
		{"pair at follower of catalog: kill > new term", "new term"},
		{"pair at follower of broker: nothing > recovered", "recovered"},
		{"pair at follower of broker: power lost > kill", ""},
		{"asked Fetch of outrun leader of partition x4", ""},
	} {
		if got, _ := eventOf(c.feature); got != c.want {
			t.Errorf("%s: %q, want %q", c.feature, got, c.want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package mutants

import (
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chronik/sim/plan"
)

// TestPatches demands that every planted bug still applies to the tree, changes it, and says what it is.
func TestPatches(t *testing.T) {
	all, err := Load(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no patches")
	}
	for _, m := range all {
		changed, err := m.Apply(filepath.Join("..", ".."))
		if err != nil {
			t.Error(err)
			continue
		}
		for name, text := range changed {
			if _, err := format.Source(text); err != nil && strings.HasSuffix(name, ".go") {
				t.Errorf("mutant %s: %s is no Go any more: %v", m.ID, name, err)
			}
		}
		packages, run, test := m.Test()
		for _, name := range testName.FindAllString(run, -1) {
			if !slices.ContainsFunc(packages, func(dir string) bool { return declares(t, filepath.Join("..", "..", dir), name) }) {
				t.Errorf("mutant %s is found by %s, which isn't in %v", m.ID, name, packages)
			}
		}
		if !test && !slices.Contains(plan.Profiles(), m.Profile) {
			t.Errorf("mutant %s: profile %q; use one of %v, or none and name a test", m.ID, m.Profile, plan.Profiles())
		}
	}
}

// declares reports whether a package has a test of a name.
func declares(t *testing.T, dir, name string) bool {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(text), "func "+name+"(")
	})
}

const example = `What: a
User: b
Found-By: liveness
Profile: default

diff --git a/x.go b/x.go
--- a/x.go
+++ b/x.go
@@ -1,3 +1,3 @@
 one
-two
+three
 four
`

func TestParse(t *testing.T) {
	m, err := parse("x", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	h := m.files[0].hunks[0]
	if !slices.Equal(h.before, []string{"one", "two", "four"}) || !slices.Equal(h.after, []string{"one", "three", "four"}) {
		t.Errorf("hunk %v", h)
	}
	for _, c := range []struct {
		lines []string
		want  int
	}{
		{[]string{"one", "two", "four"}, 0},
		{[]string{"zero", "one", "two", "four"}, 1},
		{[]string{"one", "two", "four", "one", "two", "four"}, 0},
		{[]string{"one", "two"}, -1},
	} {
		if got := h.find(c.lines, 0); got != c.want {
			t.Errorf("found in %v at %d instead of %d", c.lines, got, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "What: a\n", strings.Replace(example, "User: b\n", "", 1), strings.Replace(example, "User", "Wer", 1),
		example[:strings.Index(example, "@@")], "What: a\nUser: b\nFound-By: c\nProfile: d\n\nnothing\n",
	} {
		if _, err := parse("x", []byte(text)); err == nil {
			t.Errorf("taken: %q", text)
		}
	}
}

func TestTest(t *testing.T) {
	m, err := parse("x", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := m.Test(); ok {
		t.Error("a mutant that seeds find wants a test")
	}
	m.FoundBy = "test ./node TestA, TestB"
	packages, run, ok := m.Test()
	if !ok || run != "^(TestA|TestB)$" || !slices.Equal(packages, []string{"./node"}) {
		t.Errorf("%v %q %v", packages, run, ok)
	}
}

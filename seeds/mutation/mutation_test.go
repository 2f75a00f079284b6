// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const source = `package a

func f(a, b int) (n int, err error) {
	defer g()
	for i := 0; i < a && a != b; i++ {
		if a == b {
			continue
		}
		n += a * 2
		_ = n
	}
	ok := true
	g()
	return n, err
}
`

var changes = []string{
	"drop-call: without defer g()",
	"constant: 0 -> (0+1)",
	"negate: i < a && a != b -> !(i < a && a != b)",
	"boundary: < -> <=",
	"and-or: && -> ||",
	"equality: != -> ==",
	"drop-set: without i++",
	"negate: a == b -> !(a == b)",
	"drop-jump: without continue",
	"drop-set: without n += a * 2",
	"arithmetic: * -> /",
	"constant: 2 -> (2+1)",
	"constant: true -> false",
	"drop-call: without g()",
	"swallow: err -> nil",
}

func TestMutantsOfAFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := Of(dir, []string{"."})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range all {
		got = append(got, m.Operator+": "+m.Change())
		if !slices.Contains(Operators, m.Operator) {
			t.Error(m.Operator, "isn't in Operators")
		}
		text, err := m.in([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := format.Source(text); err != nil || string(text) == source {
			t.Errorf("%s: %v\n%s", m.ID(), err, text)
		}
	}
	if d := cmp.Diff(changes, got); d != "" {
		t.Error(d)
	}
	if _, err := all[0].in([]byte("package a\n")); err == nil {
		t.Error("a mutant of another text applies")
	}
}

// A sample of the tree is the same whoever draws it, and a larger one contains a smaller.
func TestShuffled(t *testing.T) {
	all, err := Of(filepath.Join("..", ".."), []string{"wal", "node/..."})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 5000 {
		t.Errorf("%d mutants of wal and node", len(all))
	}
	if slices.ContainsFunc(all, func(m Mutant) bool { return strings.HasSuffix(m.File, "_test.go") }) {
		t.Error("tests have mutants")
	}
	a, b := Shuffled(all, 1), Shuffled(all, 1)
	if !slices.Equal(a, b) || slices.Equal(a, Shuffled(all, 2)) {
		t.Error("the order doesn't depend on the seed alone")
	}
}

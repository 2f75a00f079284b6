// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"chronik/seeds/mutation/reach"
)

const program = `package main

import "fmt"

type pair[T any] struct{ a, b T }

func (p *pair[T]) swap() { p.a, p.b = p.b, p.a }

func (*pair[T]) size(_ int, more ...int) (n int) {
	n = 2
	for _, m := range more {
		n += m
	}
	return
}

func larger[T int | string](a, b T) T {
	if a > b {
		return a
	}
	return b
}

func first(list []string) string {
	for _, s := range list {
		t := s
		return t
	}
	panic("empty")
}

func main() {
	p := &pair[int]{1, 2}
	p.swap()
	fmt.Println(p.a, p.size(0, 5, 6), larger("x", "y"), first([]string{"z"}))
}
`

// One build has all mutants, and each run is of one of them.
func TestSchemata(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.go": program, "go.mod": "module chronik\n\ngo 1.24\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all, err := Of(dir, []string{"."})
	if err != nil {
		t.Fatal(err)
	}
	wrong := Mutant{File: "a.go", Line: 28, Operator: "negate", Start: strings.Index(program, "return t\n"), Text: "t.none()", Before: "return t"}
	wrong.End = wrong.Start + len(wrong.Before)
	all = slices.Insert(all, 3, wrong)
	out, err := build(t, dir, all)
	var broken []string
	for _, i := range slices.Backward(Broken(out)) {
		broken = append(broken, all[i].Change())
		all = slices.Delete(all, i, i+1)
	}
	if want := []string{`without panic("empty")`, "without n += m", "return t -> t.none()"}; err == nil || !slices.Equal(broken, want) {
		t.Fatalf("%v: %q don't build, want %q: %s", err, broken, want, out)
	}
	if out, err := build(t, dir, all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := run(t, dir, "0"); got != "2 13 y z" {
		t.Error("without a mutant:", got)
	}
	want := map[string]string{
		"without p.a, p.b = p.b, p.a": "1 13 y z", "without n = 2": "2 11 y z", "2 -> (2+1)": "2 14 y z",
		"> -> >=": "2 13 y z", "a > b -> !(a > b)": "2 13 x z", "without p.swap()": "1 13 y z",
	}
	for i := range all {
		if line, ok := want[all[i].Change()]; ok && all[i].Line != 39 {
			if got := run(t, dir, strconv.Itoa(i+1)); got != line {
				t.Errorf("%s: %s, want %s", all[i].Change(), got, line)
			}
			delete(want, all[i].Change())
		}
	}
	if len(want) > 0 {
		t.Errorf("no such mutants: %v", want)
	}
	if got, want := neverReached(t, dir, all), []string{"> -> >="}; !slices.Equal(got, want) {
		t.Errorf("%q are never reached, want %q", got, want)
	}
}

// neverReached lists the mutants to whose places the program doesn't come.
func neverReached(t *testing.T, dir string, all []Mutant) (never []string) {
	t.Helper()
	reached := filepath.Join(dir, "reached")
	t.Setenv(reach.FileVariable, reached)
	run(t, dir, "0")
	text, err := os.ReadFile(reached)
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if !slices.Contains(strings.Fields(string(text)), strconv.Itoa(i+1)) {
			never = append(never, all[i].Change())
		}
	}
	return never
}

func build(t *testing.T, dir string, list []Mutant) (string, error) {
	t.Helper()
	files, err := Schemata(dir, list)
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	files["go.mod"] = []byte("module chronik\n\ngo 1.24\n")
	if files["seeds/mutation/reach/reach.go"], err = os.ReadFile("reach/reach.go"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(to, "seeds/mutation/reach"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(to, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-gcflags=-e", "-o", filepath.Join(dir, "a"), ".")
	cmd.Dir = to
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func run(t *testing.T, dir, number string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "a"))
	cmd.Env = append(os.Environ(), ActiveVariable+"="+number)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

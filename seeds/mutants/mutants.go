// SPDX-License-Identifier: Apache-2.0

// Package mutants reads the planted bugs that this folder keeps, one patch a file: a header of lines
// "Name: text", an empty line, and a unified diff against the tree. docs/SIMULATOR.md says what they
// are for, and simrun mutants counts how many of them the simulator finds.
package mutants

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Mutant is one planted bug.
type Mutant struct {
	ID      string // the file's name without its end
	What    string // the slip
	User    string // what a user would see of it
	FoundBy string // the check or the test that finds it, as far as known
	Profile string // of the worlds that are about it; "none": only a test finds it
	Plan    string // a kept plan in the folder above that fails with it; "": there is none
	files   []filePatch
}

type filePatch struct {
	name  string
	hunks []hunk
}

// hunk is a piece of a file before and after.
type hunk struct {
	line          int // where it begins, from 0, in the file that the patch was made from
	before, after []string
}

// Load reads all patches of a folder, by their names.
func Load(folder string) ([]*Mutant, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.patch"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []*Mutant
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		m, err := parse(strings.TrimSuffix(filepath.Base(name), ".patch"), text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, m)
	}
	return all, nil
}

func parse(id string, text []byte) (*Mutant, error) {
	header, diff, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		return nil, fmt.Errorf("no empty line between the header and the diff")
	}
	m := &Mutant{ID: id}
	fields := map[string]*string{"What": &m.What, "User": &m.User, "Found-By": &m.FoundBy, "Profile": &m.Profile, "Plan": &m.Plan}
	for line := range strings.Lines(string(header)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		field := fields[name]
		if field == nil {
			return nil, fmt.Errorf("header line %q: use What, User, Found-By, Profile and Plan", line)
		}
		*field = value
	}
	if m.What == "" || m.User == "" || m.FoundBy == "" || m.Profile == "" {
		return nil, fmt.Errorf("the header needs What, User, Found-By and Profile")
	}
	var err error
	m.files, err = parseDiff(strings.TrimRight(string(diff), "\n"))
	return m, err
}

var hunkStart = regexp.MustCompile(`^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@`)

func parseDiff(diff string) ([]filePatch, error) {
	var files []filePatch
	for line := range strings.Lines(diff) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "--- a/"); ok {
			files = append(files, filePatch{name: name})
			continue
		}
		if len(files) == 0 || strings.HasPrefix(line, "+++ ") || strings.HasPrefix(line, "diff ") || strings.HasPrefix(line, "index ") {
			continue
		}
		f := &files[len(files)-1]
		if m := hunkStart.FindStringSubmatch(line); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return nil, err
			}
			f.hunks = append(f.hunks, hunk{line: n - 1})
			continue
		}
		if len(f.hunks) == 0 {
			return nil, fmt.Errorf("%q stands before the first hunk of %s", line, f.name)
		}
		f.hunks[len(f.hunks)-1].add(line)
	}
	if len(files) == 0 || slices.ContainsFunc(files, func(f filePatch) bool { return len(f.hunks) == 0 }) {
		return nil, fmt.Errorf("no diff, or a file without a hunk; make it with git diff")
	}
	return files, nil
}

func (h *hunk) add(line string) {
	kind, text := byte(' '), ""
	if line != "" {
		kind, text = line[0], line[1:]
	}
	if kind == ' ' || kind == '-' {
		h.before = append(h.before, text)
	}
	if kind == ' ' || kind == '+' {
		h.after = append(h.after, text)
	}
}

// Files lists the files that the patch changes, by their path in the tree.
func (m *Mutant) Files() []string {
	var names []string
	for _, f := range m.files {
		names = append(names, f.name)
	}
	return names
}

// Apply returns the changed files of the tree at root, which stays as it is.
func (m *Mutant) Apply(root string) (map[string][]byte, error) {
	changed := make(map[string][]byte)
	for _, f := range m.files {
		text, err := os.ReadFile(filepath.Join(root, f.name))
		if err != nil {
			return nil, fmt.Errorf("mutant %s: %w", m.ID, err)
		}
		lines := strings.Split(string(text), "\n")
		from := 0
		for _, h := range f.hunks {
			at := h.find(lines, from)
			if at < 0 {
				return nil, fmt.Errorf("mutant %s no longer applies to %s near line %d; make the patch anew", m.ID, f.name, h.line+1)
			}
			lines = slices.Replace(lines, at, at+len(h.before), h.after...)
			from = at + len(h.after)
		}
		changed[f.name] = []byte(strings.Join(lines, "\n"))
	}
	return changed, nil
}

// find returns where the lines before the change stand, next to where they stood once; -1 if nowhere.
func (h *hunk) find(lines []string, from int) int {
	var places []int
	for at := from; at+len(h.before) <= len(lines); at++ {
		if slices.Equal(lines[at:at+len(h.before)], h.before) {
			places = append(places, at)
		}
	}
	if len(places) == 0 {
		return -1
	}
	return slices.MinFunc(places, func(a, b int) int { return cmp.Compare(distance(a, h.line), distance(b, h.line)) })
}

func distance(a, b int) int { return max(a-b, b-a) }

var testName = regexp.MustCompile(`\bTest\w+`)

// Test returns the packages and the tests that find a mutant which no world can show; false if seeds shall.
func (m *Mutant) Test() (packages []string, run string, ok bool) {
	tests := testName.FindAllString(m.FoundBy, -1)
	if len(tests) == 0 || !strings.HasPrefix(m.Profile, "none") && !strings.HasPrefix(m.FoundBy, "test ") {
		return nil, "", false
	}
	for word := range strings.FieldsSeq(m.FoundBy) {
		if strings.HasPrefix(word, "./") {
			packages = append(packages, word)
		}
	}
	if len(packages) == 0 {
		for _, f := range m.files {
			packages = append(packages, "./"+filepath.Dir(f.name))
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages), "^(" + strings.Join(tests, "|") + ")$", true
}

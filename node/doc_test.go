// SPDX-License-Identifier: Apache-2.0

package node

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every file has a room in the package comment, and no other is named there.
func TestEveryFileHasARoom(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rooms, _ := strings.Cut(string(doc), "room by room:")
	named := regexp.MustCompile(`[\w*]+\.go`).FindAllString(rooms, -1)
	files, _ := filepath.Glob("*.go")
	in := func(pattern, file string) bool { ok, _ := path.Match(pattern, file); return ok }
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") || f == "doc.go" {
			continue
		}
		if !slices.ContainsFunc(named, func(pattern string) bool { return in(pattern, f) }) {
			t.Errorf("%s has no room in doc.go", f)
		}
	}
	for _, pattern := range named {
		if !slices.ContainsFunc(files, func(f string) bool { return in(pattern, f) }) {
			t.Errorf("doc.go names %s, which is not there", pattern)
		}
	}
}

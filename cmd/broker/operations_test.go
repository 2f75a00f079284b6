// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table of settings in docs/OPERATIONS.md and the program's are the same.
func TestEverySettingIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| Setting | Default |")
	table, _, _ = strings.Cut(table, "\n\n")
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)`").FindAllStringSubmatch(table, -1) {
		documented = append(documented, m[1])
	}
	want := []string{"members"}
	fs, _ := newFlags()
	for _, name := range flagNames(fs) {
		if name != "config" {
			want = append(want, strings.ReplaceAll(name, "-", "_"))
		}
	}
	slices.Sort(want)
	slices.Sort(documented)
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("settings (-program +docs/OPERATIONS.md):\n%s", diff)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
)

// The chapter has all the parts, and what is looked for in their output is looked for in one of them.
func TestParts(t *testing.T) {
	text, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := parts(string(text))
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, p := range all {
		names[p.name] = true
	}
	if len(all) < 9 || names[""] {
		t.Errorf("parts %v", names)
	}
	for name := range wanted {
		if !names[name] {
			t.Errorf("there is no part %q", name)
		}
	}
	said := script(all, 23)
	if strings.Contains(said, "127.0.0.1:17") || !strings.Contains(said, "127.0.0.1:23091") {
		t.Error("the ports are those of the document")
	}
}

func TestWithoutLines(t *testing.T) {
	if got := withoutLines("a\nseq 3 | kcat -P\nkcat -C\nb kcatalog", "kcat"); got != "a\nb kcatalog\necho left out: there is no kcat" {
		t.Errorf("%q", got)
	}
	if got := withoutLines("prometheus x &\nuntil y", "prometheus"); got != "echo left out: there is no prometheus" {
		t.Errorf("%q", got)
	}
}

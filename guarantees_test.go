// SPDX-License-Identifier: Apache-2.0

package chronik

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	checkName = regexp.MustCompile(`\b[a-z]+(?:-[a-z]+)+\b`) // two words or more: those of one can't be told from others
	testName  = regexp.MustCompile(`\bTest[A-Z]\w+`)
	quoted    = regexp.MustCompile(`"([a-z]+(?:-[a-z]+)+)"`)
)

// sources is the text of all Go files of some folders.
func sources(t *testing.T, folders ...string) string {
	t.Helper()
	var b strings.Builder
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %d files", folder, err, len(files))
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(text)
		}
	}
	return b.String()
}

// TestGuaranteesNameChecks: what docs/GUARANTEES.md says holds a promise is there: a check of the simulator, a kind of world, or a test.
func TestGuaranteesNameChecks(t *testing.T) {
	known := make(map[string]bool)
	for _, m := range quoted.FindAllStringSubmatch(sources(t, "checker", "sim", "sim/plan"), -1) {
		known[m[1]] = true
	}
	tests := sources(t, "node", "node/txn", "host", "cmd/broker", "sim")
	promises, checks := 0, 0
	for line := range strings.Lines(read(t, "docs/GUARANTEES.md")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		held := cells[len(cells)-1]
		if len(cells) < 3 || strings.Contains(held, "---") || strings.TrimSpace(held) == "held by" {
			continue
		}
		promises++
		names := append(checkName.FindAllString(held, -1), testName.FindAllString(held, -1)...)
		if len(names) == 0 {
			t.Errorf("nothing holds the promise %q", strings.TrimSpace(cells[0]))
		}
		for _, name := range names {
			checks++
			if strings.HasPrefix(name, "Test") && !strings.Contains(tests, "func "+name+"(") {
				t.Errorf("there is no test %s", name)
			} else if !strings.HasPrefix(name, "Test") && !known[name] {
				t.Errorf("there is no check or world %q", name)
			}
		}
	}
	if promises < 15 || checks < 40 {
		t.Errorf("only %d promises and %d checks were found", promises, checks)
	}
}

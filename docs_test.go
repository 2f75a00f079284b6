// SPDX-License-Identifier: Apache-2.0

package chronik

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	// inTree is a file of ours that a text names with its folder, unless a word in it stands for any, and bare one without folder.
	inTree      = regexp.MustCompile(`\b(?:checker|cmd|deploy|docs|host|kafka|node|seeds|sim|tests|tools|wal)/[\w/.-]*\w\.(?:go|md|txt|sh|patch)\b`)
	placeholder = regexp.MustCompile(`[/_](?:ID|NAME)\.`)
	bare        = regexp.MustCompile("`(\\w+\\.go)[`:]")
)

// documents are the texts that must be true of this tree. CHANGELOG.md and docs/adr tell of earlier ones, so only their links are looked at.
func documents(t *testing.T) (files []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 10 {
		t.Fatalf("found %v only", files)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anchors are the names under which a browser finds the headings of a document.
func anchors(text string) map[string]bool {
	found := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		found[anchor(m[1])] = true
	}
	return found
}

// anchor is what GitHub makes of a heading.
func anchor(title string) string {
	kept := func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
			return r
		}
		return -1
	}
	return strings.Map(kept, strings.ToLower(title))
}

func TestLinksLeadSomewhere(t *testing.T) {
	links := 0
	for _, doc := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, doc), ""), -1) {
			target := m[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			file, section, _ := strings.Cut(target, "#")
			where := doc
			if file != "" {
				where = path.Join(path.Dir(filepath.ToSlash(doc)), file)
			}
			if _, err := os.Stat(where); err != nil {
				t.Errorf("%s links to %s: there is no %s", doc, target, where)
			} else if section != "" && !anchors(read(t, where))[section] {
				t.Errorf("%s links to %s: %s has no such heading", doc, target, where)
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}

func TestDocumentsNameFilesThatAreThere(t *testing.T) {
	names, named := make(map[string]bool), 0
	for _, f := range goFiles(t) {
		names[path.Base(f)] = true
	}
	for _, doc := range documents(t) {
		if doc == "CHANGELOG.md" || strings.HasPrefix(doc, "docs/adr") {
			continue
		}
		text := read(t, doc)
		for _, f := range inTree.FindAllString(text, -1) {
			if named++; placeholder.MatchString(f) {
				continue
			}
			if _, err := fs.Stat(os.DirFS("."), f); err != nil {
				t.Errorf("%s names %s, which isn't there", doc, f)
			}
		}
		for _, m := range bare.FindAllStringSubmatch(text, -1) {
			if named++; !names[m[1]] {
				t.Errorf("%s names %s, which no package has", doc, m[1])
			}
		}
	}
	if named < 60 {
		t.Errorf("only %d names of files were found", named)
	}
}

// TestArchitectureListsItsSections: its first section is a map of the others.
func TestArchitectureListsItsSections(t *testing.T) {
	text := read(t, "docs/ARCHITECTURE.md")
	for _, m := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(text, -1) {
		if m[1] != "What is where" && !strings.Contains(text, "](#"+anchor(m[1])+")") {
			t.Errorf("docs/ARCHITECTURE.md: the map doesn't link to %q", m[1])
		}
	}
}

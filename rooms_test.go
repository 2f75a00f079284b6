// SPDX-License-Identifier: Apache-2.0

package chronik

import (
	"go/ast"
	"go/parser"
	"go/types"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// room is a part of a package that may use only so much of the rest of it: what a package of its own would promise,
// without exporting what the two have in common (ADR 12). To add a name is an architecture decision.
type room struct {
	dir    string
	files  []string
	may    []string // types, functions, constants and variables of the package's other files
	reason string
}

var rooms = []room{
	{
		"node",
		[]string{"records.go", "records_age.go", "partition_state.go", "spans.go", "sparse.go", "producer.go", "producers.go", "records_txn.go", "records_check.go"},
		[]string{"Time", "pieces", "scan"},
		"what a partition's entries build, the same on every replica: it can't reach a clock, the world, the disk or another room",
	},
	{
		"node",
		[]string{"codec.go"},
		nil,
		"numbers and bytes",
	},
	{
		"node",
		[]string{"pipeline.go"},
		nil,
		"the hold rule depends on raft's messages and positions in the log, and on nothing else",
	},
}

func TestRooms(t *testing.T) {
	for _, r := range rooms {
		used := make(map[string]bool)
		for name, at := range r.uses(t) {
			used[name] = true
			if !slices.Contains(r.may, name) {
				t.Errorf("%s: a room may not use %s: %s", at, name, r.reason)
			}
		}
		for _, name := range r.may {
			if !used[name] {
				t.Errorf("%s/%s may use %s and doesn't; take the permit away", r.dir, r.files[0], name)
			}
		}
	}
}

// uses returns what a room's files use of the rest of the package, and where.
func (r *room) uses(t *testing.T) map[string]string {
	t.Helper()
	var files []*ast.File
	found := 0
	for _, name := range goFiles(t) {
		if path.Dir(name) != r.dir || strings.HasSuffix(name, "_test.go") {
			continue
		}
		files = append(files, parse(t, name, parser.SkipObjectResolution))
		if r.has(name) {
			found++
		}
	}
	if found != len(r.files) {
		t.Fatalf("%d of the files %v are there", found, r.files)
	}
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object)}
	conf := types.Config{Importer: strangers{}, Error: func(error) {}} // what is imported is not known
	pkg, _ := conf.Check(r.dir, fileSet, files, info)
	uses := make(map[string]string)
	for id, obj := range info.Uses {
		if obj.Parent() == pkg.Scope() && r.has(fileSet.Position(id.Pos()).Filename) && !r.has(fileSet.Position(obj.Pos()).Filename) {
			uses[id.Name] = fileSet.Position(id.Pos()).String()
		}
	}
	return uses
}

func (r *room) has(file string) bool { return slices.Contains(r.files, filepath.Base(file)) }

// strangers are imported packages of which only the name is known.
type strangers struct{}

var version = regexp.MustCompile(`/v\d+$`)

func (strangers) Import(imported string) (*types.Package, error) {
	p := types.NewPackage(imported, path.Base(version.ReplaceAllString(imported, "")))
	p.MarkComplete()
	return p, nil
}

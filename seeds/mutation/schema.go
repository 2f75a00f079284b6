// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ActiveVariable is the variable of the environment that names the mutant to run, by its place in the list that
// Schemata was given, from 1 on. Without it nothing is changed.
const ActiveVariable = "SIMRUN_MUTANT"

// SecondsVariable is the variable of the environment that says how much processor time a process with a mutant may take in
// all. Without it there is no limit.
const SecondsVariable = "SIMRUN_MUTANT_SECONDS"

// Schemata puts many mutants into one tree, so that all of them cost one build (Untch, Offutt and Harrold, Mutation
// Analysis Using Mutant Schemata, 1993). Each function has a copy for each of its mutants, and asks at its beginning
// which of them is to run. Where no mutant runs, package reach counts how often their places are reached. Schemata returns
// the files that differ from those of the tree at root, and those that are new.
func Schemata(root string, list []Mutant) (map[string][]byte, error) {
	numbers := make(map[string][]int) // by file: places in list
	for i := range list {
		numbers[list[i].File] = append(numbers[list[i].File], i)
	}
	files := make(map[string][]byte)
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		text, pkg, err := schema(name, source, list, numbers[name])
		if err != nil {
			return nil, err
		}
		files[name] = text
		files[path.Join(path.Dir(name), "mutant_active.go")] = fmt.Appendf(nil, active, pkg, ActiveVariable, SecondsVariable)
	}
	return files, nil
}

// active is a file of each package with mutants. Some mutants take memory for ever, so each gets 6 GiB of addresses.
const active = `package %s

import (
	"os"
	"strconv"
	"syscall"

	"chronik/seeds/mutation/reach"
)

func mutant__reach(k int) { reach.Mark(k) }

func mutant__same(k int, original, changed bool) bool { return reach.Same(k, original, changed) }

var mutant__active = func() int {
	n, _ := strconv.Atoi(os.Getenv(%q))
	if n > 0 {
		syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: 6 << 30, Max: 6 << 30})
		if s, err := strconv.ParseUint(os.Getenv(%q), 10, 32); err == nil {
			syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: s, Max: s})
		}
	}
	return n
}()
`

var brokenPlace = regexp.MustCompile(`\bmutant(\d+):\d+`)

// Broken lists the mutants that the output of a compiler complains of, by their places in the list from 0 on, ascending.
func Broken(output string) []int {
	var places []int
	for _, found := range brokenPlace.FindAllStringSubmatch(output, -1) {
		n, err := strconv.Atoi(found[1])
		if err == nil && n > 0 {
			places = append(places, n-1)
		}
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// schema returns a file with copies of its functions, and the name of its package.
func schema(name string, source []byte, list []Mutant, numbers []int) (text []byte, pkg string, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, "", err
	}
	offset := fset.File(file.FileStart).Offset
	done := 0 // bytes of the source
	var copies strings.Builder
	for _, d := range file.Decls {
		decl, ok := d.(*ast.FuncDecl)
		if !ok || decl.Body == nil {
			continue
		}
		f := &function{decl: decl, source: source, offset: offset}
		var asks strings.Builder
		for _, i := range numbers {
			m := &list[i]
			if m.Start < offset(decl.Body.Lbrace) || m.End > offset(decl.Body.End()) {
				continue
			}
			changed, err := m.in(source)
			if err != nil {
				return nil, "", err
			}
			fmt.Fprintf(&asks, " case %d: %s;", i+1, f.call(i+1))
			fmt.Fprintf(&copies, "\n//line mutant%d:1\n%s%s\n", i+1, f.header(fmt.Sprintf("%s__m%d", decl.Name.Name, i+1)),
				changed[offset(decl.Body.Lbrace):offset(decl.Body.End())+len(changed)-len(source)])
		}
		if asks.Len() == 0 {
			continue
		}
		text = append(text, source[done:offset(decl.Pos())]...)
		text = append(text, f.header(decl.Name.Name)...)
		text = fmt.Appendf(text, "{ switch mutant__active {%s }; ", asks.String())
		done = offset(decl.Body.Lbrace) + 1
		for _, mark := range f.marks(list, numbers) {
			text = append(append(text, source[done:mark.at]...), mark.text...)
			done = mark.at
		}
	}
	text = append(text, source[done:]...)
	return append(text, copies.String()...), file.Name.Name, nil
}

// function writes the header of a function once more, with a name for each parameter, and calls a copy of it.
type function struct {
	decl   *ast.FuncDecl
	source []byte
	offset func(token.Pos) int
}

func (f *function) text(n ast.Node) string {
	return string(f.source[f.offset(n.Pos()):f.offset(n.End())])
}

// parameters returns the names and types of a list. Those without a name get one.
func (f *function) parameters(list *ast.FieldList, unnamed string) (names, types []string) {
	if list == nil {
		return nil, nil
	}
	for _, field := range list.List {
		count := max(len(field.Names), 1)
		for i := range count {
			name := fmt.Sprintf("%s__%d", unnamed, len(names))
			if len(field.Names) > 0 && field.Names[i].Name != "_" {
				name = field.Names[i].Name
			}
			names, types = append(names, name), append(types, f.text(field.Type))
		}
	}
	return names, types
}

func (f *function) header(name string) string {
	var b strings.Builder
	b.WriteString("func ")
	if names, types := f.parameters(f.decl.Recv, "receiver"); len(names) > 0 {
		fmt.Fprintf(&b, "(%s %s) ", names[0], types[0])
	}
	b.WriteString(name)
	if t := f.decl.Type.TypeParams; t != nil {
		b.WriteString(f.text(t))
	}
	b.WriteString("(")
	names, types := f.parameters(f.decl.Type.Params, "parameter")
	for i := range names {
		fmt.Fprintf(&b, "%s %s, ", names[i], types[i])
	}
	b.WriteString(") ")
	if r := f.decl.Type.Results; r != nil {
		b.WriteString(f.text(r) + " ")
	}
	return b.String()
}

// call calls the copy for a mutant, and returns what it returns.
func (f *function) call(number int) string {
	name := fmt.Sprintf("%s__m%d", f.decl.Name.Name, number)
	if names, _ := f.parameters(f.decl.Recv, "receiver"); len(names) > 0 {
		name = names[0] + "." + name
	}
	if t := f.decl.Type.TypeParams; t != nil {
		names, _ := f.parameters(t, "")
		name += "[" + strings.Join(names, ", ") + "]"
	}
	names, types := f.parameters(f.decl.Type.Params, "parameter")
	for i := range names {
		if strings.HasPrefix(types[i], "...") {
			names[i] += "..."
		}
	}
	call := name + "(" + strings.Join(names, ", ") + ")"
	if f.decl.Type.Results.NumFields() == 0 {
		return call + "; return"
	}
	return "return " + call
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"
)

var analyzer = &analysis.Analyzer{
	Name: "detlint",
	Doc:  "reports what makes a run depend on anything but its input: clocks, goroutines, locks, map order, global randomness, the operating system",
	Run:  run,
}

// forbiddenImports are packages (and those below them) that bring the outside in.
var forbiddenImports = map[string]string{
	"crypto/rand":  "a *rand.Rand that was passed in",
	"hash/maphash": "hash/crc32, whose seed is the same in every process",
	"log":          "Output.Events; the host logs them",
	"net":          "Output.Messages and Output.Replies",
	"os":           "wal.FS, or data that was passed in",
	"runtime":      "nothing: what it tells differs from run to run",
	"sync":         "the step: nothing here runs concurrently",
	"syscall":      "wal.FS",
	"unsafe":       "nothing: addresses differ from run to run",
}

// forbiddenFuncs are functions of packages that are otherwise fine.
var forbiddenFuncs = map[string]struct {
	names   []string
	instead string
}{
	"context": {[]string{"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause"}, "a deadline in the input's time"},
	"time": {
		[]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
		"Input.Now and Output.Wake",
	},
}

// randAllowed are the functions of math/rand and math/rand/v2 that don't draw from the process's
// global source.
var randAllowed = []string{"New", "NewSource", "NewZipf", "NewPCG", "NewChaCha8"}

// sorted are the functions of package slices that take an iterator in any order.
var sorted = []string{"Sorted", "SortedFunc", "SortedStableFunc"}

// pass is one package under examination.
type pass struct {
	*analysis.Pass
	allowed map[string]map[int]*allowance // by file and line of what is allowed
	inOrder map[ast.Node]bool             // calls whose result is sorted at once
}

// allowance is a //det:ok comment.
type allowance struct {
	pos    token.Pos
	reason string
	used   bool
}

func run(ap *analysis.Pass) (any, error) {
	p := &pass{Pass: ap, allowed: make(map[string]map[int]*allowance), inOrder: make(map[ast.Node]bool)}
	for _, file := range ap.Files {
		name := ap.Fset.File(file.Package).Name()
		if strings.HasSuffix(name, "_test.go") || ast.IsGenerated(file) {
			continue
		}
		p.allowed[name] = p.allowances(file)
		p.imports(file)
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil {
				p.node(n)
			}
			return true
		})
		for _, a := range p.allowed[name] {
			if a.reason == "" {
				ap.Reportf(a.pos, "det:ok without a reason; say why it is harmless")
			} else if !a.used {
				ap.Reportf(a.pos, "det:ok allows nothing on the next line; remove it")
			}
		}
	}
	return nil, nil
}

// allowances finds the //det:ok comments, by the line below them.
func (p *pass) allowances(file *ast.File) map[int]*allowance {
	found := make(map[int]*allowance)
	for _, group := range file.Comments {
		for _, c := range group.List {
			if rest, ok := strings.CutPrefix(c.Text, "//det:ok"); ok {
				reason, _, _ := strings.Cut(rest, "// want") // the tests' expectations
				found[p.Fset.Position(c.Pos()).Line+1] = &allowance{pos: c.Pos(), reason: strings.TrimSpace(reason)}
			}
		}
	}
	return found
}

// report reports a finding unless the line above allows it.
func (p *pass) report(at ast.Node, what, instead string) {
	pos := p.Fset.Position(at.Pos())
	if a := p.allowed[pos.Filename][pos.Line]; a != nil {
		a.used = true
		return
	}
	p.Reportf(at.Pos(), "%s is not deterministic; use %s", what, instead)
}

func (p *pass) imports(file *ast.File) {
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		for forbidden, instead := range forbiddenImports {
			if path == forbidden || strings.HasPrefix(path, forbidden+"/") {
				p.report(spec, "package "+path, instead)
			}
		}
	}
}

const step = "the step: one thing after the other"

func (p *pass) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.GoStmt:
		p.report(n, "a goroutine", step)
	case *ast.SelectStmt:
		p.report(n, "select", step)
	case *ast.SendStmt:
		p.report(n, "a channel", step)
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			p.report(n, "a channel", step)
		}
	case *ast.RangeStmt:
		p.rangeOver(n)
	case *ast.CallExpr:
		p.call(n)
	case *ast.Ident:
		p.function(n)
		p.float(n)
	case *ast.BasicLit:
		p.float(n)
	}
}

func (p *pass) rangeOver(n *ast.RangeStmt) {
	t := p.TypesInfo.TypeOf(n.X)
	if t == nil {
		return
	}
	if isA[*types.Map](t) {
		p.report(n, "the order of a map", "a sorted slice beside the map")
	} else if isA[*types.Chan](t) {
		p.report(n, "a channel", step)
	}
}

// isA says whether t, or any type that a type parameter t may stand for, is a T underneath.
func isA[T types.Type](t types.Type) bool {
	if param, ok := types.Unalias(t).(*types.TypeParam); ok {
		union, ok := param.Constraint().Underlying().(*types.Interface)
		for i := 0; ok && i < union.NumEmbeddeds(); i++ {
			if isA[T](union.EmbeddedType(i)) {
				return true
			}
		}
		return false
	}
	if union, ok := t.(*types.Union); ok {
		for i := range union.Len() {
			if isA[T](union.Term(i).Type()) {
				return true
			}
		}
		return false
	}
	_, ok := t.Underlying().(T)
	return ok
}

// call looks at close(ch), at %p, and at map iterators that are sorted at once.
func (p *pass) call(n *ast.CallExpr) {
	if b, ok := p.callee(n).(*types.Builtin); ok && b.Name() == "close" {
		p.report(n, "a channel", step)
	}
	f, ok := p.callee(n).(*types.Func)
	if !ok || f.Pkg() == nil {
		return
	}
	switch f.Pkg().Path() {
	case "fmt":
		for _, arg := range n.Args {
			if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING && strings.Contains(lit.Value, "%p") {
				p.report(arg, "%p, an address,", "a name or an id")
			}
		}
	case "slices":
		if contains(sorted, f.Name()) && len(n.Args) > 0 {
			p.inOrder[ast.Unparen(n.Args[0])] = true
		}
	case "maps":
		if contains([]string{"Keys", "Values", "All"}, f.Name()) && !p.inOrder[n] {
			p.report(n, "the order of maps."+f.Name(), "slices.Sorted around it")
		}
	}
}

func (p *pass) callee(n *ast.CallExpr) types.Object {
	switch fun := ast.Unparen(n.Fun).(type) {
	case *ast.Ident:
		return p.TypesInfo.Uses[fun]
	case *ast.SelectorExpr:
		return p.TypesInfo.Uses[fun.Sel]
	case *ast.IndexExpr: // instantiated
		if sel, ok := fun.X.(*ast.SelectorExpr); ok {
			return p.TypesInfo.Uses[sel.Sel]
		}
	}
	return nil
}

// function looks at any mention of a forbidden function, called or not.
func (p *pass) function(id *ast.Ident) {
	f, ok := p.TypesInfo.Uses[id].(*types.Func)
	if !ok || f.Pkg() == nil || f.Signature().Recv() != nil {
		return
	}
	path, name := f.Pkg().Path(), f.Name()
	if rule, ok := forbiddenFuncs[path]; ok && contains(rule.names, name) {
		p.report(id, path+"."+name, rule.instead)
	}
	if (path == "math/rand" || path == "math/rand/v2") && !contains(randAllowed, name) {
		p.report(id, "the global source of "+path, "a *rand.Rand that was passed in")
	}
}

// float refuses floating point in package sim: its results may differ between machines, and a
// decision must not.
func (p *pass) float(at ast.Expr) {
	if p.Pkg.Name() != "sim" {
		return
	}
	const instead = "a ratio of integers"
	t := p.TypesInfo.TypeOf(at) // of a literal: what it becomes, so that int64(1e6) is fine
	switch at := at.(type) {
	case *ast.Ident:
		if _, ok := p.TypesInfo.Uses[at].(*types.TypeName); !ok {
			return
		}
	case *ast.BasicLit:
		if at.Kind != token.FLOAT && at.Kind != token.IMAG {
			return
		}
	}
	if basic, ok := t.(*types.Basic); ok && basic.Info()&(types.IsFloat|types.IsComplex) != 0 {
		p.report(at, "floating point", instead)
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

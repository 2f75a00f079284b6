// SPDX-License-Identifier: Apache-2.0

// Package mutation makes mutants that nobody chose: small syntactic changes of Go source, one at a time. How many of them
// tests notice says how much tests see (DeMillo, Lipton and Sayward, Hints on Test Data Selection, 1978). simrun mutate
// counts; docs/SIMULATOR.md says how to read it.
package mutation

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mutant is one change: the bytes from Start to End of a file become Text.
type Mutant struct {
	File       string // slashes, relative to the root of the tree
	Line       int
	Operator   string // one of Operators
	Start, End int    // bytes
	Before     string
	Text       string
}

// Operators are the kinds of changes.
var Operators = []string{
	"negate",     // the condition of an if or a for
	"boundary",   // < and <=, > and >=
	"equality",   // == and !=, where it isn't the whole of a condition
	"and-or",     // && and ||
	"arithmetic", // + and -, * and /
	"constant",   // an integer is one more; true and false
	"drop-call",  // a call whose results nobody takes, deferred ones too
	"drop-set",   // an assignment to something that exists, ++ and --
	"drop-jump",  // continue and break
	"swallow",    // a returned err becomes nil
}

var swapped = map[token.Token]struct {
	to       token.Token
	operator string
}{
	token.LSS: {token.LEQ, "boundary"}, token.LEQ: {token.LSS, "boundary"},
	token.GTR: {token.GEQ, "boundary"}, token.GEQ: {token.GTR, "boundary"},
	token.EQL: {token.NEQ, "equality"}, token.NEQ: {token.EQL, "equality"},
	token.LAND: {token.LOR, "and-or"}, token.LOR: {token.LAND, "and-or"},
	token.ADD: {token.SUB, "arithmetic"}, token.SUB: {token.ADD, "arithmetic"},
	token.MUL: {token.QUO, "arithmetic"}, token.QUO: {token.MUL, "arithmetic"},
}

// Of lists the mutants of packages of the tree at root, in the order of files and places. A package is a folder, or one
// with "/..." at its end for all below it, too; tests are left out. Some mutants don't build, such as a difference of
// strings.
func Of(root string, packages []string) ([]Mutant, error) {
	var files []string
	for _, p := range packages {
		found, err := filesOf(root, p)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	var all []Mutant
	for _, name := range slices.Compact(files) {
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		found, err := InFile(filepath.ToSlash(name), source)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func filesOf(root, pattern string) (names []string, err error) {
	folder, below := strings.CutSuffix(pattern, "/...")
	err = filepath.WalkDir(filepath.Join(root, folder), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || !below && name != filepath.Clean(folder)):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			names = append(names, name)
		}
		return nil
	})
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no Go files in %s", pattern)
	}
	return names, err
}

// InFile lists the mutants of one file, in the order of their places.
func InFile(name string, source []byte) ([]Mutant, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	c := &collector{name: name, source: source, file: fset.File(file.FileStart), whole: make(map[ast.Expr]bool), inHeader: make(map[ast.Stmt]bool)}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			ast.Inspect(f.Body, c.visit)
		}
	}
	slices.SortStableFunc(c.found, func(a, b Mutant) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End)) })
	return c.found, nil
}

// collector goes through the bodies of a file's functions.
type collector struct {
	name     string
	source   []byte
	file     *token.File
	whole    map[ast.Expr]bool // conditions, which are negated as a whole
	inHeader map[ast.Stmt]bool // statements in the header of an if, for or switch
	found    []Mutant
}

func (c *collector) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IfStmt:
		c.negate(n.Cond)
		c.inHeader[n.Init] = true
	case *ast.SwitchStmt:
		c.inHeader[n.Init] = true
	case *ast.ForStmt:
		if n.Cond != nil {
			c.negate(n.Cond)
		}
		c.inHeader[n.Post] = true
	case *ast.BinaryExpr:
		c.swap(n)
	case *ast.BasicLit:
		if n.Kind == token.INT {
			c.replace("constant", n, "("+c.text(n)+"+1)")
		}
	case *ast.Ident:
		if other, ok := map[string]string{"true": "false", "false": "true"}[n.Name]; ok {
			c.replace("constant", n, other)
		}
	case *ast.ExprStmt:
		c.drop("drop-call", n)
	case *ast.DeferStmt:
		c.drop("drop-call", n)
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE && !blank(n.Lhs) {
			c.drop("drop-set", n)
		}
	case *ast.IncDecStmt:
		c.drop("drop-set", n)
	case *ast.BranchStmt:
		if n.Tok == token.CONTINUE || n.Tok == token.BREAK {
			c.drop("drop-jump", n)
		}
	case *ast.ReturnStmt:
		if k := len(n.Results); k > 0 {
			if id, ok := n.Results[k-1].(*ast.Ident); ok && id.Name == "err" {
				c.replace("swallow", id, "nil")
			}
		}
	}
	return true
}

func blank(list []ast.Expr) bool {
	return !slices.ContainsFunc(list, func(e ast.Expr) bool {
		id, ok := e.(*ast.Ident)
		return !ok || id.Name != "_"
	})
}

func (c *collector) negate(cond ast.Expr) {
	c.whole[cond] = true
	c.replace("negate", cond, "!("+c.text(cond)+")")
}

func (c *collector) swap(n *ast.BinaryExpr) {
	s, ok := swapped[n.Op]
	if !ok || s.operator == "equality" && c.whole[n] {
		return
	}
	start := c.file.Offset(n.OpPos)
	c.add(s.operator, start, start+len(n.Op.String()), s.to.String())
}

// drop leaves an empty block where a statement was, or nothing in a header, where no block may be.
func (c *collector) drop(operator string, n ast.Stmt) {
	text := "{}"
	if c.inHeader[n] {
		text = ""
	}
	c.replace(operator, n, text)
}

func (c *collector) replace(operator string, n ast.Node, text string) {
	c.add(operator, c.file.Offset(n.Pos()), c.file.Offset(n.End()), text)
}

func (c *collector) add(operator string, start, end int, text string) {
	c.found = append(c.found, Mutant{
		File: c.name, Line: c.file.Line(c.file.Pos(start)), Operator: operator, Start: start, End: end,
		Before: string(c.source[start:end]), Text: text,
	})
}

func (c *collector) text(n ast.Node) string {
	return string(c.source[c.file.Offset(n.Pos()):c.file.Offset(n.End())])
}

// Shuffled puts mutants into an order that depends on the seed alone. A sample is its beginning, so a larger sample
// contains a smaller one.
func Shuffled(all []Mutant, seed uint64) []Mutant {
	r := rand.New(rand.NewPCG(seed, 0))
	all = slices.Clone(all)
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// in returns the source of the mutant's file with the change.
func (m *Mutant) in(source []byte) ([]byte, error) {
	if m.End > len(source) || string(source[m.Start:m.End]) != m.Before {
		return nil, fmt.Errorf("%s changed since its mutants were listed", m.File)
	}
	return slices.Concat(source[:m.Start], []byte(m.Text), source[m.End:]), nil
}

// ID names a mutant in one tree, such as wal/log.go:120:boundary:5017.
func (m *Mutant) ID() string { return fmt.Sprintf("%s:%d:%s:%d", m.File, m.Line, m.Operator, m.Start) }

// Change says what is changed, in a line.
func (m *Mutant) Change() string {
	before := strings.Join(strings.Fields(m.Before), " ")
	if strings.HasPrefix(m.Operator, "drop-") {
		return "without " + before
	}
	return before + " -> " + strings.Join(strings.Fields(m.Text), " ")
}

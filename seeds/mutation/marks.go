// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"slices"
)

// mark is text that is put into a function to note that the place of a mutant is reached.
type mark struct {
	at   int // byte of the source
	text string
}

// marks returns those for the mutants in a function, in the order of their places. A place is reached when the statement
// around it is. A boundary that moved counts only when it decides otherwise, where looking twice does nothing.
func (f *function) marks(list []Mutant, numbers []int) []mark {
	v := &marker{f: f, list: list, open: make(map[int]bool), statement: make(map[int]int), compared: make(map[int]*ast.BinaryExpr)}
	for _, i := range numbers {
		if list[i].Start >= f.offset(f.decl.Body.Lbrace) && list[i].End <= f.offset(f.decl.Body.End()) {
			v.open[i] = true
		}
	}
	ast.Inspect(f.decl.Body, v.visit)
	var all []mark
	for _, i := range numbers {
		if !v.open[i] {
			continue
		}
		if b := v.compared[i]; b != nil {
			all = append(all, mark{f.offset(b.Pos()), fmt.Sprintf("mutant__same(%d, ", i+1)},
				mark{f.offset(b.End()), fmt.Sprintf(", %s %s %s)", f.text(b.X), list[i].Text, f.text(b.Y))})
			continue
		}
		all = append(all, mark{v.statement[i], fmt.Sprintf("mutant__reach(%d); ", i+1)})
	}
	slices.SortStableFunc(all, func(a, b mark) int { return cmp.Compare(a.at, b.at) })
	return all
}

// marker finds the innermost statement around each mutant, and the comparisons.
type marker struct {
	f         *function
	list      []Mutant
	open      map[int]bool            // mutants of the function
	statement map[int]int             // where it begins
	compared  map[int]*ast.BinaryExpr // of a moved boundary
}

func (v *marker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BlockStmt:
		v.statements(n.List)
	case *ast.CaseClause:
		v.statements(n.Body)
	case *ast.CommClause:
		v.statements(n.Body)
	case *ast.BinaryExpr:
		at := v.f.offset(n.OpPos)
		for i := range v.open {
			if v.list[i].Operator == "boundary" && v.list[i].Start == at && repeatable(n.X) && repeatable(n.Y) {
				v.compared[i] = n
			}
		}
	}
	return true
}

// statements is called for outer lists before inner ones, so the innermost wins. A block that is only the body of a switch
// holds clauses, before which nothing can be put.
func (v *marker) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s.(type) {
		case *ast.CaseClause, *ast.CommClause:
			continue
		}
		start, end := v.f.offset(s.Pos()), v.f.offset(s.End())
		for i := range v.open {
			if v.list[i].Start >= start && v.list[i].End <= end {
				v.statement[i] = start
			}
		}
	}
}

// repeatable says whether an expression can be worked out twice and nothing comes of it.
func repeatable(e ast.Expr) bool {
	pure := true
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			id, ok := n.Fun.(*ast.Ident)
			pure = pure && ok && slices.Contains([]string{"len", "cap", "min", "max", "int", "int32", "int64", "uint64", "uint32", "byte"}, id.Name)
		case *ast.FuncLit:
			pure = false
		case *ast.UnaryExpr:
			pure = pure && n.Op != token.ARROW
		}
		return pure
	})
	return pure
}

package main

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// switches puts the mutants of a file into it. All are compiled at once; each is a switch that
// is off unless the environment names its number (chosen.go.txt).
type switches struct {
	fset *token.FileSet
	info *types.Info
	// name is the file's in the page, src its text.
	name string
	src  []byte
	// first is the number of the first mutant.
	first   int
	mutants []mutant
	// before and after are what is written at an offset, instead is what replaces an operator.
	before, after map[int]string
	instead       map[int]operator
}

// operator is the length of one, and what is written in its place.
type operator struct {
	length int
	text   string
}

// add adds a mutant and returns its number.
func (s *switches) add(n ast.Node, k kind) int {
	at := s.fset.Position(n.Pos())
	line, _, _ := strings.Cut(string(s.src[at.Offset-at.Column+1:]), "\n")
	s.mutants = append(s.mutants, mutant{
		file: s.name, line: strings.TrimSpace(line), number: at.Line, of: s.words(n), kind: k,
	})
	return s.first + len(s.mutants) - 1
}

// maxWords is how much of an expression names a mutant.
const maxWords = 80

// words are the code of a node in one line.
func (s *switches) words(n ast.Node) string {
	text := strings.Join(strings.Fields(s.code(n)), " ")
	if runes := []rune(text); len(runes) > maxWords {
		return string(runes[:maxWords]) + " ..."
	}
	return text
}

// code is the code of a node, without comments.
func (s *switches) code(n ast.Node) string {
	var b strings.Builder
	if err := format.Node(&b, s.fset, n); err != nil {
		return fmt.Sprintf("%T", n) // never: it was parsed
	}
	return b.String()
}

// wrap writes around a node, outside of what is written inside of it later.
func (s *switches) wrap(n ast.Node, before, after string) {
	start, end := s.fset.Position(n.Pos()).Offset, s.fset.Position(n.End()).Offset
	s.before[start] += before
	s.after[end] = after + s.after[end]
}

// text is the file with its switches.
func (s *switches) text() []byte {
	offsets := slices.Collect(maps.Keys(s.before))
	offsets = slices.AppendSeq(offsets, maps.Keys(s.after))
	offsets = slices.AppendSeq(offsets, maps.Keys(s.instead))
	slices.Sort(offsets)
	var text []byte
	done := 0
	for _, at := range slices.Compact(offsets) {
		text = append(text, s.src[done:at]...)
		text = append(text, s.after[at]+s.before[at]+s.instead[at].text...)
		done = at + s.instead[at].length
	}
	return append(text, s.src[done:]...)
}

// node adds the mutants of a node; stack are the nodes around it.
func (s *switches) node(n ast.Node, stack []ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.CONST
	case *ast.ReturnStmt:
		s.results(n)
	case ast.Stmt:
		s.statement(n, stack[len(stack)-1])
	case *ast.ParenExpr: // what is in it counts
	case ast.Expr:
		s.condition(n, stack)
		if binary, ok := n.(*ast.BinaryExpr); ok {
			s.binary(binary)
		}
	}
	return true
}

// statement leaves a statement of a block out.
func (s *switches) statement(n ast.Stmt, parent ast.Node) {
	switch p := parent.(type) {
	case *ast.BlockStmt, *ast.CaseClause:
	case *ast.CommClause:
		if p.Comm == n {
			return
		}
	default:
		return
	}
	switch n := n.(type) {
	case *ast.ExprStmt:
		if s.isLock(n.X) || s.isPanic(n.X) {
			return
		}
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE || s.code(n.Lhs[0]) == "_" && len(n.Lhs) == 1 {
			return
		}
	case *ast.BranchStmt:
		if n.Tok != token.CONTINUE && n.Tok != token.BREAK {
			return
		}
	case *ast.DeferStmt:
		if s.isLock(n.Call) {
			return
		}
	case *ast.IncDecStmt, *ast.SendStmt, *ast.GoStmt:
	default:
		return
	}
	s.wrap(n, fmt.Sprintf("if !mutantIs(%d) { ", s.add(n, leftOut)), " }")
}

// isLock reports whether a call is that of a mutex. Without it the race detector fails, and
// not a test.
func (s *switches) isLock(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"Lock", "Unlock", "RLock", "RUnlock"}, selector.Sel.Name)
}

// isPanic reports whether a call ends the function for the compiler.
func (s *switches) isPanic(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	return ok && s.code(call.Fun) == "panic"
}

// results changes what is returned: errors to none, and true and false to the other one.
func (s *switches) results(n *ast.ReturnStmt) {
	for _, r := range n.Results {
		t := s.info.Types[r]
		switch {
		case t.Type == types.Universe.Lookup("error").Type():
			s.wrap(r, fmt.Sprintf("mutantError(%d, ", s.add(r, noError)), ")")
		case s.code(r) == "true" || s.code(r) == "false":
			s.wrap(r, "(", fmt.Sprintf(" != mutantIs(%d))", s.add(r, negated)))
		}
	}
}

// condition negates what an if, a for or a case asks, and comparisons elsewhere; one side of
// && and || is taken as what leaves the decision to the other one.
func (s *switches) condition(n ast.Expr, stack []ast.Node) {
	if s.isConstant(n) || isLogical(n) {
		return
	}
	around := len(stack) - 1
	child := ast.Node(n)
	for isParen(stack[around]) {
		child = stack[around]
		around--
	}
	switch p := stack[around].(type) {
	case *ast.BinaryExpr:
		switch p.Op {
		case token.LAND:
			s.wrap(n, fmt.Sprintf("(mutantIs(%d) || (", s.add(n, asTrue)), "))")
			return
		case token.LOR:
			s.wrap(n, fmt.Sprintf("(!mutantIs(%d) && (", s.add(n, asFalse)), "))")
			return
		}
	case *ast.IfStmt:
		if p.Cond == child {
			s.negate(n)
			return
		}
	case *ast.ForStmt:
		if p.Cond == child {
			s.negate(n)
			return
		}
	case *ast.CaseClause: // in the block of a switch
		if choice, ok := stack[around-2].(*ast.SwitchStmt); ok && choice.Tag == nil {
			s.negate(n)
			return
		}
	}
	if b, ok := n.(*ast.BinaryExpr); ok && slices.Contains([]token.Token{token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ}, b.Op) {
		s.negate(n)
	}
}

func (s *switches) negate(n ast.Expr) {
	s.wrap(n, "((", fmt.Sprintf(") != mutantIs(%d))", s.add(n, negated)))
}

func isParen(n ast.Node) bool {
	_, ok := n.(*ast.ParenExpr)
	return ok
}

func isLogical(n ast.Expr) bool {
	b, ok := n.(*ast.BinaryExpr)
	return ok && (b.Op == token.LAND || b.Op == token.LOR)
}

func (s *switches) isConstant(n ast.Expr) bool { return s.info.Types[n].Value != nil }

// arithmetic is what is calculated in place of an operator, by which function of
// chosen.go.txt.
var arithmetic = map[token.Token]struct {
	function string
	kind     kind
}{
	token.ADD: {"mutantSum", asLess},
	token.SUB: {"mutantDifference", asSum},
	token.MUL: {"mutantProduct", asSum},
	token.QUO: {"mutantQuotient", asProduct},
}

// binary moves the boundary of a comparison, and calculates otherwise.
func (s *switches) binary(n *ast.BinaryExpr) {
	if s.isConstant(n) {
		return
	}
	equal := fmt.Sprintf("(%s) == (%s)", s.code(n.X), s.code(n.Y))
	switch n.Op {
	case token.LSS, token.GTR:
		s.wrap(n, fmt.Sprintf("(mutantIs(%d) && %s || (", s.add(n, whenEqual), equal), "))")
	case token.LEQ, token.GEQ:
		s.wrap(n, fmt.Sprintf("(!(mutantIs(%d) && %s) && (", s.add(n, unequal), equal), "))")
	}
	to, ok := arithmetic[n.Op]
	basic, isBasic := s.info.TypeOf(n).Underlying().(*types.Basic)
	if !ok || !isBasic || basic.Info()&types.IsNumeric == 0 {
		return
	}
	s.wrap(n, fmt.Sprintf("%s(%d, ", to.function, s.add(n, to.kind)), ")")
	s.instead[s.fset.Position(n.OpPos).Offset] = operator{length: len(n.Op.String()), text: ","}
}

package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// edit inserts text into a source file in place of what stands from start to
// end.
type edit struct {
	start, end int
	text       string
}

// weave returns a copy of a source file of upstream with seams opened that call functions
// of a package, and a line for each change. The error says which call is not there as
// often as it must be.
func weave(name string, source []byte, seamImport string, seams []seam) (woven []byte, changes []string, err error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, fmt.Errorf("parse upstream's source: %w", err)
	}
	offset := func(p token.Pos) int { return files.Position(p).Offset }
	text := func(n ast.Node) string { return string(source[offset(n.Pos()):offset(n.End())]) }

	edits := []edit{{offset(parsed.Name.End()), offset(parsed.Name.End()), "\n\nimport seam \"" + seamImport + "\""}}
	insert := func(at token.Pos, text string) { edits = append(edits, edit{offset(at), offset(at), text}) }
	for _, s := range seams {
		var found []*ast.CallExpr
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if ok && len(call.Args) == 1 && text(call.Fun) == s.call && (s.argument == "" || text(call.Args[0]) == s.argument) {
				found = append(found, call)
			}
			return true
		})
		if len(found) != s.times {
			return nil, nil, fmt.Errorf("%s: %s(%s) is called %d times, not %d: this release needs another seam", name, s.call, s.argument, len(found), s.times)
		}
		for _, call := range found {
			at := files.Position(call.Pos())
			if s.replace != "" {
				edits = append(edits, edit{offset(call.Fun.Pos()), offset(call.Fun.End()), s.replace})
				changes = append(changes, fmt.Sprintf("%s: %s is now %s", at, s.call, s.replace))
			}
			if s.wrap != "" {
				insert(call.Args[0].Pos(), s.wrap+"(")
				insert(call.Args[0].End(), ")")
				changes = append(changes, fmt.Sprintf("%s: the argument of %s goes through %s", at, s.call, s.wrap))
			}
			if s.result != "" {
				insert(call.Pos(), s.result+"(")
				insert(call.End(), ")")
				changes = append(changes, fmt.Sprintf("%s: the results of %s go through %s", at, s.call, s.result))
			}
		}
	}
	return apply(source, edits), changes, nil
}

// apply makes the edits, which do not overlap. One that only inserts comes
// before one that replaces what follows: an argument may be a call to replace.
func apply(source []byte, edits []edit) []byte {
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Or(a.start-b.start, a.end-b.end) })
	var (
		out  strings.Builder
		done int
	)
	for _, e := range edits {
		out.Write(source[done:e.start])
		out.WriteString(e.text)
		done = e.end
	}
	out.Write(source[done:])
	return []byte(out.String())
}

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

// seamImport is the package that the woven calls go to.
const seamImport = "github.com/bkguard/bkguard/daemon/seam"

// seam is a call with one argument in upstream's main that the guard takes part
// in. The call must be there exactly once.
type seam struct {
	// call is the function that is called, as it is written.
	call string
	// argument is the argument as it is written; empty means any.
	argument string
	// replace is the function to call instead; empty leaves the call as it is.
	replace string
	// wrap is the function that the argument is passed through; empty leaves
	// the argument as it is.
	wrap string
}

// seams are the three places, in the order in which main comes by.
var seams = []seam{
	{call: "config.LoadFile", argument: `c.String("config")`, replace: "seam.LoadFile"},
	{call: "wc.Add", wrap: "seam.Worker"},
	{call: "control.NewController", wrap: "seam.Control"},
}

// edit inserts text into a source file in place of what stands from start to
// end.
type edit struct {
	start, end int
	text       string
}

// weave returns a copy of upstream's main.go with the seams opened, and a line
// for each change. The error says which call is not there exactly once.
func weave(name string, source []byte) (woven []byte, changes []string, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, fmt.Errorf("parse upstream's main: %w", err)
	}
	offset := func(p token.Pos) int { return files.Position(p).Offset }
	text := func(n ast.Node) string { return string(source[offset(n.Pos()):offset(n.End())]) }

	edits := []edit{{offset(file.Name.End()), offset(file.Name.End()), "\n\nimport seam \"" + seamImport + "\""}}
	for _, s := range seams {
		var found []*ast.CallExpr
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if ok && len(call.Args) == 1 && text(call.Fun) == s.call && (s.argument == "" || text(call.Args[0]) == s.argument) {
				found = append(found, call)
			}
			return true
		})
		if len(found) != 1 {
			return nil, nil, fmt.Errorf("%s: %s(%s) is called %d times, not once: this release of buildkit needs another seam", name, s.call, s.argument, len(found))
		}
		call, argument := found[0], found[0].Args[0]
		at := files.Position(call.Pos())
		if s.replace != "" {
			edits = append(edits, edit{offset(call.Fun.Pos()), offset(call.Fun.End()), s.replace})
			changes = append(changes, fmt.Sprintf("%s: %s is now %s", at, s.call, s.replace))
		}
		if s.wrap != "" {
			edits = append(edits,
				edit{offset(argument.Pos()), offset(argument.Pos()), s.wrap + "("},
				edit{offset(argument.End()), offset(argument.End()), ")"})
			changes = append(changes, fmt.Sprintf("%s: the argument of %s goes through %s", at, s.call, s.wrap))
		}
	}
	return apply(source, edits), changes, nil
}

// apply makes the edits, which do not overlap. One that only inserts comes
// before one that replaces what follows: an argument may be a call to replace.
func apply(source []byte, edits []edit) []byte {
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Or(a.start-b.start, a.end-b.end) })
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

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// chosen is what is compiled into each package, and chooses among its mutants.
//
//go:embed chosen.go.txt
var chosen string

// subject is a package whose code is changed.
type subject struct {
	// name is relative to the module, such as internal/choice.
	name    string
	dir     string
	mutants []mutant
	// files are those that are compiled in place of others.
	files map[string][]byte
	// drawn says that tests draw their inputs.
	drawn bool
}

// subjects loads the packages that match patterns, from the module in a directory, and puts
// their mutants into them. Packages without tests are only named.
func subjects(ctx context.Context, dir string, patterns []string) (found []subject, untested []string, err error) {
	loaded, err := packages.Load(&packages.Config{
		Context: ctx,
		Dir:     dir,
		Mode:    packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedModule,
	}, patterns...)
	if err != nil {
		return nil, nil, fmt.Errorf("load %s: %w", strings.Join(patterns, " "), err)
	}
	for _, p := range loaded {
		for _, e := range p.Errors {
			return nil, nil, fmt.Errorf("load %s: %w", p.PkgPath, e)
		}
		s := subject{name: strings.TrimPrefix(p.PkgPath, p.Module.Path+"/"), dir: filepath.Dir(p.GoFiles[0]), files: map[string][]byte{}}
		tests, err := filepath.Glob(filepath.Join(s.dir, "*_test.go"))
		if err != nil {
			return nil, nil, err
		}
		if len(tests) == 0 {
			untested = append(untested, s.name)
			continue
		}
		for _, name := range tests {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, nil, err
			}
			s.drawn = s.drawn || strings.Contains(string(text), `"pgregory.net/rapid"`)
		}
		for _, f := range p.Syntax {
			if err := s.mutate(p, f); err != nil {
				return nil, nil, err
			}
		}
		s.files[filepath.Join(s.dir, "mutant_chosen.go")] = fmt.Appendf(nil, chosen, p.Name, len(s.mutants)+1)
		found = append(found, s)
	}
	slices.SortFunc(found, func(a, b subject) int { return strings.Compare(a.name, b.name) })
	return found, untested, nil
}

// mutate adds the mutants of a file.
func (s *subject) mutate(p *packages.Package, f *ast.File) error {
	path := p.Fset.File(f.FileStart).Name()
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	in := switches{
		fset: p.Fset, info: p.TypesInfo, name: s.name + "/" + filepath.Base(path), src: src, first: len(s.mutants) + 1,
		before: map[int]string{}, after: map[int]string{}, instead: map[int]operator{},
	}
	ast.PreorderStack(f, nil, in.node)
	s.mutants = append(s.mutants, in.mutants...)
	s.files[path] = in.text()
	return nil
}

// build compiles the tests of the package with all mutants in it, with files in a directory.
func (s *subject) build(ctx context.Context, dir string) (binary, error) {
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range s.files {
		overlay.Replace[path] = filepath.Join(dir, strconv.Itoa(len(overlay.Replace))+".go")
		if err := os.WriteFile(overlay.Replace[path], text, 0o600); err != nil {
			return binary{}, err
		}
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return binary{}, err
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, list, 0o600); err != nil {
		return binary{}, err
	}
	b := binary{path: filepath.Join(dir, "tests"), dir: s.dir, scratch: dir}
	if s.drawn {
		b.flags = sameDraws
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", name, "-o", b.path, ".")
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return binary{}, errors.Join(fmt.Errorf("compile %s: %w", s.name, err), errors.New(strings.TrimSpace(string(out))))
	}
	return b, nil
}

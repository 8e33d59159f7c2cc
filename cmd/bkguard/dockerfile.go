package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// scratch is the base that is no image.
const scratch = "scratch"

// stage is a stage of a Dockerfile.
type stage struct {
	// name is its own, or its number.
	name string
	// base is the image at its bottom, also when other stages are between; it
	// is for platform, empty for any.
	base, platform string
	// steps are the layers that the Dockerfile puts on the base.
	steps int
}

// parseStages reads a Dockerfile; file names it in errors. The arguments are
// those of the build, platform is the one that it is for, empty for any.
func parseStages(file string, r io.Reader, arguments map[string]string, platform string) ([]stage, error) {
	result, err := parser.Parse(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	parsed, globals, err := instructions.Parse(result.AST, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(parsed) == 0 {
		return nil, fmt.Errorf("%s: no FROM instruction", file)
	}
	scope := newScope(result.EscapeToken, arguments, platform)
	if err := scope.declare(globals); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var stages []stage
	for n, p := range parsed {
		s, err := scope.stage(p, parsed[:n], stages)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, p.Location[0].Start.Line, err)
		}
		stages = append(stages, s)
	}
	return stages, nil
}

// scope holds the arguments that FROM sees.
type scope struct {
	lex    *shell.Lex
	values map[string]string
	// given are the arguments of the build, which win over defaults.
	given map[string]string
	// platform is the one for images without --platform.
	platform string
}

func newScope(escape rune, given map[string]string, platform string) *scope {
	s := &scope{lex: shell.NewLex(escape), values: make(map[string]string), given: given, platform: platform}
	s.setPlatform("BUILD", "linux/"+runtime.GOARCH)
	s.setPlatform("TARGET", platform)
	return s
}

// setPlatform sets the arguments of upstream's that tell a platform.
func (s *scope) setPlatform(prefix, platform string) {
	if platform == "" {
		return
	}
	s.values[prefix+"PLATFORM"] = platform
	parts := append(strings.SplitN(platform, "/", 3), "", "")
	for i, part := range []string{"OS", "ARCH", "VARIANT"} {
		s.values[prefix+part] = parts[i]
	}
}

// declare takes over the arguments before the first FROM.
func (s *scope) declare(globals []instructions.ArgCommand) error {
	for _, command := range globals {
		for _, a := range command.Args {
			if value, ok := s.given[a.Key]; ok {
				s.values[a.Key] = value
			} else if a.Value != nil {
				value, err := s.expand(*a.Value)
				if err != nil {
					return err
				}
				s.values[a.Key] = value
			}
		}
	}
	return nil
}

func (s *scope) expand(word string) (string, error) {
	var env []string
	for key, value := range s.values {
		env = append(env, key+"="+value)
	}
	expanded, _, err := s.lex.ProcessWord(word, shell.EnvsFromSlice(env))
	return expanded, err
}

// stage resolves one stage by those before it, parsed and resolved.
func (s *scope) stage(p instructions.Stage, parsed []instructions.Stage, before []stage) (stage, error) {
	base, err := s.expand(p.BaseName)
	if err != nil {
		return stage{}, err
	}
	if base == "" {
		return stage{}, fmt.Errorf("the base image %s is empty: give --build-arg", p.BaseName)
	}
	own := stage{name: p.Name, base: base, platform: s.platform, steps: steps(p)}
	if own.name == "" {
		own.name = fmt.Sprint(len(before))
	}
	if p.Platform != "" {
		if own.platform, err = s.expand(p.Platform); err != nil {
			return stage{}, err
		}
	}
	if n, ok := instructions.HasStage(parsed, base); ok {
		own.base, own.platform = before[n].base, before[n].platform
		own.steps += before[n].steps
	}
	return own, nil
}

// steps counts the instructions that make a layer.
func steps(p instructions.Stage) int {
	n := 0
	for _, c := range p.Commands {
		switch c.(type) {
		case *instructions.RunCommand, *instructions.CopyCommand, *instructions.AddCommand, *instructions.WorkdirCommand:
			n++
		}
	}
	return n
}

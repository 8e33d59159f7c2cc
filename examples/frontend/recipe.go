package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// recipe is a parsed file.
type recipe struct {
	base  string
	steps []step
}

// step is a line after the base.
type step struct {
	// line is as it is written.
	line string
	// run is a program with its arguments; nil means that src is copied to dst.
	run      []string
	src, dst string
}

// parse reads a recipe. Errors name the line.
func parse(text []byte) (recipe, error) {
	var r recipe
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := r.add(words); err != nil {
			return recipe{}, fmt.Errorf("recipe line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return recipe{}, fmt.Errorf("recipe: %w", err)
	}
	if r.base == "" {
		return recipe{}, errors.New("recipe: no base")
	}
	return r, nil
}

// add adds a line, split into words.
func (r *recipe) add(words []string) error {
	line, args := strings.Join(words, " "), words[1:]
	switch command := words[0]; {
	case command == "base" && len(args) == 1 && r.base == "":
		r.base = args[0]
	case command == "base" && r.base != "":
		return errors.New("there is a base already")
	case r.base == "":
		return errors.New("the base comes first")
	case command == "run" && len(args) > 0:
		r.steps = append(r.steps, step{line: line, run: args})
	case command == "copy" && len(args) == 2:
		r.steps = append(r.steps, step{line: line, src: args[0], dst: args[1]})
	default:
		return fmt.Errorf("%q is none of: base IMAGE, run PROGRAM [ARGUMENT...], copy SOURCE TARGET", line)
	}
	return nil
}

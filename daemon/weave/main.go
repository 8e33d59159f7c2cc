// Command weave copies the few source files of an upstream daemon that the guard takes part
// in with its seams opened, and writes the overlay that makes go build use the copies. No
// upstream source is kept in the repository.
//
//	go run ./weave buildkitd vendor overlay
//	go build -overlay overlay/overlay.json ./vendor/github.com/moby/buildkit/cmd/buildkitd
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "weave:", err)
		os.Exit(1)
	}
}

// run weaves the files of a program that are vendored in one directory into another one.
func run(args []string, stdout io.Writer) error {
	names := slices.Sorted(maps.Keys(programs))
	if len(args) != 3 {
		return fmt.Errorf("usage: weave PROGRAM VENDORED DIRECTORY (programs: %s)", strings.Join(names, ", "))
	}
	p, ok := programs[args[0]]
	if !ok {
		return fmt.Errorf("unknown program %q (allowed: %s)", args[0], strings.Join(names, ", "))
	}
	dir, err := filepath.Abs(args[2])
	if err != nil {
		return fmt.Errorf("find %s: %w", args[2], err)
	}
	// All files are woven before the first is written.
	written := map[string][]byte{}
	overlay := map[string]string{}
	for _, f := range p.files {
		name := filepath.Join(args[1], f.path)
		original, err := filepath.Abs(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		source, err := os.ReadFile(original)
		if err != nil {
			return fmt.Errorf("read upstream's source: %w", err)
		}
		woven, changes, err := weave(name, source, p.seamImport, f.seams)
		if err != nil {
			return err
		}
		copied := filepath.Join(dir, filepath.Base(f.path))
		overlay[original], written[copied] = copied, woven
		for _, change := range changes {
			fmt.Fprintln(stdout, change)
		}
	}
	text, err := json.MarshalIndent(map[string]map[string]string{"Replace": overlay}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the overlay: %w", err)
	}
	written[filepath.Join(dir, "overlay.json")] = text
	return errors.Join(os.MkdirAll(dir, 0o755), writeAll(written))
}

// writeAll writes files by their paths.
func writeAll(files map[string][]byte) error {
	for path, data := range files {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return fmt.Errorf("write the overlay: %w", err)
		}
	}
	return nil
}

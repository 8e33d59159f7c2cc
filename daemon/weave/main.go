// Command weave copies upstream's main.go of buildkitd with the guard's seams
// opened, and writes the overlay that makes go build use the copy. No upstream
// source is kept in the repository.
//
//	go run ./weave vendor/github.com/moby/buildkit/cmd/buildkitd/main.go overlay
//	go build -overlay overlay/overlay.json ./vendor/github.com/moby/buildkit/cmd/buildkitd
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "weave:", err)
		os.Exit(1)
	}
}

// run weaves the main.go named first into the directory named second.
func run(args []string, stdout io.Writer) error {
	if len(args) != 2 {
		return errors.New("usage: weave MAIN.GO DIRECTORY")
	}
	main, err := filepath.Abs(args[0])
	if err != nil {
		return fmt.Errorf("find %s: %w", args[0], err)
	}
	dir, err := filepath.Abs(args[1])
	if err != nil {
		return fmt.Errorf("find %s: %w", args[1], err)
	}
	source, err := os.ReadFile(main)
	if err != nil {
		return fmt.Errorf("read upstream's main: %w", err)
	}
	woven, changes, err := weave(args[0], source)
	if err != nil {
		return err
	}
	copied := filepath.Join(dir, "main.go")
	overlay, err := json.MarshalIndent(map[string]map[string]string{"Replace": {main: copied}}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the overlay: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the overlay: %w", err)
	}
	for path, data := range map[string][]byte{copied: woven, filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return fmt.Errorf("write the overlay: %w", err)
		}
	}
	for _, change := range changes {
		fmt.Fprintln(stdout, change)
	}
	return nil
}

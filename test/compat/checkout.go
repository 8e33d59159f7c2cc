package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bkguard/bkguard/test/harness"
)

// buildkit is the module that is tried in several releases.
const buildkit = "github.com/moby/buildkit"

// checkout is the source of the guard. It is only read.
type checkout struct {
	dir string
	// commit is what is checked out, as harness.Commit has it.
	commit string
	// buildkit and engine are the releases that it requires.
	buildkit, engine string
}

// findCheckout finds the checkout that the working directory is in.
func findCheckout(ctx context.Context) (checkout, error) {
	dir, err := command(ctx, ".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return checkout{}, fmt.Errorf("find the checkout: %w", err)
	}
	c := checkout{dir: dir}
	if c.commit, err = harness.Commit(ctx, dir); err != nil {
		return checkout{}, err
	}
	if c.buildkit, err = required(ctx, filepath.Join(dir, "daemon"), buildkit); err != nil {
		return checkout{}, err
	}
	if c.engine, err = required(ctx, filepath.Join(dir, "engine"), moby); err != nil {
		return checkout{}, err
	}
	return c, nil
}

// required is the release of an upstream module that the module in a directory gets.
func required(ctx context.Context, dir, module string) (string, error) {
	version, err := command(ctx, dir, "go", "list", "-mod=readonly", "-m", "-f", "{{.Version}}", module)
	if err != nil {
		return "", fmt.Errorf("find the required release: %w", err)
	}
	return version, nil
}

// copyTo copies the source, with what is not committed yet, and without what is
// ignored.
func (c checkout) copyTo(ctx context.Context, dir string) error {
	names, err := command(ctx, c.dir, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return fmt.Errorf("copy the checkout: %w", err)
	}
	for name := range strings.SplitSeq(strings.Trim(names, "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(c.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			return fmt.Errorf("copy the checkout: %w", err)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("copy the checkout: %w", err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("copy the checkout: %w", err)
		}
	}
	return nil
}

// command runs a program in a directory and returns what it has written. The
// error is a *failure if the program reports one.
func command(ctx context.Context, dir, program string, args ...string) (string, error) {
	out, err := harness.Run(ctx, harness.Command{Path: program, Args: args, Dir: dir, Env: os.Environ()})
	out = strings.TrimSpace(out)
	if err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", &failure{err: err, output: out}
	}
	return out, nil
}

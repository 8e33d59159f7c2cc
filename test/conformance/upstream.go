package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bkguard/bkguard/test/harness"
)

// buildkit is the module whose tests are run.
const buildkit = "github.com/moby/buildkit"

// suites are the packages of upstream with tests that run against a daemon, as paths in
// the module. worker/containerd and worker/runc are not among them: their tests run a
// worker in their own process. The first one comes first as its token is good for an
// hour.
var suites = []string{
	"cache/remotecache/gha",
	"frontend",
	"solver",
	"cmd/buildctl",
	"client",
	manyTests,
}

// manyTests is the suite with most tests, each with two frontends. Upstream runs it with
// one worker only (hack/test).
const manyTests = "frontend/dockerfile"

// source is a copy of upstream's module: tests run in the directory of their package,
// and the module cache must stay as it is.
type source struct {
	dir, version string
}

// copySource copies the release of upstream's module that this one requires.
func copySource(ctx context.Context, dir string) (source, error) {
	out, err := command(ctx, ".", "go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", buildkit)
	if err != nil {
		return source{}, fmt.Errorf("find upstream's tests: %w", err)
	}
	version, cached, _ := strings.Cut(out, " ")
	if err := os.CopyFS(dir, os.DirFS(cached)); err != nil {
		return source{}, fmt.Errorf("copy upstream's tests: %w", err)
	}
	return source{dir, version}, nil
}

// compile compiles the tests of a suite, with the dependencies that upstream's go.mod
// has, and returns the path of the program.
func (s source) compile(ctx context.Context, suite string) (string, error) {
	program := filepath.Join(s.dir, "bin", strings.ReplaceAll(suite, "/", "-")+".test")
	if _, err := command(ctx, s.dir, "go", "test", "-c", "-vet=off", "-trimpath", "-o", program, "./"+suite); err != nil {
		return "", fmt.Errorf("compile the tests of %s: %w", suite, err)
	}
	return program, nil
}

// command runs a program to its end and returns what it wrote.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	out, err := harness.Run(ctx, harness.Command{Path: path, Args: args, Dir: dir, Env: os.Environ()})
	out = strings.TrimSpace(out)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return out, nil
}

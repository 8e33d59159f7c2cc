package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bkguard/bkguard/guard"
)

// workspace is a temporary copy of the checkout for one release of buildkit or of the
// engine.
type workspace struct {
	dir     string
	source  checkout
	release string
}

func (w workspace) daemon() string { return filepath.Join(w.dir, "daemon") }

// library are the packages that others embed.
var library = []string{"./config", "./cost", "./frontend", "./guard", "./upstream"}

// compile compiles the library.
func (w workspace) compile(ctx context.Context) error {
	_, err := command(ctx, w.dir, "go", append([]string{"build"}, library...)...)
	return err
}

// test runs the unit tests of the library, and those beside upstream's own code.
func (w workspace) test(ctx context.Context) error {
	_, err := command(ctx, w.dir, "go", append([]string{"test", "-vet=off", "-count=1"}, library...)...)
	return err
}

// weave opens the seams in upstream's main.
func (w workspace) weave(ctx context.Context) error {
	_, err := command(ctx, w.dir, "make", "daemon/overlay/overlay.json")
	return err
}

// build builds the daemon, which must say what it was built from.
func (w workspace) build(ctx context.Context) error {
	if _, err := command(ctx, w.dir, "make", "bin/buildkitd"); err != nil {
		return err
	}
	out, err := command(ctx, w.dir, "bin/buildkitd", "--version")
	if err != nil {
		return err
	}
	if version := w.release + " bkguard-" + guard.Version; !strings.Contains(out, version) {
		return fmt.Errorf("buildkitd --version has no %s: %s", version, out)
	}
	return nil
}

// scenarios are the tests that a daemon must pass: it exports 61 layers in two
// compressions in 512 MiB, and keeps a cache inline. What it holds can be read from its root.
var scenarios = []string{"TestExportSurvives/61_layers", "TestInlineKeepsCache", "TestScanFindsVariants/guarded"}

// export plays the scenarios on buildkitd.
func (w workspace) export(ctx context.Context) error {
	if err := w.link(w.dir, "bkguard", "buildctl", "buildkitd-stock", "tools"); err != nil {
		return err
	}
	return play(ctx, w.dir, "./test", scenarios...)
}

// link gives a copy programs of the checkout.
func (w workspace) link(dir string, names ...string) error {
	for _, name := range names {
		if err := symlink(filepath.Join(w.source.dir, "bin", name), filepath.Join(dir, "bin", name)); err != nil {
			return err
		}
	}
	return nil
}

// play runs scenarios of a package of tests in a copy.
func play(ctx context.Context, dir, tests string, scenarios ...string) error {
	out, err := command(ctx, dir, "go", "test", "-vet=off", "-count=1", "-v", "-run", strings.Join(scenarios, "|"), tests)
	if err != nil {
		return err
	}
	for _, name := range scenarios {
		if !strings.Contains(out, "--- PASS: "+name+" ") {
			return fmt.Errorf("there is no test %s", name)
		}
	}
	return nil
}

// withWorkspace runs f with a copy of the checkout that is removed afterwards.
func (c checkout) withWorkspace(ctx context.Context, version string, f func(workspace) error) error {
	dir, err := os.MkdirTemp("", "bkguard-compat-")
	if err != nil {
		return fmt.Errorf("make a temporary copy: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := c.copyTo(ctx, dir); err != nil {
		return err
	}
	return f(workspace{dir: dir, source: c, release: version})
}

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/bkguard/bkguard/guard"
)

// moby is the module of the Docker Engine.
const moby = "github.com/moby/moby/v2"

// engineSteps are the parts of a trial of a Docker Engine. They have the names of those of
// buildkit.
var engineSteps = []step{
	{"modules", nil, workspace.requireEngine},
	{"guard", []string{"modules"}, workspace.compileWithEngine},
	{"tests", []string{"guard"}, workspace.testWithEngine},
	{"weave", []string{"modules"}, workspace.weaveEngine},
	{"daemon", []string{"guard", "weave"}, workspace.buildEngine},
	{"exports", []string{"daemon"}, workspace.exportWithEngine},
	{"scan", []string{"modules"}, workspace.scanEngine},
}

// isEngine tells releases of the engine from those of buildkit.
func isEngine(version string) bool { return semver.Major(version) == "v2" }

func (w workspace) engine() string { return filepath.Join(w.dir, "engine") }

// stockEngine is the module of upstream's own engine.
func (w workspace) stockEngine() string { return filepath.Join(w.dir, "tools", "dockerd") }

// requireEngine makes the modules of the engine require a release, and the buildkit that this
// release is made for. With the one that the checkout requires, they stay as they are.
func (w workspace) requireEngine(ctx context.Context) error {
	if version, err := required(ctx, w.engine(), moby); err != nil || version == w.release {
		return err
	}
	text, err := w.upstreamMod(ctx, moby)
	if err != nil {
		return err
	}
	upstream, err := modfile.ParseLax(moby+"/go.mod", text, nil)
	if err != nil {
		return err
	}
	for _, r := range upstream.Require {
		if r.Mod.Path != buildkit {
			continue
		}
		if _, err := command(ctx, w.engine(), "go", "mod", "edit", "-require", moby+"@"+w.release, "-replace", buildkit+"="+buildkit+"@"+r.Mod.Version); err != nil {
			return err
		}
	}
	if _, err := command(ctx, w.engine(), "go", "mod", "tidy"); err != nil {
		return err
	}
	return w.retarget(ctx, w.stockEngine(), moby, text)
}

// compileWithEngine compiles the guard with the buildkit of the engine.
func (w workspace) compileWithEngine(ctx context.Context) error {
	_, err := command(ctx, w.engine(), "go", "build", "./seam")
	return err
}

// testWithEngine runs the tests of the seam; those of the library run with buildkit.
func (w workspace) testWithEngine(ctx context.Context) error {
	_, err := command(ctx, w.engine(), "go", "test", "-vet=off", "-count=1", "./seam")
	return err
}

// weaveEngine opens the seams in upstream's engine.
func (w workspace) weaveEngine(ctx context.Context) error {
	_, err := command(ctx, w.dir, "make", "engine/overlay/overlay.json")
	return err
}

// buildEngine builds the engine, which must say what it was built from.
func (w workspace) buildEngine(ctx context.Context) error {
	if _, err := command(ctx, w.dir, "make", "bin/dockerd"); err != nil {
		return err
	}
	out, err := command(ctx, w.dir, "bin/dockerd", "--version")
	if err != nil {
		return err
	}
	if version := strings.TrimPrefix(w.release, "v") + ", build bkguard-" + guard.Version; !strings.Contains(out, version) {
		return fmt.Errorf("dockerd --version has no %s: %s", version, out)
	}
	return nil
}

// exportWithEngine plays the scenarios on the engine.
func (w workspace) exportWithEngine(ctx context.Context) error {
	if err := w.link(w.dir, "bkguard", "buildctl", "buildkitd", "buildkitd-stock", "dockerd-stock", "tools"); err != nil {
		return err
	}
	return play(ctx, w.dir, "./test/docker", scenarios...)
}

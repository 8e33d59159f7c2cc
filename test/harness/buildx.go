package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// BuildxBuild is one build of docker buildx with the defaults of buildx, provenance
// among them.
type BuildxBuild struct {
	// Bake makes it a buildx bake of a target that says all of this, instead of
	// a buildx build.
	Bake bool
	// Dockerfile is the text of the file.
	Dockerfile string
	// Output is the value of --output; see PushOutput. Empty discards the
	// result.
	Output string
	// CacheTo and CacheFrom are values of --cache-to and --cache-from.
	CacheTo, CacheFrom []string
}

// Buildx runs a build on the daemon with the buildx program. The error is a
// *BuildError when buildx reports a failure. It keeps its state in a directory of
// its own, and needs no docker.
func (d *Daemon) Buildx(ctx context.Context, binary string, b BuildxBuild) (BuildResult, error) {
	return b.run(ctx, binary, "daemon", nil, "create", "--driver", "remote", "--name", "daemon", d.Address())
}

// run builds with a builder, which buildx makes before with the arguments that follow, if
// there are any; env is added to a nearly empty environment.
func (b BuildxBuild) run(ctx context.Context, binary, builder string, env []string, create ...string) (result BuildResult, err error) {
	err = withTempDir(func(dir string) error {
		buildx := func(args ...string) (string, error) {
			return Run(ctx, Command{
				Path: binary,
				Args: args,
				Dir:  dir,
				Env:  append([]string{"HOME=" + dir, "BUILDX_CONFIG=" + filepath.Join(dir, "buildx")}, env...),
			})
		}
		if err := b.write(dir); err != nil {
			return fmt.Errorf("prepare a build: %w", err)
		}
		if len(create) > 0 {
			if created, err := buildx(create...); err != nil {
				return fmt.Errorf("create a builder: %w: %s", err, created)
			}
		}
		out, err := buildx(b.args(builder)...)
		if err != nil {
			return &BuildError{Err: err, Output: out}
		}
		result = parseProgress(out)
		return nil
	})
	return result, err
}

// buildxContext is the name of the build context.
const buildxContext = "context"

// write makes the build context, and the file that bake reads.
func (b BuildxBuild) write(dir string) error {
	if err := (Build{Dockerfile: b.Dockerfile}).write(filepath.Join(dir, buildxContext)); err != nil {
		return err
	}
	target := map[string]any{"context": buildxContext}
	for flag, values := range b.flags() {
		if len(values) > 0 {
			target[flag] = values
		}
	}
	text, err := json.Marshal(map[string]any{"target": map[string]any{"default": target}})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "docker-bake.json"), text, 0o644)
}

// args is the command line of buildx for a builder.
func (b BuildxBuild) args(builder string) []string {
	args := []string{"build"}
	if b.Bake {
		args = []string{"bake", "--allow", "fs=*"}
	}
	args = append(args, "--builder", builder, "--progress", "plain")
	if b.Bake {
		return args
	}
	for flag, values := range b.flags() {
		for _, value := range values {
			args = append(args, "--"+flag, value)
		}
	}
	return append(args, buildxContext)
}

// flags are the flags with their values. The keys of a target have the same
// names.
func (b BuildxBuild) flags() map[string][]string {
	flags := map[string][]string{"cache-to": b.CacheTo, "cache-from": b.CacheFrom}
	if b.Output != "" {
		flags["output"] = []string{b.Output}
	}
	return flags
}

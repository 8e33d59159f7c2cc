package harness

import (
	"context"
	"fmt"
	"path/filepath"
)

// BuildxBuild is one docker buildx build with a remote builder and the defaults
// of buildx, provenance among them.
type BuildxBuild struct {
	// Dockerfile is the text of the file.
	Dockerfile string
	// Output is the value of --output; see PushOutput.
	Output string
	// CacheTo is the value of --cache-to; empty exports no cache.
	CacheTo string
}

// Buildx runs a build on the daemon with the buildx program and returns the
// plain progress. The error is a *BuildError when buildx reports a failure. It
// keeps its state in a directory of its own, and needs no docker.
func (d *Daemon) Buildx(ctx context.Context, binary string, b BuildxBuild) (out string, err error) {
	err = withTempDir(func(dir string) error {
		buildx := func(args ...string) (string, error) {
			return Run(ctx, Command{
				Path: binary,
				Args: args,
				Env:  []string{"HOME=" + dir, "BUILDX_CONFIG=" + filepath.Join(dir, "buildx")},
			})
		}
		contextDir := filepath.Join(dir, "context")
		if err := (Build{Dockerfile: b.Dockerfile}).write(contextDir); err != nil {
			return fmt.Errorf("prepare a build: %w", err)
		}
		created, err := buildx("create", "--driver", "remote", "--name", "daemon", d.Address())
		if err != nil {
			return fmt.Errorf("create a builder: %w: %s", err, created)
		}
		args := []string{"build", "--builder", "daemon", "--progress", "plain", "--output", b.Output}
		if b.CacheTo != "" {
			args = append(args, "--cache-to", b.CacheTo)
		}
		if out, err = buildx(append(args, contextDir)...); err != nil {
			return &BuildError{Err: err, Output: out}
		}
		return nil
	})
	return out, err
}

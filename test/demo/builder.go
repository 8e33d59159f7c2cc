package main

import (
	"context"

	"github.com/bkguard/bkguard/test/harness"
)

// builder is a daemon that builds: a buildkitd or a Docker Engine.
type builder interface {
	build(context.Context, build) (harness.BuildResult, error)
	Stop(context.Context) (harness.Exit, error)
	Remove() error
}

// build is one build of the issue. Empty strings are options that are not given.
type build struct {
	dockerfile, output, exportCache, importCache string
}

// given is a list of one option, or of none.
func given(option string) []string {
	if option == "" {
		return nil
	}
	return []string{option}
}

// buildkitd is built with by buildctl.
type buildkitd struct{ *harness.Daemon }

func (d buildkitd) build(ctx context.Context, b build) (harness.BuildResult, error) {
	return d.Build(ctx, harness.Build{
		Dockerfile:  b.dockerfile,
		Output:      b.output,
		ExportCache: given(b.exportCache),
		ImportCache: given(b.importCache),
	})
}

// engine is built with by docker buildx.
type engine struct{ *harness.Engine }

func (e engine) build(ctx context.Context, b build) (harness.BuildResult, error) {
	return e.Build(ctx, harness.BuildxBuild{
		Dockerfile: harness.WithoutNetwork(b.dockerfile),
		Output:     b.output,
		CacheTo:    given(b.exportCache),
		CacheFrom:  given(b.importCache),
	})
}

// start starts a new daemon.
func (p *player) start(ctx context.Context) (builder, error) {
	if !p.docker {
		d, err := harness.StartDaemon(ctx, harness.DaemonOptions{
			Binary:      p.binary,
			Buildctl:    p.programs.Buildctl,
			Registries:  []string{p.registry},
			MemoryLimit: p.memory,
		})
		return buildkitd{d}, err
	}
	e, err := harness.StartEngine(ctx, harness.EngineOptions{Binary: p.binary, MemoryLimit: p.memory})
	return engine{e}, err
}

// program is what is compared.
func (s *scenario) program() string {
	if s.docker {
		return "dockerd"
	}
	return "buildkitd"
}

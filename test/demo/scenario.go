package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bkguard/bkguard/test/harness"
)

// steps is the number of RUN steps on the base image.
const steps = 3

// scenario is one run of the demo.
type scenario struct {
	layers   int   // of the base image
	memory   int64 // limit of a daemon in bytes
	programs harness.Binaries
	progress *harness.Progress
}

// outcome is how one daemon fared.
type outcome struct {
	daemon string
	// exit is how the daemon that exported has ended, took how long it
	// exported.
	exit harness.Exit
	took time.Duration
	// cached is the number of steps that a fresh daemon found in the cache.
	cached int
}

// play lets each daemon do the same, in turn. All that it makes is gone when it
// returns, also when ctx has ended.
func (s *scenario) play(ctx context.Context) (outcomes []outcome, err error) {
	var registry *harness.Registry
	_, err = s.progress.Step("start a registry", func() (err error) {
		registry, err = harness.StartRegistry(ctx, s.programs.Registry)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, registry.Stop(context.WithoutCancel(ctx)), registry.Remove())
	}()
	var base string
	_, err = s.progress.Step(fmt.Sprintf("push a base image of %d layers", s.layers), func() (err error) {
		base, err = registry.PushBase(ctx, harness.Base{Layers: s.layers})
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, d := range []struct{ name, binary string }{
		{"stock", s.programs.Stock},
		{"guarded", s.programs.Guarded},
	} {
		p := &player{
			scenario:   s,
			name:       d.name,
			host:       registry.Host,
			dockerfile: harness.RunSteps(base, steps),
			options: harness.DaemonOptions{
				Binary:      d.binary,
				Buildctl:    s.programs.Buildctl,
				Registries:  []string{registry.Host},
				MemoryLimit: s.memory,
			},
		}
		o := outcome{daemon: d.name}
		if err := p.export(ctx, &o); err != nil {
			return nil, fmt.Errorf("%s daemon: %w", d.name, err)
		}
		if err := p.importCache(ctx, &o); err != nil {
			return nil, fmt.Errorf("fresh %s daemon: %w", d.name, err)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// player is one kind of daemon in the scenario.
type player struct {
	*scenario
	name, host, dockerfile string
	options                harness.DaemonOptions
}

func (p *player) cache() string {
	return fmt.Sprintf("type=registry,ref=%s/cache:%s", p.host, p.name)
}

func (p *player) step(what string, f func() error) (time.Duration, error) {
	return p.progress.Step(p.name+": "+what, f)
}

// export makes the daemon hold all layers in two compressions and export its
// cache. That it is killed for its memory is an outcome, not an error.
func (p *player) export(ctx context.Context, o *outcome) error {
	return p.withDaemon(ctx, func(daemon *harness.Daemon) error {
		_, err := p.step("build in gzip, then in zstd", func() error {
			return daemon.MixCompressions(ctx, p.dockerfile, p.host+"/"+p.name)
		})
		if err != nil {
			return err
		}
		var failed error
		o.took, failed = p.step("export the cache", func() error {
			_, err := daemon.Build(ctx, harness.Build{
				Dockerfile:  p.dockerfile,
				ExportCache: []string{p.cache() + ",mode=max"},
			})
			return err
		})
		if o.exit, err = daemon.Stop(ctx); err != nil {
			return err
		}
		if o.exit.OOMKilled() {
			return nil
		}
		return failed
	})
}

// importCache repeats the build on a daemon that knows nothing but the cache.
func (p *player) importCache(ctx context.Context, o *outcome) error {
	return p.withDaemon(ctx, func(daemon *harness.Daemon) error {
		_, err := p.step("import the cache into a fresh daemon", func() error {
			result, err := daemon.Build(ctx, harness.Build{
				Dockerfile:  p.dockerfile,
				ImportCache: []string{p.cache()},
			})
			o.cached = result.Cached
			return err
		})
		return err
	})
}

// withDaemon runs f with a new daemon, which is gone afterwards.
func (p *player) withDaemon(ctx context.Context, f func(*harness.Daemon) error) (err error) {
	daemon, err := harness.StartDaemon(ctx, p.options)
	if err != nil {
		return err
	}
	defer func() {
		_, stopErr := daemon.Stop(context.WithoutCancel(ctx))
		err = errors.Join(err, stopErr, daemon.Remove())
	}()
	return f(daemon)
}

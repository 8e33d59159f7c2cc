package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bkguard/bkguard/test/harness"
)

const (
	// rounds is how often everything is measured, stock and guarded in turn.
	rounds = 3
	// steps is the number of RUN steps on every base image.
	steps = 3
	// layerSize is the size of a layer of the base images in bytes, where memory is measured.
	layerSize = 1 << 20
)

// The two daemons, as the data names them.
const (
	stock   = "stock"
	guarded = "guarded"
)

// bench is what all measurements of a run share.
type bench struct {
	programs harness.Binaries
	machine  machine
	registry *harness.Registry
	progress *harness.Progress
	// bases has the names of the base images that were pushed.
	bases map[harness.Base]string
	// section is the one that is being measured.
	section string
	// places counts the names that were pushed to.
	places int
}

// newBench starts what the measurements need; close stops it.
func newBench(ctx context.Context, progress *harness.Progress) (*bench, error) {
	if err := harness.CheckLimits(ctx); err != nil {
		return nil, err
	}
	programs, err := harness.FindBinaries()
	if err != nil {
		return nil, err
	}
	machine, err := thisMachine(ctx, programs)
	if err != nil {
		return nil, err
	}
	registry, err := harness.StartRegistry(ctx, programs.Registry)
	if err != nil {
		return nil, err
	}
	return &bench{programs: programs, machine: machine, registry: registry, progress: progress, bases: map[harness.Base]string{}}, nil
}

func (b *bench) close(ctx context.Context) error {
	return errors.Join(b.registry.Stop(context.WithoutCancel(ctx)), b.registry.Remove())
}

// step runs f and says so.
func (b *bench) step(what string, f func() error) error {
	_, err := b.progress.Step(b.section+": "+what, f)
	return err
}

// place is a name in the registry that nothing was pushed to.
func (b *bench) place() string {
	b.places++
	return fmt.Sprintf("%s/place-%d", b.registry.Host, b.places)
}

// base is the name of a base image, which is pushed only once.
func (b *bench) base(ctx context.Context, base harness.Base) (string, error) {
	if b.bases[base] == "" {
		image, err := b.registry.PushBase(ctx, base)
		if err != nil {
			return "", err
		}
		b.bases[base] = image
	}
	return b.bases[base], nil
}

// start starts a daemon of a kind with a memory limit in bytes; zero is none.
func (b *bench) start(ctx context.Context, kind string, limit int64) (*harness.Daemon, error) {
	binary := b.programs.Stock
	if kind == guarded {
		binary = b.programs.Guarded
	}
	return harness.StartDaemon(ctx, harness.DaemonOptions{
		Binary:      binary,
		Buildctl:    b.programs.Buildctl,
		Registries:  []string{b.registry.Host},
		MemoryLimit: limit,
	})
}

// stop stops and removes a daemon, also when ctx has ended; nil is none.
func stop(ctx context.Context, d *harness.Daemon) error {
	if d == nil {
		return nil
	}
	_, err := d.Stop(context.WithoutCancel(ctx))
	return errors.Join(err, d.Remove())
}

// withDaemon runs f with a new daemon, which is gone afterwards.
func (b *bench) withDaemon(ctx context.Context, kind string, limit int64, f func(*harness.Daemon) error) (err error) {
	daemon, err := b.start(ctx, kind, limit)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(ctx, daemon)) }()
	return f(daemon)
}

package main

import (
	"context"
	"fmt"

	"github.com/moby/buildkit/util/compression"

	"github.com/bkguard/bkguard/test/harness"
)

// importBase is the base image whose cache is imported.
var importBase = harness.Base{Layers: 12, LayerSize: 1 << 20}

// imported is a cache that was exported, and what a fresh daemon made of it.
type imported struct {
	Daemon string `csv:"daemon"`
	// Exporter and Requested say what was asked for; inline it is the
	// compression that the image is pushed in.
	Exporter  string `csv:"exporter"`
	Requested string `csv:"requested"`
	Round     int    `csv:"round"`
	// Blobs and Bytes are what the cache consists of, Layers the distinct
	// layers among the blobs.
	Layers int   `csv:"layers"`
	Blobs  int   `csv:"blobs"`
	Bytes  int64 `csv:"bytes"`
	// Steps are those of the build, Cached those that were not executed.
	Steps  int `csv:"steps"`
	Cached int `csv:"cached"`
}

// measureImports exports the cache of an image in two compressions in all ways,
// and imports each into a daemon that knows nothing else.
func measureImports(ctx context.Context, b *bench) (any, error) {
	base, err := b.registry.PushBase(ctx, importBase)
	if err != nil {
		return nil, err
	}
	var all []imported
	for round := range rounds {
		for _, daemon := range []string{stock, guarded} {
			what := fmt.Sprintf("round %d of %d: %s", round+1, rounds, daemon)
			err := b.step(what, func() error {
				found, err := b.imports(ctx, daemon, harness.TwoStages(base), round+1)
				all = append(all, found...)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", daemon, err)
			}
		}
	}
	return all, nil
}

// imports makes one daemon export in all ways.
func (b *bench) imports(ctx context.Context, daemon string, build harness.Build, round int) (all []imported, err error) {
	err = b.withDaemon(ctx, daemon, limit, func(d *harness.Daemon) error {
		if err := d.BuildIn(ctx, build, b.place(), compressions[:2]...); err != nil {
			return err
		}
		for _, exporter := range []string{"registry", "inline"} {
			for _, requested := range []compression.Type{compression.Gzip, compression.Zstd} {
				i := imported{Daemon: daemon, Exporter: exporter, Requested: requested.String(), Round: round}
				if err := b.pass(ctx, d, &i, build); err != nil {
					return fmt.Errorf("%s in %s: %w", exporter, requested, err)
				}
				all = append(all, i)
			}
		}
		return nil
	})
	return all, err
}

// pass exports one cache, passes it on to a fresh daemon, and fills in i.
func (b *bench) pass(ctx context.Context, d *harness.Daemon, i *imported, build harness.Build) error {
	place := b.place()
	export, read := build, b.registry.Cache
	export.ExportCache = []string{"type=registry,mode=max,compression=" + i.Requested + ",ref=" + place}
	if i.Exporter == "inline" {
		export.Output = harness.PushOutput(place, "compression="+i.Requested)
		export.ExportCache = []string{"type=inline"}
		read = b.registry.Image
	}
	if _, err := d.Build(ctx, export); err != nil {
		return err
	}
	m, err := read(ctx, place)
	if err != nil {
		return err
	}
	i.Layers, i.Blobs = m.Layers(), len(m.Blobs)
	for _, blob := range m.Blobs {
		i.Bytes += blob.Size
	}
	return b.withDaemon(ctx, i.Daemon, limit, func(fresh *harness.Daemon) error {
		build.ImportCache = []string{"type=registry,ref=" + place}
		result, err := fresh.Build(ctx, build)
		i.Steps, i.Cached = result.Steps, result.Cached
		return err
	})
}

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/buildkit/util/compression"

	"github.com/bkguard/bkguard/test/harness"
)

const (
	// limit is the memory of a daemon in bytes, roomy that of a stock one that
	// is to show how its curve goes on.
	limit = 512 << 20
	roomy = 3 << 30
)

// compressions are those that an image is built in, in this order.
var compressions = []compression.Type{compression.Gzip, compression.Zstd, compression.EStargz, compression.Uncompressed}

// setting is what a daemon has to do: it holds an image in some compressions,
// and exports its cache, once or several times at the same moment.
type setting struct {
	Daemon       string `csv:"daemon"`
	Limit        int64  `csv:"limit_bytes"`
	Layers       int    `csv:"layers"` // of the image, RUN steps included
	Compressions int    `csv:"compressions"`
	Exports      int    `csv:"exports"`
}

func (s setting) String() string {
	return fmt.Sprintf("%s, limit %s, %d layers in %d compressions, %d exports", s.Daemon, size(s.Limit), s.Layers, s.Compressions, s.Exports)
}

// export is how a daemon fared, once.
type export struct {
	setting
	Round int `csv:"round"`
	outcome
}

// exportAll measures every setting in every round.
func (b *bench) exportAll(ctx context.Context, settings []setting) ([]export, error) {
	var all []export
	for round := range rounds {
		for n, s := range settings {
			e := export{setting: s, Round: round + 1}
			what := fmt.Sprintf("round %d of %d, %d of %d: %v", e.Round, rounds, n+1, len(settings), s)
			if err := b.step(what, func() error { return b.export(ctx, &e) }); err != nil {
				return nil, fmt.Errorf("%v: %w", s, err)
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// export fills in e with a daemon of its own. That it is killed for its memory
// is an outcome, not an error.
func (b *bench) export(ctx context.Context, e *export) error {
	base, err := b.base(ctx, harness.Base{Layers: e.Layers - steps, LayerSize: layerSize})
	if err != nil {
		return err
	}
	build := harness.Build{Dockerfile: harness.RunSteps(base, steps)}
	var exports []harness.Build
	for range e.Exports {
		export := build
		export.ExportCache = []string{"type=registry,mode=max,ref=" + b.place()}
		exports = append(exports, export)
	}
	return b.withDaemon(ctx, e.Daemon, e.Limit, func(d *harness.Daemon) error {
		began := time.Now()
		if err := d.BuildIn(ctx, build, b.place(), compressions[:e.Compressions]...); err != nil {
			e.outcome, err = ending(ctx, d, began, err)
			return err
		}
		e.outcome, err = exportsAtOnce(ctx, d, exports)
		return err
	})
}

// measureLayers exports an image in two compressions, of more and more layers.
func measureLayers(ctx context.Context, b *bench) (any, error) {
	var settings []setting
	for _, layers := range []int{8, 12, 16, 18, 20, 22, 30, 64, 127} {
		if layers <= 20 || layers == 64 {
			settings = append(settings, setting{stock, limit, layers, 2, 1})
		}
		// With less, the limit makes no difference to stock.
		if layers >= 16 && layers <= 22 {
			settings = append(settings, setting{stock, roomy, layers, 2, 1})
		}
		settings = append(settings, setting{guarded, limit, layers, 2, 1})
	}
	return b.exportAll(ctx, settings)
}

// measureCompressions exports an image in more and more compressions.
func measureCompressions(ctx context.Context, b *bench) (any, error) {
	const layers = 13
	var settings []setting
	for n := range compressions {
		settings = append(settings, setting{stock, limit, layers, n + 1, 1})
		// With less, the limit makes no difference to stock.
		if n > 0 {
			settings = append(settings, setting{stock, roomy, layers, n + 1, 1})
		}
		settings = append(settings, setting{guarded, limit, layers, n + 1, 1})
	}
	return b.exportAll(ctx, settings)
}

// measureConcurrent exports the same cache eight times at once.
func measureConcurrent(ctx context.Context, b *bench) (any, error) {
	var settings []setting
	for _, layers := range []int{8, 12, 16, 64} {
		settings = append(settings,
			setting{stock, limit, layers, 2, 8},
			setting{guarded, limit, layers, 2, 8})
	}
	return b.exportAll(ctx, settings)
}

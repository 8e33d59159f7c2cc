package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bkguard/bkguard/test/harness"
)

// The build of the overhead: every stage has a record for each of its steps, and
// the last of them has a chain of 61 layers.
const (
	overheadBase   = 57
	overheadStages = 50
	overheadSteps  = 4
	// overheadRounds is how often each daemon exports.
	overheadRounds = 9
)

// overhead is one export of a large cache.
type overhead struct {
	Daemon       string `csv:"daemon"`
	Compressions int    `csv:"compressions"`
	Round        int    `csv:"round"`
	// Prepare is the time in which records are collected, Total that of the
	// whole export, both by the daemon's clock.
	Prepare float64 `csv:"prepare_seconds"`
	Total   float64 `csv:"total_seconds"`
}

// overheadDaemon is a daemon that holds the cache, and the build that exports
// it.
type overheadDaemon struct {
	*harness.Daemon
	kind         string
	limit        int64 // 0 is none
	compressions int
	build        harness.Build
	image        string
}

// measureOverhead exports the same cache from three daemons in turn: stock and
// guarded ones with each layer in one compression, where there is nothing for
// the guard to do, and a guarded one with each layer in two.
func measureOverhead(ctx context.Context, b *bench) (rows any, err error) {
	base, err := b.base(ctx, harness.Base{Layers: overheadBase})
	if err != nil {
		return nil, err
	}
	daemons := []*overheadDaemon{{kind: stock, compressions: 1}, {kind: guarded, compressions: 1}, {kind: guarded, compressions: 2}}
	defer func() {
		for _, d := range daemons {
			err = errors.Join(err, stop(ctx, d.Daemon))
		}
	}()
	for _, d := range daemons {
		d.build.Dockerfile = manyStages(base)
		err := b.step(fmt.Sprintf("build on a %s daemon, in %d compressions", d.kind, d.compressions), func() error { return d.prepare(ctx, b) })
		if err != nil {
			return nil, err
		}
	}
	var all []overhead
	for round := range overheadRounds {
		for _, d := range daemons {
			o := overhead{Daemon: d.kind, Compressions: d.compressions, Round: round + 1}
			what := fmt.Sprintf("round %d of %d: %s, in %d compressions", o.Round, overheadRounds, d.kind, d.compressions)
			if err := b.step(what, func() error { return d.export(ctx, &o) }); err != nil {
				return nil, err
			}
			all = append(all, o)
		}
	}
	return all, b.checkOverhead(ctx, daemons)
}

// prepare starts the daemon and makes all blobs, so that no export that is
// measured has to.
func (d *overheadDaemon) prepare(ctx context.Context, b *bench) (err error) {
	if d.Daemon, err = b.start(ctx, d.kind, d.limit); err != nil {
		return err
	}
	d.image = b.place()
	to := "type=registry,mode=max,ref=" + d.image
	exports := []string{to}
	if d.compressions == 2 {
		exports = append(exports, to+",compression=zstd,force-compression=true")
	}
	for _, export := range exports {
		d.build.ExportCache = []string{export}
		if _, err := d.Build(ctx, d.build); err != nil {
			return err
		}
	}
	d.build.ExportCache = []string{to}
	return nil
}

// export exports the cache once more and fills in o.
func (d *overheadDaemon) export(ctx context.Context, o *overhead) error {
	times, err := d.TimeExport(ctx, d.build)
	o.Prepare = float64(times.Prepare.Microseconds()) / 1e6
	o.Total = float64(times.Total.Microseconds()) / 1e6
	return err
}

// checkOverhead holds that all daemons have exported the same layers, each once.
func (b *bench) checkOverhead(ctx context.Context, daemons []*overheadDaemon) error {
	const want = overheadBase + overheadStages*(overheadSteps+1)
	for _, d := range daemons {
		m, err := b.registry.Cache(ctx, d.image)
		if err != nil {
			return err
		}
		if len(m.Blobs) != want {
			return fmt.Errorf("the %s daemon has exported %d blobs instead of %d", d.kind, len(m.Blobs), want)
		}
	}
	return nil
}

// manyStages is a Dockerfile with stages of RUN steps upon one base image, and a
// last stage that needs them all.
func manyStages(base string) string {
	var stages, last strings.Builder
	for stage := range overheadStages {
		fmt.Fprintf(&stages, "FROM %s AS stage-%d\n", base, stage)
		for step := range overheadSteps {
			fmt.Fprintf(&stages, "RUN [\"/bin/step\", \"/step-%d\", \"%d\"]\n", step, stage)
		}
		fmt.Fprintf(&last, "COPY --from=stage-%d /step-%d /stage-%d\n", stage, overheadSteps-1, stage)
	}
	return stages.String() + "FROM scratch\n" + last.String()
}

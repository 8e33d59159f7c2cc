package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/bkguard/bkguard/test/harness"
)

// records is one export of a cache of very many records.
type records struct {
	Daemon string `csv:"daemon"`
	Limit  int64  `csv:"limit_bytes"` // 0 is none
	// Layers are those of the base image that all records are upon.
	Layers int `csv:"layers"`
	// Records are those of steps, which is nearly all.
	Records int `csv:"records"`
	// Export is 1 for the first export, which makes the blobs, 2 for the next.
	Export int  `csv:"export"`
	Killed bool `csv:"killed"`
	// Prepare is the time in which records are collected, Total that of the whole
	// export, both by the daemon's clock.
	Prepare float64 `csv:"prepare_seconds"`
	Total   float64 `csv:"total_seconds"`
	// Growth is how much more memory the daemon has held than at rest until the export
	// ended, WithHistory until its build was recorded in the history.
	Growth      int64 `csv:"growth_bytes"`
	WithHistory int64 `csv:"growth_with_history_bytes"`
	// Trace is what upstream's trace recorder kept of the export for the history.
	Trace int64 `csv:"trace_bytes"`
	// Peak is the most that the process has held since its start, with what is mapped
	// from files.
	Peak int64 `csv:"peak_rss_bytes"`
}

func (r records) String() string {
	return fmt.Sprintf("%v, %d records upon %d layers", column{r.Daemon, r.Limit}, r.Records, r.Layers)
}

// recordsSettings are those that are measured, the daemons left out. The last one is for
// daemons with a limit.
var recordsSettings = []records{
	{Layers: 57, Records: 14 * 14},
	{Layers: 57, Records: 20 * 20},
	{Layers: 57, Records: 32 * 32},
	{Layers: 57, Records: 45 * 45},
	{Layers: 57, Records: 63 * 63},
	{Layers: 1, Records: 60 * 60, Limit: limit},
}

// recordsExports is how often each daemon exports.
const recordsExports = 2

// measureRecords exports caches of more and more records, each layer in one compression.
func measureRecords(ctx context.Context, b *bench) (any, error) {
	var all []records
	for _, r := range recordsSettings {
		for _, r.Daemon = range []string{stock, guarded} {
			exports, err := b.exportRecords(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("%v: %w", r, err)
			}
			all = append(all, exports...)
		}
	}
	return all, nil
}

// exportRecords builds many steps and exports their cache, until the daemon is killed at
// most.
func (b *bench) exportRecords(ctx context.Context, r records) (all []records, err error) {
	base, err := b.base(ctx, harness.Base{Layers: r.Layers, LayerSize: layerSize})
	if err != nil {
		return nil, err
	}
	build := harness.Build{Dockerfile: copyStages(base, int(math.Sqrt(float64(r.Records)))), Files: map[string]string{"f": "x"}}
	err = b.withDaemon(ctx, r.Daemon, r.Limit, func(d *harness.Daemon) error {
		if err := b.step(fmt.Sprintf("%v: build", r), func() error { _, err := d.Build(ctx, build); return err }); err != nil {
			return err
		}
		for r.Export = 1; r.Export <= recordsExports; r.Export++ {
			build.ExportCache = []string{"type=registry,mode=max,ref=" + b.place()}
			one := r
			if err := b.step(fmt.Sprintf("%v: export %d", r, r.Export), func() error { return one.export(ctx, d, build) }); err != nil {
				return err
			}
			all = append(all, one)
			if one.Killed {
				return nil
			}
		}
		exit, err := d.Stop(ctx)
		all[len(all)-1].Peak = exit.PeakRSS
		return err
	})
	return all, err
}

// export exports once and fills in r. That the daemon is killed for its memory is an
// outcome, not an error.
func (r *records) export(ctx context.Context, d *harness.Daemon, build harness.Build) error {
	stopMemory, stopTraces := d.WatchMemory(), watchTraces(ctx, d)
	times, err := d.TimeExport(ctx, build)
	memory := stopMemory()
	r.Trace = stopTraces()
	if err != nil {
		exit, stopErr := d.Stop(ctx)
		if r.Killed, r.Peak = exit.OOMKilled(), exit.PeakRSS; r.Killed {
			return stopErr
		}
		return errors.Join(err, stopErr)
	}
	r.Prepare, r.Total = times.Prepare.Seconds(), times.Total.Seconds()
	for _, s := range memory {
		grown := s.Resident - memory[0].Resident
		if s.At.Before(times.Ended) {
			r.Growth = max(r.Growth, grown)
		}
		r.WithHistory = max(r.WithHistory, grown)
	}
	return nil
}

// traceSamples is how long it takes from one heap profile to the next: a profile takes
// memory itself.
const traceSamples = 2 * time.Second

// watchTraces samples what the trace recorder of a daemon keeps until stop is called, which
// returns the most that it was.
func watchTraces(ctx context.Context, d *harness.Daemon) (stop func() int64) {
	ctx, cancel := context.WithCancel(ctx)
	most := make(chan int64, 1)
	go func() {
		var found int64
		for {
			select {
			case <-ctx.Done():
				most <- found
				return
			case <-time.After(traceSamples):
				// The daemon may just have been killed.
				if kept, err := d.HeapOf(ctx, traceFunctions...); err == nil {
					found = max(found, kept)
				}
			}
		}
	}()
	return func() int64 {
		cancel()
		return <-most
	}
}

// traceFunctions allocate what the trace recorder keeps (util/tracing/detect).
var traceFunctions = []string{"go.opentelemetry.io/otel/sdk/trace.", "github.com/moby/buildkit/util/tracing/detect."}

// copyStages is a Dockerfile with as many stages upon a base image as each of them has
// steps, and a last stage that needs them all. COPY makes records faster than RUN.
func copyStages(base string, stages int) string {
	var all, last strings.Builder
	for stage := range stages {
		fmt.Fprintf(&all, "FROM %s AS stage-%d\n", base, stage)
		for step := range stages {
			fmt.Fprintf(&all, "COPY f /f-%d-%d\n", stage, step)
		}
		fmt.Fprintf(&last, "COPY --from=stage-%d /f-%d-%d /\n", stage, stage, stages-1)
	}
	return all.String() + "FROM scratch\n" + last.String()
}

// recordsOf is one export, false if it was not measured.
func (d *data) recordsOf(daemon string, of records, export int) (records, bool) {
	for _, r := range d.Records {
		if r.Daemon == daemon && r.Limit == of.Limit && r.Layers == of.Layers && r.Records == of.Records && r.Export == export {
			return r, true
		}
	}
	return records{}, false
}

// RecordsMemoryTable has a row for each number of records, of the first export: the next one
// begins with what the history of the first has left.
func (d *data) RecordsMemoryTable() string {
	rows := [][]string{{"records", "stock", "guarded", "guarded beside stock", "of it traces: stock", "guarded", "without traces", "with history: stock", "guarded"}}
	for _, s := range recordsSettings {
		stocks, ok := d.recordsOf(stock, s, 1)
		ours, both := d.recordsOf(guarded, s, 1)
		if !ok || !both || s.Limit != none {
			continue
		}
		rows = append(rows, []string{
			strconv.Itoa(s.Records), size(stocks.Growth), size(ours.Growth), ratio(float64(ours.Growth) / float64(stocks.Growth)),
			size(stocks.Trace), size(ours.Trace), ratio(float64(ours.Growth-ours.Trace) / float64(stocks.Growth-stocks.Trace)),
			size(stocks.WithHistory), size(ours.WithHistory),
		})
	}
	return tableIfAny(rows)
}

// RecordsLimitTable says what became of daemons with a limit.
func (d *data) RecordsLimitTable() string {
	rows := [][]string{{"records", "layers of the base", "export", column{stock, limit}.String(), column{guarded, limit}.String()}}
	for _, s := range recordsSettings {
		for export := 1; s.Limit != none && export <= recordsExports; export++ {
			row := []string{strconv.Itoa(s.Records), strconv.Itoa(s.Layers), strconv.Itoa(export)}
			var measured bool
			for _, daemon := range []string{stock, guarded} {
				r, ok := d.recordsOf(daemon, s, export)
				row, measured = append(row, r.fate(ok)), measured || ok
			}
			if measured {
				rows = append(rows, row)
			}
		}
	}
	return tableIfAny(rows)
}

// fate is what became of the daemon, empty if it did not come to this export.
func (r records) fate(came bool) string {
	switch {
	case !came:
		return ""
	case r.Killed:
		return "killed"
	}
	return "done"
}

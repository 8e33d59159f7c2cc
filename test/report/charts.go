package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot/plotter"
)

// chart is drawn once for each theme.
type chart interface {
	figure(theme) (*figure, error)
}

// charts are those that there is data for, by the names of their files.
func (d *data) charts() map[string]chart {
	all := map[string]chart{}
	if len(d.Conversions) > 0 {
		of := exportChart{
			what: "an image in zstd", title: "layers of 1 MiB", x: "layers of the image",
			xScale: layersScale, of: func(s setting) int { return s.Layers },
		}
		all["conversions-memory"] = of.memory(over(d.Conversions, layersOf))
		all["conversions-time"] = of.time(over(d.Conversions, layersOf))
	}
	if len(d.Levels) > 0 {
		of := exportChart{
			what: "an image in zstd", title: fmt.Sprintf("%d layers of 1 MiB", d.Levels[0].Layers), x: "compression-level",
			xScale: layersScale, of: func(s setting) int { return s.Layers },
		}
		all["levels-memory"] = of.memory(over(d.Levels, levelOf))
		all["levels-time"] = of.time(over(d.Levels, levelOf))
	}
	if len(d.Layers) > 0 {
		of := exportChart{title: "layers of 1 MiB in gzip and zstd", x: "layers of the image", xScale: layersScale, of: func(s setting) int { return s.Layers }}
		all["layers-memory"] = of.memory(d.Layers)
		all["layers-time"] = of.time(d.Layers)
	}
	if len(d.Compressions) > 0 {
		of := exportChart{
			title: fmt.Sprintf("%d layers of 1 MiB", d.Compressions[0].Layers), x: "compressions that the layers exist in",
			xScale: compressionsScale, of: func(s setting) int { return s.Compressions },
		}
		all["compressions-memory"] = of.memory(d.Compressions)
		all["compressions-time"] = of.time(d.Compressions)
	}
	if len(d.Concurrent) > 0 {
		of := exportChart{
			title: fmt.Sprintf("%d at once, layers of 1 MiB in gzip and zstd", d.Concurrent[0].Exports), x: "layers of the image",
			xScale: layersScale, of: func(s setting) int { return s.Layers },
		}
		all["concurrent-memory"] = of.memory(d.Concurrent)
	}
	if len(d.Engines) > 0 {
		of := exportChart{title: "Docker Engine, layers of 1 MiB in gzip and zstd", x: "layers of the image", xScale: layersScale, of: func(s setting) int { return s.Layers }}
		all["engines-memory"] = of.memory(d.Engines)
	}
	if len(d.Imports) > 0 {
		all["imports-cached"] = d.importChart("Steps cached on a fresh daemon", fmt.Sprintf("steps, of %d", d.Imports[0].Steps), func(i imported) float64 { return float64(i.Cached) })
		all["imports-blobs"] = d.importChart("Blobs of an exported cache", "blobs", func(i imported) float64 { return float64(i.Blobs) })
	}
	if len(d.Identity) > 0 {
		all["identity"] = d.identityChart()
	}
	if len(d.Overhead) > 0 {
		all["overhead"] = d.overheadChart()
	}
	if len(d.Guard) > 0 {
		all["remotes"] = d.remotesChart()
	}
	if len(d.Soak) > 0 {
		all["soak-memory"] = d.soakMemory()
		all["soak-open"] = d.soakOpen()
	}
	return all
}

// writeCharts draws all charts into a directory, each in every theme.
func (d *data) writeCharts(dir string) error {
	var errs []error
	for name, c := range d.charts() {
		for _, t := range themes {
			f, err := c.figure(t)
			if err == nil {
				err = f.save(filepath.Join(dir, name+"-"+t.name+".svg"))
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("chart %s: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// exportChart shows exports over one property of their settings.
type exportChart struct {
	// what is exported; empty means a cache.
	what     string
	title, x string
	xScale   scale
	of       func(setting) int
}

// head begins the title of a chart.
func (c exportChart) head(of string) string {
	return of + " of an export of " + cmp.Or(c.what, "a cache") + ", " + c.title
}

func (c exportChart) memory(all []export) chart {
	// A killed daemon had all that it was allowed to have.
	lines := c.lines(all, func(s summary) float64 { return float64(s.peak) }, func(s summary) float64 { return float64(s.Limit) })
	chart := lineChart{title: c.head("Peak memory"), x: c.x, y: "memory of the daemon", xScale: c.xScale, yScale: bytesScale, lines: lines}
	for _, limit := range limits(all) {
		if limit == none {
			continue
		}
		chart.levels = append(chart.levels, level{label: "limit " + size(limit), at: float64(limit)})
	}
	return chart
}

func (c exportChart) time(all []export) chart {
	seconds := func(s summary) float64 { return s.seconds }
	return lineChart{
		title: c.head("Time"), x: c.x, y: "time", xScale: c.xScale, yScale: secondsScale,
		lines: c.lines(all, seconds, seconds),
	}
}

// lines makes a line for each daemon and limit.
func (c exportChart) lines(all []export, value, killed func(summary) float64) []line {
	var lines []line
	for _, column := range columnsOf(all) {
		l := line{label: column.String(), role: roleStock, dashed: column.limit != limit}
		if column.daemon == guarded {
			l.role = roleGuarded
		}
		for _, s := range summarize(all) {
			if s.Daemon != column.daemon || s.Limit != column.limit {
				continue
			}
			x := float64(c.of(s.setting))
			if s.wasKilled() {
				l.killed = append(l.killed, plotter.XY{X: x, Y: killed(s)})
			} else {
				l.points = append(l.points, plotter.XY{X: x, Y: value(s)})
			}
		}
		slices.SortFunc(l.points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		lines = append(lines, l)
	}
	return lines
}

// importChart compares the ways to export.
func (d *data) importChart(title, y string, value func(imported) float64) chart {
	c := barChart{title: title, y: y, bars: []bar{
		{label: stock, role: roleStock, write: plain},
		{label: guarded, role: roleGuarded, write: plain},
	}}
	for _, w := range d.ways() {
		c.groups = append(c.groups, w.String())
		for n := range c.bars {
			c.bars[n].values = append(c.bars[n].values, value(d.imported(c.bars[n].label, w)))
		}
	}
	return c
}

// overheadChart compares stock and guarded daemons without variants.
func (d *data) overheadChart() chart {
	stockPrepare, stockTotal := d.overheadOf(stock, 1)
	prepare, total := d.overheadOf(guarded, 1)
	return barChart{
		title:  "Time of a cache export without variants",
		y:      "seconds",
		groups: []string{"collecting the records", "whole export"},
		bars: []bar{
			{label: stock, role: roleStock, values: plotter.Values{stockPrepare, stockTotal}, write: duration},
			{label: guarded, role: roleGuarded, values: plotter.Values{prepare, total}, write: duration},
		},
	}
}

// remotesChart shows how long the remotes of one ref take without a daemon.
func (d *data) remotesChart() chart {
	c := lineChart{title: "Remotes of one ref in two compressions", x: "layers", y: "time", xScale: layersScale, yScale: secondsScale}
	for _, l := range []struct {
		label, kind string
		role        role
	}{
		{"upstream, all remotes", "upstream", roleStock},
		{"guarded", "guarded", roleGuarded},
		{"upstream, the main remote alone", "main", roleOther},
	} {
		found := line{label: l.label, role: l.role}
		for n := range 128 {
			for _, name := range remotesNames(n, 2, l.kind) {
				if v, ok := d.Guard.value(name, "ns/op"); ok {
					found.points = append(found.points, plotter.XY{X: float64(n), Y: v / 1e9})
				}
			}
		}
		c.lines = append(c.lines, found)
	}
	return c
}

func (d *data) soakMemory() chart {
	mib := func(bytes int64) float64 { return float64(bytes) / (1 << 20) }
	return lineChart{
		title: "Memory after a forced garbage collection", x: "exports", y: "MiB", xScale: linearScale, yScale: linearScale,
		lines: append(
			d.soakLines("resident", false, func(s soaked) float64 { return mib(s.RSS) }),
			d.soakLines("heap", true, func(s soaked) float64 { return mib(s.Heap) })...,
		),
	}
}

func (d *data) soakOpen() chart {
	return lineChart{
		title: "Goroutines and open files", x: "exports", y: "number", xScale: linearScale, yScale: linearScale,
		lines: append(
			d.soakLines("goroutines", false, func(s soaked) float64 { return float64(s.Goroutines) }),
			d.soakLines("open files", true, func(s soaked) float64 { return float64(s.Files) })...,
		),
	}
}

// soakLines are a line for each daemon.
func (d *data) soakLines(what string, dashed bool, value func(soaked) float64) []line {
	var lines []line
	for _, of := range []struct {
		daemon string
		role   role
	}{{stock, roleStock}, {guarded, roleGuarded}} {
		l := line{label: of.daemon + ", " + what, role: of.role, dashed: dashed}
		for _, s := range d.soakOf(of.daemon) {
			l.points = append(l.points, plotter.XY{X: float64(s.Export), Y: value(s)})
		}
		lines = append(lines, l)
	}
	return lines
}

// remotesNames are the benchmarks of the remotes of one ref: upstream cannot go
// as far as the second.
func remotesNames(layers, compressions int, kind string) []string {
	name := fmt.Sprintf("/layers=%d/compressions=%d/%s", layers, compressions, kind)
	return []string{"GetRemotes" + name, "GetRemotesBeyondUpstream" + name}
}

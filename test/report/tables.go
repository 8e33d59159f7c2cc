package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	units "github.com/docker/go-units"

	"github.com/bkguard/bkguard/test/harness"
)

// table writes rows in Markdown, the first one as the head.
func table(rows ...[]string) string {
	var text strings.Builder
	for n, row := range rows {
		if n == 0 {
			harness.TableHead(&text, row...)
		} else {
			harness.TableRow(&text, row...)
		}
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// tableIfAny is empty if there is no row but the head.
func tableIfAny(rows [][]string) string {
	if len(rows) == 1 {
		return ""
	}
	return table(rows...)
}

// LayersTable is over layers, a column for each daemon and limit.
func (d *data) LayersTable() string {
	return exportTable(d.Layers, "layers", func(s setting) int { return s.Layers }, setting.combinations)
}

// CompressionsTable is over compressions.
func (d *data) CompressionsTable() string {
	return exportTable(d.Compressions, "compressions", func(s setting) int { return s.Compressions }, setting.combinations)
}

// ConcurrentTable is over layers.
func (d *data) ConcurrentTable() string {
	return exportTable(d.Concurrent, "layers", func(s setting) int { return s.Layers }, setting.combinations)
}

// exportTable has a row for each value of one property of the settings, and in it the
// combinations if there is a function for them.
func exportTable(all []export, name string, of func(setting) int, combinations func(setting) string) string {
	if len(all) == 0 {
		return ""
	}
	columns := columnsOf(all)
	head := []string{name}
	if combinations != nil {
		head = append(head, "combinations")
	}
	first := len(head)
	for _, c := range columns {
		head = append(head, c.String())
	}
	rows := [][]string{head}
	summaries := summarize(all)
	slices.SortStableFunc(summaries, func(a, b summary) int { return of(a.setting) - of(b.setting) })
	for n, s := range summaries {
		if n == 0 || of(s.setting) != of(summaries[n-1].setting) {
			row := make([]string, first+len(columns))
			row[0] = strconv.Itoa(of(s.setting))
			if combinations != nil {
				row[1] = combinations(s.setting)
			}
			rows = append(rows, row)
		}
		rows[len(rows)-1][first+slices.Index(columns, column{s.Daemon, s.Limit})] = s.text()
	}
	return table(rows...)
}

// combinations is the number of remotes that stock builds for the topmost layer,
// whose own blob is given by the requested compression.
func (s setting) combinations() string {
	if s.Compressions == 1 {
		return "1"
	}
	return fmt.Sprintf("%d^%d", s.Compressions, s.Layers-1)
}

// text is the summary in a few words.
func (s summary) text() string {
	switch {
	case s.rounds == 0:
		return ""
	case s.killed == s.rounds && s.Exports > 1:
		return fmt.Sprintf("killed, %d of %d done", s.done, s.Exports)
	case s.killed == s.rounds:
		return "killed"
	case s.killed > 0:
		return fmt.Sprintf("killed in %d of %d rounds", s.killed, s.rounds)
	}
	return fmt.Sprintf("%s, %s", size(s.peak), duration(s.seconds))
}

// ImportsTable has a row for each way to export.
func (d *data) ImportsTable() string {
	if len(d.Imports) == 0 {
		return ""
	}
	rows := [][]string{{"exporter", "asked for", "stock: cached", "blobs/layers", "bytes", "guarded: cached", "blobs/layers", "bytes"}}
	for _, w := range d.ways() {
		row := []string{w.exporter, w.requested}
		for _, daemon := range []string{stock, guarded} {
			i := d.imported(daemon, w)
			row = append(row, cached(i), fmt.Sprintf("%d/%d", i.Blobs, i.Layers), size(i.Bytes))
		}
		rows = append(rows, row)
	}
	return table(rows...)
}

func cached(i imported) string { return fmt.Sprintf("%d of %d", i.Cached, i.Steps) }

// OverheadTable has a row for each part of an export.
func (d *data) OverheadTable() string {
	if len(d.Overhead) == 0 {
		return ""
	}
	stockPrepare, stockTotal := d.overheadOf(stock, 1)
	prepare, total := d.overheadOf(guarded, 1)
	variedPrepare, variedTotal := d.overheadOf(guarded, 2)
	row := func(what string, stock, guarded, varied float64) []string {
		return []string{what, duration(stock), duration(guarded), ratio(guarded / stock), duration(varied)}
	}
	return table(
		[]string{"", "stock", "guarded", "guarded beside stock", "guarded, two compressions"},
		row("collecting the records", stockPrepare, prepare, variedPrepare),
		row("whole export", stockTotal, total, variedTotal),
	)
}

// RemotesTable is what the benchmarks of guard/ say of the remotes of one ref.
func (d *data) RemotesTable() string {
	if len(d.Guard) == 0 {
		return ""
	}
	rows := [][]string{{"layers", "compressions", "upstream, all", "allocations", "guarded", "allocations", "main remote alone", "allocations"}}
	for layers := range 128 {
		for compressions := range 5 {
			row := []string{strconv.Itoa(layers), strconv.Itoa(compressions)}
			for _, kind := range []string{"upstream", "guarded", "main"} {
				var took, allocations string
				for _, name := range remotesNames(layers, compressions, kind) {
					took += d.Guard.text(name, "ns/op", nanoseconds)
					allocations += d.Guard.text(name, "allocs/op", plain)
				}
				row = append(row, took, allocations)
			}
			if strings.Join(row[2:], "") != "" {
				rows = append(rows, row)
			}
		}
	}
	return table(rows...)
}

// liveSizes are the exports whose memory is measured.
var liveSizes = []struct{ records, layers int }{{250, 127}, {500, 127}, {500, 64}}

// LiveTable is what the benchmarks of guard/ say of the memory that is kept.
func (d *data) LiveTable() string {
	rows := [][]string{{"records", "layers of each", "an export of the guard", "main remotes of upstream alone"}}
	for _, size := range liveSizes {
		name := fmt.Sprintf("/records=%d/layers=%d", size.records, size.layers)
		kept := d.Guard.text("ExportLiveBytes/guarded"+name, "live-B", units.BytesSize)
		if kept == "" {
			continue
		}
		rows = append(rows, []string{strconv.Itoa(size.records), strconv.Itoa(size.layers), kept, d.Guard.text("ExportLiveBytes/main"+name, "live-B", units.BytesSize)})
	}
	return tableIfAny(rows)
}

// RemoteTable is what the benchmarks of guard/ say of the memory of upstream's product.
func (d *data) RemoteTable() string {
	rows := [][]string{{"layers", "remotes in 2 compressions", "memory of each"}}
	for _, layers := range []int{12, 16, 18} {
		if each := d.Guard.text(fmt.Sprintf("UpstreamLiveBytes/layers=%d", layers), "live-B/remote", units.BytesSize); each != "" {
			rows = append(rows, []string{strconv.Itoa(layers), fmt.Sprintf("2^%d", layers-1), each})
		}
	}
	return tableIfAny(rows)
}

// OwnTable is what the benchmarks of guard/ say of the time that the guard itself takes.
func (d *data) OwnTable() string {
	rows := [][]string{{"records", "one compression", "beside half as many", "two compressions", "beside half as many"}}
	for records := 1000; records <= 4000; records *= 2 {
		row := []string{strconv.Itoa(records)}
		for compressions := 1; compressions <= 2; compressions++ {
			name := func(records int) string {
				return fmt.Sprintf("ExportRecords/compressions=%d/records=%d", compressions, records)
			}
			half, ok := d.Guard.value(name(records/2), "ns/export")
			took, both := d.Guard.value(name(records), "ns/export")
			if !ok || !both {
				return ""
			}
			row = append(row, nanoseconds(took), ratio(took/half))
		}
		rows = append(rows, row)
	}
	return table(rows...)
}

// WalkTable compares the walk over the variants of a chain with its floor.
func (d *data) WalkTable() string {
	const layers = 127
	rows := [][]string{{"compressions", "floor", "allocations", "walk", "allocations", "walk beside floor"}}
	for compressions := range 5 {
		name := fmt.Sprintf("Walk/layers=%d/compressions=%d/", layers, compressions)
		floor, ok := d.Guard.value(name+"floor", "ns/op")
		walk, both := d.Guard.value(name+"walk", "ns/op")
		if !ok || !both {
			continue
		}
		rows = append(rows, []string{
			strconv.Itoa(compressions),
			nanoseconds(floor), d.Guard.text(name+"floor", "allocs/op", plain),
			nanoseconds(walk), d.Guard.text(name+"walk", "allocs/op", plain),
			ratio(walk / floor),
		})
	}
	return tableIfAny(rows)
}

// SoakTable compares an early moment of each daemon with its last one.
func (d *data) SoakTable() string {
	rows := [][]string{{"daemon", "exports", "resident", "heap", "goroutines", "open files"}}
	for _, daemon := range []string{stock, guarded} {
		samples := d.soakOf(daemon)
		early := slices.IndexFunc(samples, func(s soaked) bool { return s.Export >= 500 })
		if early < 0 {
			continue
		}
		first, last := samples[early], samples[len(samples)-1]
		for _, s := range []soaked{first, last} {
			rows = append(rows, []string{daemon, strconv.Itoa(s.Export), size(s.RSS), size(s.Heap), strconv.Itoa(s.Goroutines), strconv.Itoa(s.Files)})
		}
		rows = append(rows, []string{daemon, "growth", growth(first.RSS, last.RSS), growth(first.Heap, last.Heap), "", ""})
	}
	return tableIfAny(rows)
}

func growth(first, last int64) string {
	return fmt.Sprintf("%+.1f%%", 100*(float64(last)/float64(first)-1))
}

// MeasuredTable says when and where each section was measured.
func (d *data) MeasuredTable() string {
	if len(d.Measured) == 0 {
		return ""
	}
	rows := [][]string{{"section", "on", "machine", "stock", "guarded", "built with"}}
	for _, m := range d.Measured {
		machine := fmt.Sprintf("%d cores of %s, %s, %s", m.Cores, m.CPU, size(m.Memory), m.Kernel)
		rows = append(rows, []string{m.Section, m.Date, machine, m.Stock, m.Guarded, m.Go})
	}
	return table(rows...)
}

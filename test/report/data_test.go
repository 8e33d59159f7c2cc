package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// sample has something of everything.
func sample() *data {
	d := &data{
		Measured: []measured{{"layers", "2026-01-02", machine{"A Processor", 2, 24 << 30, "Linux 6.1.0", "v1", "v1+bkguard.2", "go1"}}},
		Imports: []imported{
			{stock, "registry", "gzip", 1, 15, 17, 3 << 20, 3, 3},
			{guarded, "registry", "gzip", 1, 15, 15, 2 << 20, 3, 3},
			{stock, "inline", "gzip", 1, 15, 15, 2 << 20, 3, 0},
			{guarded, "inline", "gzip", 1, 15, 15, 2 << 20, 3, 3},
		},
		Identity: []rebuilt{
			{stock, "zstd and gzip", "steps", unvaried, "inline", 9, 9, 2, 2},
			{stock, "zstd and gzip", "steps", "zstd", "inline", 9, 5, 2, 1},
			{stock, "zstd and gzip", "links", "zstd", "inline", 9, 4, 2, 1},
			{guarded, "zstd and gzip", "steps", unvaried, "inline", 9, 9, 2, 2},
			{guarded, "zstd and gzip", "steps", "zstd", "inline", 9, 9, 2, 2},
		},
		Overhead: []overhead{{stock, 1, 1, 0.04, 1.5}, {guarded, 1, 1, 0.042, 1.515}, {guarded, 2, 1, 0.05, 1.6}},
		Soak:     []soaked{{guarded, 100, 90 << 20, 30 << 20, 60, 20}, {guarded, 500, 100 << 20, 40 << 20, 70, 30}, {guarded, 2000, 101 << 20, 40 << 20, 70, 30}, {stock, 500, 100 << 20, 40 << 20, 70, 30}, {stock, 2000, 120 << 20, 50 << 20, 70, 30}},
		Floor:    "The floor is *here*.",
		LastRuns: map[string]string{"matrix.md": "2026-01-02, bkguard-1"},
	}
	for _, layers := range []int{64, 127} {
		for _, of := range []column{{stock, limit}, {guarded, limit}, {stock, none}, {guarded, none}} {
			killed := of == column{stock, limit} && layers > 64
			c := conversion{of.daemon, of.limit, layers, 3, 1, outcome{1, killed, int64(layers) << 22, 2}}
			if killed {
				c.Done = 0
			}
			if of.daemon == guarded {
				c.Seconds = 1
			}
			d.Conversions = append(d.Conversions, c)
			c.Layers, c.Level = 64, layers/6
			d.Levels = append(d.Levels, c)
		}
	}
	for _, exporter := range []string{"s3", "azblob"} {
		for _, exports := range []int{1, 4} {
			killed := exports > 1
			d.Uploads = append(d.Uploads,
				upload{stock, limit, exporter, exports, 1, outcome{0, killed, 512 << 20, 2}},
				upload{guarded, limit, exporter, exports, 1, outcome{exports, false, 200 << 20, 3}},
				upload{stock, none, exporter, exports, 1, outcome{exports, false, 700 << 20, 4}})
		}
	}
	for _, layers := range []int{16, 20, 64} {
		for _, s := range []setting{{stock, limit, layers, 2, 1}, {stock, roomy, layers, 2, 1}, {guarded, limit, layers, 2, 1}} {
			killed := s.Daemon == stock && layers > 16 && int64(layers)<<27 > s.Limit
			e := export{setting: s, Round: 1, outcome: outcome{Done: 1, Killed: killed, Peak: int64(layers) << 22, Seconds: float64(layers) / 10}}
			if killed {
				e.Done = 0
			}
			d.Layers = append(d.Layers, e)
			if s.Limit == limit {
				d.Engines = append(d.Engines, e)
				e.Exports, e.Done = 8, 8*e.Done
				d.Concurrent = append(d.Concurrent, e)
			}
			e.Layers, e.Compressions, e.Exports = 12, layers/16, 1
			d.Compressions = append(d.Compressions, e)
		}
	}
	for _, kind := range crowdKinds {
		killed := kind == crowdKind{stock, 2}
		d.Crowd = append(d.Crowd, export{setting: kind.of(crowdSettings[0]), Round: 1, outcome: outcome{1, killed, 200 << 20, 2}})
	}
	for _, r := range []records{recordsSettings[0], recordsSettings[len(recordsSettings)-1]} {
		for _, r.Daemon = range []string{stock, guarded} {
			for r.Export = 1; r.Export <= recordsExports; r.Export++ {
				r.Killed = r.Limit > 0 && r.Daemon == stock
				r.Prepare, r.Total, r.Growth, r.Trace, r.WithHistory = 2, 4, 120<<20, 20<<20, 140<<20
				if r.Daemon == guarded {
					r.Prepare, r.Total, r.Growth = 1, 1, 60<<20
				}
				d.Records = append(d.Records, r)
				if r.Killed {
					break
				}
			}
		}
	}
	for _, kind := range []string{"upstream", "guarded", "main"} {
		for _, layers := range []int{8, 16} {
			name := remotesNames(layers, 2, kind)[0]
			d.Guard = append(d.Guard, benchmark{name, 1, "ns/op", 1e4}, benchmark{name, 1, "allocs/op", 12})
		}
	}
	for _, walk := range []struct {
		kind  string
		nanos float64
	}{{"floor", 1e6}, {"walk", 1.25e6}} {
		name := "Walk/layers=127/compressions=2/" + walk.kind
		d.Guard = append(d.Guard, benchmark{name, 1, "ns/op", walk.nanos}, benchmark{name, 1, "allocs/op", 7})
	}
	d.Guard = append(d.Guard,
		benchmark{"ExportLiveBytes/guarded/records=500/layers=127", 1, "live-B", 5 << 20},
		benchmark{"ExportLiveBytes/main/records=500/layers=127", 1, "live-B", 10 << 20},
		benchmark{"UpstreamLiveBytes/layers=12", 1, "live-B/remote", 4 << 10})
	for compressions := 1; compressions <= 2; compressions++ {
		for records := 500; records <= 4000; records *= 2 {
			d.Guard = append(d.Guard, benchmark{fmt.Sprintf("ExportRecords/compressions=%d/records=%d", compressions, records), 1, "ns/export", float64(records) * 1e5})
		}
	}
	return d
}

// save writes the data as the measurements do.
func (d *data) save(t *testing.T, dir string) {
	t.Helper()
	for name, rows := range map[string]any{
		"measured": d.Measured, "conversions": d.Conversions, "levels": d.Levels, "uploads": d.Uploads, "layers": d.Layers, "compressions": d.Compressions, "concurrent": d.Concurrent,
		"crowd": d.Crowd, "records": d.Records, "engines": d.Engines, "identity": d.Identity,
		"imports": d.Imports, "overhead": d.Overhead, "guard": d.Guard, "soak": d.Soak,
	} {
		require.NoError(t, writeRows(filepath.Join(dir, name+".csv"), rows))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "floor.md"), []byte(d.Floor+"\n"), 0o644))
}

func TestDataReadsBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "benchmarks")
	sample().save(t, dir)
	for page, text := range map[string]string{"matrix.md": "Last run on 2026-01-02\nwith bkguard-1, go1.\n", "other.md": "With nothing.\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(dir), page), []byte(text), 0o644))
	}
	d, err := load(dir)
	require.NoError(t, err)
	assert.Equal(t, sample(), d)
}

func TestNothingMeasuredIsEmpty(t *testing.T) {
	d, err := load(t.TempDir())
	require.NoError(t, err)
	assert.Equal(t, &data{LastRuns: map[string]string{}}, d)
}

func TestColumnsAreAsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layers.csv")
	require.NoError(t, writeRows(path, sample().Layers[:1]))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, `daemon,limit_bytes,layers,compressions,exports,round,done,killed,peak_rss_bytes,seconds
stock,536870912,16,2,1,1,1,false,67108864,1.6
`, string(text))
}

func TestDamagedDataIsNamed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "soak.csv")
	for text, want := range map[string]string{
		"daemon,export,rss_bytes\nstock,1,2\n":                                   "soak.csv: csvutil: missing column",
		"daemon,export,rss_bytes,heap_bytes,goroutines,files\nstock,1,2,3,4,x\n": "soak.csv: csvutil: cannot unmarshal \"x\"",
		"daemon,export,rss_bytes,heap_bytes,goroutines,files\nstock,1,2\n":       "soak.csv: record on line 2: wrong number of fields",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		_, err := load(dir)
		assert.ErrorContains(t, err, want)
	}
}

// TestLastRunIsRead holds that the report finds what the commands write into their pages.
func TestLastRunIsRead(t *testing.T) {
	for _, rest := range []string{", go1.\n", ",\nwhich", ".\n", " beside others"} {
		found := lastRun.FindStringSubmatch(harness.LastRun("bkguard-1.0.0-abc") + rest)
		require.NotNil(t, found, "followed by %q", rest)
		assert.Equal(t, "bkguard-1.0.0-abc", found[2], "followed by %q", rest)
	}
}

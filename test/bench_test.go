package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// The build of BenchmarkExport: every stage has a record for each of its steps,
// and the last of them has a chain of 61 layers.
const (
	benchBase   = 57
	benchStages = 50
	benchSteps  = 4
)

// BenchmarkExport exports the same cache, 200 records upon 61 layers, from three
// daemons in turn: stock and guarded ones with each layer in one compression, and
// a guarded one with each layer in two. It reports the medians of the guarded
// ones as multiples: "guarded" of stock, "varied" of the other guarded one.
func BenchmarkExport(b *testing.B) {
	registry := startRegistry(b)
	base, err := registry.PushBase(b.Context(), harness.Base{Layers: benchBase})
	require.NoError(b, err)
	build := harness.Build{Dockerfile: manyStages(base)}
	start := func(name, binary string, attributes ...string) *exported {
		e := &exported{build: build, image: registry.Host + "/" + name + ":latest"}
		e.daemon = startDaemon(b, harness.DaemonOptions{Binary: binary, Registries: []string{registry.Host}})
		e.build.ExportCache = []string{"type=registry,mode=max,ref=" + e.image}
		// The first export makes the blobs, so that none measured has to.
		for _, a := range append([]string{""}, attributes...) {
			first := build
			first.ExportCache = []string{e.build.ExportCache[0] + a}
			_, err := e.daemon.Build(b.Context(), first)
			require.NoError(b, err)
		}
		return e
	}
	stock := start("stock", binaries(b).Stock)
	guarded := start("guarded", binaries(b).Guarded)
	varied := start("varied", binaries(b).Guarded, ",compression=zstd,force-compression=true", "")
	for b.Loop() {
		for _, e := range []*exported{stock, guarded, varied} {
			times, err := e.daemon.TimeExport(b.Context(), e.build)
			require.NoError(b, err)
			e.prepare = append(e.prepare, times.Prepare)
			e.total = append(e.total, times.Total)
		}
	}
	for _, e := range []*exported{stock, guarded, varied} {
		m, err := registry.Cache(b.Context(), e.image)
		require.NoError(b, err)
		require.Len(b, m.Blobs, benchBase+benchStages*(benchSteps+1), e.image)
	}
	b.ReportMetric(0, "ns/op") // of all three together, which says nothing
	b.ReportMetric(float64(median(stock.prepare).Milliseconds()), "stock-prepare-ms")
	b.ReportMetric(float64(median(stock.total).Milliseconds()), "stock-total-ms")
	b.ReportMetric(ratio(guarded.prepare, stock.prepare), "guarded-prepare-x")
	b.ReportMetric(ratio(guarded.total, stock.total), "guarded-total-x")
	b.ReportMetric(ratio(varied.prepare, guarded.prepare), "varied-prepare-x")
	b.ReportMetric(ratio(varied.total, guarded.total), "varied-total-x")
}

// exported is a daemon, what it exports and how long it took.
type exported struct {
	daemon         *harness.Daemon
	build          harness.Build
	image          string
	prepare, total []time.Duration
}

// manyStages is a Dockerfile with stages of RUN steps upon one base image, and a
// last stage that needs them all.
func manyStages(base string) string {
	var stages, last strings.Builder
	for stage := range benchStages {
		fmt.Fprintf(&stages, "FROM %s AS stage-%d\n", base, stage)
		for step := range benchSteps {
			fmt.Fprintf(&stages, "RUN [\"/bin/step\", \"/step-%d\", \"%d\"]\n", step, stage)
		}
		fmt.Fprintf(&last, "COPY --from=stage-%d /step-%d /stage-%d\n", stage, benchSteps-1, stage)
	}
	return stages.String() + "FROM scratch\n" + last.String()
}

func median(of []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(of))[len(of)/2]
}

func ratio(of, to []time.Duration) float64 {
	return float64(median(of)) / float64(median(to))
}

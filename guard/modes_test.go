package guard

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	"github.com/moby/buildkit/worker"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/bkguard/bkguard/config"
)

func TestWhoSetsTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	write(t, path, "block")
	exporters := map[string]config.Exporter{"s3": {Mode: config.ModeObserve}, "local": {Prefer: config.PreferMain}}
	for _, test := range []struct {
		config       config.Config
		exporterType string
		mode         config.Mode
		source       ModeSource
	}{
		{config.Config{}, "s3", config.ModeEnforce, ModeFromGuard},
		{config.Config{Mode: config.ModeSingle, Exporters: exporters}, "local", config.ModeSingle, ModeFromGuard},
		{config.Config{Mode: config.ModeSingle, Exporters: exporters}, "s3", config.ModeObserve, ModeFromExporter},
		{config.Config{Override: config.ModeOff, Exporters: exporters}, "s3", config.ModeOff, ModeFromEnvironment},
		{config.Config{Override: config.ModeOff, Exporters: exporters, SwitchFile: path}, "s3", config.ModeBlock, ModeFromSwitch},
	} {
		g := newTestGuard(t, test.config)
		mode, source := g.Mode(test.exporterType)
		assert.Equal(t, test.mode, mode)
		assert.Equal(t, test.source, source)
		require.NoError(t, g.Close())
	}
}

func TestBuildMayAskForAStricterMode(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 6, compression.Zstd)
	g := newTestGuard(t, config.Config{})
	for asked, outcome := range map[string]Outcome{"enforce": OutcomePlain, "single": OutcomeSpared, "block": OutcomeBlocked} {
		target := contentutil.NewBuffer()
		e := decorated(t, g, "registry", contentExporter(target, compression.New(compression.Zstd)), map[string]string{ModeAttribute: asked})
		refCfg := requested(e.Config().Compression.Type)
		if asked == "block" {
			remotes, err := getRemotes(c.Ctx, g.Worker(c.worker()), ref, refCfg, true)
			require.NoError(t, err)
			assert.Empty(t, remotes)
		} else {
			addRecords(t, c, g.Worker(c.worker()), e, refCfg.Compression, ref)
		}
		_, err := e.Finalize(c.Ctx)
		require.NoError(t, err)
		assert.Equal(t, outcome, g.Status().Decisions[0].Outcome, asked)
	}

	funcs := g.CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{"inline": inline.ResolveCacheExporterFunc()})
	for asked, want := range map[string]string{
		"observe": `guard-mode "observe" is laxer than "enforce", which is set by guard (allowed: enforce, single, block)`,
		"sinlge":  `unknown guard-mode "sinlge", did you mean "single"? (allowed: off, observe, enforce, single, block)`,
	} {
		_, err := funcs["inline"](t.Context(), nil, map[string]string{ModeAttribute: asked})
		assert.EqualError(t, err, want)
	}
}

// TestSwitchFailsNoBuild has builds that ask for a mode which the switch file
// has made the laxer one.
func TestSwitchFailsNoBuild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	write(t, path, "block")
	g := switchedGuard(t, path)
	e := decorated(t, g, "registry", contentExporter(fullDisk{}, compression.New(compression.Zstd)), map[string]string{ModeAttribute: "single"})
	_, err := e.Finalize(t.Context())
	require.NoError(t, err)
	assert.Equal(t, OutcomeBlocked, g.Status().Decisions[0].Outcome)
}

// TestBlockSkipsTheExport switches before, and in the middle of, exports.
func TestBlockSkipsTheExport(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 6, compression.Zstd)
	path := filepath.Join(t.TempDir(), "mode")
	write(t, path, "")
	g := switchedGuard(t, path)

	e := decorated(t, g, "registry", contentExporter(fullDisk{}, compression.New(compression.Zstd)), nil)
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, ref)
	in := decorated(t, g, "inline", inline.ResolveCacheExporterFunc(), nil)
	addRecords(t, c, g.Worker(c.worker()), in, compression.New(compression.Zstd), ref)
	write(t, path, "block")
	becomes(t, g, config.ModeBlock)

	warnings := clientWarnings(c.Ctx, func(ctx context.Context) {
		response, err := e.Finalize(ctx)
		require.NoError(t, err, "nothing is written")
		assert.Empty(t, response)
		data, err := in.(inlineCache).ExportForLayers(ctx, inlineLayers(t, c, ref, compression.Zstd))
		require.NoError(t, err)
		assert.Nil(t, data)
	})
	assert.ElementsMatch(t, []string{
		"cache guard: registry cache export skipped, mode block is set by switchFile",
		"cache guard: inline cache export skipped, mode block is set by switchFile",
	}, warnings)

	_, added, err := e.Add("sha256:x", nil, nil)
	require.NoError(t, err)
	assert.False(t, added)

	write(t, path, "enforce")
	becomes(t, g, config.ModeEnforce)
	data, err := in.(inlineCache).ExportForLayers(c.Ctx, inlineLayers(t, c, ref, compression.Zstd))
	require.NoError(t, err)
	assert.NotNil(t, data, "the next image of the same build has its cache")
}

// TestLiftedBlockSkipsTheWholeExport lifts the mode when one record was skipped,
// by the exporter or already by the worker: the others must not replace a whole
// cache. The next export is one again.
func TestLiftedBlockSkipsTheWholeExport(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 6, compression.Zstd)
	path := filepath.Join(t.TempDir(), "mode")
	g := switchedGuard(t, path)
	for name, skip := range map[string]func(w worker.Worker, e remotecache.Exporter){
		"by the exporter": func(_ worker.Worker, e remotecache.Exporter) {
			_, added, err := e.Add("sha256:x", nil, nil)
			require.NoError(t, err)
			assert.False(t, added)
		},
		"by the worker": func(w worker.Worker, e remotecache.Exporter) {
			remotes, err := getRemotes(c.Ctx, w, ref, requested(e.Config().Compression.Type), true)
			require.NoError(t, err)
			assert.Empty(t, remotes)
		},
	} {
		t.Run(name, func(t *testing.T) {
			target := contentutil.NewBuffer()
			w, e := g.Worker(c.worker()), decorated(t, g, "registry", contentExporter(target, compression.New(compression.Zstd)), nil)
			write(t, path, "block")
			becomes(t, g, config.ModeBlock)
			skip(w, e)
			write(t, path, "enforce")
			becomes(t, g, config.ModeEnforce)
			addRecords(t, c, w, e, e.Config().Compression, ref)
			response, err := e.Finalize(c.Ctx)
			require.NoError(t, err)
			assert.Empty(t, response)
			assert.Equal(t, OutcomeBlocked, g.Status().Decisions[0].Outcome)

			addRecords(t, c, w, e, e.Config().Compression, ref)
			assert.Equal(t, 1, finalize(t, c.Ctx, e, target).results())
		})
	}
}

// TestStatusAndMetricsSayTheSame reads both after one export of each outcome.
func TestStatusAndMetricsSayTheSame(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 12, compression.Zstd)
	plain := newTestCache(t)
	g := newTestGuard(t, config.Config{Exporters: map[string]config.Exporter{"s3": {Mode: config.ModeObserve}, "gha": {Mode: config.ModeBlock}}})
	reader := sdkmetric.NewManualReader()
	g.measure(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	g.measure(nil)
	for _, exporterType := range []string{"registry", "s3", "gha"} {
		e := decorated(t, g, exporterType, contentExporter(contentutil.NewBuffer(), compression.New(compression.Zstd)), nil)
		if exporterType != "gha" {
			addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, ref)
		}
		_, err := e.Finalize(c.Ctx)
		require.NoError(t, err)
	}
	e := decorated(t, g, "local", contentExporter(contentutil.NewBuffer(), compression.New(compression.Zstd)), nil)
	addRecords(t, plain, g.Worker(plain.worker()), e, e.Config().Compression, []cache.ImmutableRef{plain.Chain(t, 2)}...)
	_, err := e.Finalize(plain.Ctx)
	require.NoError(t, err)

	status := g.Status()
	assert.Equal(t, map[Outcome]int64{OutcomeSpared: 1, OutcomeObserved: 1, OutcomeBlocked: 1, OutcomePlain: 1}, status.Exports)
	assert.Equal(t, Estimate{Remotes: 2048}.UpstreamBytes(), status.Avoided)
	assert.Equal(t, ModeStatus{config.ModeObserve, ModeFromExporter}, status.Modes["s3"])
	require.Len(t, status.Decisions, 4)
	assert.Equal(t, "local", status.Decisions[0].Exporter, "the newest comes first")
	last := status.Decisions[3]
	assert.Equal(t, []any{"registry", config.ModeEnforce, OutcomeSpared, 1, 12, 2, "2048"},
		[]any{last.Exporter, last.Mode, last.Outcome, last.Records, last.Layers, last.Compressions, last.Remotes})
	_, err = json.Marshal(status)
	require.NoError(t, err)

	var metrics metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &metrics))
	byName := map[string]metricdata.Aggregation{}
	for _, m := range metrics.ScopeMetrics[0].Metrics {
		byName[m.Name] = m.Data
	}
	outcomes := map[string]int64{}
	for _, point := range byName["bkguard.exports"].(metricdata.Sum[int64]).DataPoints {
		outcome, _ := point.Attributes.Value(outcomeKey)
		outcomes[outcome.AsString()] += point.Value
	}
	assert.Equal(t, map[string]int64{"spared": 1, "observed": 1, "blocked": 1, "plain": 1}, outcomes)
	assert.InDelta(t, float64(Estimate{Remotes: 2048}.UpstreamBytes()), byName["bkguard.avoided"].(metricdata.Sum[float64]).DataPoints[0].Value, 0)
	assert.Len(t, byName["bkguard.mode"].(metricdata.Gauge[int64]).DataPoints, len(config.ExporterTypes()))
	estimates := map[string]uint64{}
	for _, point := range byName["bkguard.estimate"].(metricdata.Histogram[float64]).DataPoints {
		exporterType, _ := point.Attributes.Value(exporterKey)
		estimates[exporterType.AsString()] = point.Count
	}
	assert.Equal(t, map[string]uint64{"registry": 1, "s3": 1, "local": 1}, estimates)
	builds := byName["bkguard.build.info"].(metricdata.Gauge[int64]).DataPoints
	require.Len(t, builds, 1)
	version, _ := builds[0].Attributes.Value("version")
	assert.Equal(t, Version, version.AsString())
	assert.EqualValues(t, g.Budget(), byName["bkguard.budget"].(metricdata.Gauge[int64]).DataPoints[0].Value)
	for _, name := range []string{"bkguard.records.spared", "bkguard.walk.errors", "bkguard.blobs.replaced", "bkguard.blobs.lost", "bkguard.switch.faults", "bkguard.live", "bkguard.estimate",
		"bkguard.memory.running", "bkguard.memory.waiting", "bkguard.memory.expired", "bkguard.conversions.failed"} {
		assert.Contains(t, byName, name)
	}
}

func TestStatusKeepsTheLastDecisions(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	for n := range keptDecisions + 5 {
		g.stats.add(Decision{Records: n, Outcome: OutcomePlain})
	}
	decisions := g.Status().Decisions
	require.Len(t, decisions, keptDecisions)
	assert.Equal(t, keptDecisions+4, decisions[0].Records)
	assert.Equal(t, 5, decisions[keptDecisions-1].Records)
}

// TestObservedIsLoggedOnce has records that would be spared in an export, in two inline caches,
// and one that would not.
func TestObservedIsLoggedOnce(t *testing.T) {
	g := newTestGuard(t, config.Config{Mode: config.ModeObserve})
	finding := func(layers int) *finding {
		return &finding{requested: compression.Zstd, estimate: NewEstimate(repeat(2, layers))}
	}
	ofImage := g.newImageExport(&sourceInstance{config: compression.New(compression.Gzip)}, false).inline
	for name, tc := range map[string]struct {
		export   *export
		exporter string
		records  int
	}{
		"an export":                            {g.newExport("s3", "", nil), "s3", 2},
		"an inline cache and that of an image": {nil, "inline", 3},
	} {
		ctx, hook := logged(t.Context())
		g.observe(ctx, tc.export, finding(2))
		assert.Empty(t, hook.AllEntries(), name)
		g.observe(ctx, tc.export, finding(20))
		g.observe(ctx, tc.export, finding(30))
		if tc.export == nil {
			g.observe(ctx, ofImage, finding(20))
		}
		require.Equal(t, []string{"warning: combinations would be spared"}, messages(hook), name)
		data := hook.LastEntry().Data
		assert.Equal(t, []any{tc.exporter, "zstd", 20}, []any{data["exporter"], data["compression"], data["layers"]})
		if tc.export == nil {
			assert.Equal(t, tc.records, g.inline.takeObserved().records)
		} else {
			assert.Equal(t, tc.records, tc.export.takeObserved().records)
		}
	}
	assert.Zero(t, ofImage.takeObserved().records)
}

// TestWhoIsLeftToUpstream has exports by their own mode, and those of images by that of all.
func TestWhoIsLeftToUpstream(t *testing.T) {
	g := newTestGuard(t, config.Config{Mode: config.ModeOff, Exporters: map[string]config.Exporter{"s3": {Mode: config.ModeEnforce}, "inline": {Mode: config.ModeEnforce}}})
	assert.True(t, g.upstreams(nil))
	assert.True(t, g.upstreams(newExport("registry", "")))
	assert.False(t, g.upstreams(newExport("registry", config.ModeSingle)), "as the build has asked for it")
	assert.False(t, g.upstreams(newExport("s3", "")))
	g = newTestGuard(t, config.Config{Exporters: map[string]config.Exporter{"s3": {Mode: config.ModeObserve}, "inline": {Mode: config.ModeOff}}})
	assert.False(t, g.upstreams(nil))
	assert.True(t, g.upstreams(newExport("s3", "")))
}

func TestStatusOfTheSwitch(t *testing.T) {
	assert.Nil(t, newTestGuard(t, config.Config{}).Status().Switch)
	path := filepath.Join(t.TempDir(), "mode")
	write(t, path, "single")
	g := switchedGuard(t, path)
	assert.Equal(t, &SwitchStatus{File: path, Mode: config.ModeSingle}, g.Status().Switch)
	write(t, path, "sinlge")
	require.Eventually(t, func() bool { return g.Status().Switch.Invalid != "" }, waitFor, tick)
	assert.Equal(t, config.ModeSingle, g.Status().Switch.Mode)
}

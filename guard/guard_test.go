package guard

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"runtime"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/memory"
)

func TestNewFillsInDefaults(t *testing.T) {
	g, err := New(config.Config{})
	require.NoError(t, err)
	assert.Equal(t, config.Default(), g.Config())
	limit, err := memory.Limit()
	require.NoError(t, err)
	assert.Equal(t, limit*25/100, g.Budget())

	g, err = New(config.Config{MaxMemory: config.Memory{Bytes: 7}})
	require.NoError(t, err)
	assert.EqualValues(t, 7, g.Budget())
}

func TestWorkersAreDecoratedOnce(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	assert.Nil(t, g.Worker(nil))
	w := g.Worker(&storeWorker{})
	assert.Same(t, w, g.Worker(w))
	assert.Same(t, w, newTestGuard(t, config.Config{}).Worker(w), "by whichever guard came first")
}

func TestControlLeavesItsOptionsAlone(t *testing.T) {
	funcs := map[string]remotecache.ResolveCacheExporterFunc{
		"s3": func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) { return nil, nil },
	}
	opt := newTestGuard(t, config.Config{}).Control(control.Opt{ProxyNetwork: true, ResolveCacheExporterFuncs: funcs})
	assert.True(t, opt.ProxyNetwork)
	assert.Len(t, opt.ResolveCacheExporterFuncs, 1)
	funcs["s3"] = nil
	assert.NotNil(t, opt.ResolveCacheExporterFuncs["s3"])
	assert.Nil(t, newTestGuard(t, config.Config{}).Control(control.Opt{}).ResolveCacheExporterFuncs["s3"])
}

// TestExportersAreDecoratedOnce has one for which everything is counted once.
func TestExportersAreDecoratedOnce(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	for name, resolve := range map[string]remotecache.ResolveCacheExporterFunc{
		"inline":   inline.ResolveCacheExporterFunc(),
		"registry": contentExporter(contentutil.NewBuffer(), compression.New(compression.Gzip)),
	} {
		once := g.CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{name: resolve})
		decorated, err := once[name](t.Context(), nil, nil)
		require.NoError(t, err)
		twice := g.CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{
			name: func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) {
				return decorated, nil
			},
		})
		again, err := twice[name](t.Context(), nil, nil)
		require.NoError(t, err)
		assert.Same(t, decorated, again)
	}
}

// TestNilGuardGuardsNothing lets a daemon do without a guard by a nil.
func TestNilGuardGuardsNothing(t *testing.T) {
	var g *Guard
	w := &storeWorker{}
	assert.Same(t, w, g.Worker(w))
	exporter, err := inline.ResolveCacheExporterFunc()(t.Context(), nil, nil)
	require.NoError(t, err)
	opt := g.Control(control.Opt{ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{
		"inline": func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) {
			return exporter, nil
		},
	}})
	resolved, err := opt.ResolveCacheExporterFuncs["inline"](t.Context(), nil, nil)
	require.NoError(t, err)
	assert.Same(t, exporter, resolved)
	assert.Nil(t, g.CacheExporters(nil))
	assert.Nil(t, g.Frontends(nil, nil))

	mode, _ := g.Mode("")
	assert.Equal(t, config.ModeOff, mode)
	assert.Equal(t, config.ModeOff, g.Config().Mode)
	assert.Equal(t, ModeStatus{config.ModeOff, ModeFromGuard}, g.Status().Modes["s3"])
	assert.Zero(t, g.Budget())
	assert.NoError(t, g.Close())
}

func TestNewRefusesWhatCannotBeMeant(t *testing.T) {
	_, err := New(config.Config{MaxRemotes: -1})
	assert.ErrorContains(t, err, "guard.maxRemotes: -1 is out of range")
}

// TestConfigurationIsCopied changes it while the guard reads its own.
func TestConfigurationIsCopied(t *testing.T) {
	exporters := map[string]config.Exporter{"s3": {Mode: config.ModeSingle}}
	g := newTestGuard(t, config.Config{Exporters: exporters})
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		exporters["s3"] = config.Exporter{Mode: config.ModeOff}
		g.Config().Exporters["s3"] = config.Exporter{Mode: config.ModeOff}
	}()
	for range 100 {
		mode, _ := g.Mode("s3")
		assert.Equal(t, config.ModeSingle, mode)
	}
	<-changed
	assert.Equal(t, map[string]config.Exporter{"s3": {Mode: config.ModeSingle}}, g.Config().Exporters)
}

// TestConversionsAtATime has five processors, and work that does not wait.
func TestConversionsAtATime(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(5))
	line := newTestGuard(t, config.Config{}).limits.gate.Line(nil)
	ended, end := context.WithCancel(t.Context())
	end()
	running := 0
	for {
		hold, err := line.Acquire(ended, memory.Conversion, 1)
		if err != nil {
			break
		}
		defer hold.Release()
		running++
	}
	assert.Equal(t, 5*conversionsPerCPU, running)
}

// TestSeveralControllers has two controllers of a process share a guard, whose
// exports are counted once.
func TestSeveralControllers(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	opt := control.Opt{
		MeterProvider:             sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
		ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{"inline": inline.ResolveCacheExporterFunc()},
	}
	g := newTestGuard(t, config.Config{})
	for range 2 {
		e, err := g.Control(opt).ResolveCacheExporterFuncs["inline"](t.Context(), nil, nil)
		require.NoError(t, err)
		_, err = e.(inlineCache).ExportForLayers(t.Context(), nil)
		require.NoError(t, err)
	}
	var metrics metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &metrics))
	var exports int64
	for _, m := range metrics.ScopeMetrics[0].Metrics {
		if m.Name == "bkguard.exports" {
			for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
				exports += point.Value
			}
		}
	}
	assert.EqualValues(t, 2, exports)
}

// TestClosedGuard works on, and decorates more.
func TestClosedGuard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	write(t, path, "block")
	g := newTestGuard(t, config.Config{SwitchFile: path})
	require.NoError(t, g.Close())
	require.NoError(t, g.Close())
	mode, source := g.Mode("")
	assert.Equal(t, config.ModeBlock, mode)
	assert.Equal(t, ModeFromSwitch, source)
	e := decorated(t, g, "inline", inline.ResolveCacheExporterFunc(), nil)
	data, err := e.(inlineCache).ExportForLayers(t.Context(), nil)
	require.NoError(t, err)
	assert.Nil(t, data)
	assert.Equal(t, OutcomeBlocked, g.Status().Decisions[0].Outcome)
}

// TestOwnTypesOfExporters shows a type that buildkitd does not have with the others.
func TestOwnTypesOfExporters(t *testing.T) {
	g := newTestGuard(t, config.Config{Exporters: map[string]config.Exporter{"mine": {Mode: config.ModeSingle}}})
	modes := g.Status().Modes
	assert.Len(t, modes, len(config.ExporterTypes())+1)
	assert.Equal(t, ModeStatus{config.ModeSingle, ModeFromExporter}, modes["mine"])
}

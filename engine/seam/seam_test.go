package seam

import (
	"errors"
	"expvar"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	"github.com/moby/buildkit/control"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/worker"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
)

// configure names a configuration file of the guard in the environment.
func configure(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bkguard.toml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	t.Setenv(config.EngineFileVariable, path)
	return path
}

// engineConfig stands for the type of the engine's own configuration.
type engineConfig struct{}

func TestConfigHandsOnTheEngines(t *testing.T) {
	configure(t, "[guard]\n  mode = \"single\"\n")
	want := &engineConfig{}
	got, err := Config(want, nil)
	require.NoError(t, err)
	assert.Same(t, want, got)
	assert.Equal(t, config.ModeSingle, engine.Guard.Config().Mode)
	assert.EqualValues(t, math.MaxInt64, debug.SetMemoryLimit(-1), "a limit of the Go runtime")
}

func TestConfigChangesNothingIfBad(t *testing.T) {
	path := configure(t, "[guard]\n  mode = \"enforec\"\n")
	before := engine
	got, err := Config(&engineConfig{}, nil)
	require.EqualError(t, err, path+`:2: guard.mode: unknown mode "enforec", did you mean "enforce"? (allowed: off, observe, enforce, single, block)`)
	assert.Nil(t, got)
	assert.Same(t, before, engine)

	bad := errors.New("the engine's own")
	_, err = Config(&engineConfig{}, bad)
	require.ErrorIs(t, err, bad)
	assert.Same(t, before, engine)
}

// namedWorker is a worker with nothing but its interface: it holds nothing.
type namedWorker struct{ worker.Worker }

func (*namedWorker) ContentStore() *containerdsnapshot.Store { return nil }

func (*namedWorker) CacheManager() cache.Manager { return nil }

func TestWorkerAndControlAreDecorated(t *testing.T) {
	configure(t, "")
	_, err := Config(&engineConfig{}, nil)
	require.NoError(t, err)
	w := &namedWorker{}
	assert.NotEqual(t, worker.Worker(w), Worker(w))

	inner := inline.ResolveCacheExporterFunc()
	opt := Control(control.Opt{
		ProxyNetwork:              true,
		ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{"inline": inner},
	})
	assert.True(t, opt.ProxyNetwork)
	assert.Nil(t, opt.MeterProvider, "buildkit's figures are not the engine's")
	decorated, err := opt.ResolveCacheExporterFuncs["inline"](t.Context(), nil, nil)
	require.NoError(t, err)
	bare, err := inner(t.Context(), nil, nil)
	require.NoError(t, err)
	assert.NotEqual(t, fmt.Sprintf("%T", bare), fmt.Sprintf("%T", decorated))
	assert.Contains(t, expvar.Get("bkguard").String(), `"budget":`)

	// The engine serves what is registered here (docker/go-metrics).
	families, err := prometheus.DefaultGatherer.Gather()
	require.NoError(t, err)
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	assert.Contains(t, names, "bkguard_budget_bytes")
	assert.NotContains(t, names, "target_info")
}

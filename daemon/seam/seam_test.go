package seam

import (
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
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	guardconfig "github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
)

// keepMemoryLimit restores the limit of the test process.
func keepMemoryLimit(t *testing.T) {
	t.Helper()
	before := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "buildkitd.toml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestLoadFileReadsBothTables(t *testing.T) {
	keepMemoryLimit(t)
	path := writeConfig(t, `
root = "/var/lib/other"
[guard]
  mode = "single"
  memoryLimit = "1GB"
  maxMemory = "10%"
`)
	cfg, err := LoadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "/var/lib/other", cfg.Root)
	assert.Equal(t, guardconfig.ModeSingle, daemon.Guard.Config().Mode)
	assert.EqualValues(t, 1<<30, debug.SetMemoryLimit(-1))
	assert.InDelta(t, (1<<30)/10, daemon.Guard.Budget(), 1, "a share of the limit that was just set")
}

func TestBadTableChangesNothing(t *testing.T) {
	keepMemoryLimit(t)
	_, err := LoadFile(writeConfig(t, ""))
	require.NoError(t, err)
	before := daemon
	limit := debug.SetMemoryLimit(-1)
	path := writeConfig(t, "[guard]\n  memoryLimit = \"1GB\"\n  mode = \"enforec\"\n")
	_, err = LoadFile(path)
	require.EqualError(t, err, path+`:3: guard.mode: unknown mode "enforec", did you mean "enforce"? (allowed: off, observe, enforce, single, block)`)
	assert.Same(t, before, daemon)
	assert.Equal(t, limit, debug.SetMemoryLimit(-1))
}

// namedWorker is a worker with nothing but its interface: it holds nothing.
type namedWorker struct{ worker.Worker }

func (*namedWorker) ContentStore() *containerdsnapshot.Store { return nil }

func (*namedWorker) CacheManager() cache.Manager { return nil }

func TestWorkerAndControlAreDecorated(t *testing.T) {
	keepMemoryLimit(t)
	_, err := LoadFile(writeConfig(t, "[guard]\n  memoryLimit = \"1GB\"\n"))
	require.NoError(t, err)
	w := &namedWorker{}
	assert.NotEqual(t, worker.Worker(w), Worker(w))

	hook := logtest.NewGlobal()
	t.Cleanup(func() { logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{}) })
	inner := inline.ResolveCacheExporterFunc()
	opt := Control(control.Opt{
		ProxyNetwork:              true,
		ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{"inline": inner},
	})
	assert.True(t, opt.ProxyNetwork)
	decorated, err := opt.ResolveCacheExporterFuncs["inline"](t.Context(), nil, nil)
	require.NoError(t, err)
	bare, err := inner(t.Context(), nil, nil)
	require.NoError(t, err)
	assert.NotEqual(t, fmt.Sprintf("%T", bare), fmt.Sprintf("%T", decorated))

	assert.Contains(t, expvar.Get("bkguard").String(), `"budget":`)
	require.Len(t, hook.AllEntries(), 1)
	line := hook.LastEntry()
	assert.Equal(t, "guard ready", line.Message)
	assert.Equal(t, logrus.Fields{
		"guard": "0.2.0", "buildkit": "v0.0.0+unknown", "mode": guardconfig.ModeEnforce,
		"modeSource": guard.ModeFromGuard, "maxRemotes": 256,
		"budget": daemon.Guard.Budget(), "memoryLimit": int64(1 << 30), "memoryLimitSource": "config",
	}, line.Data)
}

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
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/version"
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
	assert.Equal(t, guardconfig.ModeSingle, daemon.guard.Config().Mode)
	assert.EqualValues(t, 1<<30, debug.SetMemoryLimit(-1))
	assert.InDelta(t, (1<<30)/10, daemon.guard.Budget(), 1, "a share of the limit that was just set")
}

func TestBadTableChangesNothing(t *testing.T) {
	keepMemoryLimit(t)
	_, err := LoadFile(writeConfig(t, ""))
	require.NoError(t, err)
	before := daemon.guard
	limit := debug.SetMemoryLimit(-1)
	path := writeConfig(t, "[guard]\n  memoryLimit = \"1GB\"\n  mode = \"enforec\"\n")
	_, err = LoadFile(path)
	require.EqualError(t, err, path+`:3: guard.mode: unknown mode "enforec", did you mean "enforce"? (allowed: off, observe, enforce, single, block)`)
	assert.Same(t, before, daemon.guard)
	assert.Equal(t, limit, debug.SetMemoryLimit(-1))
}

func TestModeOfTheEnvironment(t *testing.T) {
	keepMemoryLimit(t)
	path := writeConfig(t, "[guard]\n  mode = \"single\"\n  [guard.exporter.s3]\n  mode = \"off\"\n")
	t.Setenv("BKGUARD_MODE", "observe")
	_, err := LoadFile(path)
	require.NoError(t, err)
	mode, source := daemon.guard.Mode("s3")
	assert.Equal(t, guardconfig.ModeObserve, mode)
	assert.Equal(t, guard.ModeFromEnvironment, source)

	t.Setenv("BKGUARD_MODE", "")
	_, err = LoadFile(path)
	require.NoError(t, err)
	mode, source = daemon.guard.Mode("s3")
	assert.Equal(t, guardconfig.ModeOff, mode)
	assert.Equal(t, guard.ModeFromExporter, source)

	t.Setenv("BKGUARD_MODE", "of")
	_, err = LoadFile(path)
	assert.EqualError(t, err, `unknown BKGUARD_MODE "of", did you mean "off"? (allowed: off, observe, enforce, single, block)`)
}

// namedWorker is a worker with nothing but its interface.
type namedWorker struct{ worker.Worker }

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
		"guard": "0.1.0", "buildkit": "v0.0.0+unknown", "mode": guardconfig.ModeEnforce,
		"modeSource": guard.ModeFromGuard, "maxRemotes": 256,
		"budget": daemon.guard.Budget(), "memoryLimit": int64(1 << 30), "memoryLimitSource": "config",
	}, line.Data)
}

// TestOffHasNoMemoryLimit takes the limit away with the mode, and brings it back.
func TestOffHasNoMemoryLimit(t *testing.T) {
	keepMemoryLimit(t)
	_, err := LoadFile(writeConfig(t, "[guard]\n  memoryLimit = \"1GB\"\n  mode = \"off\"\n"))
	require.NoError(t, err)
	assert.EqualValues(t, math.MaxInt64, debug.SetMemoryLimit(-1))

	file := filepath.Join(t.TempDir(), "mode")
	_, err = LoadFile(writeConfig(t, "[guard]\n  memoryLimit = \"1GB\"\n  switchFile = \""+file+"\"\n"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, daemon.guard.Close()) })
	for _, step := range []struct {
		mode string
		want int64
	}{{"", 1 << 30}, {"off", math.MaxInt64}, {"single", 1 << 30}} {
		require.NoError(t, os.WriteFile(file, []byte(step.mode), 0o600))
		assert.Eventually(t, func() bool { return debug.SetMemoryLimit(-1) == step.want }, 30*time.Second, 10*time.Millisecond, step.mode)
	}
}

// TestLimitOfTheOperatorStays has one in the environment, which no mode takes away.
func TestLimitOfTheOperatorStays(t *testing.T) {
	keepMemoryLimit(t)
	t.Setenv("GOMEMLIMIT", "2GiB")
	debug.SetMemoryLimit(2 << 30) // as the runtime does at start
	_, err := LoadFile(writeConfig(t, "[guard]\n  mode = \"off\"\n"))
	require.NoError(t, err)
	assert.EqualValues(t, 2<<30, debug.SetMemoryLimit(-1))
}

func TestUserAgentNamesBoth(t *testing.T) {
	keepMemoryLimit(t)
	_, err := LoadFile(writeConfig(t, ""))
	require.NoError(t, err)
	assert.Contains(t, version.UserAgent(), " bkguard/"+guard.Version)
}

func TestMemoryLimit(t *testing.T) {
	for name, test := range map[string]struct {
		environment string
		limit       guardconfig.Memory
		want        memoryLimit
	}{
		"a size":                      {"", guardconfig.Memory{Bytes: 1 << 30}, memoryLimit{bytes: 1 << 30, source: "config"}},
		"off":                         {"", guardconfig.Memory{Off: true}, memoryLimit{source: "off"}},
		"the environment wins":        {"1GiB", guardconfig.Memory{Bytes: 2 << 30}, memoryLimit{source: "environment"}},
		"the environment wins as off": {"off", guardconfig.Memory{Percent: 50}, memoryLimit{source: "environment"}},
	} {
		t.Run(name, func(t *testing.T) {
			keepMemoryLimit(t)
			t.Setenv("GOMEMLIMIT", test.environment) // empty is none
			assert.Equal(t, test.want, findMemoryLimit(test.limit))
		})
	}
}

// TestMemoryLimitOfTheCgroup agrees with whatever limit this machine has; the
// daemon is tested under a limit in test/.
func TestMemoryLimitOfTheCgroup(t *testing.T) {
	keepMemoryLimit(t)
	got := findMemoryLimit(guardconfig.Memory{Percent: 50})
	limit, err := memlimit.FromCgroup()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit):
		assert.Equal(t, memoryLimit{source: "none"}, got)
	case err != nil:
		assert.Equal(t, memoryLimit{source: "none", err: err}, got)
	default:
		assert.Equal(t, memoryLimit{bytes: int64(limit / 2), source: "cgroup"}, got)
	}
}

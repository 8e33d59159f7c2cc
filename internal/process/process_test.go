package process

import (
	"errors"
	"expvar"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/moby/buildkit/version"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
)

// keepMemoryLimit restores the limit of the test process.
func keepMemoryLimit(t *testing.T) {
	t.Helper()
	before := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
}

// started is the process of a [guard] table.
func started(t *testing.T, table config.Config) *Process {
	t.Helper()
	p, err := New(table.WithDefaults())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Guard.Close()) })
	return p
}

func TestModeOfTheEnvironment(t *testing.T) {
	keepMemoryLimit(t)
	table := config.Config{Mode: config.ModeSingle, Exporters: map[string]config.Exporter{"s3": {Mode: config.ModeOff}}}
	t.Setenv(config.ModeVariable, "observe")
	mode, source := started(t, table).Guard.Mode("s3")
	assert.Equal(t, config.ModeObserve, mode)
	assert.Equal(t, guard.ModeFromEnvironment, source)

	t.Setenv(config.ModeVariable, "")
	mode, source = started(t, table).Guard.Mode("s3")
	assert.Equal(t, config.ModeOff, mode)
	assert.Equal(t, guard.ModeFromExporter, source)

	t.Setenv(config.ModeVariable, "of")
	limit := debug.SetMemoryLimit(-1)
	_, err := New(config.Config{MemoryLimit: config.Memory{Bytes: 1 << 30}})
	require.EqualError(t, err, `unknown BKGUARD_MODE "of", did you mean "off"? (allowed: off, observe, enforce, single, block)`)
	assert.Equal(t, limit, debug.SetMemoryLimit(-1))
}

// TestOffHasNoMemoryLimit takes the limit away with the mode, and brings it back.
func TestOffHasNoMemoryLimit(t *testing.T) {
	keepMemoryLimit(t)
	limited := config.Config{MemoryLimit: config.Memory{Bytes: 1 << 30}}
	off := limited
	off.Mode = config.ModeOff
	started(t, off)
	assert.EqualValues(t, math.MaxInt64, debug.SetMemoryLimit(-1))

	limited.SwitchFile = filepath.Join(t.TempDir(), "mode")
	started(t, limited)
	for _, step := range []struct {
		mode string
		want int64
	}{{"", 1 << 30}, {"off", math.MaxInt64}, {"single", 1 << 30}} {
		require.NoError(t, os.WriteFile(limited.SwitchFile, []byte(step.mode), 0o600))
		assert.Eventually(t, func() bool { return debug.SetMemoryLimit(-1) == step.want }, 30*time.Second, 10*time.Millisecond, step.mode)
	}
}

// TestLimitOfTheOperatorStays has one in the environment, which no mode takes away.
func TestLimitOfTheOperatorStays(t *testing.T) {
	keepMemoryLimit(t)
	t.Setenv("GOMEMLIMIT", "2GiB")
	debug.SetMemoryLimit(2 << 30) // as the runtime does at start
	started(t, config.Config{Mode: config.ModeOff})
	assert.EqualValues(t, 2<<30, debug.SetMemoryLimit(-1))
}

func TestUserAgentNamesBoth(t *testing.T) {
	keepMemoryLimit(t)
	started(t, config.Config{})
	assert.Contains(t, version.UserAgent(), " bkguard/"+guard.Version)
}

// TestReady says so once in the log, and shows the status of the last process: the name can be
// published only once.
func TestReady(t *testing.T) {
	keepMemoryLimit(t)
	hook := logtest.NewGlobal()
	t.Cleanup(func() { logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{}) })
	started(t, config.Config{}).Ready(nil)
	p := started(t, config.Config{MemoryLimit: config.Memory{Bytes: 1 << 30}})
	hook.Reset()
	p.Ready(logrus.Fields{"buildkit": "v1"})
	require.Len(t, hook.AllEntries(), 1)
	line := hook.LastEntry()
	assert.Equal(t, "guard ready", line.Message)
	assert.Equal(t, logrus.Fields{
		"guard": guard.Version, "buildkit": "v1", "mode": config.ModeEnforce,
		"modeSource": guard.ModeFromGuard, "maxRemotes": 256,
		"budget": p.Guard.Budget(), "memoryLimit": int64(1 << 30), "memoryLimitSource": "config",
	}, line.Data)
	assert.Contains(t, expvar.Get("bkguard").String(), `"budget":`)
}

func TestMemoryLimit(t *testing.T) {
	for name, test := range map[string]struct {
		environment string
		limit       config.Memory
		want        memoryLimit
	}{
		"a size":                      {"", config.Memory{Bytes: 1 << 30}, memoryLimit{bytes: 1 << 30, source: "config"}},
		"off":                         {"", config.Memory{Off: true}, memoryLimit{source: "off"}},
		"the environment wins":        {"1GiB", config.Memory{Bytes: 2 << 30}, memoryLimit{source: "environment"}},
		"the environment wins as off": {"off", config.Memory{Percent: 50}, memoryLimit{source: "environment"}},
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
	got := findMemoryLimit(config.Memory{Percent: 50})
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

// TestBudgetIsAShareOfTheLimit has a limit of the configuration, which is in force before the
// guard takes its share.
func TestBudgetIsAShareOfTheLimit(t *testing.T) {
	keepMemoryLimit(t)
	p := started(t, config.Config{MemoryLimit: config.Memory{Bytes: 1 << 30}, MaxMemory: config.Memory{Percent: 25}})
	assert.EqualValues(t, 1<<28, p.Guard.Budget())
}

func TestLimitsThatAreApplied(t *testing.T) {
	keepMemoryLimit(t)
	for source, want := range map[string]int64{"config": 1 << 30, "cgroup": 1 << 30, "environment": math.MaxInt64, "none": math.MaxInt64, "off": math.MaxInt64} {
		debug.SetMemoryLimit(math.MaxInt64)
		memoryLimit{bytes: 1 << 30, source: source}.apply(config.ModeEnforce)
		assert.Equal(t, want, debug.SetMemoryLimit(-1), source)
	}
}

package docker

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// bkguard runs the command against an engine and returns what it has written.
func bkguard(t *testing.T, args ...string) string {
	t.Helper()
	b, err := harness.FindBinaries()
	require.NoError(t, err)
	out, err := harness.Run(t.Context(), harness.Command{Path: filepath.Join(filepath.Dir(b.Guarded), "bkguard"), Args: args})
	require.NoError(t, err, out)
	return out
}

// TestModes holds that the kill-switch works on an engine, that the status tells of it, and that
// what is counted stands with the engine's own figures.
func TestModes(t *testing.T) {
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 3})
	require.NoError(t, err)
	mode := filepath.Join(t.TempDir(), "mode")
	metrics := freeAddress(t)
	e := parts.Engine(t, harness.EngineOptions{
		Binary: guarded(t),
		Config: fmt.Sprintf("[guard]\n  switchFile = %q\n  maxMemory = \"100MB\"\n", mode),
		Args:   []string{"--metrics-addr", metrics},
	})
	ready, err := e.LogEntries("guard ready")
	require.NoError(t, err)
	require.Len(t, ready, 1)
	assert.Equal(t, "off", ready[0]["memoryLimitSource"])
	assert.Regexp(t, `^v0\.\d+\.\d+$`, ready[0]["buildkit"])

	exported := func(name string) bool {
		_, err := e.Build(t.Context(), harness.BuildxBuild{Dockerfile: dockerfile(base), CacheTo: []string{"type=registry,mode=max,ref=" + registry.Host + "/" + name}})
		require.NoError(t, err)
		_, err = registry.Cache(t.Context(), registry.Host+"/"+name)
		return err == nil
	}
	status := func() string { return bkguard(t, "status", "--debug-addr", e.Address()) }

	assert.True(t, exported("enforce"))
	assert.Contains(t, status(), "enforce, set by guard")
	assert.Contains(t, status(), "registry  enforce  plain")
	bkguard(t, "mode", "set", "block", "--file", mode)
	require.Eventually(t, func() bool { return strings.Contains(status(), "block, set by switch") }, 30*time.Second, 100*time.Millisecond)
	assert.False(t, exported("block"))
	bkguard(t, "mode", "set", "off", "--file", mode)
	require.Eventually(t, func() bool { return strings.Contains(status(), "off, set by switch") }, 30*time.Second, 100*time.Millisecond)
	assert.True(t, exported("off"))

	page := get(t, "http://"+metrics+"/metrics")
	assert.Regexp(t, `(?m)^bkguard_exports_total\{exporter="registry",mode="enforce",.*outcome="plain"\} 1$`, page)
	assert.Contains(t, page, "\nengine_daemon_", "the engine's own figures")
	assert.NotContains(t, page, "\nbuildkit_", "as upstream has none")
}

// get returns a page.
func get(t *testing.T, url string) string {
	t.Helper()
	out, err := harness.Get(t.Context(), &http.Transport{DisableKeepAlives: true}, url)
	require.NoError(t, err)
	return out
}

// freeAddress is an address on loopback that nobody uses.
func freeAddress(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// TestModeOfTheEnvironment has a mode in the environment, which wins over the file's.
func TestModeOfTheEnvironment(t *testing.T) {
	e := parts.Engine(t, harness.EngineOptions{Binary: guarded(t), Config: "[guard]\n  mode = \"single\"\n", Env: []string{"BKGUARD_MODE=observe"}})
	assert.Contains(t, bkguard(t, "status", "--debug-addr", e.Address()), "observe, set by environment")
}

// TestBadConfigurationStopsTheEngine holds that a mistake stops the engine before it has touched
// anything, with one line that says where it is.
func TestBadConfigurationStopsTheEngine(t *testing.T) {
	for name, test := range map[string]struct{ config, env, want string }{
		"a word":  {config: "[guard]\n  mode = \"enforec\"\n", want: `bkguard.toml:2: guard.mode: unknown mode "enforec", did you mean "enforce"? (allowed: off, observe, enforce, single, block)`},
		"a table": {config: "[guards]\n", want: `bkguard.toml:1: guards: unknown table "guards", did you mean "guard"? (allowed: guard)`},
		"no file": {env: "BKGUARD_CONFIG=/nonexistent/bkguard.toml", want: "/nonexistent/bkguard.toml: cannot read the configuration: no such file or directory"},
		"no mode": {env: "BKGUARD_MODE=of", want: `unknown BKGUARD_MODE "of", did you mean "off"? (allowed: off, observe, enforce, single, block)`},
	} {
		t.Run(name, func(t *testing.T) {
			o := harness.EngineOptions{Binary: guarded(t), Config: test.config}
			if test.env != "" {
				o.Env = []string{test.env}
			}
			_, err := harness.StartEngine(t.Context(), o)
			var start *harness.StartError
			require.ErrorAs(t, err, &start)
			assert.Equal(t, 1, start.Exit.Code)
			assert.False(t, start.RootMade)
			assert.False(t, start.SocketMade)
			lines := strings.Split(strings.TrimSpace(start.Log), "\n")
			require.Len(t, lines, 1, start.Log)
			assert.True(t, strings.HasSuffix(lines[0], test.want), lines[0])
		})
	}
}

// TestStopLeavesNothing stops an engine in the middle of an export. What would be left behind is
// found when all tests have ended; the lock of the data is free for another engine.
func TestStopLeavesNothing(t *testing.T) {
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 30, LayerSize: 1 << 20})
	require.NoError(t, err)
	e := parts.Engine(t, harness.EngineOptions{Binary: guarded(t)})
	building := make(chan error, 1)
	go func() {
		_, err := e.Build(context.WithoutCancel(t.Context()), harness.BuildxBuild{
			Dockerfile: dockerfile(base),
			CacheTo:    []string{"type=registry,mode=max,compression=zstd,compression-level=22,force-compression=true,ref=" + registry.Host + "/stopped"},
		})
		building <- err
	}()
	require.Eventually(t, func() bool {
		return !strings.Contains(bkguard(t, "status", "--debug-addr", e.Address()), " 0 layers converted now")
	}, time.Minute, 50*time.Millisecond, "no conversion has begun")
	exit, err := e.Stop(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 0, exit.Code, "%v", exit)
	require.Error(t, <-building)
	_, err = os.Stat(strings.TrimPrefix(e.Address(), "unix://"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

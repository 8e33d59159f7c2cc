// Package docker tests the Docker Engine that the guard is woven into, with real engines,
// containerd and buildx, and the stock engine beside it.
package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bkguard/bkguard/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(harness.CheckClean(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// limit is the memory of an engine and its containerd in bytes.
const limit = 512 << 20

// steps is the number of RUN steps on every base image.
const steps = 3

// guarded and stock are the two engines.
func guarded(t *testing.T) string {
	t.Helper()
	path, _, err := harness.FindEngines()
	require.NoError(t, err)
	return path
}

func stock(t *testing.T) string {
	t.Helper()
	_, path, err := harness.FindEngines()
	require.NoError(t, err)
	return path
}

// tool is a program under bin/tools.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := harness.FindTool(name)
	require.NoError(t, err)
	return path
}

// startEngine starts an engine that is stopped with the test, whose log is kept when the test
// has failed.
func startEngine(t *testing.T, o harness.EngineOptions) *harness.Engine {
	t.Helper()
	e, err := harness.StartEngine(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		exit, err := e.Stop(context.Background())
		assert.NoError(t, err)
		remove := e.Remove
		if t.Failed() {
			t.Logf("the engine has ended with %v; its log is kept: %s", exit, e.LogPath())
			remove = e.RemoveRoot
		}
		assert.NoError(t, remove())
	})
	return e
}

func startRegistry(t *testing.T) *harness.Registry {
	t.Helper()
	b, err := harness.FindBinaries()
	require.NoError(t, err)
	r, err := harness.StartRegistry(t.Context(), b.Registry)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, r.Stop(context.Background()))
		assert.NoError(t, r.Remove())
	})
	return r
}

// startDaemon starts a stock buildkitd that knows nothing.
func startDaemon(t *testing.T, registry *harness.Registry) *harness.Daemon {
	t.Helper()
	b, err := harness.FindBinaries()
	require.NoError(t, err)
	d, err := harness.StartDaemon(t.Context(), harness.DaemonOptions{Binary: b.Stock, Buildctl: b.Buildctl, Registries: []string{registry.Host}})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := d.Stop(context.Background())
		assert.NoError(t, err)
		assert.NoError(t, d.Remove())
	})
	return d
}

// dockerfile has RUN steps on a base image.
func dockerfile(base string) string {
	return harness.WithoutNetwork(harness.RunSteps(base, steps))
}

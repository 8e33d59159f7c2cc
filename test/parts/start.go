package parts

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// Tool is a program under bin/tools.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := harness.FindTool(name)
	require.NoError(t, err)
	return path
}

// Registry starts a registry that is stopped and removed with the test.
func Registry(t testing.TB) *harness.Registry {
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

// Engine starts a Docker Engine that is stopped with the test. Its log is kept when the test
// has failed.
func Engine(t testing.TB, o harness.EngineOptions) *harness.Engine {
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

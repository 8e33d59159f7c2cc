package test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestStockTakesOver runs the guarded daemon, the stock one and the guarded one
// again on the same root and configuration: nothing of what was built is lost.
func TestStockTakesOver(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 4})
	require.NoError(t, err)
	build := harness.Build{
		Dockerfile:  harness.RunSteps(base, steps),
		ExportCache: []string{cacheRef(registry.Host) + ",mode=max"},
	}
	daemon := startDaemon(t, harness.DaemonOptions{
		Binary:     binaries(t).Guarded,
		Registries: []string{registry.Host},
		Config:     "guard.mode = \"single\"\n",
	})
	require.NoError(t, daemon.MixCompressions(t.Context(), build.Dockerfile, registry.Host+"/image"))
	for _, binary := range []string{binaries(t).Stock, binaries(t).Guarded} {
		require.NoError(t, daemon.Replace(t.Context(), binary))
		result, err := daemon.Build(t.Context(), build)
		require.NoError(t, err)
		assert.Equal(t, steps, result.Steps, result.Output)
		assert.Equal(t, steps, result.Cached, result.Output)
	}
}

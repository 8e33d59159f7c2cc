package test

import (
	"context"
	"testing"

	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestGitHubActionsCache exports to and imports from the cache service of GitHub
// Actions, in the compression that is asked for. Upstream ignores that
// (moby/buildkit issue 3071).
func TestGitHubActionsCache(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	cache, err := harness.StartGitHubCache(t.Context(), parts.Tool(t, "ghacache"))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, cache.Stop(context.Background()))
		require.NoError(t, cache.Remove())
	})
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 30})
	require.NoError(t, err)
	dockerfile := harness.RunSteps(base, steps)
	options := harness.DaemonOptions{Binary: binaries(t).Guarded, Registries: []string{registry.Host}, MemoryLimit: memoryLimit}

	daemon := startDaemon(t, options)
	require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
	_, err = daemon.Build(t.Context(), harness.Build{Dockerfile: dockerfile, ExportCache: []string{cache.Attributes + ",mode=max,compression=zstd"}})
	require.NoError(t, err)
	lines, err := daemon.LogEntries("combinations spared")
	require.NoError(t, err)
	require.Len(t, lines, 1)
	assert.Equal(t, "gha", lines[0]["exporter"])
	blobs, err := cache.Blobs()
	require.NoError(t, err)
	assert.Len(t, blobs, 30+steps)
	for _, blob := range blobs {
		assert.Equal(t, compression.Type(compression.Zstd), blob)
	}

	fresh := startDaemon(t, options)
	result, err := fresh.Build(t.Context(), harness.Build{Dockerfile: dockerfile, ImportCache: []string{cache.Attributes}})
	require.NoError(t, err)
	assert.Equal(t, steps, result.Cached, result.Output)
}

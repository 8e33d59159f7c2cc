package test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestEmbedderSurvives has the reproduction on a daemon that somebody else has
// made of upstream's public packages and the guard (examples/daemon). A fresh
// one proves the cache good, and the cache in the image.
func TestEmbedderSurvives(t *testing.T) {
	t.Parallel()
	embedder, err := harness.FindTool("example-daemon")
	require.NoError(t, err)
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 30})
	require.NoError(t, err)
	dockerfile := harness.RunSteps(base, steps)
	image := registry.Host + "/inline:latest"
	options := harness.DaemonOptions{
		Binary:      embedder,
		MemoryLimit: memoryLimit,
		Args: func(root, socket, containers string) []string {
			return []string{"-root", root, "-socket", socket, "-cgroup-parent", containers}
		},
	}

	daemon := startDaemon(t, options)
	require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
	_, err = daemon.Build(t.Context(), harness.Build{
		Dockerfile:  dockerfile,
		Output:      harness.PushOutput(image),
		ExportCache: []string{cacheRef(registry.Host) + ",mode=max", "type=inline"},
	})
	require.NoError(t, err)
	exit, err := daemon.Stop(t.Context())
	require.NoError(t, err)
	assert.Zero(t, exit.Code, "exit: %v", exit)

	for _, cache := range []string{cacheRef(registry.Host), "type=registry,ref=" + image} {
		fresh := startDaemon(t, options)
		result, err := fresh.Build(t.Context(), harness.Build{Dockerfile: dockerfile, ImportCache: []string{cache}})
		require.NoError(t, err)
		assert.Equal(t, steps, result.Steps, result.Output)
		assert.Equal(t, steps, result.Cached, result.Output)
	}
}

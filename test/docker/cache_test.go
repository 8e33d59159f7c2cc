package docker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestInlineKeepsCache holds that an image with inline cache that the guarded engine has pushed is
// found by a builder that knows nothing else, also when its layers are there in two compressions.
func TestInlineKeepsCache(t *testing.T) {
	registry := parts.Registry(t)
	image := registry.Host + "/inline"
	assertFound(t, registry, harness.BuildxBuild{
		Output:  harness.PushOutput(image),
		CacheTo: []string{"type=inline"},
	}, "type=registry,ref="+image)
}

// TestCachesAreFound holds the same of the other types of cache that the engine has.
func TestCachesAreFound(t *testing.T) {
	registry := parts.Registry(t)
	github, err := harness.StartGitHubCache(t.Context(), parts.Tool(t, "ghacache"))
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, github.Stop(context.Background()))
		assert.NoError(t, github.Remove())
	})
	dir := t.TempDir()
	for name, cache := range map[string]struct{ to, from string }{
		"registry": {"type=registry,ref=" + registry.Host + "/cache", "type=registry,ref=" + registry.Host + "/cache"},
		"local":    {"type=local,dest=" + dir, "type=local,src=" + dir},
		"gha":      {github.Attributes, github.Attributes},
	} {
		t.Run(name, func(t *testing.T) {
			assertFound(t, registry, harness.BuildxBuild{CacheTo: []string{cache.to + ",mode=max"}}, cache.from)
		})
	}
}

// assertFound builds on a guarded engine, whose layers are in two compressions, and holds that a
// builder which knows nothing but the cache finds all steps.
func assertFound(t *testing.T, registry *harness.Registry, export harness.BuildxBuild, from string) {
	t.Helper()
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	e := parts.Engine(t, harness.EngineOptions{Binary: guarded(t), MemoryLimit: limit})
	place := registry.Host + "/image"
	for _, b := range []harness.BuildxBuild{
		{Output: harness.PushOutput(place)},
		{Output: harness.PushOutput(place, "compression=zstd", "force-compression=true")},
		export,
	} {
		b.Dockerfile = dockerfile(base)
		_, err := e.Build(t.Context(), b)
		require.NoError(t, err)
	}
	spared, err := e.LogEntries("combinations spared")
	require.NoError(t, err)
	assert.Len(t, spared, 1)
	result, err := startDaemon(t, registry).Build(t.Context(), harness.Build{Dockerfile: dockerfile(base), ImportCache: []string{from}})
	require.NoError(t, err)
	assert.Equal(t, steps, result.Cached, result.Output)
}

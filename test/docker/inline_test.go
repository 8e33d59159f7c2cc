package docker

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// TestInlineKeepsCache holds that an image with inline cache that the guarded engine has pushed is
// found by a builder that knows nothing else, also when its layers are there in two compressions.
func TestInlineKeepsCache(t *testing.T) {
	registry := startRegistry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	e := startEngine(t, harness.EngineOptions{Binary: guarded(t), MemoryLimit: limit})
	place := registry.Host + "/inline"
	for _, b := range []harness.BuildxBuild{
		{Output: harness.PushOutput(place + ":zstd")},
		{Output: harness.PushOutput(place+":zstd", "compression=zstd", "force-compression=true")},
		{Output: harness.PushOutput(place + ":latest"), CacheTo: []string{"type=inline"}},
	} {
		b.Dockerfile = dockerfile(base)
		_, err := e.Build(t.Context(), b)
		require.NoError(t, err)
	}
	result, err := startDaemon(t, registry).Build(t.Context(), harness.Build{Dockerfile: dockerfile(base), ImportCache: []string{"type=registry,ref=" + place}})
	require.NoError(t, err)
	assert.Equal(t, steps, result.Cached, result.Output)
}

package harness

import (
	"testing"

	cacheconfig "github.com/moby/buildkit/cache/remotecache/v1/types"
	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestChains(t *testing.T) {
	m := CacheManifest{Config: cacheconfig.CacheConfig{
		Layers: []cacheconfig.CacheLayer{{Blob: "sha256:b", ParentIndex: 1}, {Blob: "sha256:a", ParentIndex: -1}},
		Records: []cacheconfig.CacheRecord{
			{Results: []cacheconfig.CacheResult{{LayerIndex: 0}, {LayerIndex: 1}}},
			{},
		},
	}}
	chains, err := m.Chains()
	require.NoError(t, err)
	assert.Equal(t, [][]digest.Digest{{"sha256:a", "sha256:b"}, {"sha256:a"}}, chains)

	for name, parent := range map[string]int{"a loop": 0, "no such layer": 2, "no such layer, negative": -2} {
		t.Run(name, func(t *testing.T) {
			m.Config.Layers[1].ParentIndex = parent
			_, err := m.Chains()
			require.ErrorContains(t, err, "a chain that does not end")
		})
	}
}

package choice

import (
	"maps"
	"slices"
	"testing"

	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// chainOf makes a chain with descriptors of its own.
func chainOf(s *store, layers ...int) []ocispecs.Descriptor {
	chain := make([]ocispecs.Descriptor, len(layers))
	for i, layer := range layers {
		chain[i] = s.blobOf(layer, 0).Descriptor
	}
	return chain
}

func TestKeptChainsAreEqual(t *testing.T) {
	s := newStore()
	rapid.Check(t, func(t *rapid.T) {
		var chains Chains
		for _, layers := range rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 2), 0, 6), 1, 10).Draw(t, "chains") {
			chain := chainOf(s, layers...)
			if len(chain) > 0 && rapid.Bool().Draw(t, "made at another time") {
				last := &chain[len(chain)-1]
				last.Annotations = maps.Clone(last.Annotations)
				last.Annotations[CreatedAt] = "1"
			}
			want := slices.Clone(chain)
			kept := chains.Keep(chain)
			require.Equal(t, want, append([]ocispecs.Descriptor{}, kept...))
			require.Equal(t, len(kept), cap(kept), "appending copies")
		}
	})
}

// TestBeginningsAreShared has chains that begin with the same layers.
func TestBeginningsAreShared(t *testing.T) {
	s := newStore()
	var chains Chains
	long := chains.Keep(chainOf(s, 0, 1, 2))
	short := chains.Keep(chainOf(s, 0, 1))
	assert.Same(t, &long[0], &short[0], "one begins as the other")
	again := chains.Keep(chainOf(s, 0, 1, 2))
	assert.Same(t, &long[0], &again[0])
	other := chains.Keep(chainOf(s, 0, 1, 3))
	long[0].Annotations["shared"] = "yes"
	assert.Equal(t, "yes", other[0].Annotations["shared"], "annotations of the same beginning")
}

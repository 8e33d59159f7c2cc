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

// TestOtherDescriptionOfABlobIsKept has a blob that two stores describe in two ways.
func TestOtherDescriptionOfABlobIsKept(t *testing.T) {
	for name, change := range map[string]func(*ocispecs.Descriptor){
		"size":        func(desc *ocispecs.Descriptor) { desc.Size++ },
		"media type":  func(desc *ocispecs.Descriptor) { desc.MediaType += "+other" },
		"URLs":        func(desc *ocispecs.Descriptor) { desc.URLs = []string{"https://example.org/layer"} },
		"annotations": func(desc *ocispecs.Descriptor) { desc.Annotations = nil },
	} {
		t.Run(name, func(t *testing.T) {
			var chains Chains
			chain := chainOf(newStore(), 0, 1)
			chains.Keep(slices.Clone(chain))
			change(&chain[0])
			assert.Equal(t, chain, chains.Keep(slices.Clone(chain)))
		})
	}
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

// TestLayersAreThoseOfAllChains has chains that begin alike, and a layer upon others.
func TestLayersAreThoseOfAllChains(t *testing.T) {
	s := newStore()
	var c Choice
	for _, layers := range [][]int{{0, 1, 2}, {0, 1}, {0, 1, 3}, {1, 0}} {
		c.chains.Keep(chainOf(s, layers...))
	}
	written := map[string]int{}
	c.Layers(func(desc ocispecs.Descriptor) { written[desc.Digest.String()]++ })
	want := map[string]int{}
	for layer, times := range []int{2, 2, 1, 1} {
		want[s.blobOf(layer, 0).Digest.String()] = times
	}
	assert.Equal(t, want, written)
}

package guard

import (
	"context"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// product returns one remote for every combination of the layers' blobs under
// the given topmost blob, each with descriptors of its own, in an order that
// depends on nothing but the variants. The main chain is left out: it is the
// caller's first remote already.
func product(v variants, topmost ocispecs.Descriptor, provider content.InfoReaderProvider) []*solver.Remote {
	var (
		remotes = make([]*solver.Remote, 0, NewEstimate(v.counts()).Remotes)
		below   = v[:len(v)-1]
		choice  = make([]int, len(below)) // counts through all combinations
		isMain  = topmost.Digest == v[len(below)][0].Digest
	)
	for {
		if !isMain || slices.ContainsFunc(choice, func(i int) bool { return i > 0 }) {
			chain := make([]ocispecs.Descriptor, 0, len(v))
			for layer, i := range choice {
				chain = append(chain, below[layer][i])
			}
			remotes = append(remotes, &solver.Remote{Descriptors: append(chain, topmost), Provider: provider})
		}
		layer := len(choice) - 1
		for ; layer >= 0; layer-- {
			if choice[layer]++; choice[layer] < len(below[layer]) {
				break
			}
			choice[layer] = 0
		}
		if layer < 0 {
			return remotes
		}
	}
}

// single returns the chain in one compression: of every layer the first blob
// that has it, and the layer's own blob where there is none.
func single(ctx context.Context, store content.Store, v variants, comp compression.Type) []ocispecs.Descriptor {
	chain := make([]ocispecs.Descriptor, len(v))
	for i, blobs := range v {
		chain[i] = blobs[0]
		if len(blobs) == 1 {
			continue
		}
		if blob, ok := withCompression(ctx, store, blobs, comp); ok {
			chain[i] = blob
		}
	}
	return chain
}

// withCompression returns the first of a layer's blobs that needs no conversion
// to the compression. The answer is the compression's own: media types cannot
// tell estargz from gzip.
func withCompression(ctx context.Context, store content.Store, blobs []ocispecs.Descriptor, comp compression.Type) (ocispecs.Descriptor, bool) {
	for _, blob := range blobs {
		if needs, err := comp.NeedsConversion(ctx, store, blob); err == nil && !needs {
			return blob, true
		}
	}
	return ocispecs.Descriptor{}, false
}

// sameChain reports whether two chains have the same blobs.
func sameChain(a, b []ocispecs.Descriptor) bool {
	return slices.EqualFunc(a, b, func(a, b ocispecs.Descriptor) bool { return a.Digest == b.Digest })
}

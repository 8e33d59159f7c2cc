package variants

import (
	"context"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/cost"
)

// Product returns one remote for every combination of the layers' blobs under
// the given topmost blob, each with descriptors of its own, in an order that
// depends on nothing but the variants. The main chain is left out: it is the
// caller's first remote already. The table must not be nil.
func (t Table) Product(topmost ocispecs.Descriptor, provider content.InfoReaderProvider) []*solver.Remote {
	var (
		remotes = make([]*solver.Remote, 0, cost.NewEstimate(t.Counts()).Remotes)
		below   = t[:len(t)-1]
		choice  = make([]int, len(below)) // counts through all combinations
		isMain  = topmost.Digest == t[len(below)][0].Digest
	)
	for {
		if !isMain || slices.ContainsFunc(choice, func(i int) bool { return i > 0 }) {
			chain := make([]ocispecs.Descriptor, 0, len(t))
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

// Single returns the chain in one compression: of every layer the first blob
// that has it, and the layer's own blob where there is none.
func (t Table) Single(ctx context.Context, store content.Store, comp compression.Type) []ocispecs.Descriptor {
	chain := make([]ocispecs.Descriptor, len(t))
	for i, blobs := range t {
		chain[i] = blobs[0]
		if len(blobs) == 1 {
			continue
		}
		if blob, ok := InCompression(ctx, store, blobs, comp); ok {
			chain[i] = blob
		}
	}
	return chain
}

// InCompression returns the first of a layer's blobs that needs no conversion
// to the compression. The answer is the compression's own: media types cannot
// tell estargz from gzip. A blob of which that cannot be told is passed over.
func InCompression(ctx context.Context, store content.Store, blobs []ocispecs.Descriptor, comp compression.Type) (ocispecs.Descriptor, bool) {
	for _, blob := range blobs {
		if needs, err := comp.NeedsConversion(ctx, store, blob); err == nil && !needs {
			return blob, true
		}
	}
	return ocispecs.Descriptor{}, false
}

// SameChain reports whether two chains have the same blobs.
func SameChain(a, b []ocispecs.Descriptor) bool {
	return slices.EqualFunc(a, b, func(a, b ocispecs.Descriptor) bool { return a.Digest == b.Digest })
}

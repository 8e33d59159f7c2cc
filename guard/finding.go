package guard

import (
	"context"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/internal/variants"
)

// finding is what was found out about the layers of a record. It is not changed after it
// was made.
type finding struct {
	// layers is nil if no layer has a second blob.
	layers variants.Table
	// infos is the content store that was asked.
	infos content.Store
	// err is the first error of looking up the variants.
	err error
	// requested is the compression that was asked for, and topmost the blob of the
	// topmost layer that has it, nil if there is none.
	requested compression.Type
	topmost   *ocispecs.Descriptor
	// estimate is the size of the product.
	estimate Estimate
}

// find finds out about the layers of a main remote. The store is asked once for each
// blob if it is an [variants.InfoCache].
func find(ctx context.Context, store content.Store, chain []ocispecs.Descriptor, requested compression.Type) *finding {
	layers, err := variants.Find(ctx, store, chain)
	f := &finding{
		layers:    layers,
		infos:     store,
		err:       err,
		requested: requested,
		estimate:  Estimate{Layers: len(chain), Compressions: 1, Remotes: 1},
	}
	if layers == nil {
		return f
	}
	if topmost, ok := variants.InCompression(ctx, store, layers[len(layers)-1], requested); ok {
		f.topmost = &topmost
		f.estimate = NewEstimate(layers.Counts())
	}
	return f
}

// isLazy reports whether the store of the worker is known not to have a blob.
func (f *finding) isLazy(dgst digest.Digest) bool {
	cache, ok := f.infos.(*variants.InfoCache)
	return ok && cache.Lacks(dgst)
}

// anyLazy reports whether one of the blobs is lazy.
func (f *finding) anyLazy(chain []ocispecs.Descriptor) bool {
	return slices.ContainsFunc(chain, func(own ocispecs.Descriptor) bool { return f.isLazy(own.Digest) })
}

package upstream

import (
	"bytes"
	"context"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// gzip is the compression that all reproductions ask for.
var gzip = compression.New(compression.Gzip)

// product counts the remotes of chains that differ by one layer: with a table of
// the blobs of each layer, the count would grow by as many as the layer has.
func product(ctx context.Context, c *smallCache) (bool, error) {
	var counts [2]int
	for i, layers := range []int{4, 5} {
		ref, err := c.chain(ctx, layers, compression.Uncompressed)
		if err != nil {
			return false, err
		}
		all, err := c.remotes(ctx, ref, gzip)
		if err != nil {
			return false, err
		}
		counts[i] = len(all)
	}
	return counts[1]-counts[0] > 2, nil
}

// sharedDescriptors looks for equal remotes beside the main one. Five layers are
// the smallest chain that has some: the remotes of the lower three have room for
// a fourth descriptor, and the variants of the fourth layer all take it.
func sharedDescriptors(ctx context.Context, c *smallCache) (bool, error) {
	ref, err := c.chain(ctx, 5, compression.Uncompressed)
	if err != nil {
		return false, err
	}
	all, err := c.remotes(ctx, ref, gzip)
	if err != nil {
		return false, err
	}
	for i, remote := range all[1:] {
		if slices.ContainsFunc(all[1:1+i], func(other *solver.Remote) bool { return sameChain(remote, other) }) {
			return true, nil
		}
	}
	return false, nil
}

// sameChain reports whether two remotes have the same blobs.
func sameChain(a, b *solver.Remote) bool {
	return slices.EqualFunc(a.Descriptors, b.Descriptors, func(a, b ocispecs.Descriptor) bool { return a.Digest == b.Digest })
}

// walkOrder asks again and again for the remotes of a chain until their order
// differs. Two variants of one layer are the least that can change places.
func walkOrder(ctx context.Context, c *smallCache) (bool, error) {
	// Go starts a small map at one of eight places: an order that comes up
	// once in eight times is missed with a probability below 1e-7.
	const tries = 128
	ref, err := c.chain(ctx, 2, compression.Uncompressed, compression.Zstd)
	if err != nil {
		return false, err
	}
	first, err := c.remotes(ctx, ref, gzip)
	if err != nil {
		return false, err
	}
	for range tries {
		again, err := c.remotes(ctx, ref, gzip)
		if err != nil {
			return false, err
		}
		if !slices.EqualFunc(first, again, sameChain) {
			return true, nil
		}
	}
	return false, nil
}

// lazyVariants exports a layer that is not pulled, and looks for the result.
func lazyVariants(ctx context.Context, c *smallCache) (bool, error) {
	desc, data, err := layer(ctx, 5) // in no chain
	if err != nil {
		return false, err
	}
	registry := contentutil.NewBuffer()
	if err := content.WriteBlob(ctx, registry, desc.Digest.String(), bytes.NewReader(data), desc); err != nil {
		return false, err
	}
	ref, err := c.ref(ctx, desc, nil, cache.DescHandlers{
		desc.Digest: &cache.DescHandler{Provider: func(session.Group) content.Provider { return registry }},
	})
	if err != nil {
		return false, err
	}
	e, err := c.registryExporter(ctx)
	if err != nil {
		return false, err
	}
	all, err := c.remotes(ctx, ref, e.Config().Compression)
	if err != nil {
		return false, err
	}
	written, err := export(ctx, e, resultsOf(all))
	return written == 0, err
}

// Package variants finds the blobs that a layer exists in, and makes chains of them. It
// says in linear space what upstream spells out as c^n remotes.
package variants

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Table holds the blobs of every layer of a chain, bottom layer first. A
// layer's own blob comes first, its variants follow in the order of their
// digests. It is nil if no layer has a second blob.
type Table [][]ocispecs.Descriptor

// Find finds the blobs of each layer of a chain in a store, and asks an [InfoCache] once
// for each layer. A layer whose blobs cannot be looked up keeps its own blob; the first
// such error comes back beside the table, which is complete and usable either way.
func Find(ctx context.Context, store content.InfoProvider, chain []ocispecs.Descriptor) (Table, error) {
	var (
		layers   Table
		firstErr error
	)
	for i, own := range chain {
		blobs, err := find(ctx, store, own)
		if err != nil && firstErr == nil {
			firstErr = fmt.Errorf("find the variants of %s: %w", own.Digest, err)
		}
		if blobs == nil {
			continue
		}
		if layers == nil {
			layers = make(Table, len(chain))
		}
		layers[i] = blobs
	}
	for i := range layers {
		if layers[i] == nil {
			layers[i] = []ocispecs.Descriptor{chain[i]}
		}
	}
	return layers, firstErr
}

// find finds the blobs of one layer.
func find(ctx context.Context, store content.InfoProvider, own ocispecs.Descriptor) ([]ocispecs.Descriptor, error) {
	if c, ok := store.(*InfoCache); ok {
		return c.walk(ctx, own)
	}
	return Walk(ctx, store, own)
}

// Main returns the chain of the layers' own blobs.
func (t Table) Main() []ocispecs.Descriptor {
	chain := make([]ocispecs.Descriptor, len(t))
	for i, blobs := range t {
		chain[i] = blobs[0]
	}
	return chain
}

// Counts returns the number of blobs of each layer.
func (t Table) Counts() []int {
	counts := make([]int, len(t))
	for i, blobs := range t {
		counts[i] = len(blobs)
	}
	return counts
}

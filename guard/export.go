package guard

import (
	"context"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// export is what the decorators of an exporter and of a worker share of one
// cache export. It is safe for concurrent use.
type export struct {
	exporterType string

	mu sync.Mutex
	// blobs holds the blobs of a layer by its own blob, protected by mu.
	// Hundreds of records share layers: each is walked once.
	blobs map[digest.Digest][]ocispecs.Descriptor
	// observed tells that the export was logged in mode observe, protected by
	// mu.
	observed bool
}

func newExport(exporterType string) *export {
	return &export{exporterType: exporterType, blobs: make(map[digest.Digest][]ocispecs.Descriptor)}
}

// typeName is the type of the exporter. Without an export that is the inline
// exporter: all others are decorated.
func (e *export) typeName() string {
	if e == nil {
		return "inline"
	}
	return e.exporterType
}

// observe reports whether the export is to be logged in mode observe, which it
// is once.
func (e *export) observe() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	first := !e.observed
	e.observed = true
	return first
}

// reset forgets what was remembered.
func (e *export) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.blobs)
	e.observed = false
}

// exportCompression is a compression that knows the export it is requested for.
// Upstream hands nothing else from an exporter to a worker: the compression of
// Exporter.Config comes back as that of RefConfig (solver/llbsolver/export.go).
type exportCompression struct {
	compression.Type
	export *export
}

// requestedFor splits a compression into upstream's own, gzip if it is missing,
// and the export; the export is nil if no decorated exporter has asked. Inline
// exports are such: their compression is that of the image.
func requestedFor(t compression.Type) (compression.Type, *export) {
	if t == nil {
		return compression.Default, nil
	}
	if requested, ok := t.(exportCompression); ok {
		return requested.Type, requested.export
	}
	return t, nil
}

// walk finds the variants of a chain and remembers each layer for the rest of
// the export. A nil export remembers nothing.
func (e *export) walk(ctx context.Context, store content.InfoProvider, chain []ocispecs.Descriptor) (variants, error) {
	if e == nil {
		return walkChain(chain, func(own ocispecs.Descriptor) ([]ocispecs.Descriptor, error) {
			return walkBlob(ctx, store, own)
		})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return walkChain(chain, func(own ocispecs.Descriptor) ([]ocispecs.Descriptor, error) {
		if blobs, ok := e.blobs[own.Digest]; ok {
			return blobs, nil
		}
		blobs, err := walkBlob(ctx, store, own)
		if err == nil {
			e.blobs[own.Digest] = blobs
		}
		return blobs, err
	})
}

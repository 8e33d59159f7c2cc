package guard

import (
	"context"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/uploads"
)

// export is what the decorators of an exporter and of a worker share of one
// cache export. It is safe for concurrent use.
type export struct {
	exporterType string
	// atLeast is the mode that the build has asked for; empty means none.
	atLeast config.Mode
	// ofImage says that an image exporter asks, for its inline cache. The exporter of
	// that cache has an export of its own, as upstream does not tell either of the
	// other (solver/llbsolver/export.go).
	ofImage bool
	// conversions are of the layers that the export compresses, uploads of those
	// that it sends; uploads is nil if that takes no memory worth a wait.
	conversions *exportConversions
	uploads     *uploads.Layers

	mu sync.Mutex
	// blobs holds what walkBlob says of a layer by its own blob, protected by
	// mu. Hundreds of records share layers: each is walked once.
	blobs map[digest.Digest][]ocispecs.Descriptor
	// asked is the content store of the last walk, protected by mu.
	asked *askedStore
	// observed is what ModeEnforce would have done, protected by mu.
	observed tally
	// skipped is who had set ModeBlock when a record was skipped, empty if none
	// was; protected by mu.
	skipped ModeSource
}

// newExport returns an export of a type whose layers wait for nothing. The mode is
// what its attributes ask for, empty if they ask for none.
func newExport(exporterType string, atLeast config.Mode) *export {
	return &export{
		exporterType: exporterType,
		atLeast:      atLeast,
		blobs:        make(map[digest.Digest][]ocispecs.Descriptor),
	}
}

// newExport returns what the decorators of one export share, whose layers wait for
// the memory of the guard.
func (g *Guard) newExport(exporterType string, atLeast config.Mode, attrs map[string]string) *export {
	e := newExport(exporterType, atLeast)
	e.conversions = g.newConversions(e)
	cost, parallel := uploads.Of(exporterType, attrs)
	e.uploads = uploads.New(e.conversions.line, cost, parallel)
	return e
}

// typeName is the type of the exporter. Without an export that is the inline
// exporter: all others are decorated.
func (e *export) typeName() string {
	if e == nil {
		return "inline"
	}
	return e.exporterType
}

// observe adds a record in ModeObserve and reports whether it is the first that
// would be refused.
func (e *export) observe(p *provider) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.observed.add(p)
	return p.refused && e.observed.records == 1
}

// takeObserved returns what was observed, and forgets it.
func (e *export) takeObserved() tally {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.observed
	e.observed = tally{}
	return t
}

// skip notes that a record was skipped, and who had blocked it.
func (e *export) skip(by ModeSource) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.skipped = by
}

// takeSkipped returns who had blocked a record, and forgets it.
func (e *export) takeSkipped() ModeSource {
	e.mu.Lock()
	defer e.mu.Unlock()
	by := e.skipped
	e.skipped = ""
	return by
}

// reset forgets what was remembered.
func (e *export) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.blobs)
	e.asked = nil
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

// remember returns a content store that the export asks once for each blob. A
// nil export remembers nothing.
func (e *export) remember(store content.Store) content.Store {
	if e == nil {
		return store
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.asked == nil || e.asked.Store != store {
		e.asked = newAskedStore(store)
	}
	return e.asked
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

package guard

import (
	"context"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/bklog"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/worker"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/choice"
	"github.com/bkguard/bkguard/internal/uploads"
	"github.com/bkguard/bkguard/internal/variants"
)

// export is what the decorators of an exporter and of a worker share of one
// cache export. It is safe for concurrent use.
type export struct {
	exporterType string
	// atLeast is the mode that the build has asked for; empty means none.
	atLeast config.Mode
	// session is the client's, and cache where the export goes: a reference, a
	// directory, or a bucket and a name. Both are for people, and may be empty.
	session, cache string
	// ofImage says that an image exporter asks, for its inline cache. The exporter of
	// that cache has an export of its own, as upstream does not tell either of the
	// other (solver/llbsolver/export.go).
	ofImage bool
	// conversions are of the layers that the export compresses, uploads of those
	// that it sends; uploads is nil if that takes no memory worth a wait.
	conversions *exportConversions
	uploads     *uploads.Layers

	mu sync.Mutex
	// stores has what was asked of each content store, protected by mu.
	stores map[content.Store]*variants.InfoCache
	// refs are held until the export has ended, so that nothing which it writes is
	// pruned meanwhile; answers are what a worker has answered for them. Upstream asks
	// twice for each record (solver/exporter.go). Both are protected by mu.
	refs    map[refKey]cache.ImmutableRef
	answers map[refKey]*solver.Remote
	// closed says that the request has ended, so that nobody would release what is
	// held from now on; protected by mu.
	closed bool
	// chains has the chains of the answers, protected by mu.
	chains choice.Chains
	// layers has the descriptor of each layer of the answers that is in the store of its
	// worker, by the ref of that layer alone; protected by mu.
	layers map[refKey]ocispecs.Descriptor
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
	}
}

// refKey is a ref of a worker.
type refKey struct {
	worker worker.Worker
	id     string
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

// observe adds a record in ModeObserve and reports whether it is the first whose
// combinations would be spared.
func (e *export) observe(found *finding, spared bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.observed.add(found, spared)
	return spared && e.observed.records == 1
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

// close ends an export whose request has ended.
func (e *export) close(ctx context.Context) {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.end(ctx)
}

// end releases all refs and forgets what was remembered.
func (e *export) end(ctx context.Context) {
	e.mu.Lock()
	refs := e.refs
	e.refs, e.answers, e.stores, e.chains, e.layers = nil, nil, nil, choice.Chains{}, nil
	e.mu.Unlock()
	for _, ref := range refs {
		if err := ref.Release(context.WithoutCancel(ctx)); err != nil {
			bklog.G(ctx).WithError(err).WithField("ref", ref.ID()).Warn("release a ref of a cache export")
		}
	}
	e.uploads.Release()
}

// holdRef keeps a ref until the export has ended. A nil export holds nothing.
func (e *export) holdRef(w worker.Worker, ref cache.ImmutableRef) {
	if e == nil || ref == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	key := refKey{w, ref.ID()}
	if _, ok := e.refs[key]; ok || e.closed {
		return
	}
	if e.refs == nil {
		e.refs = make(map[refKey]cache.ImmutableRef)
	}
	e.refs[key] = ref.Clone()
}

// answered returns what a worker has answered for a ref, nil if it has not.
func (e *export) answered(w worker.Worker, ref cache.ImmutableRef) *solver.Remote {
	if e == nil || ref == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.answers[refKey{w, ref.ID()}]
}

// keepAnswer keeps the answer of a worker for a ref.
func (e *export) keepAnswer(w worker.Worker, ref cache.ImmutableRef, remote *solver.Remote) {
	if ref == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.answers == nil {
		e.answers = make(map[refKey]*solver.Remote)
	}
	e.answers[refKey{w, ref.ID()}] = remote
}

// described returns the chain of the layers of a ref if an earlier answer has described each
// of them. Upstream describes a layer in the same way wherever it stands: by its own ref, and
// if it is lazy by where to pull it from (cache/remote.go, getRemote; cache/refs.go, ociDesc).
func (e *export) described(w worker.Worker, layers []string) []ocispecs.Descriptor {
	if len(layers) == 0 {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	chain := make([]ocispecs.Descriptor, len(layers))
	for i, id := range layers {
		desc, ok := e.layers[refKey{w, id}]
		if !ok {
			return nil
		}
		chain[i] = desc
	}
	return chain
}

// describe keeps the descriptors of the layers of a ref that are not lazy.
func (e *export) describe(w worker.Worker, layers []string, chain []ocispecs.Descriptor, isLazy func(digest.Digest) bool) {
	if len(layers) != len(chain) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	if e.layers == nil {
		e.layers = make(map[refKey]ocispecs.Descriptor)
	}
	for i, id := range layers {
		if !isLazy(chain[i].Digest) {
			e.layers[refKey{w, id}] = chain[i]
		}
	}
}

// share returns a remote whose chain shares its memory with that of other records. A
// nil export shares nothing.
func (e *export) share(remote *solver.Remote) *solver.Remote {
	if e == nil {
		return remote
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return &solver.Remote{Descriptors: e.chains.Keep(remote.Descriptors), Provider: remote.Provider}
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

// infoCache returns a content store that the export asks once for each blob. That of a
// nil export is the store itself.
func (e *export) infoCache(store content.Store) content.Store {
	if e == nil {
		return store
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stores == nil {
		e.stores = make(map[content.Store]*variants.InfoCache)
	}
	if e.stores[store] == nil {
		e.stores[store] = variants.NewInfoCache(store)
	}
	return e.stores[store]
}

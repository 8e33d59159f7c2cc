package guard

import (
	"context"

	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/bklog"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/worker"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/conversions"
)

// guardedWorker is a worker that answers for the remotes of its refs. Upstream
// asks a worker for this method before it asks the ref (worker/result.go).
type guardedWorker struct {
	worker.Worker
	guard *Guard
}

// remotesGetter is the optional method of a worker.
type remotesGetter interface {
	GetRemotes(ctx context.Context, ref cache.ImmutableRef, createIfNeeded bool, refCfg cacheconfig.RefConfig, all bool, s session.Group) ([]*solver.Remote, error)
}

var _ remotesGetter = &guardedWorker{}

// GetRemotes returns the main remote of a ref and, if all is true, its variants
// as far as mode and limits allow: the whole product, or the single chain in
// the requested compression.
//
// If a decorated exporter asks, the result is the main remote alone: its
// provider carries the variants of all layers to that exporter.
//
// The error is that of the inner worker or the ref. A failure of the guard is
// none: the layer concerned keeps its own blob.
func (w *guardedWorker) GetRemotes(ctx context.Context, ref cache.ImmutableRef, createIfNeeded bool, refCfg cacheconfig.RefConfig, all bool, s session.Group) ([]*solver.Remote, error) {
	wanted, export := requestedFor(refCfg.Compression.Type)
	requested := conversions.Unwrap(wanted)
	refCfg.Compression.Type = requested
	mode := w.guard.mode(export)
	switch {
	case mode == config.ModeOff:
		return w.inner(ctx, ref, createIfNeeded, refCfg, all, s)
	case mode == config.ModeBlock && export != nil:
		export.skip(w.guard.blockedBy(export))
		return nil, nil // the export is skipped: no blob need be made for it
	}
	if mode == config.ModeObserve {
		return w.observed(ctx, export, ref, createIfNeeded, refCfg, all, s)
	}
	if remote := export.answered(w.Worker, ref); remote != nil {
		return []*solver.Remote{remote}, nil
	}
	export.holdRef(w.Worker, ref)
	layers := w.layerRefs(ctx, export, ref)
	if chain := export.described(w.Worker, layers); chain != nil {
		return []*solver.Remote{w.answer(ctx, export, ref, layers, &solver.Remote{Descriptors: chain}, mode, refCfg.Compression)}, nil
	}
	main := refCfg
	main.Compression.Type = w.guard.waiting(wanted, export)
	remotes, err := w.inner(ctx, ref, createIfNeeded, main, false, s)
	if err != nil || (export == nil && (refCfg.Compression.Force || !all)) {
		return remotes, err
	}
	// A worker without a content store, as in moby, has no variants to find.
	if len(remotes) == 0 || len(remotes[0].Descriptors) == 0 || w.ContentStore() == nil {
		return remotes, nil
	}
	if export != nil {
		return []*solver.Remote{w.answer(ctx, export, ref, layers, remotes[0], mode, refCfg.Compression)}, nil
	}
	return w.allRemotes(ctx, mode, remotes[0], requested), nil
}

// layerRefs are the IDs of the refs of the layers of a ref, bottom layer first; nil if nobody
// asks for them. A worker with a GetRemotes of its own may describe layers by something else
// than these, and one without a content store is answered by upstream.
func (w *guardedWorker) layerRefs(ctx context.Context, export *export, ref cache.ImmutableRef) []string {
	if _, ok := w.Worker.(remotesGetter); ok || export == nil || ref == nil || w.ContentStore() == nil {
		return nil
	}
	chain := ref.LayerChain()
	ids := make([]string, len(chain))
	for i, layer := range chain {
		ids[i] = layer.ID()
	}
	if err := chain.Release(context.WithoutCancel(ctx)); err != nil {
		bklog.G(ctx).WithError(err).WithField("ref", ref.ID()).Warn("release the layers of a ref")
	}
	return ids
}

// answer returns the main remote of a ref for a decorated exporter, and keeps it. Layers are
// the IDs of the refs of its layers.
func (w *guardedWorker) answer(ctx context.Context, export *export, ref cache.ImmutableRef, layers []string, main *solver.Remote, mode config.Mode, comp compression.Config) *solver.Remote {
	main = export.share(main)
	found := w.find(ctx, export, main, comp.Type)
	spared := !comp.Force && w.guard.limits.explodes(mode, found.estimate)
	var p *provider
	if main.Provider != nil && found.anyLazy(main.Descriptors) {
		p = newProvider(main, w.ContentStore(), found, spared)
	} else {
		p = newStoreProvider(w.ContentStore(), found, spared)
	}
	found.debug(ctx, spared)
	export.describe(w.Worker, layers, main.Descriptors, found.isLazy)
	remote := &solver.Remote{Descriptors: main.Descriptors, Provider: p}
	export.keepAnswer(w.Worker, ref, remote)
	return remote
}

// find finds out about the layers of a main remote.
func (w *guardedWorker) find(ctx context.Context, export *export, main *solver.Remote, requested compression.Type) *finding {
	found := find(ctx, export.infoCache(w.ContentStore()), main.Descriptors, requested)
	// A client that goes away is no failure of the store.
	if found.err != nil && ctx.Err() == nil {
		w.guard.stats.walkErrors.Add(1)
	}
	return found
}

// observed returns what the inner worker has, and notes what ModeEnforce would do
// with it. Upstream asks for all remotes of a record without making blobs first, and
// for some of them once more (solver/exporter.go): what needs no new blob is counted
// then.
func (w *guardedWorker) observed(ctx context.Context, export *export, ref cache.ImmutableRef, createIfNeeded bool, refCfg cacheconfig.RefConfig, all bool, s session.Group) ([]*solver.Remote, error) {
	if all && !createIfNeeded && !refCfg.Compression.Force && w.ContentStore() != nil {
		main, err := w.inner(ctx, ref, false, refCfg, false, s)
		if err == nil && len(main) > 0 && len(main[0].Descriptors) > 0 {
			w.guard.observe(ctx, export, w.find(ctx, export, main[0], refCfg.Compression.Type))
		}
	}
	return w.inner(ctx, ref, createIfNeeded, refCfg, all, s)
}

// Exporter decorates the inner worker's exporter, if it is one of images.
func (w *guardedWorker) Exporter(name string, sm *session.Manager) (exporter.Exporter, error) {
	inner, err := w.Worker.Exporter(name, sm)
	if err != nil || !exportsImages(name) {
		return inner, err
	}
	return &imageExporter{Exporter: inner, guard: w.guard}, nil
}

// inner asks the inner worker, or the ref if that worker leaves it to the ref.
func (w *guardedWorker) inner(ctx context.Context, ref cache.ImmutableRef, createIfNeeded bool, refCfg cacheconfig.RefConfig, all bool, s session.Group) ([]*solver.Remote, error) {
	inner := worker.WorkerRef{ImmutableRef: ref, Worker: w.Worker}
	return inner.GetRemotes(ctx, createIfNeeded, refCfg, all, s)
}

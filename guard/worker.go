package guard

import (
	"context"
	"runtime"

	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/worker"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/conversions"
	"github.com/bkguard/bkguard/internal/variants"
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
	asked, export := requestedFor(refCfg.Compression.Type)
	requested := conversions.Unwrap(asked)
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
	export.hold(w.Worker, ref)
	main := refCfg
	main.Compression.Type = w.guard.waiting(asked, export)
	remotes, err := w.inner(ctx, ref, createIfNeeded, main, false, s)
	if err != nil || (export == nil && (refCfg.Compression.Force || !all)) {
		return remotes, err
	}
	// A worker without a content store, as in moby, has no variants to find.
	if len(remotes) == 0 || len(remotes[0].Descriptors) == 0 || w.ContentStore() == nil {
		return remotes, nil
	}
	if export != nil {
		return []*solver.Remote{w.answer(ctx, export, ref, remotes[0], mode, refCfg.Compression)}, nil
	}
	p := w.lookUp(ctx, nil, remotes[0], requested)
	if p.layers == nil && p.walkErr == nil {
		return remotes, nil
	}
	remotes = append([]*solver.Remote{{Descriptors: remotes[0].Descriptors, Provider: p}}, w.variants(ctx, mode, p)...)
	p.debug(ctx)
	return remotes, nil
}

// answer returns the main remote of a ref for a decorated exporter, and keeps it.
func (w *guardedWorker) answer(ctx context.Context, export *export, ref cache.ImmutableRef, main *solver.Remote, mode config.Mode, comp compression.Config) *solver.Remote {
	main = export.share(main)
	p := w.lookUp(ctx, export, main, comp.Type)
	p.refused = !comp.Force && w.guard.limits.explodes(mode, p.estimate)
	p.keepLazy(main, w.ContentStore())
	p.debug(ctx)
	remote := &solver.Remote{Descriptors: main.Descriptors, Provider: p}
	export.keep(w.Worker, ref, remote)
	return remote
}

// lookUp finds the variants of a main remote.
func (w *guardedWorker) lookUp(ctx context.Context, export *export, main *solver.Remote, requested compression.Type) *provider {
	store := export.remember(w.ContentStore())
	layers, err := variants.Find(ctx, store, main.Descriptors)
	// A client that goes away is no failure of the store.
	if err != nil && ctx.Err() == nil {
		w.guard.stats.walkErrors.Add(1)
	}
	p := newProvider(main, w.ContentStore(), layers)
	p.walkErr = err
	p.request(ctx, store, requested, len(main.Descriptors))
	return p
}

// observed returns what the inner worker has, and notes what ModeEnforce would do
// with it. Upstream asks for all remotes of a record without making blobs first, and
// for some of them once more (solver/exporter.go): what needs no new blob is counted
// then.
func (w *guardedWorker) observed(ctx context.Context, export *export, ref cache.ImmutableRef, createIfNeeded bool, refCfg cacheconfig.RefConfig, all bool, s session.Group) ([]*solver.Remote, error) {
	if all && !createIfNeeded && !refCfg.Compression.Force && w.ContentStore() != nil {
		main, err := w.inner(ctx, ref, false, refCfg, false, s)
		if err == nil && len(main) > 0 && len(main[0].Descriptors) > 0 {
			p := w.lookUp(ctx, export, main[0], refCfg.Compression.Type)
			p.refused = w.guard.limits.explodes(config.ModeEnforce, p.estimate)
			w.guard.observe(ctx, export, p)
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

// variants returns the remotes beside the main one: the product, or the single
// chain where mode or limits refuse the product. Without a topmost blob in the
// requested compression there are none, as upstream has it (cache/remote.go).
func (w *guardedWorker) variants(ctx context.Context, mode config.Mode, p *provider) []*solver.Remote {
	if p.topmost == nil {
		return nil
	}
	shared := &besideMain{p}
	if free, ok := w.guard.limits.allow(mode, p.estimate); ok {
		runtime.AddCleanup(shared, func(free func()) { free() }, free)
		return p.layers.Product(*p.topmost, shared)
	}
	p.refused = true
	chain := p.layers.Single(ctx, p.asked, p.requested)
	if variants.SameChain(chain, p.layers.Main()) {
		return nil
	}
	return []*solver.Remote{{Descriptors: chain, Provider: shared}}
}

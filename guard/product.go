package guard

import (
	"context"
	"runtime"

	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/variants"
)

// What is in this file is for callers that are no decorated exporters: a daemon whose
// exporters are upstream's own, and other code that asks a worker for all remotes. No
// product is built for a decorated exporter, which is handed a provider instead.

// chargedProvider is the provider of the remotes beside the main one. The budget is
// charged for these as long as one of them is in use.
type chargedProvider struct{ *provider }

// allRemotes returns the main remote and, as far as mode and limits allow, all others of
// its ref: the product, or the chain in the requested compression.
func (w *guardedWorker) allRemotes(ctx context.Context, mode config.Mode, main *solver.Remote, requested compression.Type) []*solver.Remote {
	found := w.find(ctx, nil, main, requested)
	if found.layers == nil && found.err == nil {
		return []*solver.Remote{main}
	}
	// Without a topmost blob in the requested compression there are no others, as
	// upstream has it (cache/remote.go).
	free, built := func() {}, found.topmost == nil
	if !built {
		free, built = w.guard.limits.allow(mode, found.estimate)
	}
	found.debug(ctx, !built)
	p := newProvider(main, w.ContentStore(), found, !built)
	remotes := []*solver.Remote{{Descriptors: main.Descriptors, Provider: p}}
	if found.topmost == nil {
		return remotes
	}
	charged := &chargedProvider{p}
	if built {
		runtime.AddCleanup(charged, func(free func()) { free() }, free)
		return append(remotes, found.layers.Product(*found.topmost, charged)...)
	}
	chain := found.layers.Single(ctx, found.infos, requested)
	if variants.SameChain(chain, found.layers.Main()) {
		return remotes
	}
	return append(remotes, &solver.Remote{Descriptors: chain, Provider: charged})
}

package guard

import (
	"context"
	"errors"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/bklog"
)

// LoadRef loads a ref of the inner worker. A cache export cannot load the ref of a record
// upon a lazy layer whose origin it does not know, which is that of the final image only
// (solver/exporter.go), and leaves out the record with all that is built upon it without
// a word (issue 5560): the log and the client are told.
func (w *guardedWorker) LoadRef(ctx context.Context, id string, hidden bool) (cache.ImmutableRef, error) {
	ref, err := w.Worker.LoadRef(ctx, id, hidden)
	var missing cache.NeedsRemoteProviderError
	// Only an export asks with the origins of layers, and hidden.
	if hidden && errors.As(err, &missing) && solver.CacheOptGetterOf(ctx) != nil && !w.guard.upstreams(nil) {
		w.guard.warnUnloadable(ctx, missing)
	}
	return ref, err
}

// warnUnloadable tells of a record that upstream leaves out. The history of builds loads
// the same records once more, and has no client.
func (g *Guard) warnUnloadable(ctx context.Context, missing cache.NeedsRemoteProviderError) {
	if !warnClient(ctx, "a stage is missing in this cache, as its base image was not pulled: layer %s is here under another name", missing[0]) {
		return
	}
	g.stats.unloadable.Add(1)
	bklog.G(ctx).WithField("layers", len(missing)).WithField("blob", missing[0]).Warn("cache record left out")
}

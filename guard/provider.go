package guard

import (
	"context"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/internal/variants"
)

// route is a provider that gets each blob from the provider it names for it.
// The optional methods of a provider, which upstream asks for by type
// assertion, go the same way; without one each does what its absence would.
type route func(digest.Digest) content.InfoReaderProvider

func (r route) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	return r(desc.Digest).ReaderAt(ctx, desc)
}

func (r route) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	return r(dgst).Info(ctx, dgst)
}

// UnlazySession is the session that a blob is pulled with, nil for any.
func (r route) UnlazySession(desc ocispecs.Descriptor) session.Group {
	if u, ok := r(desc.Digest).(interface {
		UnlazySession(ocispecs.Descriptor) session.Group
	}); ok {
		return u.UnlazySession(desc)
	}
	return nil
}

// SnapshotLabels are the labels for the snapshot of a layer.
func (r route) SnapshotLabels(descs []ocispecs.Descriptor, index int) map[string]string {
	if l, ok := r(descs[index].Digest).(interface {
		SnapshotLabels([]ocispecs.Descriptor, int) map[string]string
	}); ok {
		return l.SnapshotLabels(descs, index)
	}
	return nil
}

// ProviderForSession reads the blobs with the given session.
func (r route) ProviderForSession(g session.Group) content.Provider {
	return sessionRoute{route: r, group: g}
}

// sessionRoute is a route bound to a session.
type sessionRoute struct {
	route
	group session.Group
}

func (r sessionRoute) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	var p content.Provider = r.route(desc.Digest)
	if s, ok := p.(interface {
		ProviderForSession(session.Group) content.Provider
	}); ok {
		p = s.ProviderForSession(r.group)
	}
	return p.ReaderAt(ctx, desc)
}

// provider is what all remotes of one record read from: the main remote's own
// blobs through the main remote, which may still have to pull them, and every
// other blob from the content store. It carries the record's variants to the
// exporter decorator.
//
// Upstream gives variants of a lazy layer the content store only, and drops the
// record's result because the blob is not there (issue 7146).
type provider struct {
	route
	main content.InfoReaderProvider
	// layers is nil if no layer has a second blob.
	layers variants.Table
	// asked is the content store for all questions but whether a blob is still
	// there.
	asked content.Store
	// walkErr is the first error of looking up the variants.
	walkErr error
	// requested is the compression that was asked for, and topmost the blob of
	// the topmost layer that has it, nil if there is none.
	requested compression.Type
	topmost   *ocispecs.Descriptor
	// estimate is the size of the product, refused that it is not built.
	estimate Estimate
	refused  bool
}

// besideMain is the provider of the remotes beside the main one: the memory of
// these is in use as long as it is.
type besideMain struct{ *provider }

func newProvider(main *solver.Remote, store content.Store, layers variants.Table) *provider {
	inner, chain := main.Provider, main.Descriptors
	return &provider{
		main:   inner,
		layers: layers,
		route: func(dgst digest.Digest) content.InfoReaderProvider {
			if slices.ContainsFunc(chain, func(own ocispecs.Descriptor) bool { return own.Digest == dgst }) {
				return inner
			}
			return store
		},
	}
}

// keepLazy drops upstream's provider, which holds much for each record, unless one of
// the own blobs is not in the store.
func (p *provider) keepLazy(main *solver.Remote, store content.Store) {
	lazy := func(own ocispecs.Descriptor) bool { return p.isLazy(own.Digest) }
	if !slices.ContainsFunc(main.Descriptors, lazy) {
		p.main = nil
		p.route = func(digest.Digest) content.InfoReaderProvider { return store }
	}
}

// request notes which compression was asked for, and what comes of it.
func (p *provider) request(ctx context.Context, asked content.Store, requested compression.Type, layers int) {
	p.asked, p.requested = asked, requested
	p.estimate = Estimate{Layers: layers, Compressions: 1, Remotes: 1}
	if p.layers == nil {
		return
	}
	if topmost, ok := variants.InCompression(ctx, asked, p.layers[layers-1], requested); ok {
		p.topmost = &topmost
		p.estimate = NewEstimate(p.layers.Counts())
	}
}

// isLazy reports whether the store of the worker is known not to have a blob.
func (p *provider) isLazy(dgst digest.Digest) bool {
	asked, ok := p.asked.(*variants.InfoCache)
	return ok && asked.Lacks(dgst)
}

// Unlazy pulls what the main remote has not pulled yet.
func (p *provider) Unlazy(ctx context.Context) error {
	if u, ok := p.main.(cache.Unlazier); ok {
		return u.Unlazy(ctx)
	}
	return nil
}

package guard

import (
	"context"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/contentutil"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// provider is what all remotes of one record read from: the main remote's own
// blobs through the main remote, which may still have to pull them, and every
// other blob from the content store. It carries the record's variants to the
// exporter decorator.
//
// Upstream gives variants of a lazy layer the content store only, and drops the
// record's result because the blob is not there (issue 7146).
type provider struct {
	main     *solver.Remote
	mainHas  map[digest.Digest]struct{}
	store    content.Store
	variants variants
	walkErr  error
}

func newProvider(main *solver.Remote, store content.Store, v variants, walkErr error) *provider {
	p := &provider{
		main:     main,
		mainHas:  make(map[digest.Digest]struct{}, len(main.Descriptors)),
		store:    store,
		variants: v,
		walkErr:  walkErr,
	}
	for _, desc := range main.Descriptors {
		p.mainHas[desc.Digest] = struct{}{}
	}
	return p
}

func (p *provider) of(dgst digest.Digest) content.InfoReaderProvider {
	if _, ok := p.mainHas[dgst]; ok {
		return p.main.Provider
	}
	return p.store
}

func (p *provider) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	return p.of(desc.Digest).ReaderAt(ctx, desc)
}

func (p *provider) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	return p.of(dgst).Info(ctx, dgst)
}

// The methods below are optional for a provider; upstream asks for them by type
// assertion. Without an answer from the main remote each does what its absence
// would.

// Unlazy pulls what the main remote has not pulled yet.
func (p *provider) Unlazy(ctx context.Context) error {
	if u, ok := p.main.Provider.(cache.Unlazier); ok {
		return u.Unlazy(ctx)
	}
	return nil
}

// UnlazySession is the session that a blob is pulled with, nil for any.
func (p *provider) UnlazySession(desc ocispecs.Descriptor) session.Group {
	if u, ok := p.main.Provider.(interface {
		UnlazySession(ocispecs.Descriptor) session.Group
	}); ok {
		return u.UnlazySession(desc)
	}
	return nil
}

// SnapshotLabels are the labels for the snapshot of a layer.
func (p *provider) SnapshotLabels(descs []ocispecs.Descriptor, index int) map[string]string {
	if l, ok := p.main.Provider.(interface {
		SnapshotLabels([]ocispecs.Descriptor, int) map[string]string
	}); ok {
		return l.SnapshotLabels(descs, index)
	}
	return nil
}

// ProviderForSession reads from the main remote with the given session.
func (p *provider) ProviderForSession(g session.Group) content.Provider {
	return &sessionProvider{provider: p, group: g}
}

// sessionProvider is a provider bound to a session.
type sessionProvider struct {
	*provider
	group session.Group
}

func (p *sessionProvider) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	return contentutil.ProviderForSession(p.of(desc.Digest), p.group).ReaderAt(ctx, desc)
}

package guard

import (
	"context"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/session"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
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

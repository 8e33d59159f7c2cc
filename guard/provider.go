package guard

import (
	"context"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/solver"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// provider is what the remotes of one record read from, and carries what a worker has
// found out about the record up to the exporter. It is not changed after it was made.
type provider struct {
	route
	found *finding
	// unlazier pulls what the main remote has not pulled yet, nil if that is nothing.
	unlazier cache.Unlazier
	// spared tells that there are more combinations than the limits allow.
	spared bool
}

// newProvider returns a provider of a main remote's own blobs, which are read through
// that remote, as it may still have to pull them, and of every other blob, which is
// read from the store.
//
// Upstream gives variants of a lazy layer the content store only, and drops the
// record's result because the blob is not there (issue 7146).
func newProvider(main *solver.Remote, store content.Store, found *finding, spared bool) *provider {
	inner, chain := main.Provider, main.Descriptors
	unlazier, _ := inner.(cache.Unlazier)
	return &provider{
		found:    found,
		spared:   spared,
		unlazier: unlazier,
		route: func(dgst digest.Digest) content.InfoReaderProvider {
			if slices.ContainsFunc(chain, func(own ocispecs.Descriptor) bool { return own.Digest == dgst }) {
				return inner
			}
			return store
		},
	}
}

// newStoreProvider returns a provider that reads every blob from the store. Upstream's
// providers hold much for each record.
func newStoreProvider(store content.Store, found *finding, spared bool) *provider {
	return &provider{
		found:  found,
		spared: spared,
		route:  func(digest.Digest) content.InfoReaderProvider { return store },
	}
}

// Unlazy pulls what the main remote has not pulled yet.
func (p *provider) Unlazy(ctx context.Context) error {
	if p.unlazier == nil {
		return nil
	}
	return p.unlazier.Unlazy(ctx)
}

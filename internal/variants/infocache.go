package variants

import (
	"context"
	"maps"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	cerrdefs "github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// InfoCache is a content store that is asked once for each blob of an export. The
// walk over the variants and the compressions, which tell estargz from gzip by the
// same labels, want to know it again and again. It is safe for concurrent use.
type InfoCache struct {
	content.Store

	mu sync.Mutex
	// infos are the answers so far, and missing the blobs that are not there; both
	// are protected by mu.
	infos   map[digest.Digest]content.Info
	missing map[digest.Digest]struct{}
	// walked holds what Walk says of a layer by its own blob, protected by mu.
	// Hundreds of records share layers: each is walked once.
	walked map[digest.Digest][]ocispecs.Descriptor
}

// NewInfoCache returns a store that remembers what it is asked from now on.
func NewInfoCache(store content.Store) *InfoCache {
	return &InfoCache{
		Store:   store,
		infos:   make(map[digest.Digest]content.Info),
		missing: make(map[digest.Digest]struct{}),
		walked:  make(map[digest.Digest][]ocispecs.Descriptor),
	}
}

// Info returns the store's answer, the first one if there was one. A blob that was
// not there is asked for again: it may have been pulled. The labels are the
// caller's: upstream notes in them what it finds out (util/compression/estargz.go).
func (c *InfoCache) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, ok := c.infos[dgst]
	if !ok {
		var err error
		if info, err = c.Store.Info(ctx, dgst); err != nil {
			if cerrdefs.IsNotFound(err) {
				c.missing[dgst] = struct{}{}
			}
			return info, err
		}
		delete(c.missing, dgst)
		c.infos[dgst] = info
	}
	info.Labels = maps.Clone(info.Labels)
	return info, nil
}

// Lacks reports whether a blob was asked for and was not there.
func (c *InfoCache) Lacks(dgst digest.Digest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.missing[dgst]
	return ok
}

// walk is Walk, once for each layer.
func (c *InfoCache) walk(ctx context.Context, own ocispecs.Descriptor) ([]ocispecs.Descriptor, error) {
	c.mu.Lock()
	blobs, ok := c.walked[own.Digest]
	c.mu.Unlock()
	if ok {
		return blobs, nil
	}
	blobs, err := Walk(ctx, c, own)
	if err == nil {
		c.mu.Lock()
		c.walked[own.Digest] = blobs
		c.mu.Unlock()
	}
	return blobs, err
}

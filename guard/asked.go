package guard

import (
	"context"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	cerrdefs "github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
)

// askedStore is a content store that is asked once for the info of each blob.
// The walk over the variants and the compressions, which tell estargz from gzip
// by the same labels, want to know it again and again. The infos are shared, and
// estargz notes its answer in their labels (util/compression/estargz.go): as
// upstream collects the records of an export one after the other, nobody reads
// them meanwhile.
type askedStore struct {
	content.Store

	mu sync.Mutex
	// infos are the answers so far, and missing the blobs that are not there; both
	// are protected by mu.
	infos   map[digest.Digest]content.Info
	missing map[digest.Digest]struct{}
}

// newAskedStore returns a store that remembers what it is asked from now on.
func newAskedStore(store content.Store) *askedStore {
	return &askedStore{Store: store, infos: make(map[digest.Digest]content.Info), missing: make(map[digest.Digest]struct{})}
}

// lacks reports whether a blob was asked for and was not there.
func (s *askedStore) lacks(dgst digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.missing[dgst]
	return ok
}

// Info returns the store's answer, the first one if there was one. A blob that was
// not there is asked for again: it may have been pulled.
func (s *askedStore) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if info, ok := s.infos[dgst]; ok {
		return info, nil
	}
	info, err := s.Store.Info(ctx, dgst)
	switch {
	case err == nil:
		delete(s.missing, dgst)
		s.infos[dgst] = info
	case cerrdefs.IsNotFound(err):
		s.missing[dgst] = struct{}{}
	}
	return info, err
}

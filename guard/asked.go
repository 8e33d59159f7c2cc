package guard

import (
	"context"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
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
	// infos are the answers so far, protected by mu.
	infos map[digest.Digest]content.Info
}

// Info returns the store's answer, the first one if there was one. Errors are
// not kept.
func (s *askedStore) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if info, ok := s.infos[dgst]; ok {
		return info, nil
	}
	info, err := s.Store.Info(ctx, dgst)
	if err == nil {
		s.infos[dgst] = info
	}
	return info, err
}

package guard

import (
	"context"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/variants"
)

func own(name string) ocispecs.Descriptor {
	return ocispecs.Descriptor{Digest: digest.FromString(name), Size: 1, MediaType: ocispecs.MediaTypeImageLayerGzip}
}

func digests(blobs []ocispecs.Descriptor) []digest.Digest {
	all := make([]digest.Digest, len(blobs))
	for i, b := range blobs {
		all[i] = b.Digest
	}
	return all
}

// knownStore is a content store that has every blob, without any label. It counts the
// questions.
type knownStore struct {
	content.Store // nil
	asked         int
}

func (s *knownStore) Info(_ context.Context, dgst digest.Digest) (content.Info, error) {
	s.asked++
	return content.Info{Digest: dgst}, nil
}

// TestExportAsksOnceForEachLayer counts the questions of many records on the same
// layers.
func TestExportAsksOnceForEachLayer(t *testing.T) {
	store := &knownStore{}
	chain := []ocispecs.Descriptor{own("a"), own("b")}
	e := newExport("registry", "")
	for range 100 {
		_, err := variants.Find(t.Context(), e.infoCache(store), chain)
		require.NoError(t, err)
	}
	assert.Equal(t, 2, store.asked)
	e.end(t.Context())
	_, err := variants.Find(t.Context(), e.infoCache(store), chain)
	require.NoError(t, err)
	assert.Equal(t, 4, store.asked, "the next export looks again")
}

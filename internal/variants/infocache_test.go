package variants

import (
	"context"
	"errors"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	cerrdefs "github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// infoStore is a content store that answers with infos, or with an error of its own.
type infoStore struct {
	content.Store // nil
	infos
	err error
}

func (s *infoStore) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	if s.err != nil {
		s.asked++
		return content.Info{}, s.err
	}
	return s.infos.Info(ctx, dgst)
}

// TestInfosAreAskedForOnce has a blob that is there, one that is pulled later, and a store that
// fails.
func TestInfosAreAskedForOnce(t *testing.T) {
	store := &infoStore{}
	store.add("here", "other")
	c := NewInfoCache(store)
	for range 2 {
		info, err := c.Info(t.Context(), blobDigest("here"))
		require.NoError(t, err)
		assert.Len(t, info.Labels, 2)
		clear(info.Labels) // the caller's own
	}
	assert.Equal(t, 1, store.asked)
	assert.False(t, c.Lacks(blobDigest("here")))

	assert.False(t, c.Lacks(blobDigest("later")), "nobody has asked")
	for range 2 {
		_, err := c.Info(t.Context(), blobDigest("later"))
		require.ErrorIs(t, err, cerrdefs.ErrNotFound)
		assert.True(t, c.Lacks(blobDigest("later")))
	}
	store.add("later")
	_, err := c.Info(t.Context(), blobDigest("later"))
	require.NoError(t, err)
	assert.False(t, c.Lacks(blobDigest("later")))

	store.err = errors.New("input/output error")
	_, err = c.Info(t.Context(), blobDigest("unknown"))
	require.ErrorIs(t, err, store.err)
	assert.False(t, c.Lacks(blobDigest("unknown")), "a store that fails has not lost it")
}

// TestLayersAreWalkedOnce has a layer of two blobs in many records, and a store that fails at
// first.
func TestLayersAreWalkedOnce(t *testing.T) {
	store := &infoStore{err: errors.New("input/output error")}
	store.add("own", "variant")
	store.add("variant", "own")
	c := NewInfoCache(store)
	_, err := Find(t.Context(), c, []ocispecs.Descriptor{own("own")})
	require.ErrorIs(t, err, store.err)
	store.err, store.asked = nil, 0
	for range 3 {
		table, err := Find(t.Context(), c, []ocispecs.Descriptor{own("own")})
		require.NoError(t, err)
		require.Len(t, table, 1)
		assert.Equal(t, []digest.Digest{blobDigest("own"), blobDigest("variant")}, digests(table[0]))
	}
	assert.Equal(t, 2, store.asked)
	assert.Len(t, c.walked, 1)
}

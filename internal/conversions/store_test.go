package conversions

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
)

// store is a real content store in a directory of its own.
type store struct{ content.Store }

func newStore(tb testing.TB) store {
	tb.Helper()
	dir := tb.TempDir()
	blobs, err := local.NewStore(dir)
	require.NoError(tb, err)
	db, err := bolt.Open(filepath.Join(dir, "metadata.db"), 0o600, nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return store{metadata.NewDB(db, blobs, nil).ContentStore()}
}

// write compresses a layer and writes its blob.
func (s store) write(tb testing.TB, comp compression.Config, layer []byte) ocispecs.Descriptor {
	tb.Helper()
	ctx := namespaces.WithNamespace(tb.Context(), "test")
	compress, finalize := comp.Type.Compress(ctx, comp)
	var blob bytes.Buffer
	w, err := compress(&blob, comp.Type.MediaType())
	require.NoError(tb, err)
	_, err = w.Write(layer)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	desc := ocispecs.Descriptor{
		MediaType: comp.Type.MediaType(),
		Digest:    digest.FromBytes(blob.Bytes()),
		Size:      int64(blob.Len()),
	}
	require.NoError(tb, content.WriteBlob(ctx, s, desc.Digest.String(), &blob, desc))
	if finalize != nil {
		_, err = finalize(ctx, s)
		require.NoError(tb, err)
	}
	return desc
}

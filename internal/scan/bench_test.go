package scan

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	ctdmetadata "github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/metadata/boltutil"
	"github.com/moby/buildkit/cache/metadata"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/bkguard/bkguard/internal/variants"
)

// What BenchmarkRoot has: 10,000 blobs.
const (
	benchImages = 50
	benchLayers = 100
)

// BenchmarkRoot scans 50 images of 100 layers, each in two compressions.
func BenchmarkRoot(b *testing.B) {
	root := b.TempDir()
	writeContent(b, filepath.Join(root, contentFile))
	writeRecords(b, filepath.Join(root, recordsFile))
	for b.Loop() {
		workers, err := Root(b.Context(), root, "")
		require.NoError(b, err)
		require.Equal(b, 2*benchImages*benchLayers, workers[0].Blobs)
		require.Len(b, workers[0].Variants, benchImages*benchLayers)
		require.Len(b, workers[0].Chains, benchImages)
	}
}

// benchLayer is the two blobs of a layer.
func benchLayer(image, layer int) (id string, gzip, zstd digest.Digest) {
	id = fmt.Sprintf("%d-%d", image, layer)
	return id, digest.FromString(id), digest.FromString(id + "-zstd")
}

// update makes a database in one transaction.
func update(b *testing.B, path string, write func(*bolt.Tx) error) {
	b.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(b, err)
	require.NoError(b, ctdmetadata.NewDB(db, nil, nil).Init(b.Context()))
	require.NoError(b, db.Update(write))
	require.NoError(b, db.Close())
}

// writeContent writes the infos of the blobs as containerd has them (core/metadata,
// buckets.go), which would write the blobs too.
func writeContent(b *testing.B, path string) {
	b.Helper()
	update(b, path, func(tx *bolt.Tx) error {
		blobs := tx.Bucket([]byte("v1"))
		for _, name := range []string{"buildkit", "content", "blob"} {
			var err error
			if blobs, err = blobs.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		for image := range benchImages {
			for layer := range benchLayers {
				_, gzip, zstd := benchLayer(image, layer)
				for own, other := range map[digest.Digest]digest.Digest{gzip: zstd, zstd: gzip} {
					blob, err := blobs.CreateBucket([]byte(own))
					if err != nil {
						return err
					}
					if err := boltutil.WriteTimestamps(blob, time.Now(), time.Now()); err != nil {
						return err
					}
					if err := blob.Put([]byte("size"), binary.AppendVarint(nil, 1000)); err != nil {
						return err
					}
					if err := boltutil.WriteLabels(blob, map[string]string{
						variants.MediaTypeLabel:                   ocispecs.MediaTypeImageLayerZstd,
						variants.LinkLabelPrefix + other.String(): other.String(),
						variants.LinkLabelPrefix + own.String():   own.String(),
					}); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

// writeRecords writes the records of the layers.
func writeRecords(b *testing.B, path string) {
	b.Helper()
	update(b, path, func(tx *bolt.Tx) error {
		all, err := tx.CreateBucket([]byte(recordsBucket))
		if err != nil {
			return err
		}
		for image := range benchImages {
			parent := ""
			for layer := range benchLayers {
				id, gzip, _ := benchLayer(image, layer)
				r, err := all.CreateBucket([]byte(id))
				if err != nil {
					return err
				}
				for key, value := range map[string]any{
					"cache.blob": gzip, "cache.blobChainID": gzip, "cache.diffID": gzip, "cache.parent": parent,
					"cache.description": "mount / from exec", "cache.mediatype": ocispecs.MediaTypeImageLayerGzip, "snapshot.committed": true,
				} {
					v, err := metadata.NewValue(value)
					if err != nil {
						return err
					}
					data, err := json.Marshal(v)
					if err != nil {
						return err
					}
					if err := r.Put([]byte(key), data); err != nil {
						return err
					}
				}
				parent = id
			}
		}
		return nil
	})
}

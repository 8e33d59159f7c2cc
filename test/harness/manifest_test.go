package harness

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/pkg/labels"
	cacheconfig "github.com/moby/buildkit/cache/remotecache/v1/types"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLocalCacheReadsBothForms(t *testing.T) {
	blobs := []ocispecs.Descriptor{
		cacheBlob("gzip of a", "a", ocispecs.MediaTypeImageLayerGzip),
		cacheBlob("zstd of b", "b", ocispecs.MediaTypeImageLayerZstd),
		cacheBlob("gzip of b", "b", ocispecs.MediaTypeImageLayerGzip),
	}
	config := cacheconfig.CacheConfig{Layers: []cacheconfig.CacheLayer{{Blob: blobs[0].Digest, ParentIndex: -1}}}
	withRepeat := append([]ocispecs.Descriptor{blobs[0]}, blobs...)
	for name, manifest := range map[string]func(config ocispecs.Descriptor) any{
		"image manifest": func(config ocispecs.Descriptor) any {
			return ocispecs.Manifest{Config: config, Layers: withRepeat}
		},
		"index": func(config ocispecs.Descriptor) any {
			return ocispecs.Index{Manifests: append(withRepeat, config)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			desc := writeBlob(t, dir, config)
			desc.MediaType = cacheconfig.CacheConfigMediaTypeV0
			top := writeBlob(t, dir, manifest(desc))
			index, err := json.Marshal(ocispecs.Index{Manifests: []ocispecs.Descriptor{top}})
			require.NoError(t, err)
			writeFile(t, filepath.Join(dir, "index.json"), string(index))

			m, err := LocalCache(dir)
			require.NoError(t, err)
			assert.Equal(t, CacheManifest{Digest: top.Digest, Blobs: blobs, Config: config}, m)
			assert.Equal(t, 2, m.Layers())
			assert.Equal(t, 2, m.Count(compression.Gzip))
			assert.Equal(t, 1, m.Count(compression.Zstd))
		})
	}
}

func TestLocalCacheRefuses(t *testing.T) {
	image := t.TempDir()
	top := writeBlob(t, image, ocispecs.Manifest{})
	index, err := json.Marshal(ocispecs.Index{Manifests: []ocispecs.Descriptor{top}})
	require.NoError(t, err)
	writeFile(t, filepath.Join(image, "index.json"), string(index))
	_, err = LocalCache(image)
	require.ErrorContains(t, err, "no cache config")

	empty := t.TempDir()
	writeFile(t, filepath.Join(empty, "index.json"), "{}")
	_, err = LocalCache(empty)
	require.ErrorContains(t, err, "0 manifests")
}

func cacheBlob(content, layer, mediaType string) ocispecs.Descriptor {
	return ocispecs.Descriptor{
		MediaType:   mediaType,
		Digest:      digest.FromString(content),
		Size:        int64(len(content)),
		Annotations: map[string]string{labels.LabelUncompressed: digest.FromString(layer).String()},
	}
}

// writeBlob writes a value into an OCI layout as JSON.
func writeBlob(t *testing.T, dir string, value any) ocispecs.Descriptor {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	dgst := digest.FromBytes(text)
	writeFile(t, filepath.Join(dir, "blobs", "sha256", dgst.Encoded()), string(text))
	return ocispecs.Descriptor{Digest: dgst, Size: int64(len(text))}
}

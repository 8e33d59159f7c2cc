package inspect

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/moby/buildkit/cache/remotecache"
	cacheconfig "github.com/moby/buildkit/cache/remotecache/v1/types"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

// layout is a directory with an OCI layout that is made by hand.
type layout struct {
	dir string
	top ocispecs.Descriptor
	// configSize is that of the config of the last image.
	configSize int64
}

func newLayout(t *testing.T) *layout {
	t.Helper()
	return &layout{dir: t.TempDir()}
}

// write writes a blob.
func (l *layout) write(t *testing.T, data []byte) ocispecs.Descriptor {
	t.Helper()
	desc := ocispecs.Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data))}
	require.NoError(t, os.MkdirAll(filepath.Dir(l.path(desc.Digest)), 0o755))
	require.NoError(t, os.WriteFile(l.path(desc.Digest), data, 0o644))
	return desc
}

func (l *layout) path(dgst digest.Digest) string {
	return filepath.Join(l.dir, ocispecs.ImageBlobsDir, dgst.Algorithm().String(), dgst.Encoded())
}

// json writes a value as a blob.
func (l *layout) json(t *testing.T, value any) ocispecs.Descriptor {
	t.Helper()
	data, err := json.Marshal(value)
	require.NoError(t, err)
	return l.write(t, data)
}

// layer writes the blob of a layer that is in a compression.
func (l *layout) layer(t *testing.T, name, mediaType string) ocispecs.Descriptor {
	t.Helper()
	desc := l.write(t, []byte(mediaType+" of "+name))
	desc.MediaType = mediaType
	desc.Annotations = map[string]string{labels.LabelUncompressed: digest.FromString(name).String()}
	return desc
}

// tag writes the index of the directory, with one entry.
func (l *layout) tag(t *testing.T, top ocispecs.Descriptor) {
	t.Helper()
	l.top = top
	top.Annotations = map[string]string{ocispecs.AnnotationRefName: "latest"}
	data, err := json.Marshal(ocispecs.Index{Manifests: []ocispecs.Descriptor{top}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, ocispecs.ImageIndexFile), data, 0o644))
}

// cache writes a cache of layers with a config that is given as it is.
func (l *layout) cache(t *testing.T, config []byte, layers ...ocispecs.Descriptor) {
	t.Helper()
	desc := l.write(t, config)
	desc.MediaType = cacheconfig.CacheConfigMediaTypeV0
	l.tag(t, l.json(t, ocispecs.Index{MediaType: ocispecs.MediaTypeImageIndex, Manifests: append(layers[:len(layers):len(layers)], desc)}))
}

// read returns the only cache of the directory.
func (l *layout) read(t *testing.T) *Cache {
	t.Helper()
	found, err := Read(t.Context(), Directory(l.dir))
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

// imported says what upstream's importer makes of the directory.
func (l *layout) imported(t *testing.T) error {
	t.Helper()
	store, err := local.NewStore(l.dir)
	require.NoError(t, err)
	_, err = remotecache.NewImporter(store).Resolve(context.Background(), l.top, "test", nil)
	return err
}

// chainOf is a config in which each layer is on the one before, with a record for each.
func chainOf(layers ...ocispecs.Descriptor) cacheconfig.CacheConfig {
	var c cacheconfig.CacheConfig
	for i, desc := range layers {
		c.Layers = append(c.Layers, cacheconfig.CacheLayer{Blob: desc.Digest, ParentIndex: i - 1})
		record := cacheconfig.CacheRecord{Digest: digest.FromString(desc.Digest.String()), Results: []cacheconfig.CacheResult{{LayerIndex: i}}}
		if i > 0 {
			record.Inputs = [][]cacheconfig.CacheInput{{{LinkIndex: i - 1}}}
		}
		c.Records = append(c.Records, record)
	}
	return c
}

func marshal(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	require.NoError(t, err)
	return data
}

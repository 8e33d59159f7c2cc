package variants

import (
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/moby/buildkit/util/compression"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
)

// in is a blob of a media type.
func in(mediaType, name string) ocispecs.Descriptor {
	desc := own(name)
	desc.MediaType = mediaType
	return desc
}

// TestSingleChain has layers with and without a blob in the compression.
func TestSingleChain(t *testing.T) {
	const gzip, zstd = ocispecs.MediaTypeImageLayerGzip, ocispecs.MediaTypeImageLayerZstd
	table := Table{
		{in(gzip, "a"), in(zstd, "a zstd"), in(zstd, "a zstd again")},
		{in(gzip, "b")},
		{in(gzip, "c"), in(ocispecs.MediaTypeImageLayer, "c uncompressed")},
	}
	store := &infoStore{}
	main := []ocispecs.Descriptor{table[0][0], table[1][0], table[2][0]}
	single := table.Single(t.Context(), store, compression.Zstd)
	assert.Equal(t, []ocispecs.Descriptor{table[0][1], table[1][0], table[2][0]}, single)
	assert.Equal(t, main, table.Main())
	assert.True(t, SameChain(main, table.Main()))
	assert.False(t, SameChain(main, single))
	_, ok := InCompression(t.Context(), store, table[2], compression.Zstd)
	assert.False(t, ok)
	_, ok = InCompression(t.Context(), store, []ocispecs.Descriptor{in(ocispecs.MediaTypeImageLayer+"+unknown", "d")}, compression.Zstd)
	assert.False(t, ok, "nobody can tell")

	table.Single(t.Context(), store, compression.EStargz)
	assert.Equal(t, 5, store.asked, "a layer with one blob asks nothing")
}

func TestCompressionNames(t *testing.T) {
	lazy := in(ocispecs.MediaTypeImageLayerGzip, "a")
	lazy.Annotations = map[string]string{estargz.TOCJSONDigestAnnotation: "sha256:table"}
	for want, desc := range map[string]ocispecs.Descriptor{
		"estargz":      lazy,
		"gzip":         in(ocispecs.MediaTypeImageLayerGzip, "a"),
		"uncompressed": in(ocispecs.MediaTypeImageLayer, "a"),
		"text/plain":   in("text/plain", "a"),
	} {
		assert.Equal(t, want, CompressionName(desc))
	}
}

package harness

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestContentIsTheSameHoweverItIsRead(t *testing.T) {
	const size = 5*blockSize + 1
	want, err := io.ReadAll(layerContent(size, 1))
	require.NoError(t, err)
	assert.Len(t, want, size)
	require.NoError(t, iotest.TestReader(layerContent(size, 1), want))

	other, err := io.ReadAll(layerContent(size, 2))
	require.NoError(t, err)
	assert.False(t, bytes.Equal(want, other))
}

// The daemon's compressors have as much to do as with a real layer: they make the
// content smaller, but not much smaller than half.
func TestContentCompressesAsRealLayersDo(t *testing.T) {
	const size = 1 << 20
	for _, kind := range []compression.Type{compression.Gzip, compression.Zstd} {
		var compressed bytes.Buffer
		compress, _ := kind.Compress(t.Context(), compression.New(kind))
		w, err := compress(&compressed, kind.MediaType())
		require.NoError(t, err)
		_, err = io.Copy(w, layerContent(size, 0))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		assert.InDelta(t, 0.5, float64(compressed.Len())/size, 0.15, kind)
	}
}

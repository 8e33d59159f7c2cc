package harness

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestArchiveIsWhatATarWriterMakes(t *testing.T) {
	var (
		files []file
		want  bytes.Buffer
	)
	w := tar.NewWriter(&want)
	for name, size := range map[string]int{"empty": 0, "short": 1, "block": tarBlock, "long": 3*tarBlock + 1} {
		content := bytes.Repeat([]byte("x"), size)
		files = append(files, newFile(name, 0o755, content))
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(size), Typeflag: tar.TypeReg}))
		_, err := w.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())

	content, err := archive(files)
	require.NoError(t, err)
	got, err := io.ReadAll(content)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want.Bytes(), got))

	_, err = archive([]file{newFile("a\x00b", 0o644, nil)})
	require.Error(t, err)
}

func TestEqualDescriptionsGiveEqualLayers(t *testing.T) {
	step := bytes.Repeat([]byte("program"), 1000)
	seen := map[v1.Hash]bool{}
	for _, b := range []Base{
		{},
		{LayerSize: 100_000},
		{Zstd: true},
		{LayerSize: 100_000, Zstd: true},
	} {
		for n := range 2 {
			digest := pushed(t, b, n, step)
			assert.Equal(t, digest, pushed(t, b, n, step), "layer %d of %+v", n, b)
			assert.False(t, seen[digest], "layer %d of %+v is as another", n, b)
			seen[digest] = true
		}
	}
}

// pushed reads a layer as a push does, and returns its digest.
func pushed(t *testing.T, b Base, n int, step []byte) v1.Hash {
	layer, err := b.layer(func() []file { return b.files(n, step) })
	require.NoError(t, err)
	compressed, err := layer.Compressed()
	require.NoError(t, err)
	digest, size, err := v1.SHA256(compressed)
	require.NoError(t, err)
	require.NoError(t, compressed.Close())

	told, err := layer.Digest()
	require.NoError(t, err)
	assert.Equal(t, digest, told)
	toldSize, err := layer.Size()
	require.NoError(t, err)
	assert.Equal(t, size, toldSize)
	return digest
}

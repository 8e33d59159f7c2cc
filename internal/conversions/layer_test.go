package conversions

import (
	"archive/tar"
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// tarOf is a layer with one file.
func tarOf(tb testing.TB, file []byte) []byte {
	tb.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	require.NoError(tb, w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(file)), Typeflag: tar.TypeReg}))
	_, err := w.Write(file)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return layer.Bytes()
}

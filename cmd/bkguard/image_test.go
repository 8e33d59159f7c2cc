package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInsecureIsPlainHTTP(t *testing.T) {
	for insecure, want := range map[bool]string{false: "https", true: "http"} {
		s := imageSource{insecure: insecure}
		ref, err := s.parse("registry.example.com/image:tag")
		require.NoError(t, err)
		assert.Equal(t, want, ref.Context().Scheme())
	}
}

// FuzzLayout reads a directory with an OCI layout that anybody may have made:
// its index, and three blobs of which nobody has checked the digests.
func FuzzLayout(f *testing.F) {
	const (
		index    = `"mediaType": "application/vnd.oci.image.index.v1+json"`
		manifest = `"mediaType": "application/vnd.oci.image.manifest.v1+json"`
		config   = `"mediaType": "application/vnd.oci.image.config.v1+json"`
		layer    = `"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"`
	)
	blob := func(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }
	of := func(letter string) string { return `"size": 1, "digest": "` + blob(letter) + `"` }
	one := `{"manifests": [{` + manifest + `, ` + of("a") + `, "annotations": {"org.opencontainers.image.ref.name": "v1"}}]}`
	image := `{"config": {` + config + `, ` + of("b") + `}, "layers": [{` + layer + `, ` + of("c") + `}]}`
	for _, s := range [][4]string{
		{one, image, `{"os": "linux", "architecture": "arm64"}`},
		{one, image, `{}`},
		{one, `{"config": {"mediaType": "application/vnd.example"}}`},
		{one, image, ``},
		{one},
		{`{"manifests": [{` + manifest + `, ` + of("a") + `, "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}]}`, image},
		{`{"manifests": [{` + manifest + `, ` + of("a") + `, "annotations": {"vnd.docker.reference.type": "x"}}]}`, image},
		{`{"manifests": [{` + index + `, ` + of("c") + `}]}`, image, `{"os": "linux"}`, one},
		{`{"manifests": [{` + index + `, ` + of("a") + `}]}`, `{"manifests": [{` + index + `, ` + of("a") + `}]}`},
		{`{"manifests": [{` + index + `, ` + of("a") + `}]}`, `{"manifests": [{` + index + `, ` + of("b") + `}, {` + index + `, ` + of("b") + `}]}`, `{"manifests": [{` + index + `, ` + of("a") + `}]}`},
		{`{"manifests": [{"mediaType": "x"}, {}]}`}, {`[]`}, {`null`}, {``},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	dir := f.TempDir()
	blobs := filepath.Join(dir, "blobs", "sha256")
	require.NoError(f, os.MkdirAll(blobs, 0o700))
	f.Fuzz(func(t *testing.T, index, a, b, c string) {
		for path, text := range map[string]string{
			filepath.Join(dir, "oci-layout"): `{"imageLayoutVersion": "1.0.0"}`,
			filepath.Join(dir, "index.json"): index,

			filepath.Join(blobs, strings.Repeat("a", 64)): a,
			filepath.Join(blobs, strings.Repeat("b", 64)): b,
			filepath.Join(blobs, strings.Repeat("c", 64)): c,
		} {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		}
		var s imageSource
		images, err := s.images(t.Context(), dir, "")
		if err != nil {
			require.ErrorContains(t, err, dir)
			return
		}
		require.NotEmpty(t, images)
		var report estimateReport
		for _, i := range images {
			require.True(t, strings.HasPrefix(i.name, dir))
			report.add("", i, 0, 2)
		}
		var out strings.Builder
		report.text(&out)
		require.GreaterOrEqual(t, strings.Count(out.String(), "\n"), len(images)+1)
	})
}

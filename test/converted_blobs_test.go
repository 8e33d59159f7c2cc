package test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// forced are attributes of an export that converts every layer.
func forced(compression string, more ...string) string {
	return strings.Join(append([]string{"compression=" + compression, "force-compression=true"}, more...), ",")
}

// pruneAll removes all that a daemon has.
func pruneAll(ctx context.Context, d *harness.Daemon) error {
	_, err := d.Buildctl(ctx, "prune", "--all")
	return err
}

// convertedLayers is the number of layers of the images whose blobs are compared.
const convertedLayers = 5

// TestConvertedBlobsAreStocks converts the same bases on both daemons and on both kinds
// of worker, into every type of image.
func TestConvertedBlobsAreStocks(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	gzip, err := registry.PushBase(t.Context(), harness.Base{Layers: convertedLayers, LayerSize: 64 << 10})
	require.NoError(t, err)
	zstd, err := registry.PushBase(t.Context(), harness.Base{Layers: convertedLayers, LayerSize: 64 << 10, Zstd: true})
	require.NoError(t, err)
	daemons := func(start func(testing.TB, harness.DaemonOptions) *harness.Daemon) map[string]*harness.Daemon {
		started := make(map[string]*harness.Daemon)
		for name, binary := range map[string]string{"stock": binaries(t).Stock, "guarded": binaries(t).Guarded} {
			started[name] = start(t, harness.DaemonOptions{Binary: binary, Registries: []string{registry.Host}})
		}
		return started
	}
	workers := map[string]map[string]*harness.Daemon{"oci": daemons(startDaemon), "containerd": daemons(startOnContainerd)}
	for n, tc := range []struct{ worker, output, base, attributes string }{
		{"oci", "image", gzip, forced("zstd")},
		{"oci", "image", gzip, forced("zstd", "compression-level=1")},
		{"oci", "image", gzip, forced("zstd", "compression-level=22")},
		{"oci", "image", gzip, forced("estargz")},
		{"oci", "image", gzip, forced("uncompressed")},
		{"oci", "image", zstd, forced("gzip")},
		{"oci", "image", zstd, forced("gzip", "compression-level=9")},
		{"oci", "image", zstd, forced("estargz", "compression-level=1")},
		{"oci", "image", zstd, forced("zstd", "rewrite-timestamp=true")},
		{"oci", "oci", gzip, forced("zstd")},
		{"oci", "docker", zstd, forced("gzip")},
		{"containerd", "image", gzip, forced("zstd", "compression-level=22")},
		{"containerd", "oci", zstd, forced("estargz")},
		{"containerd", "docker", zstd, forced("gzip", "compression-level=1")},
	} {
		layers := make(map[string]any)
		for name, daemon := range workers[tc.worker] {
			// What was converted before is a variant that would be found again.
			require.NoError(t, pruneAll(t.Context(), daemon))
			place := fmt.Sprintf("%s-%d", name, n)
			image, dir := registry.Host+"/"+place+":latest", filepath.Join(t.TempDir(), place)
			build := harness.Build{
				Dockerfile: "FROM " + tc.base + "\n",
				Output:     "type=" + tc.output + ",tar=false,dest=" + dir + "," + tc.attributes,
				Opts:       []string{"build-arg:SOURCE_DATE_EPOCH=1"},
			}
			if tc.output == "image" {
				build.Output = harness.PushOutput(image, tc.attributes)
			}
			_, err := daemon.Build(t.Context(), build)
			require.NoError(t, err, tc)
			read := func() (harness.CacheManifest, error) { return harness.LayoutImage(dir) }
			if tc.output == "image" {
				read = func() (harness.CacheManifest, error) { return registry.Image(t.Context(), image) }
			}
			manifest, err := read()
			require.NoError(t, err)
			layers[name] = manifest.Digests()
		}
		assert.Len(t, layers["stock"], convertedLayers, tc)
		assert.Equal(t, layers["stock"], layers["guarded"], tc)
	}
}

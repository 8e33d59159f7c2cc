package test

import (
	"testing"

	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestExportWritesEachLayerOnce holds that a cache export writes every layer
// once, in the compression that was asked for, when the worker holds all layers
// in two; and that exporting again writes the same.
func TestExportWritesEachLayerOnce(t *testing.T) {
	t.Parallel()
	const layers = 12
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: layers})
	require.NoError(t, err)
	dockerfile := harness.RunSteps(base, steps)
	daemon := startDaemon(t, harness.DaemonOptions{
		Binary:     binaries(t).Guarded,
		Registries: []string{registry.Host},
	})
	require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))

	dir, image := t.TempDir(), registry.Host+"/once:latest"
	exports := map[string]struct {
		to   string
		read func() (harness.CacheManifest, error)
	}{
		"registry": {
			"type=registry,mode=max,ref=" + image,
			func() (harness.CacheManifest, error) { return registry.Cache(t.Context(), image) },
		},
		"local": {
			"type=local,mode=max,dest=" + dir,
			func() (harness.CacheManifest, error) { return harness.LocalCache(dir) },
		},
	}
	for exporter, export := range exports {
		for _, requested := range []compression.Type{compression.Gzip, compression.Zstd} {
			t.Run(exporter+" in "+requested.String(), func(t *testing.T) {
				write := func() harness.CacheManifest {
					_, err := daemon.Build(t.Context(), harness.Build{
						Dockerfile:  dockerfile,
						ExportCache: []string{export.to + ",compression=" + requested.String()},
					})
					require.NoError(t, err)
					m, err := export.read()
					require.NoError(t, err)
					return m
				}
				m := write()
				blobs := len(m.Blobs)
				assert.Equal(t, layers+steps, m.Layers(), "layers")
				assert.Equal(t, layers+steps, blobs, "blobs")
				assert.Equal(t, layers+steps, m.Count(requested), "blobs in "+requested.String())
				assert.Equal(t, m.Digest, write().Digest, "digest of a second export")
			})
		}
	}
}

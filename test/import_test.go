package test

import (
	"testing"

	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestExportOfImportedRecords exports steps that were imported, on a daemon that
// holds their layers in two compressions by then. Upstream has two remotes for
// such a record, the worker's and that of the importer (solver/exporter.go).
func TestExportOfImportedRecords(t *testing.T) {
	t.Parallel()
	const layers = 12
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: layers})
	require.NoError(t, err)
	build := harness.Build{
		Dockerfile:  harness.RunSteps(base, steps),
		ExportCache: []string{"type=registry,mode=max,ref=" + registry.Host + "/first:latest"},
	}
	options := harness.DaemonOptions{Binary: binaries(t).Guarded, Registries: []string{registry.Host}}
	_, err = startDaemon(t, options).Build(t.Context(), build)
	require.NoError(t, err)

	second := startDaemon(t, options)
	build.ExportCache = nil
	build.ImportCache = []string{"type=registry,ref=" + registry.Host + "/first:latest"}
	require.NoError(t, second.BuildIn(t.Context(), build, registry.Host+"/image", compression.Gzip, compression.Zstd))
	for _, mode := range []string{"min", "max"} {
		for _, requested := range []compression.Type{compression.Gzip, compression.Zstd} {
			t.Run(mode+" in "+requested.String(), func(t *testing.T) {
				image := registry.Host + "/second-" + mode + ":" + requested.String()
				build.ExportCache = []string{"type=registry,ref=" + image + ",mode=" + mode + ",compression=" + requested.String()}
				result, err := second.Build(t.Context(), build)
				require.NoError(t, err)
				assert.Equal(t, steps, result.Cached, result.Output)
				m, err := registry.Cache(t.Context(), image)
				require.NoError(t, err)
				assert.Equal(t, layers+steps, m.Layers(), "layers")
				assert.Equal(t, layers+steps, m.Count(requested), "blobs in "+requested.String())
				assert.Len(t, m.Blobs, layers+steps)
				for _, blob := range m.Blobs {
					assert.NotContains(t, blob.Annotations, "containerd.io/distribution.source.ref")
				}
			})
		}
	}
}

package test

import (
	"context"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/inspect"
	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// inRegistry reads and checks the caches under a name in a registry.
func inRegistry(ctx context.Context, t *testing.T, image string) []*inspect.Cache {
	t.Helper()
	ref, err := name.ParseReference(image)
	require.NoError(t, err)
	place, err := inspect.NewRegistry(ref)
	require.NoError(t, err)
	return inPlace(ctx, t, place)
}

func inPlace(ctx context.Context, t *testing.T, place inspect.Place) []*inspect.Cache {
	t.Helper()
	found, err := inspect.Read(ctx, place)
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}

// TestInspect exports every kind of cache that can be inspected, from a daemon that holds
// all layers in two compressions, and imports it. What the guarded daemon writes is fine,
// and a fresh daemon executes no step. Of what stock writes, some has layers twice; its
// inline cache is broken: a fresh daemon executes all steps but those of COPY --link, whose
// layers are upon no other.
func TestInspect(t *testing.T) {
	t.Parallel()
	const layers, links = 12, 2
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: layers, LayerSize: 4096})
	require.NoError(t, err)
	build := harness.TwoStages(base)
	for daemon, binary := range map[string]string{"stock": binaries(t).Stock, "guarded": binaries(t).Guarded} {
		t.Run(daemon, func(t *testing.T) {
			options := harness.DaemonOptions{Binary: binary, Registries: []string{registry.Host}}
			d := startDaemon(t, options)
			place := registry.Host + "/inspect-" + daemon
			require.NoError(t, d.BuildIn(t.Context(), build, place, compression.Gzip, compression.Zstd))
			index, manifest := t.TempDir(), t.TempDir()
			for _, export := range []struct {
				form, to, from string
				read           func() []*inspect.Cache
			}{
				{
					inspect.Manifest, "type=registry,mode=max,ref=" + place + ":max", "type=registry,ref=" + place + ":max",
					func() []*inspect.Cache { return inRegistry(t.Context(), t, place+":max") },
				},
				{
					inspect.Manifest, "type=local,mode=min,compression=zstd,dest=" + manifest, "type=local,src=" + manifest,
					func() []*inspect.Cache { return inPlace(t.Context(), t, inspect.Directory(manifest)) },
				},
				{
					inspect.Index, "type=local,mode=max,image-manifest=false,dest=" + index, "type=local,src=" + index,
					func() []*inspect.Cache { return inPlace(t.Context(), t, inspect.Directory(index)) },
				},
				{
					inspect.Inline, "type=inline", "type=registry,ref=" + place + ":inline",
					func() []*inspect.Cache { return inRegistry(t.Context(), t, place+":inline") },
				},
			} {
				exporting := build
				exporting.ExportCache = []string{export.to}
				exporting.Output = harness.PushOutput(place + ":inline")
				_, err := d.Build(t.Context(), exporting)
				require.NoError(t, err)
				found := export.read()
				require.Len(t, found, 1)
				cache := found[0]
				assert.Equal(t, export.form, cache.Form)

				fresh := startDaemon(t, options)
				importing := build
				importing.ImportCache = []string{export.from}
				result, err := fresh.Build(t.Context(), importing)
				require.NoError(t, err)
				_, err = fresh.Stop(t.Context())
				require.NoError(t, err)
				want, cached := inspect.Fine, result.Steps
				switch {
				case daemon == "guarded":
				case export.form == inspect.Inline:
					want, cached = inspect.Broken, links
				case cache.Blobs > cache.Layers:
					want = inspect.Wasteful
				}
				assert.Equal(t, want, cache.Worst(), "%s: %v", export.to, cache.Findings)
				assert.Equal(t, cached, result.Cached, result.Output)
			}
		})
	}
}

package test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestUploadsSurvive sends large layers to backends whose clients hold large parts of
// them, in four exports at once.
func TestUploadsSurvive(t *testing.T) {
	t.Parallel()
	const exports = 4
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 4, LayerSize: 64 * mebibyte})
	require.NoError(t, err)
	for name, start := range map[string]func(t *testing.T) (attributes func(name string) string){
		"s3": func(t *testing.T) func(string) string {
			s3, err := harness.StartS3(t.Context(), parts.Tool(t, "versitygw"))
			require.NoError(t, err)
			removeWithTest(t, s3)
			return s3.Attributes
		},
		"azblob": func(t *testing.T) func(string) string {
			azblob, err := harness.StartAzureBlob(t.Context(), parts.Tool(t, "azurite"))
			require.NoError(t, err)
			removeWithTest(t, azblob)
			return azblob.Attributes
		},
	} {
		t.Run(name, func(t *testing.T) {
			attributes := start(t)
			daemon := startDaemon(t, harness.DaemonOptions{
				Binary: binaries(t).Guarded, Registries: []string{registry.Host}, MemoryLimit: memoryLimit,
			})
			var builds errgroup.Group
			for n := range exports {
				builds.Go(func() error {
					_, err := daemon.Build(t.Context(), harness.Build{
						Dockerfile:  harness.RunSteps(base, 1),
						ExportCache: []string{attributes(fmt.Sprint("cache-", n)) + ",mode=max"},
					})
					return err
				})
			}
			require.NoError(t, builds.Wait())
			m := status(t, daemon).Memory
			assert.Zero(t, m.Held)
			assert.Zero(t, m.Expired)
			exit, err := daemon.Stop(t.Context())
			require.NoError(t, err)
			assert.False(t, exit.OOMKilled(), "exit: %v", exit)
			t.Logf("peak %d MiB", exit.PeakRSS/mebibyte)
		})
	}
}

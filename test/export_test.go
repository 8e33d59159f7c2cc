package test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// steps is the number of RUN steps on every base image.
const steps = 3

func cacheRef(host string) string {
	return "type=registry,ref=" + host + "/cache:latest"
}

// TestExportSurvives is moby/buildkit issue 6088: an export of layers that exist in two
// compressions, under a memory limit. A fresh daemon proves the cache good.
func TestExportSurvives(t *testing.T) {
	t.Parallel()
	for _, layers := range []int{30, 61, 127} {
		t.Run(fmt.Sprintf("%d layers", layers), func(t *testing.T) {
			registry := parts.Registry(t)
			base, err := registry.PushBase(t.Context(), harness.Base{Layers: layers})
			require.NoError(t, err)
			dockerfile := harness.RunSteps(base, steps)
			options := harness.DaemonOptions{
				Binary:      binaries(t).Guarded,
				Registries:  []string{registry.Host},
				MemoryLimit: memoryLimit,
			}

			daemon := startDaemon(t, options)
			require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
			_, err = daemon.Build(t.Context(), harness.Build{
				Dockerfile:  dockerfile,
				ExportCache: []string{cacheRef(registry.Host) + ",mode=max"},
			})
			require.NoError(t, err)
			exit, err := daemon.Stop(t.Context())
			require.NoError(t, err)
			assert.False(t, exit.OOMKilled(), "exit: %v", exit)
			assert.Zero(t, exit.Usage.OOMKills)

			fresh := startDaemon(t, options)
			result, err := fresh.Build(t.Context(), harness.Build{
				Dockerfile:  dockerfile,
				ImportCache: []string{cacheRef(registry.Host)},
			})
			require.NoError(t, err)
			assert.Equal(t, steps, result.Steps, result.Output)
			assert.Equal(t, steps, result.Cached, result.Output)
		})
	}
}

// TestStockIsKilled holds the tests above to be about a real problem: without
// the guard, the same steps do not survive.
func TestStockIsKilled(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 30})
	require.NoError(t, err)
	dockerfile := harness.RunSteps(base, steps)
	daemon := startDaemon(t, harness.DaemonOptions{
		Binary:      binaries(t).Stock,
		Registries:  []string{registry.Host},
		MemoryLimit: memoryLimit,
	})
	require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
	_, err = daemon.Build(t.Context(), harness.Build{
		Dockerfile:  dockerfile,
		ExportCache: []string{cacheRef(registry.Host) + ",mode=max"},
	})
	var failed *harness.BuildError
	require.ErrorAs(t, err, &failed)
	assert.Contains(t, failed.Output, "Unavailable")
	exit, err := daemon.Stop(t.Context())
	require.NoError(t, err)
	assert.True(t, exit.OOMKilled(), "exit: %v", exit)
}

package test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestModesInFigures is the table of modes in docs/operating.md: each mode
// exports 12 layers, to a registry and inline, and then 61 under a memory limit.
func TestModesInFigures(t *testing.T) {
	t.Parallel()
	const few, many = 12, 61
	registry := parts.Registry(t)
	built := func(layers int) string {
		base, err := registry.PushBase(t.Context(), harness.Base{Layers: layers})
		require.NoError(t, err)
		return harness.RunSteps(base, steps)
	}
	small, large := built(few), built(many)
	for _, mode := range []string{"off", "observe", "enforce", "single", "block"} {
		t.Run(mode, func(t *testing.T) {
			options := harness.DaemonOptions{
				Binary:      binaries(t).Guarded,
				Registries:  []string{registry.Host},
				Config:      "guard.mode = \"" + mode + "\"\n",
				MemoryLimit: memoryLimit,
			}
			daemon := startDaemon(t, options)
			image, cache := registry.Host+"/modes-"+mode, registry.Host+"/cache-modes-"+mode
			require.NoError(t, daemon.MixCompressions(t.Context(), small, image))
			_, err := daemon.Build(t.Context(), harness.Build{
				Dockerfile:  small,
				Output:      harness.PushOutput(image),
				ExportCache: []string{"type=inline", "type=registry,mode=max,ref=" + cache},
			})
			require.NoError(t, err)
			blobs := 0
			if there, err := registry.Has(t.Context(), cache); assert.NoError(t, err) && there {
				m, err := registry.Cache(t.Context(), cache)
				require.NoError(t, err)
				blobs = len(m.Blobs)
			}
			fresh, err := startDaemon(t, options).Build(t.Context(), harness.Build{
				Dockerfile:  small,
				ImportCache: []string{"type=registry,ref=" + image},
			})
			require.NoError(t, err)

			require.NoError(t, daemon.MixCompressions(t.Context(), large, image))
			_, failure := daemon.Build(t.Context(), harness.Build{Dockerfile: large, ExportCache: []string{"type=registry,mode=max,ref=" + cache}})
			exit, err := daemon.Stop(t.Context())
			require.NoError(t, err)
			t.Logf("%s: %d blobs, %d of %d steps cached, %d layers: %v", mode, blobs, fresh.Cached, fresh.Steps, many, exit)

			switch mode {
			case "off", "observe":
				assert.Error(t, failure)
				assert.True(t, exit.OOMKilled(), "exit: %v", exit)
				assert.Greater(t, blobs, few+steps)
				assert.Zero(t, fresh.Cached, fresh.Output)
			case "enforce", "single":
				assert.NoError(t, failure)
				assert.False(t, exit.OOMKilled(), "exit: %v", exit)
				assert.Equal(t, few+steps, blobs)
				assert.Equal(t, steps, fresh.Cached, fresh.Output)
			case "block":
				assert.NoError(t, failure)
				assert.False(t, exit.OOMKilled(), "exit: %v", exit)
				assert.Zero(t, blobs)
				assert.Zero(t, fresh.Cached, fresh.Output)
			}
		})
	}
}

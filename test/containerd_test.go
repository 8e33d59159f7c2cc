package test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// startOnContainerd starts a daemon with a containerd of its own, both of which
// are stopped with the test.
func startOnContainerd(t testing.TB, o harness.DaemonOptions) *harness.Daemon {
	t.Helper()
	tool(t, "containerd-shim-runc-v2") // is looked for beside containerd
	c, err := harness.StartContainerd(t.Context(), tool(t, "containerd"))
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, c.Stop(context.Background()))
		assert.NoError(t, c.Remove())
	})
	o.Containerd = c
	return startDaemon(t, o)
}

// TestContainerdWorker holds that the guard does on a worker of containerd what
// it does on the daemon's own.
func TestContainerdWorker(t *testing.T) {
	registry := startRegistry(t)
	b := binaries(t)
	for name, tc := range map[string]struct {
		binary string
		layers int
		output string
		export string
		ref    string
		cached int
	}{
		"inline": {
			b.Guarded, 12, harness.PushOutput(registry.Host + "/inline:guarded"),
			"type=inline", "/inline:guarded", steps,
		},
		"inline with stock": {
			b.Stock, 12, harness.PushOutput(registry.Host + "/inline:stock"),
			"type=inline", "/inline:stock", 0,
		},
		"registry": {
			b.Guarded, 61, "",
			cacheRef(registry.Host) + ",mode=max", "/cache:latest", steps,
		},
	} {
		t.Run(name, func(t *testing.T) {
			base, err := registry.PushBase(t.Context(), harness.Base{Layers: tc.layers})
			require.NoError(t, err)
			dockerfile := harness.RunSteps(base, steps)
			options := harness.DaemonOptions{
				Binary:      tc.binary,
				Registries:  []string{registry.Host},
				MemoryLimit: memoryLimit,
			}

			daemon := startOnContainerd(t, options)
			require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
			_, err = daemon.Build(t.Context(), harness.Build{
				Dockerfile:  dockerfile,
				Output:      tc.output,
				ExportCache: []string{tc.export},
			})
			require.NoError(t, err)

			fresh := startOnContainerd(t, options)
			result, err := fresh.Build(t.Context(), harness.Build{
				Dockerfile:  dockerfile,
				ImportCache: []string{"type=registry,ref=" + registry.Host + tc.ref},
			})
			require.NoError(t, err)
			assert.Equal(t, steps, result.Steps, result.Output)
			assert.Equal(t, tc.cached, result.Cached, result.Output)
		})
	}
}

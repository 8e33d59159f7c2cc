package test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// startContainerd starts a containerd that is stopped with the test.
func startContainerd(t testing.TB) *harness.Containerd {
	t.Helper()
	parts.Tool(t, "containerd-shim-runc-v2") // is looked for beside containerd
	c, err := harness.StartContainerd(t.Context(), parts.Tool(t, "containerd"))
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, c.Stop(context.Background()))
		assert.NoError(t, c.Remove())
	})
	return c
}

// startOnContainerd starts a daemon with a containerd of its own, both of which
// are stopped with the test.
func startOnContainerd(t testing.TB, o harness.DaemonOptions) *harness.Daemon {
	t.Helper()
	o.Containerd = startContainerd(t)
	return startDaemon(t, o)
}

// TestContainerdWorker holds that the guard does on a worker of containerd what
// it does on the daemon's own.
func TestContainerdWorker(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	b := binaries(t)
	const inline, inRegistry = "type=inline", "type=registry,mode=max,ref="
	for name, tc := range map[string]struct {
		binary string
		layers int
		buildx bool
		// output and export are as flags, image is what is imported.
		output, export, image string
		cached                int
	}{
		"inline": {
			b.Guarded, 12, false,
			harness.PushOutput(registry.Host + "/inline:guarded"), inline, "/inline:guarded", steps,
		},
		"inline with stock": {
			b.Stock, 12, false,
			harness.PushOutput(registry.Host + "/inline:stock"), inline, "/inline:stock", 0,
		},
		"registry": {
			b.Guarded, 61, false,
			"", inRegistry + registry.Host + "/cache:buildctl", "/cache:buildctl", steps,
		},
		"registry through buildx": {
			b.Guarded, 61, true,
			"", inRegistry + registry.Host + "/cache:buildx", "/cache:buildx", steps,
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
			build := func(daemon *harness.Daemon, output string, to, from []string) harness.BuildResult {
				var result harness.BuildResult
				var err error
				if tc.buildx {
					result, err = daemon.Buildx(t.Context(), parts.Tool(t, "buildx"), harness.BuildxBuild{
						Dockerfile: dockerfile, Output: output, CacheTo: to, CacheFrom: from,
					})
				} else {
					result, err = daemon.Build(t.Context(), harness.Build{
						Dockerfile: dockerfile, Output: output, ExportCache: to, ImportCache: from,
					})
				}
				require.NoError(t, err)
				return result
			}

			daemon := startOnContainerd(t, options)
			require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
			build(daemon, tc.output, []string{tc.export}, nil)

			fresh := startOnContainerd(t, options)
			result := build(fresh, "", nil, []string{"type=registry,ref=" + registry.Host + tc.image})
			assert.Equal(t, steps, result.Steps, result.Output)
			assert.Equal(t, tc.cached, result.Cached, result.Output)
		})
	}
}

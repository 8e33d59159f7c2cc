package test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestDaemonWarnsOfWhatItHolds holds that a daemon with warnImages tells clients
// of a base image once it has the layers in two compressions, and not before,
// whichever frontend has resolved it.
func TestDaemonWarnsOfWhatItHolds(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	image, err := registry.PushProgram(t.Context(), "recipe", exampleFrontend(t))
	require.NoError(t, err)
	daemon := startDaemon(t, harness.DaemonOptions{
		Binary:     binaries(t).Guarded,
		Config:     "guard.warnImages = true\n",
		Registries: []string{registry.Host},
	})
	warned := func(out string) int {
		return strings.Count(out, "WARN: cache guard: "+base+" has 12 layers, which this worker holds in 2 compressions: "+
			"a cache export without the guard takes at least 2.344MiB of memory for 2048 combinations, see https://")
	}
	stages := func() string {
		result, err := daemon.Build(t.Context(), harness.Build{Dockerfile: fiveStages(base)})
		require.NoError(t, err)
		return result.Output
	}

	assert.NotContains(t, stages(), "WARN")
	require.NoError(t, daemon.MixCompressions(t.Context(), harness.RunSteps(base, steps), registry.Host+"/image"))
	out := stages()
	assert.Equal(t, 1, warned(out), out)

	recipe, err := daemon.Build(t.Context(), harness.Build{
		Frontend: "gateway.v0",
		Opts:     []string{"source=" + image, "filename=Recipe"},
		Files:    map[string]string{"Recipe": "base " + base + "\n"},
	})
	require.NoError(t, err)
	assert.Equal(t, 1, warned(recipe.Output), recipe.Output)

	result, err := daemon.Buildx(t.Context(), parts.Tool(t, "buildx"), harness.BuildxBuild{
		Dockerfile: fiveStages(base),
		Output:     harness.PushOutput(registry.Host + "/buildx:latest"),
	})
	require.NoError(t, err)
	assert.Equal(t, 1, warned(result.Output), result.Output)
	assert.Contains(t, result.Output, "1 warning found")
}

package test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// TestBuildxShowsTheLine holds that docker buildx, with its defaults, shows what
// the guard has done with an export under the step of that export, and nothing
// else of the guard.
func TestBuildxShowsTheLine(t *testing.T) {
	registry := startRegistry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	dockerfile := harness.RunSteps(base, steps)
	daemon := startDaemon(t, harness.DaemonOptions{
		Binary:     binaries(t).Guarded,
		Registries: []string{registry.Host},
	})
	build := func(b harness.BuildxBuild) string {
		b.Dockerfile = dockerfile
		out, err := daemon.Buildx(t.Context(), tool(t, "buildx"), b)
		require.NoError(t, err)
		return out
	}
	export := harness.BuildxBuild{
		Output:  harness.PushOutput(registry.Host + "/image:latest"),
		CacheTo: "type=registry,mode=max,ref=" + registry.Host + "/cache:latest",
	}

	assert.NotContains(t, build(export), "cache guard:")
	build(harness.BuildxBuild{
		Output: harness.PushOutput(registry.Host+"/image:zstd", "compression=zstd", "force-compression=true"),
	})
	out := build(export)
	shown := regexp.MustCompile(`(?m)^#(\d+) cache guard: (.*?)(?: \d+\.\d+s)? done$`).FindStringSubmatch(out)
	require.NotNil(t, shown, out)
	assert.Equal(t, "15 layers in 2 compressions, 16384 combinations avoided, exporting gzip", shown[2])
	assert.Regexp(t, `(?m)^#`+shown[1]+` exporting cache to registry$`, out)
	assert.Equal(t, 1, countSteps(out, "cache guard: "), out)
	assert.Contains(t, out, "exporting attestation manifest", "provenance is there")
}

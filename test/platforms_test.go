package test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestTwoPlatformsInline holds that the cache in each image of a build for two
// platforms covers all steps, when the worker holds the layers of both in a
// second compression.
func TestTwoPlatformsInline(t *testing.T) {
	t.Parallel()
	const (
		copies    = 10
		platforms = "platform=linux/amd64,linux/arm64"
	)
	registry := parts.Registry(t)
	dockerfile := "FROM scratch\nARG TARGETARCH\n"
	files := map[string]string{}
	for n := range copies {
		dockerfile += fmt.Sprintf("COPY ${TARGETARCH}-%d /\n", n)
		for _, arch := range []string{"amd64", "arm64"} {
			name := fmt.Sprintf("%s-%d", arch, n)
			files[name] = name
		}
	}
	options := harness.DaemonOptions{Binary: binaries(t).Guarded, Registries: []string{registry.Host}}
	image := registry.Host + "/inline:latest"

	daemon := startDaemon(t, options)
	for _, b := range []harness.Build{
		{Output: harness.PushOutput(registry.Host + "/image:gzip")},
		{Output: harness.PushOutput(registry.Host+"/image:zstd", "compression=zstd", "force-compression=true")},
		{Output: harness.PushOutput(image), ExportCache: []string{"type=inline"}},
	} {
		b.Dockerfile, b.Files, b.Opts = dockerfile, files, []string{platforms}
		_, err := daemon.Build(t.Context(), b)
		require.NoError(t, err)
	}

	caches := inRegistry(t.Context(), t, image)
	assert.Len(t, caches, 2, "platforms")
	for _, c := range caches {
		assert.Empty(t, c.Findings, c.Title())
	}

	fresh := startDaemon(t, options)
	result, err := fresh.Build(t.Context(), harness.Build{
		Dockerfile:  dockerfile,
		Files:       files,
		Opts:        []string{platforms},
		ImportCache: []string{"type=registry,ref=" + image},
	})
	require.NoError(t, err)
	assert.Equal(t, 2*copies, result.Steps, result.Output)
	assert.Equal(t, 2*copies, result.Cached, result.Output)
}

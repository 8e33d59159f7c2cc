package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// linkedFiles is the number of COPY --link steps in the tests with a lazy base
// image: enough combinations of two blobs each for the guard to refuse them.
const linkedFiles = 10

// lazyExport is an export of a build upon a base image that was never pulled.
type lazyExport struct {
	start func(testing.TB, harness.DaemonOptions) *harness.Daemon
	// to returns what is exported, and the image that it is imported from. The
	// base image is in the registry of origin.
	to func(origin, other string) (b harness.Build, image string)
}

// TestLazyBaseImage holds that an export with layers in two compressions upon a
// base image that was never pulled keeps the results of its records, and pulls
// no more than stock does without a second compression. With one, stock loses
// these records.
func TestLazyBaseImage(t *testing.T) {
	t.Parallel()
	cacheIn := func(host string) (harness.Build, string) {
		image := host + "/cache:latest"
		return harness.Build{ExportCache: []string{"type=registry,mode=max,ref=" + image}}, image
	}
	for worker, start := range map[string]func(testing.TB, harness.DaemonOptions) *harness.Daemon{
		"own worker":        startDaemon,
		"containerd worker": startOnContainerd,
	} {
		for exporter, to := range map[string]func(origin, other string) (harness.Build, string){
			"inline": func(origin, _ string) (harness.Build, string) {
				image := origin + "/image:latest"
				return harness.Build{Output: harness.PushOutput(image), ExportCache: []string{"type=inline"}}, image
			},
			"registry of the base": func(origin, _ string) (harness.Build, string) { return cacheIn(origin) },
			"another registry":     func(_, other string) (harness.Build, string) { return cacheIn(other) },
		} {
			t.Run(worker+", "+exporter, func(t *testing.T) {
				export := lazyExport{start, to}
				expected, _ := export.run(t, binaries(t).Stock, false)
				for name, varied := range map[string]bool{"one compression": false, "two compressions": true} {
					t.Run(name, func(t *testing.T) {
						pulls, replay := export.run(t, binaries(t).Guarded, varied)
						assert.Equal(t, expected, pulls, "pulls of the base image")
						fresh := replay()
						assert.Equal(t, linkedFiles, fresh.Steps, fresh.Output)
						assert.Equal(t, linkedFiles, fresh.Cached, fresh.Output)
					})
				}
			})
		}
	}
}

// TestRecordsThatAreLeftOut has a stage upon a base image that was not pulled, as its files
// are there from another one (moby/buildkit issue 5560). Upstream says nothing.
func TestRecordsThatAreLeftOut(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	gzip, err := registry.PushBase(t.Context(), harness.Base{Layers: 4})
	require.NoError(t, err)
	zstd, err := registry.PushBase(t.Context(), harness.Base{Layers: 4, Zstd: true})
	require.NoError(t, err)
	daemon := startDaemon(t, harness.DaemonOptions{Binary: binaries(t).Guarded, Registries: []string{registry.Host}})
	build := func(dockerfile string) harness.BuildResult {
		result, err := daemon.Build(t.Context(), harness.Build{
			Dockerfile: dockerfile, Files: map[string]string{"file": "text"},
			ExportCache: []string{cacheRef(registry.Host) + ",mode=max"},
		})
		require.NoError(t, err)
		return result
	}
	const warning = "WARN: cache guard: a stage is missing in this cache"
	step := "RUN [\"/bin/step\", \"/step\", \"text\"]\n"
	assert.NotContains(t, build("FROM "+gzip+"\n"+step).Output, warning)
	twin := build("FROM " + zstd + " AS stage\n" + step + "FROM " + gzip + "\nCOPY --from=stage /step /copy\n" + step)
	assert.Equal(t, 1, strings.Count(twin.Output, warning), twin.Output)
	assert.NotContains(t, build("FROM "+zstd+"\nCOPY --link file /\n").Output, warning, "the base of the image itself")
	lines, err := daemon.LogEntries("cache record left out")
	require.NoError(t, err)
	assert.Len(t, lines, 1)
	assert.EqualValues(t, 1, status(t, daemon).Unloadable)
}

// run exports with new registries and a new daemon. If varied, the layers of the
// steps exist in two compressions. It returns what was pulled of the base, and a
// function that repeats the build on a fresh daemon, which must read all layers
// to push them.
func (e lazyExport) run(t *testing.T, binary string, varied bool) (pulls map[string]int, replay func() harness.BuildResult) {
	t.Helper()
	origin, other := parts.Registry(t), parts.Registry(t)
	base, err := origin.PushBase(t.Context(), harness.Base{Layers: 4})
	require.NoError(t, err)
	options := harness.DaemonOptions{Binary: binary, Registries: []string{origin.Host, other.Host}}
	var copies strings.Builder
	files := map[string]string{}
	for n := range linkedFiles {
		name := fmt.Sprintf("file-%d", n+1)
		files[name] = name
		fmt.Fprintf(&copies, "COPY --link %s /\n", name)
	}

	daemon := e.start(t, options)
	if varied {
		for _, attributes := range [][]string{nil, {"compression=zstd", "force-compression=true"}} {
			_, err := daemon.Build(t.Context(), harness.Build{
				Dockerfile: "FROM scratch\n" + copies.String(),
				Files:      files,
				Output:     harness.PushOutput(other.Host+"/files:latest", attributes...),
			})
			require.NoError(t, err)
		}
	}
	build, image := e.to(origin.Host, other.Host)
	build.Dockerfile = "FROM " + base + "\n" + copies.String()
	build.Files = files
	_, err = daemon.Build(t.Context(), build)
	require.NoError(t, err)
	pulls, err = origin.Pulls("base-gzip")
	require.NoError(t, err)

	return pulls, func() harness.BuildResult {
		fresh, err := e.start(t, options).Build(t.Context(), harness.Build{
			Dockerfile:  build.Dockerfile,
			Files:       files,
			ImportCache: []string{"type=registry,ref=" + image},
			Output:      harness.PushOutput(other.Host + "/fresh:latest"),
		})
		require.NoError(t, err)
		return fresh
	}
}

package test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// buildxExport is an export through docker buildx.
type buildxExport struct {
	exporter string
	backend
	// requested is the compression that is asked for.
	requested compression.Type
	// step begins the name of the step that exports, line ends what the guard
	// says of it.
	step, line string
}

// startBuildxExports starts the backends of all exporters. What GitHub keeps is
// not read.
func startBuildxExports(t *testing.T, registry *harness.Registry) []buildxExport {
	t.Helper()
	backends := startBackends(t, registry)
	github, err := harness.StartGitHubCache(t.Context(), parts.Tool(t, "ghacache"))
	require.NoError(t, err)
	removeWithTest(t, github)
	inScope := func(name string) string { return strings.Replace(github.Attributes, "scope=test", "scope="+name, 1) }
	backends["gha"] = backend{to: inScope, from: inScope}
	const step = "exporting cache to "
	return []buildxExport{
		{"registry", backends["registry"], compression.Zstd, step + "registry", "exporting zstd"},
		{"local", backends["local"], compression.Zstd, step + "client directory", "exporting zstd"},
		{"s3", backends["s3"], compression.Zstd, step + "Amazon S3", "exporting zstd"},
		{"azblob", backends["azblob"], compression.Zstd, step + "Azure Blob Storage", "exporting zstd"},
		{"gha", backends["gha"], compression.Zstd, "exporting to GitHub Actions Cache", "exporting zstd"},
		{"inline", backends["inline"], compression.Gzip, "preparing layers for inline cache", "exporting the image's own blobs"},
	}
}

// attributes are those of the export to a place.
func (e buildxExport) attributes(place string) string {
	to := e.to(place)
	if e.exporter != "inline" {
		to += ",mode=max,compression=" + e.requested.String()
	}
	return to
}

var buildxLine = regexp.MustCompile(`(?m)^#(\d+) cache guard: (.*?)(?: \d+\.\d+s)? done$`)

// TestBuildx holds that docker buildx, with its defaults, exports and imports by
// every exporter as well as buildctl: from layers in two compressions each is
// written once and as requested, under a step that says so, and a fresh daemon
// has all steps CACHED. The image has its provenance, so a cache inline is found
// by way of an index.
func TestBuildx(t *testing.T) {
	t.Parallel()
	const layers = 12
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: layers})
	require.NoError(t, err)
	options := harness.DaemonOptions{Binary: binaries(t).Guarded, Registries: []string{registry.Host}}
	buildx := func(t *testing.T, daemon *harness.Daemon, b harness.BuildxBuild) harness.BuildResult {
		t.Helper()
		b.Dockerfile = harness.RunSteps(base, steps)
		result, err := daemon.Buildx(t.Context(), parts.Tool(t, "buildx"), b)
		require.NoError(t, err)
		return result
	}
	exports := startBuildxExports(t, registry)
	daemon := startDaemon(t, options)
	result := buildx(t, daemon, harness.BuildxBuild{
		Output:  harness.PushOutput(imageAt(registry, "gzip")),
		CacheTo: []string{exports[0].attributes("one-compression")},
	})
	assert.NotContains(t, result.Output, "cache guard:", "nothing was done")
	buildx(t, daemon, harness.BuildxBuild{
		Output: harness.PushOutput(imageAt(registry, "zstd"), "compression=zstd", "force-compression=true"),
	})

	for client, bake := range map[string]bool{"build": false, "bake": true} {
		for _, export := range exports {
			t.Run(client+" "+export.exporter, func(t *testing.T) {
				place := client + "-" + export.exporter
				image := "built"
				if export.exporter == "inline" {
					image = place
				}
				result := buildx(t, daemon, harness.BuildxBuild{
					Bake:    bake,
					Output:  harness.PushOutput(imageAt(registry, image)),
					CacheTo: []string{export.attributes(place)},
				})
				assert.Contains(t, result.Output, "exporting attestation manifest")
				line := buildxLine.FindStringSubmatch(result.Output)
				require.NotNil(t, line, result.Output)
				assert.Equal(t, "15 layers in 2 compressions, 16384 combinations avoided, "+export.line, line[2])
				assert.Regexp(t, `(?m)^#`+line[1]+" "+export.step, result.Output)
				assert.Equal(t, 1, countSteps(result.Output, "cache guard: "), result.Output)
				if export.read != nil {
					export.assertOnceEach(t, place, layers+steps)
				}

				other := startDaemon(t, options)
				fresh := harness.BuildxBuild{Bake: bake, Output: "type=cacheonly", CacheFrom: []string{export.from(place)}}
				result = buildx(t, other, fresh)
				assert.Equal(t, steps, result.Steps, result.Output)
				assert.Equal(t, steps, result.Cached, result.Output)
				// All layers are unpacked. That happens in a step of the build,
				// which is then not always shown as cached.
				fresh.Output = "type=local,dest=" + t.TempDir()
				buildx(t, other, fresh)
			})
		}
	}
}

// TestBuildxShowsConversions holds that the line under the step of an export says how far
// the conversions are.
func TestBuildxShowsConversions(t *testing.T) {
	t.Parallel()
	daemon, build := slowConversion(t, harness.DaemonOptions{})
	result, err := daemon.Buildx(t.Context(), parts.Tool(t, "buildx"), harness.BuildxBuild{Dockerfile: build.Dockerfile, Output: build.Output})
	require.NoError(t, err)
	assert.Regexp(t, fmt.Sprintf(convertingLine, "zstd"), result.Output)
}

// assertOnceEach holds that each layer was written once, as requested.
func (e buildxExport) assertOnceEach(t *testing.T, place string, layers int) {
	t.Helper()
	m, err := e.read(t.Context(), place)
	require.NoError(t, err)
	assert.Len(t, m.Blobs, layers)
	assert.Equal(t, layers, m.Layers(), "layers")
	assert.Equal(t, layers, m.Count(e.requested), "blobs in "+e.requested.String())
}

package test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestOffAndObserveAreUpstream exports where upstream survives, 12 layers in 2
// compressions, with the guard off, in mode observe, and on the stock daemon.
func TestOffAndObserveAreUpstream(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	dockerfile := harness.RunSteps(base, steps)
	series := map[string][]string{}
	for name, options := range map[string]harness.DaemonOptions{
		"stock":   {Binary: binaries(t).Stock},
		"off":     {Binary: binaries(t).Guarded, Config: "guard.mode = \"off\"\n"},
		"observe": {Binary: binaries(t).Guarded, Config: "guard.mode = \"observe\"\n"},
	} {
		options.Registries = []string{registry.Host}
		daemon := startDaemon(t, options)
		require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
		result, err := daemon.Build(t.Context(), harness.Build{
			Dockerfile:  dockerfile,
			Output:      harness.PushOutput(registry.Host + "/" + name),
			ExportCache: []string{"type=inline", cacheRef(registry.Host) + "-" + name + ",mode=max"},
		})
		require.NoError(t, err)
		assert.Zero(t, countSteps(result.Output, "cache guard:"), name)
		m, err := registry.Cache(t.Context(), registry.Host+"/cache:latest-"+name)
		require.NoError(t, err)
		assert.Greater(t, len(m.Blobs), m.Layers(), "%s: upstream writes layers twice", name)

		fresh := startDaemon(t, options)
		result, err = fresh.Build(t.Context(), harness.Build{
			Dockerfile:  dockerfile,
			ImportCache: []string{"type=registry,ref=" + registry.Host + "/" + name},
		})
		require.NoError(t, err)
		assert.Zero(t, result.Cached, "%s: upstream loses the inline cache: %s", name, result.Output)

		spared, err := daemon.LogEntries("combinations spared")
		require.NoError(t, err)
		assert.Empty(t, spared, name)
		observed, err := daemon.LogEntries("combinations would be spared")
		require.NoError(t, err)
		if name == "observe" {
			assert.NotEmpty(t, observed)
			assert.Equal(t, "16384", observed[len(observed)-1]["remotes"])
		} else {
			assert.Empty(t, observed, name)
		}
		metrics, err := daemon.Debug(t.Context(), "/metrics")
		require.NoError(t, err)
		series[name] = upstreamSeries(metrics)
	}
	assert.NotEmpty(t, series["stock"])
	assert.Equal(t, series["stock"], series["off"], "metrics apart from the guard's own")
}

var seriesType = regexp.MustCompile(`(?m)^# TYPE (\S+)`)

// upstreamSeries are the names of all series but the guard's.
func upstreamSeries(metrics string) []string {
	var names []string
	for _, m := range seriesType.FindAllStringSubmatch(metrics, -1) {
		if !strings.HasPrefix(m[1], "bkguard_") {
			names = append(names, m[1])
		}
	}
	return names
}

// TestConcurrentExportsSurvive has 8 builds at a time that export up to 127
// layers in 3 compressions, under a memory limit.
func TestConcurrentExportsSurvive(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	daemon := startDaemon(t, harness.DaemonOptions{
		Binary:      binaries(t).Guarded,
		Registries:  []string{registry.Host},
		MemoryLimit: memoryLimit,
	})
	var dockerfiles []string
	for _, layers := range []int{58, 124} {
		base, err := registry.PushBase(t.Context(), harness.Base{Layers: layers})
		require.NoError(t, err)
		dockerfile := harness.RunSteps(base, steps)
		require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
		_, err = daemon.Build(t.Context(), harness.Build{
			Dockerfile: dockerfile,
			Output:     harness.PushOutput(registry.Host+"/image:estargz", "compression=estargz", "force-compression=true"),
		})
		require.NoError(t, err)
		dockerfiles = append(dockerfiles, dockerfile)
	}
	var eg errgroup.Group
	for i := range 8 {
		dir := t.TempDir()
		eg.Go(func() error {
			_, err := daemon.Build(t.Context(), harness.Build{
				Dockerfile:  dockerfiles[i%2],
				ExportCache: []string{"type=local,mode=max,dest=" + dir},
			})
			return err
		})
	}
	require.NoError(t, eg.Wait())
	exit, err := daemon.Stop(t.Context())
	require.NoError(t, err)
	assert.False(t, exit.OOMKilled(), "exit: %v", exit)
	assert.Zero(t, exit.Usage.OOMKills)
	t.Logf("peak memory of the daemon: %d MiB", exit.PeakRSS>>20)
}

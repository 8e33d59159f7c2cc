package test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/guard"
	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// TestOneLogLinePerExport holds that an export which the guard has changed says
// so once, to the operator and to the client, and that no other export does.
func TestOneLogLinePerExport(t *testing.T) {
	t.Parallel()
	const layers = 30
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: layers})
	require.NoError(t, err)
	dockerfile := harness.RunSteps(base, steps)
	daemon := startDaemon(t, harness.DaemonOptions{
		Binary:      binaries(t).Guarded,
		Registries:  []string{registry.Host},
		MemoryLimit: memoryLimit,
	})
	export := func() string {
		result, err := daemon.Build(t.Context(), harness.Build{
			Dockerfile:  dockerfile,
			Output:      harness.PushOutput(registry.Host + "/image:latest"),
			ExportCache: []string{cacheRef(registry.Host) + ",mode=max"},
		})
		require.NoError(t, err)
		return result.Output
	}
	spared := func() []harness.LogEntry {
		lines, err := daemon.LogEntries("combinations spared")
		require.NoError(t, err)
		return lines
	}

	out := export() // in one compression
	assert.Empty(t, spared())
	assert.Zero(t, strings.Count(out, "cache guard:"), out)

	require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
	out = export()
	assert.Equal(t, 1, countSteps(out, "cache guard: "), out)
	lines := spared()
	require.Len(t, lines, 1)
	line := lines[0]
	assert.Equal(t, "registry", line["exporter"])
	assert.Equal(t, "gzip", line["compression"])
	assert.Equal(t, "2", line["compressions"])
	assert.Equal(t, strconv.Itoa(layers+steps), line["layers"])
	assert.Equal(t, "2^32", line["remotes"])
	// The layers of each RUN step end a chain of their own.
	assert.Equal(t, strconv.Itoa(steps), line["records"])
	avoided, err := strconv.ParseUint(line["avoided"], 10, 64)
	require.NoError(t, err)
	assert.Greater(t, avoided, uint64(memoryLimit))
}

// countSteps counts the steps of a build's output that begin with a text. The
// number of a step comes first: "#12 text".
func countSteps(out, text string) int {
	steps := map[string]bool{}
	for line := range strings.Lines(out) {
		number, after, _ := strings.Cut(line, " ")
		if strings.HasPrefix(number, "#") && strings.HasPrefix(after, text) {
			steps[number] = true
		}
	}
	return len(steps)
}

// TestInlineKeepsCache holds that the cache in an image covers all steps when
// the worker holds the layers in a second compression; without the guard, it
// covers none.
func TestInlineKeepsCache(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	dockerfile := harness.RunSteps(base, steps)
	options := harness.DaemonOptions{Binary: binaries(t).Guarded, Registries: []string{registry.Host}}
	image := registry.Host + "/inline:latest"

	daemon := startDaemon(t, options)
	require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
	_, err = daemon.Build(t.Context(), harness.Build{
		Dockerfile:  dockerfile,
		Output:      harness.PushOutput(image),
		ExportCache: []string{"type=inline"},
	})
	require.NoError(t, err)

	fresh := startDaemon(t, options)
	result, err := fresh.Build(t.Context(), harness.Build{
		Dockerfile:  dockerfile,
		ImportCache: []string{"type=registry,ref=" + image},
	})
	require.NoError(t, err)
	assert.Equal(t, steps, result.Steps, result.Output)
	assert.Equal(t, steps, result.Cached, result.Output)
}

// TestInlineExportsAtOnceAreToldNothing has a budget that is too small for any product. No
// inline export of a decorated image needs one, so that nobody is told of anything.
func TestInlineExportsAtOnceAreToldNothing(t *testing.T) {
	t.Parallel()
	const builds = 50
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 8 - steps})
	require.NoError(t, err)
	dockerfile := harness.RunSteps(base, steps)
	daemon := startDaemon(t, harness.DaemonOptions{
		Binary: binaries(t).Guarded, Registries: []string{registry.Host}, Config: "guard.maxMemory = \"64KB\"\n",
	})
	require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
	var exports errgroup.Group
	for n := range builds {
		exports.Go(func() error {
			result, err := daemon.Build(t.Context(), harness.Build{
				Dockerfile:  dockerfile,
				Output:      harness.PushOutput(fmt.Sprintf("%s/inline:%d", registry.Host, n)),
				ExportCache: []string{"type=inline"},
			})
			assert.NotContains(t, result.Output, "cache guard:")
			return err
		})
	}
	require.NoError(t, exports.Wait())
	lines, err := daemon.LogEntries("combinations spared")
	require.NoError(t, err)
	assert.Empty(t, lines)
	s := status(t, daemon)
	assert.Equal(t, map[guard.Outcome]int64{guard.OutcomePlain: builds}, s.Exports)
	assert.Zero(t, s.Memory.Held)
}

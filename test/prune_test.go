package test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// TestPruneDuringExport holds that an export whose blobs are pruned meanwhile
// ends as it would without the guard: well, or because a blob that was still
// there when the export began is gone when it is pushed.
func TestPruneDuringExport(t *testing.T) {
	const rounds = 8
	registry := startRegistry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	// No build needs the layers of the stage once its last step is cached, so
	// that they can be pruned while they are exported.
	dockerfile := strings.Replace(harness.RunSteps(base, steps), "\n", " AS stage\n", 1) +
		"FROM " + base + "\nCOPY --from=stage /run-1 /\n"
	options := harness.DaemonOptions{Binary: binaries(t).Guarded, Registries: []string{registry.Host}}
	daemon := startDaemon(t, options)
	// mix makes all layers exist in two compressions, those of the stage too.
	mix := func() {
		for _, attributes := range []string{"", ",compression=zstd,force-compression=true"} {
			_, err := daemon.Build(t.Context(), harness.Build{
				Dockerfile:  dockerfile,
				ExportCache: []string{"type=local,mode=max,dest=" + t.TempDir() + attributes},
			})
			require.NoError(t, err)
		}
	}
	export := harness.Build{Dockerfile: dockerfile, ExportCache: []string{cacheRef(registry.Host) + ",mode=max"}}

	guarded := 0
	for range rounds {
		mix()
		ctx, stop := context.WithCancel(t.Context())
		exporting := &trigger{text: "exporting cache", seen: make(chan struct{})}
		pruned := make(chan error)
		go func() { pruned <- pruneLoop(ctx, daemon, exporting.seen) }()
		export.Progress = exporting
		result, err := daemon.Build(t.Context(), export)
		stop()
		require.NoError(t, <-pruned)
		if err != nil {
			assert.Regexp(t, `failed to solve: error writing layer blob: content digest sha256:\w+: not found`, err.Error())
			continue
		}
		guarded += countSteps(result.Output, "cache guard: ")
	}
	assert.Positive(t, guarded, "the guard had to do with no export")

	mix()
	export.Progress = nil
	_, err = daemon.Build(t.Context(), export)
	require.NoError(t, err)
	fresh := startDaemon(t, options)
	result, err := fresh.Build(t.Context(), harness.Build{
		Dockerfile:  dockerfile,
		ImportCache: []string{cacheRef(registry.Host)},
	})
	require.NoError(t, err)
	assert.Equal(t, steps+1, result.Steps, result.Output)
	assert.Equal(t, steps+1, result.Cached, result.Output)
}

// pruneLoop prunes everything over and over from when begin is closed until ctx
// ends.
func pruneLoop(ctx context.Context, d *harness.Daemon, begin <-chan struct{}) error {
	select {
	case <-begin:
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		if _, err := d.Buildctl(ctx, "prune", "--all"); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// trigger is a writer that closes seen when it is written a text.
type trigger struct {
	text string
	once sync.Once
	seen chan struct{}
}

func (t *trigger) Write(p []byte) (int, error) {
	if strings.Contains(string(p), t.text) {
		t.once.Do(func() { close(t.seen) })
	}
	return len(p), nil
}

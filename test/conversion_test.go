package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
	"github.com/bkguard/bkguard/test/harness"
)

// forced are attributes of an export that converts every layer.
func forced(compression string, more ...string) string {
	return strings.Join(append([]string{"compression=" + compression, "force-compression=true"}, more...), ",")
}

// TestStockIsKilledByConversions holds the test above to be about a real problem.
func TestStockIsKilledByConversions(t *testing.T) {
	t.Parallel()
	registry := startRegistry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 61, LayerSize: 8 * mebibyte})
	require.NoError(t, err)
	daemon := startDaemon(t, harness.DaemonOptions{
		Binary: binaries(t).Stock, Registries: []string{registry.Host}, MemoryLimit: memoryLimit,
	})
	_, err = daemon.Build(t.Context(), harness.Build{
		Dockerfile: harness.RunSteps(base, steps),
		Output:     harness.PushOutput(registry.Host+"/image:latest", forced("zstd")),
	})
	require.Error(t, err)
	exit, err := daemon.Stop(t.Context())
	require.NoError(t, err)
	assert.True(t, exit.OOMKilled(), "exit: %v", exit)
}

// TestConvertedBlobsAreStocks converts the same base on both daemons.
func TestConvertedBlobsAreStocks(t *testing.T) {
	t.Parallel()
	registry := startRegistry(t)
	gzip, err := registry.PushBase(t.Context(), harness.Base{Layers: 5, LayerSize: 64 << 10})
	require.NoError(t, err)
	zstd, err := registry.PushBase(t.Context(), harness.Base{Layers: 5, LayerSize: 64 << 10, Zstd: true})
	require.NoError(t, err)
	daemons := make(map[string]*harness.Daemon)
	for name, binary := range map[string]string{"stock": binaries(t).Stock, "guarded": binaries(t).Guarded} {
		daemons[name] = startDaemon(t, harness.DaemonOptions{Binary: binary, Registries: []string{registry.Host}})
	}
	for n, tc := range []struct{ base, attributes string }{
		{gzip, forced("zstd")},
		{gzip, forced("zstd", "compression-level=1")},
		{gzip, forced("zstd", "compression-level=22")},
		{gzip, forced("estargz")},
		{gzip, forced("uncompressed")},
		{zstd, forced("gzip")},
		{zstd, forced("gzip", "compression-level=9")},
		{zstd, forced("estargz", "compression-level=1")},
	} {
		layers := make(map[string]any)
		for name, daemon := range daemons {
			// What was converted before is a variant that would be found again.
			require.NoError(t, pruneAll(t.Context(), daemon))
			image := fmt.Sprintf("%s/%s-%d:latest", registry.Host, name, n)
			_, err := daemon.Build(t.Context(), harness.Build{
				Dockerfile: "FROM " + tc.base + "\n",
				Output:     harness.PushOutput(image, tc.attributes),
			})
			require.NoError(t, err, tc.attributes)
			manifest, err := registry.Image(t.Context(), image)
			require.NoError(t, err)
			layers[name] = manifest.Digests()
		}
		assert.Len(t, layers["stock"], 5)
		assert.Equal(t, layers["stock"], layers["guarded"], tc.attributes)
	}
}

// pruneAll removes all that a daemon has.
func pruneAll(ctx context.Context, d *harness.Daemon) error {
	_, err := d.Buildctl(ctx, "prune", "--all")
	return err
}

// slowConversion is a build that converts 61 layers one at a time, which takes long
// enough to see layers wait.
func slowConversion(t *testing.T, options harness.DaemonOptions) (*harness.Daemon, harness.Build) {
	t.Helper()
	registry := startRegistry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 61, LayerSize: mebibyte})
	require.NoError(t, err)
	options.Binary, options.Registries = binaries(t).Guarded, []string{registry.Host}
	options.Config += "guard.maxMemory = \"1MB\"\n"
	return startDaemon(t, options), harness.Build{
		Dockerfile: "FROM " + base + "\n",
		Output:     harness.PushOutput(registry.Host+"/image:latest", forced("zstd", "compression-level=22")),
	}
}

// eventually waits until a daemon does something with the memory of exports.
func eventually(t *testing.T, d *harness.Daemon, what string, is func(guard.MemoryStatus) bool) {
	t.Helper()
	require.Eventually(t, func() bool { return is(status(t, d).Memory) }, waitFor, tick, what)
}

func layersWait(m guard.MemoryStatus) bool { return m.ConversionsWaiting > 10 }

func nothingIsHeld(m guard.MemoryStatus) bool {
	return m.Held == 0 && m.Converting == 0 && m.ConversionsWaiting == 0
}

// TestClientGoesWhileLayersWait holds that nothing is left of a build whose client has
// gone, and that the next one works.
func TestClientGoesWhileLayersWait(t *testing.T) {
	t.Parallel()
	daemon, build := slowConversion(t, harness.DaemonOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	var client errgroup.Group
	client.Go(func() error {
		_, err := daemon.Build(ctx, build)
		return err
	})
	eventually(t, daemon, "layers that wait", layersWait)
	cancel()
	require.Error(t, client.Wait())
	eventually(t, daemon, "an empty queue", nothingIsHeld)
	_, err := daemon.Build(t.Context(), build)
	require.NoError(t, err)
	m := status(t, daemon).Memory
	assert.True(t, nothingIsHeld(m), m)
	assert.Zero(t, m.Expired+m.Failed+m.Panicked)
	log, err := daemon.Log()
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(log, "the memory budget is too small for one layer, which runs alone"))

	// Upstream leaves a file for each layer that it was about to write, with the guard
	// and without, until garbage is collected (util/converter).
	require.Eventually(t, func() bool {
		return pruneAll(t.Context(), daemon) == nil && len(ingests(t, daemon)) == 0
	}, waitFor, time.Second, "no temporary file is left")
}

// ingests are the blobs that are being written to the content store of a daemon.
func ingests(t *testing.T, d *harness.Daemon) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(filepath.Dir(d.LogPath()), "root", "*", "content", "ingest", "*"))
	require.NoError(t, err)
	return found
}

// TestDaemonIsKilledWhileLayersAreConverted starts the daemon again on its root.
func TestDaemonIsKilledWhileLayersAreConverted(t *testing.T) {
	t.Parallel()
	daemon, build := slowConversion(t, harness.DaemonOptions{})
	var client errgroup.Group
	client.Go(func() error {
		_, err := daemon.Build(t.Context(), build)
		return err
	})
	eventually(t, daemon, "layers that wait", layersWait)
	_, err := daemon.Kill(t.Context())
	require.NoError(t, err)
	require.Error(t, client.Wait())
	require.NoError(t, daemon.Restart(t.Context()))
	_, err = daemon.Build(t.Context(), build)
	require.NoError(t, err)
	assert.True(t, nothingIsHeld(status(t, daemon).Memory))
}

// TestSwitchLetsLayersThrough turns the guard off while layers wait.
func TestSwitchLetsLayersThrough(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mode")
	daemon, build := slowConversion(t, harness.DaemonOptions{Config: fmt.Sprintf("guard.switchFile = %q\n", file)})
	var client errgroup.Group
	client.Go(func() error {
		_, err := daemon.Build(t.Context(), build)
		return err
	})
	eventually(t, daemon, "layers that wait", layersWait)
	require.NoError(t, os.WriteFile(file, []byte(config.ModeOff), 0o600))
	eventually(t, daemon, "an empty queue", func(m guard.MemoryStatus) bool { return m.ConversionsWaiting == 0 })
	require.NoError(t, client.Wait())
}

package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// slowLayers is the number of layers of a slowConversion.
const slowLayers = 61

// goroutines is where a daemon shows what they do.
const goroutines = "/debug/pprof/goroutine?debug=2"

// lockedFor is longer than any build of a slowConversion takes.
const lockedFor = 5 * time.Minute

// slowConversion is a build that converts its layers one at a time, which takes long
// enough to see layers wait.
func slowConversion(t *testing.T, options harness.DaemonOptions) (*harness.Daemon, harness.Build) {
	t.Helper()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: slowLayers, LayerSize: mebibyte / 2})
	require.NoError(t, err)
	options.Binary, options.Registries = binaries(t).Guarded, []string{registry.Host}
	options.Config += "guard.maxMemory = \"1MB\"\n"
	return startDaemon(t, options), harness.Build{
		Dockerfile: "FROM " + base + "\n",
		Output:     harness.PushOutput(registry.Host+"/image:latest", forced("zstd", "compression-level=22")),
	}
}

// breakWhileConverting builds, and calls f when some layers were converted and others
// wait. Each round comes at another moment. It returns how the build has ended.
func breakWhileConverting(t *testing.T, d *harness.Daemon, b harness.Build, round int, f func(cancel func())) error {
	t.Helper()
	// What was converted before is a variant that would be found again.
	require.NoError(t, pruneAll(t.Context(), d))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var client errgroup.Group
	client.Go(func() error {
		_, err := d.Build(ctx, b)
		return err
	})
	left := slowLayers / 2
	if round > 0 {
		left = 1 + rand.N(slowLayers-2)
	}
	eventually(t, d, "layers that wait", func(m guard.MemoryStatus) bool { return m.ConversionsWaiting > 0 })
	eventually(t, d, "layers that were converted", func(m guard.MemoryStatus) bool { return m.ConversionsWaiting <= left })
	f(cancel)
	return client.Wait()
}

// eventually waits until a daemon does something with the memory of exports.
func eventually(t *testing.T, d *harness.Daemon, what string, is func(guard.MemoryStatus) bool) {
	t.Helper()
	require.Eventually(t, func() bool { return is(status(t, d).Memory) }, waitFor, tick, what)
}

func nothingIsHeld(m guard.MemoryStatus) bool {
	return m.Held == 0 && m.Converting == 0 && m.ConversionsWaiting == 0
}

// inUse is a record that something holds, as buildctl du shows it.
var inUse = regexp.MustCompile(`(?m)^Reclaimable:\s+false$`)

// requireNothingLeft holds that nothing is left of a build that has failed while it
// converted layers, and that the next one works.
func requireNothingLeft(t *testing.T, d *harness.Daemon, b harness.Build) {
	t.Helper()
	requireNoneWait(t, d)
	_, err := d.Build(t.Context(), b)
	require.NoError(t, err)
	requireNothingHeld(t, d)
}

// requireNoneWait holds that no layer waits for memory.
func requireNoneWait(t *testing.T, d *harness.Daemon) {
	t.Helper()
	eventually(t, d, "an empty queue", nothingIsHeld)
	require.Eventually(t, func() bool {
		stacks, err := d.Debug(t.Context(), goroutines)
		return err == nil && !strings.Contains(stacks, "bkguard/internal/memory.")
	}, waitFor, tick, "no goroutine waits")
}

// requireNothingHeld holds that no memory is held after a build, and no ref.
func requireNothingHeld(t *testing.T, d *harness.Daemon) {
	t.Helper()
	m := status(t, d).Memory
	assert.True(t, nothingIsHeld(m), m)
	assert.Zero(t, m.Expired+m.Failed+m.Panicked)
	requireNothingInUse(t, d)
}

// requireNothingInUse holds that no ref is held. The client has its answer before the last
// ref of its build is released.
func requireNothingInUse(t *testing.T, d *harness.Daemon) {
	t.Helper()
	require.Eventually(t, func() bool {
		du, err := d.Buildctl(t.Context(), "du", "--verbose")
		return err == nil && !inUse.MatchString(du)
	}, waitFor, tick, "nothing is in use")
}

// requireNoIngests holds that no temporary file is left of a build.
func requireNoIngests(t *testing.T, d *harness.Daemon) {
	t.Helper()
	// Upstream leaves a file for each layer that it was about to write, with the guard
	// and without, until garbage is collected (util/converter).
	require.Eventually(t, func() bool {
		if err := pruneAll(t.Context(), d); err != nil {
			return false
		}
		files, err := d.Ingests()
		return err == nil && len(files) == 0
	}, waitFor, time.Second, "no temporary file is left")
}

// TestFaultClientGoesWhileLayersWait ends the client.
func TestFaultClientGoesWhileLayersWait(t *testing.T) {
	t.Parallel()
	daemon, build := slowConversion(t, harness.DaemonOptions{})
	inRounds(t, "waiting client", func(t *testing.T, round int, _ string) {
		require.Error(t, breakWhileConverting(t, daemon, build, round, func(cancel func()) { cancel() }))
		requireNothingLeft(t, daemon, build)
		requireNoIngests(t, daemon)
	})
	log, err := daemon.Log()
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(log, "the memory budget is too small for one layer, which runs alone"))
}

// TestFaultDiskFullWhileConverting has the disk of a daemon run full. containerd does not
// find the directories again that it had no room to note, with the guard and without.
func TestFaultDiskFullWhileConverting(t *testing.T) {
	t.Parallel()
	daemon, build := slowConversion(t, harness.DaemonOptions{RootSize: diskSize})
	inRounds(t, "converting disk", func(t *testing.T, round int, _ string) {
		err := breakWhileConverting(t, daemon, build, round, func(func()) { require.NoError(t, daemon.Fill(0)) })
		require.NoError(t, daemon.Free())
		var failed *harness.BuildError
		require.ErrorAs(t, err, &failed)
		assert.Regexp(t, "no space left on device|unexpected commit size 0", failed.Output)
		requireNoneWait(t, daemon)
		buildOnFreedDisk(t, daemon, build)
		requireNothingHeld(t, daemon)
	})
}

// buildOnFreedDisk builds on a daemon whose disk was full. If the disk was full when a
// layer was to be noted, containerd keeps the lock on its name, and who writes that layer
// waits until the client goes or the daemon starts again (docs/upstream.md). A daemon that
// starts again here has another disk.
func buildOnFreedDisk(t *testing.T, d *harness.Daemon, b harness.Build) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waiting := make(chan string, 1)
	timer := time.AfterFunc(lockedFor, func() {
		stacks, _ := d.Debug(ctx, goroutines)
		waiting <- stacks
		cancel()
	})
	_, err := d.Build(ctx, b)
	if timer.Stop() {
		require.NoError(t, err)
		return
	}
	require.Contains(t, <-waiting, "core/content.OpenWriter")
	requireNoneWait(t, d)
	_, err = d.Stop(t.Context())
	require.NoError(t, err)
	require.NoError(t, d.Restart(t.Context()))
	_, err = d.Build(t.Context(), b)
	require.NoError(t, err)
}

// TestFaultKilledWhileConverting starts the daemon again on its root. It may find a blob there that
// is half-written, as a stock daemon may.
func TestFaultKilledWhileConverting(t *testing.T) {
	t.Parallel()
	daemon, build := slowConversion(t, harness.DaemonOptions{})
	inRounds(t, "converting kill", func(t *testing.T, round int, _ string) {
		require.Error(t, breakWhileConverting(t, daemon, build, round, func(func()) {
			_, err := daemon.Kill(t.Context())
			require.NoError(t, err)
		}))
		require.NoError(t, daemon.Restart(t.Context()))
		requireNothingLeft(t, daemon, build)
	})
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
	eventually(t, daemon, "layers that wait", func(m guard.MemoryStatus) bool { return m.ConversionsWaiting > 0 })
	require.NoError(t, os.WriteFile(file, []byte(config.ModeOff), 0o600))
	eventually(t, daemon, "an empty queue", func(m guard.MemoryStatus) bool { return m.ConversionsWaiting == 0 })
	require.NoError(t, client.Wait())
}

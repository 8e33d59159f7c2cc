package test

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// memoryLimit is the cgroup limit of the daemons under test. The reproduction
// of moby/buildkit issue 6088 exceeds it with 20 layers and more.
const memoryLimit = 512 << 20

// waitFor bounds the wait for what happens in the background, tick is the pause
// between two looks.
const (
	waitFor = 30 * time.Second
	tick    = 50 * time.Millisecond
)

var guardedFile = flag.String("guarded", "", "the guarded daemon to test is this `file`, as one with the race detector in it; bin/buildkitd by default")

func binaries(t testing.TB) harness.Binaries {
	t.Helper()
	b, err := harness.FindBinaries()
	require.NoError(t, err)
	if *guardedFile != "" {
		b.Guarded = *guardedFile
	}
	return b
}

// startDaemon starts a daemon that is stopped with the test.
func startDaemon(t testing.TB, o harness.DaemonOptions) *harness.Daemon {
	t.Helper()
	o.Buildctl = binaries(t).Buildctl
	d, err := harness.StartDaemon(t.Context(), o)
	require.NoError(t, err)
	stopWithTest(t, d)
	return d
}

// stopWithTest stops a daemon with the test, which fails if the race detector has
// reported the guard. It keeps the daemon's log when the test has failed.
func stopWithTest(t testing.TB, d *harness.Daemon) {
	t.Helper()
	t.Cleanup(func() {
		exit, err := d.Stop(context.Background())
		if err != nil {
			t.Error(err)
		}
		log, err := d.Log()
		assert.NoError(t, err)
		assert.Empty(t, guardRaces(log))
		remove := d.Remove
		if t.Failed() {
			t.Logf("the daemon has ended with %v; its log is kept: %s", exit, d.LogPath())
			remove = d.RemoveRoot
		}
		if err := remove(); err != nil {
			t.Error(err)
		}
	})
}

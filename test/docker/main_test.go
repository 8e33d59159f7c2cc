// Package docker tests the Docker Engine that the guard is woven into, with real engines,
// containerd and buildx, and the stock engine beside it.
package docker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

func TestMain(m *testing.M) { parts.Main(m) }

// limit is the memory of an engine and its containerd in bytes.
const limit = 512 << 20

// steps is the number of RUN steps on every base image.
const steps = 3

// guarded and stock are the two engines.
func guarded(t *testing.T) string {
	t.Helper()
	path, _, err := harness.FindEngines()
	require.NoError(t, err)
	return path
}

func stock(t *testing.T) string {
	t.Helper()
	_, path, err := harness.FindEngines()
	require.NoError(t, err)
	return path
}

// startDaemon starts a stock buildkitd that knows nothing.
func startDaemon(t *testing.T, registry *harness.Registry) *harness.Daemon {
	t.Helper()
	b, err := harness.FindBinaries()
	require.NoError(t, err)
	d, err := harness.StartDaemon(t.Context(), harness.DaemonOptions{Binary: b.Stock, Buildctl: b.Buildctl, Registries: []string{registry.Host}})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := d.Stop(context.Background())
		assert.NoError(t, err)
		assert.NoError(t, d.Remove())
	})
	return d
}

// dockerfile has RUN steps on a base image.
func dockerfile(base string) string {
	return harness.WithoutNetwork(harness.RunSteps(base, steps))
}

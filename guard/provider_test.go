package guard

import (
	"context"
	"testing"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/cachetest"
)

// TestUnlazyPullsWhatIsNotHere asks as an export does that needs the layers themselves.
func TestUnlazyPullsWhatIsNotHere(t *testing.T) {
	const layers = 3
	for name, lazy := range map[string]bool{"lazy layers": true, "layers that are there": false} {
		t.Run(name, func(t *testing.T) {
			c := newTestCache(t)
			var (
				ref    cache.ImmutableRef
				pulled *cachetest.CountingProvider
			)
			if lazy {
				ref, pulled = c.Lazy(t, layers)
			} else {
				ref = c.Chain(t, layers, compression.Zstd)
			}
			remote := exportedRemote(t, c, ref)
			require.NoError(t, remote.Provider.(*provider).Unlazy(c.Ctx))
			if lazy {
				assert.EqualValues(t, layers, pulled.Reads.Load())
			}
			for _, desc := range remote.Descriptors {
				_, err := c.Store.Info(c.Ctx, desc.Digest)
				assert.NoError(t, err)
			}
		})
	}
}

// TestUnlazyFails has a client that is gone.
func TestUnlazyFails(t *testing.T) {
	c := newTestCache(t)
	lazy, _ := c.Lazy(t, 1)
	remote := exportedRemote(t, c, lazy)
	gone, leave := context.WithCancel(c.Ctx)
	leave()
	require.ErrorIs(t, remote.Provider.(*provider).Unlazy(gone), context.Canceled)
}

// exportedRemote is the remote of a ref that a decorated exporter is given.
func exportedRemote(t *testing.T, c *testCache, ref cache.ImmutableRef) *solver.Remote {
	t.Helper()
	g := newTestGuard(t, config.Config{})
	e := g.newExport("registry", "", nil)
	t.Cleanup(func() { e.close(c.Ctx) })
	remotes, err := getRemotes(c.Ctx, g.Worker(c.worker()), ref, requested(exportCompression{Type: compression.Gzip, export: e}), true)
	require.NoError(t, err)
	require.Len(t, remotes, 1)
	return remotes[0]
}

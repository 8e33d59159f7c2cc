package guard

import (
	"context"
	"testing"

	"github.com/moby/buildkit/cache"
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
			w := newTestGuard(t, config.Config{}).Worker(c.worker())
			remotes, err := getRemotes(c.Ctx, w, ref, requested(compression.Gzip), true)
			require.NoError(t, err)
			require.NoError(t, remotes[0].Provider.(cache.Unlazier).Unlazy(c.Ctx))
			if lazy {
				assert.EqualValues(t, layers, pulled.Reads.Load())
			}
			for _, desc := range remotes[0].Descriptors {
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
	remotes, err := getRemotes(c.Ctx, newTestGuard(t, config.Config{}).Worker(c.worker()), lazy, requested(compression.Gzip), true)
	require.NoError(t, err)
	gone, leave := context.WithCancel(c.Ctx)
	leave()
	require.ErrorIs(t, remotes[0].Provider.(cache.Unlazier).Unlazy(gone), context.Canceled)
}

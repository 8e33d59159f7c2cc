package upstream

import (
	"context"
	"fmt"
	"testing"

	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func newCache(t *testing.T) (context.Context, *smallCache) {
	t.Helper()
	ctx, c, err := openCache(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.close()) })
	return ctx, c
}

// TestDefects holds that the release in go.mod has all of them, and that none is
// left with the guard around the worker and the exporters.
func TestDefects(t *testing.T) {
	g, err := guard.New(config.Config{MaxRemotes: 4})
	require.NoError(t, err)
	for _, r := range reproductions {
		t.Run(string(r.Defect), func(t *testing.T) {
			ctx, c := newCache(t)
			there, err := r.reproduction(ctx, c)
			require.NoError(t, err)
			assert.True(t, there, "upstream")

			ctx, c = newCache(t)
			c.worker, c.exporters = g.Worker(c.worker), g.CacheExporters(c.exporters)
			there, err = r.reproduction(ctx, c)
			require.NoError(t, err)
			assert.False(t, there, "guarded")
		})
	}
}

// TestLostCombinations counts what sharedDescriptors leaves of a product.
func TestLostCombinations(t *testing.T) {
	ctx, c := newCache(t)
	ref, err := c.chain(ctx, 11, compression.Uncompressed)
	require.NoError(t, err)
	all, err := c.remotes(ctx, ref, gzip)
	require.NoError(t, err)
	require.Len(t, all[1:], 1024)
	different := map[string]struct{}{}
	for _, remote := range all[1:] {
		different[fmt.Sprint(remote.Descriptors)] = struct{}{}
	}
	assert.Len(t, different, 32)
}

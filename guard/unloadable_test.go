package guard

import (
	"context"
	"fmt"
	"testing"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/solver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
)

// loadingWorker loads refs as upstream's worker does for whom it has no origin of lazy layers
// (worker/base/worker.go).
type loadingWorker struct{ *storeWorker }

func (w loadingWorker) LoadRef(ctx context.Context, id string, _ bool) (cache.ImmutableRef, error) {
	return w.manager.Get(ctx, id, nil)
}

// TestRecordThatCannotBeLoadedIsWarnedOf loads refs as an export does, and as everything else
// does, which hears of the error itself.
func TestRecordThatCannotBeLoadedIsWarnedOf(t *testing.T) {
	exports := func(ctx context.Context) context.Context {
		return solver.WithCacheOptGetter(ctx, func(bool, ...any) map[any]any { return nil })
	}
	builds := func(ctx context.Context) context.Context { return ctx }
	const layers = 3
	here := func(t *testing.T, c *testCache) cache.ImmutableRef { return c.Chain(t, layers) }
	lazy := func(t *testing.T, c *testCache) cache.ImmutableRef {
		ref, _ := c.Lazy(t, layers)
		return ref
	}
	for name, tc := range map[string]struct {
		mode   config.Mode
		make   func(*testing.T, *testCache) cache.ImmutableRef
		by     func(context.Context) context.Context
		hidden bool
		loads  bool
		warned bool
	}{
		"lazy layers":                 {config.ModeEnforce, lazy, exports, true, false, true},
		"layers that are there":       {config.ModeEnforce, here, exports, true, true, false},
		"as a build loads it":         {config.ModeEnforce, lazy, exports, false, false, false},
		"without origins":             {config.ModeEnforce, lazy, builds, true, false, false},
		"in mode off, as in upstream": {config.ModeOff, lazy, exports, true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTestCache(t)
			id := tc.make(t, c).ID()
			g := newTestGuard(t, config.Config{Mode: tc.mode})
			w := g.Worker(loadingWorker{&storeWorker{store: c.Store, manager: c.Manager}})
			ctx, hook := logged(c.Ctx)
			warnings := clientWarnings(ctx, func(ctx context.Context) {
				ref, err := w.LoadRef(tc.by(ctx), id, tc.hidden)
				if tc.loads {
					require.NoError(t, err)
					require.NoError(t, ref.Release(context.WithoutCancel(ctx)))
					return
				}
				var missing cache.NeedsRemoteProviderError
				require.ErrorAs(t, err, &missing)
			})
			if !tc.warned {
				assert.Empty(t, warnings)
				assert.Empty(t, hook.AllEntries())
				assert.Zero(t, g.Status().Unloadable)
				return
			}
			require.Len(t, warnings, 1)
			assert.Regexp(t, `^cache guard: a stage is missing in this cache, as its base image was not pulled: layer sha256:[0-9a-f]{64} is here under another name$`, warnings[0])
			require.Len(t, hook.AllEntries(), 1)
			assert.Equal(t, "cache record left out", hook.LastEntry().Message)
			assert.EqualValues(t, layers, hook.LastEntry().Data["layers"])
			assert.Contains(t, warnings[0], fmt.Sprint(hook.LastEntry().Data["blob"]))
			assert.EqualValues(t, 1, g.Status().Unloadable)

			// The history of builds loads the same record, and has no client.
			_, err := w.LoadRef(tc.by(ctx), id, tc.hidden)
			require.Error(t, err)
			assert.EqualValues(t, 1, g.Status().Unloadable)
		})
	}
}

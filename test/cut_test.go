package test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// cutAfter lets the small layers of a base image pass and not the first one,
// which holds a program.
const cutAfter = 100 << 10

// TestRegistryCutWhilePushing holds that a connection which breaks while cache
// is pushed has the same consequences with the guard as without, and that
// nothing of the failed export stays.
func TestRegistryCutWhilePushing(t *testing.T) {
	registry := startRegistry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 12})
	require.NoError(t, err)
	dockerfile := harness.RunSteps(base, steps)
	toxi, err := harness.StartToxiproxy(t.Context(), tool(t, "toxiproxy"))
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, toxi.Stop(context.Background()))
		assert.NoError(t, toxi.Remove())
	})
	b := binaries(t)
	for name, binary := range map[string]string{"guarded": b.Guarded, "stock": b.Stock} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time upstream waits before it tries again
			proxy, err := toxi.Proxy(t.Context(), name, registry.Host)
			require.NoError(t, err)
			daemon := startDaemon(t, harness.DaemonOptions{
				Binary:     binary,
				Registries: []string{registry.Host, proxy.Host},
			})
			require.NoError(t, daemon.MixCompressions(t.Context(), dockerfile, registry.Host+"/image-"+name))
			before, err := goroutines(t.Context(), daemon)
			require.NoError(t, err)
			export := func(attributes string) error {
				_, err := daemon.Build(t.Context(), harness.Build{
					Dockerfile:  dockerfile,
					ExportCache: []string{"type=registry,mode=max,ref=" + proxy.Host + "/cache-" + name + ":latest" + attributes},
				})
				return err
			}

			require.NoError(t, proxy.Cut(t.Context(), cutAfter))
			var failed *harness.BuildError
			require.ErrorAs(t, export(""), &failed)
			assert.Contains(t, failed.Output, "ERROR: error writing layer blob: ")
			require.NoError(t, export(",ignore-error=true"))
			require.NoError(t, proxy.Heal(t.Context()))
			require.NoError(t, export(""))

			require.NoError(t, proxy.Close(t.Context()))
			assert.Eventually(t, func() bool {
				now, err := goroutines(t.Context(), daemon)
				return err == nil && now <= before
			}, waitFor, tick, "more than %d goroutines", before)

			if binary == b.Stock {
				return // its cache may have lost steps, cut or not
			}
			fresh := startDaemon(t, harness.DaemonOptions{Binary: binary, Registries: []string{registry.Host}})
			result, err := fresh.Build(t.Context(), harness.Build{
				Dockerfile:  dockerfile,
				ImportCache: []string{"type=registry,ref=" + registry.Host + "/cache-" + name + ":latest"},
			})
			require.NoError(t, err)
			assert.Equal(t, steps, result.Cached, result.Output)
		})
	}
}

// goroutines counts those of a daemon.
func goroutines(ctx context.Context, d *harness.Daemon) (int, error) {
	stacks, err := d.Debug(ctx, "/debug/pprof/goroutine?debug=2")
	return strings.Count("\n"+stacks, "\ngoroutine "), err
}

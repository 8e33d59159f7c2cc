package test

import (
	"fmt"
	"path/filepath"
	"testing"

	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// writtenBytes are the digests of all manifests that a build has written, which name every
// blob: the image with its inline cache, and caches in a registry and in a directory.
type writtenBytes struct{ image, registry, local digest.Digest }

// TestOffAndObserveWriteWhatStockWrites has the daemons take turns on one root, so that
// all of them have the same layers, and compares all that they write. With layers in
// several compressions stock writes something else in each round, unless they are lazy:
// what holds then is in TestOffAndObserveAreUpstream. A guarded daemon in ModeEnforce
// writes the same in each round.
func TestOffAndObserveWriteWhatStockWrites(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 4})
	require.NoError(t, err)
	dir := t.TempDir()
	for name, dockerfile := range map[string]string{
		"steps":       harness.RunSteps(base, steps),
		"a lazy base": "FROM " + base + "\nCOPY --link a /a\nCOPY --link b /b\n",
	} {
		t.Run(name, func(t *testing.T) {
			daemon := startDaemon(t, harness.DaemonOptions{Binary: binaries(t).Stock, Registries: []string{registry.Host}})
			play := func(mode string, round int) writtenBytes {
				if mode == "stock" {
					require.NoError(t, daemon.Replace(t.Context(), binaries(t).Stock))
				} else {
					require.NoError(t, daemon.Replace(t.Context(), binaries(t).Guarded, config.ModeVariable+"="+mode))
				}
				place := fmt.Sprintf("%s-%x-%d", mode, name, round)
				image, ref, local := registry.Host+"/"+place+":image", registry.Host+"/"+place+":cache", filepath.Join(dir, place)
				_, err := daemon.Build(t.Context(), harness.Build{
					Dockerfile: dockerfile,
					Files:      map[string]string{"a": "a", "b": "b"},
					// The configuration of the image has the time otherwise.
					Opts:        []string{"build-arg:SOURCE_DATE_EPOCH=1"},
					Output:      harness.PushOutput(image),
					ExportCache: []string{"type=inline", "type=registry,mode=max,ref=" + ref, "type=local,mode=max,dest=" + local},
				})
				require.NoError(t, err)
				var w writtenBytes
				m, err := registry.Image(t.Context(), image)
				require.NoError(t, err)
				w.image = m.Digest
				m, err = registry.Cache(t.Context(), ref)
				require.NoError(t, err)
				w.registry = m.Digest
				m, err = harness.LocalCache(local)
				require.NoError(t, err)
				w.local = m.Digest
				return w
			}
			stock := play("stock", 1)
			require.Equal(t, stock, play("stock", 2), "stock writes the same twice")
			for round := range 2 {
				for _, mode := range []string{"off", "observe"} {
					assert.Equal(t, stock, play(mode, round), "%s, round %d", mode, round+1)
				}
			}
			assert.Equal(t, play("enforce", 1), play("enforce", 2))
		})
	}
}

package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/test/harness"
	"github.com/bkguard/bkguard/test/parts"
)

// scanned is what bkguard scan tells of a root in JSON, as far as the tests look at it.
type scanned struct {
	Affected bool
	Workers  []struct {
		Name     string
		Layers   int
		Surplus  uint64
		Variants []struct {
			Blobs []struct{ Compression string }
		}
		Chains []struct {
			Layers, Compressions    int
			Image, Remotes, Verdict string
			StockBytes              uint64
		}
	}
}

// scan runs bkguard scan on a root. The exit code must agree with what it says.
func scan(ctx context.Context, root string, args ...string) (scanned, error) {
	var found scanned
	b, err := harness.FindBinaries()
	if err != nil {
		return found, err
	}
	c := exec.CommandContext(ctx, filepath.Join(filepath.Dir(b.Guarded), "bkguard"), append([]string{"scan", "--format", "json", root}, args...)...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return found, err
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return found, fmt.Errorf("exit code %d: %s: %w", c.ProcessState.ExitCode(), stderr.String(), err)
	}
	if want := map[bool]int{false: 0, true: 3}[found.Affected]; c.ProcessState.ExitCode() != want {
		return found, fmt.Errorf("exit code %d instead of %d", c.ProcessState.ExitCode(), want)
	}
	return found, nil
}

// inTwo are the layers of the only worker in gzip and zstd.
func (s scanned) inTwo() int {
	n := 0
	for _, layer := range s.Workers[0].Variants {
		if len(layer.Blobs) == 2 && layer.Blobs[0].Compression == "gzip" && layer.Blobs[1].Compression == "zstd" {
			n++
		}
	}
	return n
}

// assertTwenty holds that a root has 20 layers in gzip and zstd, which stock needs 600 MiB for.
func assertTwenty(t *testing.T, found scanned) {
	t.Helper()
	assert.True(t, found.Affected)
	require.Len(t, found.Workers, 1)
	w := found.Workers[0]
	assert.Equal(t, 20, w.Layers)
	assert.Len(t, w.Variants, 20)
	assert.Equal(t, 20, found.inTwo())
	assert.NotZero(t, w.Surplus)
	require.Len(t, w.Chains, 1)
	assert.Equal(t, 20, w.Chains[0].Layers)
	assert.Equal(t, 2, w.Chains[0].Compressions)
	assert.Equal(t, "2^19", w.Chains[0].Remotes)
	assert.EqualValues(t, 600<<20, w.Chains[0].StockBytes)
	assert.Equal(t, "spared", w.Chains[0].Verdict)
	assert.Contains(t, w.Chains[0].Image, "/base-gzip:17@sha256:")
}

// files are the sizes and times of everything below a root.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			found[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime().UnixNano())
		}
		return err
	}))
	return found
}

// TestScanFindsVariants has a daemon with 20 layers, first in gzip and then in zstd too: running, and when
// it has ended. Nothing below its root is changed by that.
func TestScanFindsVariants(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 17})
	require.NoError(t, err)
	build := harness.Build{Dockerfile: harness.RunSteps(base, 3)}
	for name, binary := range map[string]string{"stock": binaries(t).Stock, "guarded": binaries(t).Guarded} {
		t.Run(name, func(t *testing.T) {
			d := startDaemon(t, harness.DaemonOptions{Binary: binary, Registries: []string{registry.Host}})
			found, err := scan(t.Context(), d.Root())
			require.NoError(t, err)
			assert.False(t, found.Affected, "of an empty daemon")

			require.NoError(t, d.BuildIn(t.Context(), build, registry.Host+"/image", compression.Gzip))
			found, err = scan(t.Context(), d.Root())
			require.NoError(t, err)
			assert.False(t, found.Affected)
			assert.Equal(t, 20, found.Workers[0].Layers)
			assert.Empty(t, found.Workers[0].Variants)

			require.NoError(t, d.BuildIn(t.Context(), build, registry.Host+"/image", compression.Gzip, compression.Zstd))
			found, err = scan(t.Context(), d.Root())
			require.NoError(t, err)
			assertTwenty(t, found)
			if name == "guarded" {
				assertStatusAgrees(t, d, found)
			}

			_, err = d.Stop(t.Context())
			require.NoError(t, err)
			before := files(t, d.Root())
			found, err = scan(t.Context(), d.Root())
			require.NoError(t, err)
			assertTwenty(t, found)
			assert.Equal(t, before, files(t, d.Root()))
		})
	}
}

// assertStatusAgrees holds that a guarded daemon says of itself what scan says of its root.
func assertStatusAgrees(t *testing.T, d *harness.Daemon, found scanned) {
	t.Helper()
	page, err := d.Debug(t.Context(), "/debug/vars")
	require.NoError(t, err)
	var vars struct {
		Guard struct {
			Variants struct {
				Layers, Variants int
				Surplus          uint64
				Largest          struct {
					Layers     int
					Remotes    string
					StockBytes uint64
				}
				Error string
			}
		} `json:"bkguard"`
	}
	require.NoError(t, json.Unmarshal([]byte(page), &vars))
	s, w := vars.Guard.Variants, found.Workers[0]
	assert.Empty(t, s.Error)
	assert.Equal(t, w.Layers, s.Layers)
	assert.Equal(t, len(w.Variants), s.Variants)
	assert.Equal(t, w.Surplus, s.Surplus)
	assert.Equal(t, w.Chains[0].Remotes, s.Largest.Remotes)
	assert.Equal(t, w.Chains[0].StockBytes, s.Largest.StockBytes)
}

// TestScanBesideLoad scans a stock daemon 20 times while it builds, converts and exports. Each
// answer is right: the 20 layers that are there are in two compressions all the time, and what
// is built meanwhile is there in one or two. No build and no export fails by that.
func TestScanBesideLoad(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 17})
	require.NoError(t, err)
	other, err := registry.PushBase(t.Context(), harness.Base{Layers: 2})
	require.NoError(t, err)
	d := startDaemon(t, harness.DaemonOptions{Binary: binaries(t).Stock, Registries: []string{registry.Host}})
	require.NoError(t, d.MixCompressions(t.Context(), harness.RunSteps(base, 3), registry.Host+"/image"))

	ctx, cancel := context.WithCancel(t.Context())
	load, loading := errgroup.WithContext(ctx)
	builds := make([]int, 2)
	for worker := range builds {
		load.Go(func() error {
			for n := 0; loading.Err() == nil; n++ {
				image := fmt.Sprintf("%s/load-%d", registry.Host, worker)
				dockerfile := fmt.Sprintf("FROM %s\nRUN [\"/bin/step\", \"/load\", \"%d-%d\"]\n", other, worker, n)
				if err := d.MixCompressions(context.WithoutCancel(ctx), dockerfile, image); err != nil {
					return err
				}
				if _, err := d.Build(context.WithoutCancel(ctx), harness.Build{
					Dockerfile:  dockerfile,
					ExportCache: []string{"type=registry,mode=max,ref=" + image + ":cache"},
				}); err != nil {
					return err
				}
				builds[worker]++
			}
			return nil
		})
	}
	seen := make(map[int]bool)
	for range 20 {
		found, err := scan(t.Context(), d.Root())
		require.NoError(t, err)
		require.Len(t, found.Workers, 1)
		w := found.Workers[0]
		assert.True(t, found.Affected)
		assert.GreaterOrEqual(t, found.inTwo(), 20)
		assert.Equal(t, len(w.Variants), found.inTwo(), "there are no other compressions")
		assert.GreaterOrEqual(t, w.Layers, len(w.Variants))
		require.NotEmpty(t, w.Chains)
		assert.Equal(t, "2^19", w.Chains[0].Remotes)
		for _, c := range w.Chains[1:] {
			assert.Contains(t, []string{"2", "4"}, c.Remotes, "an image of three layers")
		}
		seen[w.Layers] = true
		time.Sleep(200 * time.Millisecond)
	}
	cancel()
	require.NoError(t, load.Wait())
	assert.Greater(t, len(seen), 1, "nothing was built meanwhile")
	for _, n := range builds {
		assert.Positive(t, n)
	}
	// All that was exported can be imported.
	_, err = registry.Cache(t.Context(), registry.Host+"/load-0:cache")
	require.NoError(t, err)
}

// TestScanLeavesExportsAsTheyAre has a stock daemon export a cache, and again while it is scanned
// all the time: the same bytes are written.
func TestScanLeavesExportsAsTheyAre(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 17})
	require.NoError(t, err)
	d := startDaemon(t, harness.DaemonOptions{Binary: binaries(t).Stock, Registries: []string{registry.Host}})
	export := func(n int) digest.Digest {
		place := fmt.Sprintf("%s/export-%d", registry.Host, n)
		_, err := d.Build(t.Context(), harness.Build{
			Dockerfile:  harness.RunSteps(base, 3),
			ExportCache: []string{"type=registry,mode=max,ref=" + place},
		})
		require.NoError(t, err)
		m, err := registry.Cache(t.Context(), place)
		require.NoError(t, err)
		return m.Digest
	}
	before := export(0)
	ctx, cancel := context.WithCancel(t.Context())
	var scans errgroup.Group
	scans.Go(func() error {
		for ctx.Err() == nil {
			if _, err := scan(context.WithoutCancel(ctx), d.Root()); err != nil {
				return err
			}
		}
		return nil
	})
	for n := range 5 {
		assert.Equal(t, before, export(1+n))
	}
	cancel()
	require.NoError(t, scans.Wait())
}

// TestScanOfContainerd has a worker that keeps its layers in containerd.
func TestScanOfContainerd(t *testing.T) {
	t.Parallel()
	registry := parts.Registry(t)
	containerd := startContainerd(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 17})
	require.NoError(t, err)
	d := startDaemon(t, harness.DaemonOptions{Binary: binaries(t).Stock, Containerd: containerd, Registries: []string{registry.Host}})
	require.NoError(t, d.MixCompressions(t.Context(), harness.RunSteps(base, 3), registry.Host+"/image"))
	_, err = scan(t.Context(), d.Root())
	require.ErrorContains(t, err, "exit code 1: bkguard: worker containerd-overlayfs of "+d.Root()+" has its layers in a containerd elsewhere: give the root of it with --containerd")
	found, err := scan(t.Context(), d.Root(), "--containerd", containerd.Root())
	require.NoError(t, err)
	assertTwenty(t, found)
}

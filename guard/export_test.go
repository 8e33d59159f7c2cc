package guard

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/cachetest"
)

// pruned prunes all refs that nobody holds, and reports whether a ref has gone.
func (c *testCache) pruned(tb testing.TB, id string) bool {
	tb.Helper()
	removed := make(chan client.UsageInfo, 100)
	require.NoError(tb, c.Manager.Prune(c.Ctx, removed, client.PruneInfo{All: true}))
	ref, err := c.Manager.Get(c.Ctx, id, nil)
	if err != nil {
		return true
	}
	require.NoError(tb, ref.Release(c.Ctx))
	return false
}

// loose makes a ref of one layer that only the caller holds.
func (c *testCache) loose(tb testing.TB, n int) cache.ImmutableRef {
	tb.Helper()
	desc, data := cachetest.Layer(tb, n, compression.Gzip)
	require.NoError(tb, content.WriteBlob(c.Ctx, c.Store, desc.Digest.String(), bytes.NewReader(data), desc))
	ref, err := c.Manager.GetByBlob(c.Ctx, desc, nil)
	require.NoError(tb, err)
	return ref
}

// TestRefsAreHeldUntilTheExportHasEnded lets everything be pruned between the choice of
// blobs and the push, and again when the export has ended.
func TestRefsAreHeldUntilTheExportHasEnded(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, e remotecache.Exporter, cancel context.CancelFunc){
		"finalized": func(t *testing.T, e remotecache.Exporter, _ context.CancelFunc) {
			_, err := e.Finalize(t.Context())
			require.NoError(t, err)
		},
		"cancelled": func(_ *testing.T, _ remotecache.Exporter, cancel context.CancelFunc) { cancel() },
		"failed": func(t *testing.T, e remotecache.Exporter, _ context.CancelFunc) {
			e.(*cacheExporter).Exporter = failingExporter{e.(*cacheExporter).Exporter}
			_, err := e.Finalize(t.Context())
			require.ErrorIs(t, err, errFull)
		},
		"blocked": func(t *testing.T, e remotecache.Exporter, _ context.CancelFunc) {
			e.(*cacheExporter).export.skip(ModeFromSwitch)
			_, err := e.Finalize(t.Context())
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTestCache(t)
			ref := c.loose(t, 1)
			g := newTestGuard(t, config.Config{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			resolve := g.CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{
				"registry": contentExporter(contentutil.NewBuffer(), compression.New(compression.Gzip)),
			})["registry"]
			e, err := resolve(ctx, nil, nil)
			require.NoError(t, err)
			addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, ref)
			id := ref.ID()
			require.NoError(t, ref.Release(c.Ctx))
			assert.False(t, c.pruned(t, id), "the export holds it")
			end(t, e, cancel)
			assert.Eventually(t, func() bool { return c.pruned(t, id) }, waitFor, tick, "nobody holds it")
		})
	}
}

// TestNothingIsHeldAfterTheRequest has a worker that is asked when nobody would release
// the ref any more.
func TestNothingIsHeldAfterTheRequest(t *testing.T) {
	c := newTestCache(t)
	ref := c.loose(t, 1)
	g := newTestGuard(t, config.Config{})
	e := g.newExport("registry", "", nil)
	e.close(t.Context())
	asked := compression.New(exportCompression{Type: compression.Gzip, export: e})
	_, err := getRemotes(c.Ctx, g.Worker(c.worker()), ref, cacheconfig.RefConfig{Compression: asked}, true)
	require.NoError(t, err)
	require.NoError(t, ref.Release(c.Ctx))
	assert.True(t, c.pruned(t, ref.ID()))
}

// failingExporter fails at the end.
type failingExporter struct{ remotecache.Exporter }

func (failingExporter) Finalize(context.Context) (map[string]string, error) { return nil, errFull }

// TestRefsOfAnInlineCacheAreHeldUntilItsImageIsExported is the same for the export that
// an image asks for.
func TestRefsOfAnInlineCacheAreHeldUntilItsImageIsExported(t *testing.T) {
	c := newTestCache(t)
	ref := c.loose(t, 1)
	g := newTestGuard(t, config.Config{})
	i := g.newImageExport(&sourceInstance{config: compression.New(compression.Gzip)}, false)
	_, err := getRemotes(c.Ctx, g.Worker(c.worker()), ref, cacheconfig.RefConfig{Compression: i.Config().Compression()}, true)
	require.NoError(t, err)
	id := ref.ID()
	require.NoError(t, ref.Release(c.Ctx))
	assert.False(t, c.pruned(t, id))
	_, _, _, err = i.Export(c.Ctx, sourceOf(nil), noBuild)
	require.NoError(t, err)
	assert.True(t, c.pruned(t, id))
}

// countingRef counts how often it is asked for its remotes.
type countingRef struct {
	cache.ImmutableRef
	asked int
}

func (r *countingRef) GetRemotes(ctx context.Context, createIfNeeded bool, cfg cacheconfig.RefConfig, all bool, s session.Group) ([]*solver.Remote, error) {
	r.asked++
	return r.ImmutableRef.GetRemotes(ctx, createIfNeeded, cfg, all, s)
}

// TestRefIsAskedOnceInAnExport asks as upstream does, which wants to know twice.
func TestRefIsAskedOnceInAnExport(t *testing.T) {
	c := newTestCache(t)
	for mode, want := range map[config.Mode]int{config.ModeOff: 2, config.ModeEnforce: 1, config.ModeSingle: 1} {
		for _, comp := range []compression.Config{compression.New(compression.Zstd), compression.New(compression.Zstd).SetForce(true)} {
			g := newTestGuard(t, config.Config{Mode: mode})
			ref := &countingRef{ImmutableRef: c.Chain(t, 3, compression.Zstd)}
			w := g.Worker(c.worker())
			for range 2 { // exports
				ref.asked = 0
				e := decorated(t, g, "registry", contentExporter(contentutil.NewBuffer(), comp), askFor(compression.Zstd))
				var first []*solver.Remote
				for range 2 {
					remotes, err := getRemotes(c.Ctx, w, ref, cacheconfig.RefConfig{Compression: e.Config().Compression}, true)
					require.NoError(t, err)
					if first != nil && mode != config.ModeOff {
						assert.Same(t, first[0], remotes[0])
					}
					first = remotes
				}
				assert.Equal(t, want, ref.asked, mode)
			}
		}
	}
}

// TestRecordsShareTheirChains holds that memory grows with layers and records, not
// with the product of both.
func TestRecordsShareTheirChains(t *testing.T) {
	c := newTestCache(t)
	base := c.Chain(t, 5, compression.Zstd)
	one, other := c.Add(t, base, 100, compression.Gzip), c.Add(t, base, 101, compression.Gzip)
	g := newTestGuard(t, config.Config{})
	e := decorated(t, g, "registry", contentExporter(contentutil.NewBuffer(), compression.New(compression.Gzip)), nil)
	w := g.Worker(c.worker())
	var chains []*solver.Remote
	for _, ref := range []cache.ImmutableRef{one, other, base} {
		remotes, err := getRemotes(c.Ctx, w, ref, cacheconfig.RefConfig{Compression: e.Config().Compression}, true)
		require.NoError(t, err)
		chains = append(chains, remotes[0])
	}
	assert.Same(t, &chains[0].Descriptors[0], &chains[2].Descriptors[0], "the base is a part of what is upon it")
	chains[0].Descriptors[0].Annotations["shared"] = "yes"
	assert.Equal(t, "yes", chains[1].Descriptors[0].Annotations["shared"])
	assert.NotEqual(t, chains[0].Descriptors[5].Digest, chains[1].Descriptors[5].Digest)
}

// TestLayersAreDescribedOnce asks for the topmost records first, as upstream does: what is
// below them is known then.
func TestLayersAreDescribedOnce(t *testing.T) {
	c := newTestCache(t)
	g := newTestGuard(t, config.Config{})
	w := g.Worker(c.worker())
	refs := c.stages(t, 2, 3, 7, compression.Zstd)
	e := decorated(t, g, "registry", contentExporter(contentutil.NewBuffer(), compression.New(compression.Gzip)), nil)
	var asked []int
	for _, ref := range refs {
		counting := &countingRef{ImmutableRef: ref}
		_, err := getRemotes(c.Ctx, w, counting, cacheconfig.RefConfig{Compression: e.Config().Compression}, true)
		require.NoError(t, err)
		asked = append(asked, counting.asked)
	}
	assert.Equal(t, []int{1, 0, 0, 1, 0, 0}, asked)
}

// TestDescribedLayersAreUpstreams asks for refs of all kinds in any order, and holds that each
// has the chain that upstream has.
func TestDescribedLayersAreUpstreams(t *testing.T) {
	c := newTestCache(t)
	refs := c.stages(t, 2, 3, 7, compression.Zstd)
	merged, err := c.Manager.Merge(c.Ctx, []cache.ImmutableRef{refs[0], refs[4]}, nil)
	require.NoError(t, err)
	release := func(ref cache.ImmutableRef) {
		t.Cleanup(func() { require.NoError(t, ref.Release(context.WithoutCancel(c.Ctx))) })
	}
	release(merged)
	diffed, err := c.Manager.Diff(c.Ctx, refs[2], refs[1], nil)
	require.NoError(t, err)
	release(diffed)
	refs = append(refs, merged, diffed)
	refs = append(refs, c.onLazy(t, 900)...)

	for name, comp := range map[string]compression.Config{
		"gzip":        compression.New(compression.Gzip),
		"zstd":        compression.New(compression.Zstd),
		"forced zstd": compression.New(compression.Zstd).SetForce(true),
	} {
		if comp.Force {
			c.Convert(t, merged, compression.Zstd)
		}
		want := make([][]ocispecs.Descriptor, len(refs))
		for i, ref := range refs {
			if remotes, err := ref.GetRemotes(c.Ctx, false, cacheconfig.RefConfig{Compression: comp}, false, nil); err == nil {
				want[i] = remotes[0].Descriptors
			}
		}
		order := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			g := newTestGuard(t, config.Config{})
			w := g.Worker(c.worker())
			e := decorated(t, g, "registry", contentExporter(contentutil.NewBuffer(), comp), nil)
			for _, i := range order.Perm(len(refs)) {
				remotes, err := getRemotes(c.Ctx, w, refs[i], cacheconfig.RefConfig{Compression: e.Config().Compression}, true)
				if want[i] == nil {
					require.Error(t, err, "%s: ref %d", name, i)
					continue
				}
				require.NoError(t, err, "%s: ref %d", name, i)
				require.Equal(t, want[i], remotes[0].Descriptors, "%s: ref %d", name, i)
				for _, desc := range want[i] {
					_, err := remotes[0].Provider.Info(c.Ctx, desc.Digest)
					require.NoError(t, err, "%s: ref %d, which may be lazy", name, i)
				}
			}
			_, err := e.Finalize(c.Ctx)
			require.NoError(t, err)
		}
	}
}

// TestRefIsHeldOnce is held twice in an export and given back by its end.
func TestRefIsHeldOnce(t *testing.T) {
	c := newTestCache(t)
	ref := c.loose(t, 2)
	e, w := newTestGuard(t, config.Config{}).newExport("registry", "", nil), c.worker()
	e.holdRef(w, ref)
	e.holdRef(w, ref)
	id := ref.ID()
	require.NoError(t, ref.Release(c.Ctx))
	assert.False(t, c.pruned(t, id))
	ctx, hook := logged(c.Ctx)
	e.end(ctx)
	assert.Empty(t, messages(hook))
	assert.True(t, c.pruned(t, id))
}

// TestExportWithoutARef is asked for nothing, as workers are of other kinds of results.
func TestExportWithoutARef(t *testing.T) {
	e := newTestGuard(t, config.Config{}).newExport("registry", "", nil)
	e.holdRef(nil, nil)
	assert.Empty(t, e.refs)
	e.keepAnswer(nil, nil, &solver.Remote{})
	assert.Empty(t, e.answers)
	assert.Nil(t, e.answered(nil, nil))
	e.describe(nil, []string{"a"}, nil, nil)
	assert.Empty(t, e.layers)
}

// TestFirstSparedRecordIsTold adds records in ModeObserve.
func TestFirstSparedRecordIsTold(t *testing.T) {
	e := newExport("s3", "")
	found := &finding{requested: compression.Gzip}
	for i, step := range []struct{ spared, want bool }{{false, false}, {true, true}, {false, false}, {true, false}} {
		assert.Equal(t, step.want, e.observe(found, step.spared), i)
	}
	assert.Equal(t, 2, e.takeObserved().records)
	assert.Zero(t, e.takeObserved())
}

func TestOnlySomeUploadsTakeMemory(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	assert.NotNil(t, g.newExport("s3", "", nil).uploads)
	assert.Nil(t, g.newExport("registry", "", nil).uploads)
}

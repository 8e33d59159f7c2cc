package guard

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/worker"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/cachetest"
	"github.com/bkguard/bkguard/internal/variants"
)

// getRemotes asks as upstream does when it loads cached results.
func getRemotes(ctx context.Context, w worker.Worker, ref cache.ImmutableRef, refCfg cacheconfig.RefConfig, all bool) ([]*solver.Remote, error) {
	return (&worker.WorkerRef{ImmutableRef: ref, Worker: w}).GetRemotes(ctx, false, refCfg, all, nil)
}

// chainSet keys the chains of remotes by their digests, so that equal ones
// fall together.
func chainSet(remotes []*solver.Remote) map[string][]ocispecs.Descriptor {
	set := make(map[string][]ocispecs.Descriptor, len(remotes))
	for _, r := range remotes {
		key := ""
		for _, desc := range r.Descriptors {
			key += desc.Digest.Encoded()[:12] + " "
		}
		set[key] = r.Descriptors
	}
	return set
}

// trueProduct computes what the remotes ought to be, from upstream's answers
// alone: every forced conversion of the chain says which blob of a layer has a
// compression, and the sets of these are multiplied.
func trueProduct(tb testing.TB, c *testCache, ref cache.ImmutableRef, comp compression.Type, have []compression.Type) map[string]struct{} {
	tb.Helper()
	main, err := ref.GetRemotes(c.Ctx, false, requested(compression.Gzip), false, nil)
	require.NoError(tb, err)
	top := len(main[0].Descriptors) - 1
	blobs := make([]map[string]struct{}, top+1)
	for _, h := range have {
		forced := cacheconfig.RefConfig{Compression: compression.New(h).SetForce(true)}
		remotes, err := ref.GetRemotes(c.Ctx, true, forced, false, nil)
		require.NoError(tb, err)
		for i, desc := range remotes[0].Descriptors {
			if blobs[i] == nil {
				blobs[i] = map[string]struct{}{}
			}
			if i < top || h == comp {
				blobs[i][desc.Digest.Encoded()[:12]+" "] = struct{}{}
			}
		}
	}
	keys := map[string]struct{}{"": {}}
	for _, layer := range blobs {
		next := map[string]struct{}{}
		for key := range keys {
			for blob := range layer {
				next[key+blob] = struct{}{}
			}
		}
		keys = next
	}
	for key := range chainSet(main) {
		keys[key] = struct{}{}
	}
	return keys
}

// TestProductDiffersFromUpstreamOnlyWhereUpstreamIsWrong compares the remotes of
// a decorated worker with upstream's. Upstream appends the layers of several
// remotes to one shared slice (cache/remote.go, appendRemote): from the fourth
// layer below the topmost on, remotes overwrite one another.
func TestProductDiffersFromUpstreamOnlyWhereUpstreamIsWrong(t *testing.T) {
	for compressions, most := range map[int]int{1: 7, 2: 7, 3: 6, 4: 5} {
		have := cachetest.AllCompressions[:compressions]
		for layers := 1; layers <= most; layers++ {
			c := newTestCache(t)
			ref := c.Chain(t, layers, have[1:]...)
			guarded := newTestGuard(t, config.Config{MaxRemotes: config.MaxRemotesLimit}).Worker(c.worker())
			for _, comp := range have {
				t.Run(fmt.Sprintf("%d layers in %d compressions, %s", layers, compressions, comp), func(t *testing.T) {
					upstream, err := getRemotes(c.Ctx, c.worker(), ref, requested(comp), true)
					require.NoError(t, err)
					ours, err := getRemotes(c.Ctx, guarded, ref, requested(comp), true)
					require.NoError(t, err)

					assert.Equal(t, upstream[0].Descriptors, ours[0].Descriptors, "the main remote comes first")
					set := chainSet(ours)
					assert.Len(t, set, len(ours), "no remote comes twice")
					want := trueProduct(t, c, ref, comp, have)
					assert.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(set)))
					theirs := chainSet(upstream)
					if layers-1 <= 3 || compressions == 1 {
						assert.Equal(t, theirs, set, "descriptors, media types and annotations")
						return
					}
					t.Logf("%d of upstream's %d remotes are distinct, the product has %d", len(theirs), len(upstream), len(want))
					assert.Less(t, len(theirs), len(want))
				})
			}
		}
	}
}

// TestRemotesAreTheSameEveryTime holds the order, which upstream leaves to the
// order of a map.
func TestRemotesAreTheSameEveryTime(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 4, compression.Zstd, compression.EStargz)
	guarded := newTestGuard(t, config.Config{}).Worker(c.worker())
	var first []*solver.Remote
	for range 10 {
		remotes, err := getRemotes(c.Ctx, guarded, ref, requested(compression.Zstd), true)
		require.NoError(t, err)
		if first == nil {
			first = remotes
		}
		require.Len(t, remotes, len(first))
		for i := range remotes {
			require.Equal(t, first[i].Descriptors, remotes[i].Descriptors)
		}
	}
}

func TestRemotesBeyondTheLimitsAreInTheRequestedCompression(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 61, compression.Zstd)
	zstd, err := ref.GetRemotes(c.Ctx, true, cacheconfig.RefConfig{Compression: compression.New(compression.Zstd).SetForce(true)}, false, nil)
	require.NoError(t, err)
	for name, g := range map[string]config.Config{
		"beyond maxRemotes": {},
		"beyond maxMemory":  {MaxRemotes: config.MaxRemotesLimit, MaxMemory: config.Memory{Bytes: 4096}},
		"in mode single":    {Mode: config.ModeSingle},
	} {
		t.Run(name, func(t *testing.T) {
			guarded := newTestGuard(t, g).Worker(c.worker())
			for comp, want := range map[compression.Type]int{compression.Zstd: 2, compression.Gzip: 1, compression.EStargz: 1} {
				remotes, err := getRemotes(c.Ctx, guarded, ref, requested(comp), true)
				require.NoError(t, err)
				assert.Len(t, remotes, want, comp)
			}
			remotes, err := getRemotes(c.Ctx, guarded, ref, requested(compression.Zstd), true)
			require.NoError(t, err)
			assert.True(t, variants.SameChain(zstd[0].Descriptors, remotes[1].Descriptors))
		})
	}
}

// TestSingleChainKeepsTheOwnBlobOfALayerWithoutVariants has variants of the
// lower and of the topmost layers only.
func TestSingleChainKeepsTheOwnBlobOfALayerWithoutVariants(t *testing.T) {
	c := newTestCache(t)
	var ref cache.ImmutableRef
	for n := range 9 {
		comp := compression.Type(compression.Gzip)
		if n == 5 {
			comp = compression.Zstd // its own blob is in the requested compression
		}
		ref = c.Add(t, ref, n, comp)
		if n == 3 {
			c.Convert(t, ref, compression.Zstd, compression.EStargz)
		}
	}
	guarded := newTestGuard(t, config.Config{Mode: config.ModeSingle}).Worker(c.worker())
	remotes, err := getRemotes(c.Ctx, guarded, ref, requested(compression.Gzip), true)
	require.NoError(t, err)
	require.Len(t, remotes, 1, "the main chain has all the gzip there is")

	top := c.Add(t, ref, 9, compression.Zstd)
	remotes, err = getRemotes(c.Ctx, guarded, top, requested(compression.Zstd), true)
	require.NoError(t, err)
	require.Len(t, remotes, 2)
	var types []string
	for _, desc := range remotes[1].Descriptors {
		types = append(types, desc.MediaType)
	}
	zstd, gzip := ocispecs.MediaTypeImageLayerZstd, ocispecs.MediaTypeImageLayerGzip
	assert.Equal(t, []string{zstd, zstd, zstd, zstd, gzip, zstd, gzip, gzip, gzip, zstd}, types)
}

// TestModeOffAndObserveLeaveUpstreamAlone compares with upstream where its
// product is wrong: nothing of it is put right.
func TestModeOffAndObserveLeaveUpstreamAlone(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 6, compression.Zstd)
	upstream, err := getRemotes(c.Ctx, c.worker(), ref, requested(compression.Zstd), true)
	require.NoError(t, err)
	for _, mode := range []config.Mode{config.ModeOff, config.ModeObserve} {
		remotes, err := getRemotes(c.Ctx, newTestGuard(t, config.Config{Mode: mode, MaxRemotes: 1}).Worker(c.worker()), ref, requested(compression.Zstd), true)
		require.NoError(t, err)
		assert.Len(t, remotes, len(upstream), mode)
		assert.Len(t, remotes, 1+1<<5, mode)
		assert.Less(t, len(chainSet(remotes)), len(remotes), "%s: some of them are the same", mode)
	}
}

func TestBudgetIsGivenBackWithTheProduct(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 5, compression.Zstd)
	want := NewEstimate([]int{2, 2, 2, 2, 2}).Bytes()
	g := newTestGuard(t, config.Config{MaxMemory: config.Memory{Bytes: int64(want)}})
	w := g.Worker(c.worker())
	func() {
		remotes, err := getRemotes(c.Ctx, w, ref, requested(compression.Zstd), true)
		require.NoError(t, err)
		require.Len(t, remotes, 17)
		assert.Equal(t, want, g.limits.gate.Status().Held)

		// The product of a second record does not fit beside it.
		second, err := getRemotes(c.Ctx, w, ref, requested(compression.Zstd), true)
		require.NoError(t, err)
		assert.Len(t, second, 2)
		runtime.KeepAlive(remotes)
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return g.limits.gate.Status().Held == 0
	}, waitFor, tick)

	// An exporter keeps main remotes for as long as the export takes.
	remotes, err := getRemotes(c.Ctx, w, ref, requested(compression.Zstd), true)
	require.NoError(t, err)
	assert.Equal(t, want, g.limits.gate.Status().Held)
	remotes = slices.Clone(remotes[:1])
	require.Eventually(t, func() bool {
		runtime.GC()
		return g.limits.gate.Status().Held == 0
	}, waitFor, tick)
	runtime.KeepAlive(remotes)
}

// TestBudgetBoundsConcurrentExports runs 16 exports of 50 records at a time.
// The product of each record fits the cap, all together do not fit the budget.
func TestBudgetBoundsConcurrentExports(t *testing.T) {
	const exports, records = 16, 50
	c := newTestCache(t)
	ref := c.Chain(t, 8, compression.Zstd)
	bytes := NewEstimate(repeat(2, 8)).Bytes()
	g := newTestGuard(t, config.Config{MaxMemory: config.Memory{Bytes: int64(10*bytes + bytes/2)}})
	w := g.Worker(c.worker())
	var (
		eg             errgroup.Group
		built, refused atomic.Int64
	)
	for range exports {
		eg.Go(func() error {
			var kept [][]*solver.Remote
			for range records {
				remotes, err := getRemotes(c.Ctx, w, ref, requested(compression.Zstd), true)
				if err != nil {
					return err
				}
				if used := g.limits.gate.Status().Held; used > g.Budget() {
					return fmt.Errorf("%d bytes are in use of %d", used, g.Budget())
				}
				switch len(remotes) {
				case 1 + 1<<7:
					built.Add(1)
				case 2:
					refused.Add(1)
				default:
					return fmt.Errorf("%d remotes", len(remotes))
				}
				kept = append(kept, remotes)
			}
			runtime.KeepAlive(kept)
			return nil
		})
	}
	require.NoError(t, eg.Wait())
	assert.Positive(t, built.Load())
	assert.Positive(t, refused.Load())
	assert.EqualValues(t, exports*records, built.Load()+refused.Load())
	require.Eventually(t, func() bool {
		runtime.GC()
		return g.limits.gate.Status().Held == 0
	}, waitFor, tick)
}

// TestLazyLayersAreNotPulled has a base image that was never pulled.
func TestLazyLayersAreNotPulled(t *testing.T) {
	c := newTestCache(t)
	base, pulled := c.Lazy(t, 3)
	remote := exportedRemote(t, c, base)
	for _, desc := range remote.Descriptors {
		_, err := remote.Provider.Info(c.Ctx, desc.Digest)
		assert.NoError(t, err, "upstream drops a result whose blobs have no info")
	}
	assert.Zero(t, pulled.Reads.Load())

	require.NoError(t, remote.Provider.(cache.Unlazier).Unlazy(c.Ctx))
	assert.EqualValues(t, 3, pulled.Reads.Load(), "the provider still pulls when it is told to")
}

// otherWorker has GetRemotes, as the worker of moby does.
type otherWorker struct {
	*storeWorker
}

func (w otherWorker) GetRemotes(ctx context.Context, ref cache.ImmutableRef, createIfNeeded bool, refCfg cacheconfig.RefConfig, all bool, s session.Group) ([]*solver.Remote, error) {
	if ref == nil {
		return []*solver.Remote{{}}, nil
	}
	return ref.GetRemotes(ctx, createIfNeeded, refCfg, all, s)
}

// emptyRef is a ref whose chain has no layers. Upstream handles it, but none of
// its operations makes one.
type emptyRef struct {
	cache.ImmutableRef // nil
}

func (emptyRef) GetRemotes(context.Context, bool, cacheconfig.RefConfig, bool, session.Group) ([]*solver.Remote, error) {
	return []*solver.Remote{{}}, nil
}

// TestConformance runs the same requests on workers with and without the guard.
func TestConformance(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 3, compression.Zstd)
	g := newTestGuard(t, config.Config{})
	bare, other := c.worker(), otherWorker{&storeWorker{store: c.Store}}
	for name, w := range map[string]worker.Worker{
		"bare":                           bare,
		"decorated":                      g.Worker(bare),
		"decorated twice":                g.Worker(g.Worker(bare)),
		"bare with its own remotes":      other,
		"decorated with its own remotes": g.Worker(other),
		"without a content store":        g.Worker(otherWorker{&storeWorker{}}),
	} {
		t.Run(name, func(t *testing.T) { conformance(t, c, w, ref) })
	}
}

// innerWorkers are workers of every kind that the guard decorates.
func innerWorkers(c *testCache) map[string]worker.Worker {
	return map[string]worker.Worker{
		"plain":                   c.worker(),
		"with its own remotes":    otherWorker{&storeWorker{store: c.Store}},
		"without a content store": otherWorker{&storeWorker{}},
	}
}

// TestNoRef has what the inner worker says.
func TestNoRef(t *testing.T) {
	c := newTestCache(t)
	g := newTestGuard(t, config.Config{})
	for name, inner := range innerWorkers(c) {
		want, err := getRemotes(c.Ctx, inner, nil, requested(compression.Gzip), true)
		require.NoError(t, err)
		remotes, err := getRemotes(c.Ctx, g.Worker(inner), nil, requested(compression.Gzip), true)
		require.NoError(t, err)
		assert.Equal(t, want, remotes, name)
		if name != "plain" {
			assert.Equal(t, []*solver.Remote{{}}, remotes, name)
		}
	}
}

// TestNoCompressionIsGzip is a request that upstream panics at.
func TestNoCompressionIsGzip(t *testing.T) {
	c := newTestCache(t)
	ref := c.Add(t, c.Add(t, nil, 1, compression.Zstd), 2, compression.Zstd)
	c.Convert(t, ref, compression.Gzip)
	g := newTestGuard(t, config.Config{Mode: config.ModeSingle})
	for name, inner := range innerWorkers(c) {
		remotes, err := getRemotes(c.Ctx, g.Worker(inner), ref, cacheconfig.RefConfig{}, true)
		require.NoError(t, err)
		if name == "without a content store" {
			require.Len(t, remotes, 1, "nobody knows of the variants")
			continue
		}
		require.Len(t, remotes, 2, name)
		assert.Equal(t, ocispecs.MediaTypeImageLayerGzip, remotes[1].Descriptors[1].MediaType, name)
	}
}

func conformance(t *testing.T, c *testCache, w worker.Worker, ref cache.ImmutableRef) {
	t.Run("not all is the main remote", func(t *testing.T) {
		remotes, err := getRemotes(c.Ctx, w, ref, requested(compression.Zstd), false)
		require.NoError(t, err)
		require.Len(t, remotes, 1)
		assert.Equal(t, ocispecs.MediaTypeImageLayerGzip, remotes[0].Descriptors[0].MediaType)
	})
	t.Run("forced compression is one remote in it", func(t *testing.T) {
		refCfg := cacheconfig.RefConfig{Compression: compression.New(compression.Zstd).SetForce(true)}
		remotes, err := getRemotes(c.Ctx, w, ref, refCfg, true)
		require.NoError(t, err)
		require.Len(t, remotes, 1)
		for _, desc := range remotes[0].Descriptors {
			assert.Equal(t, ocispecs.MediaTypeImageLayerZstd, desc.MediaType)
		}
	})
	t.Run("a compression that the topmost layer lacks is the main remote", func(t *testing.T) {
		remotes, err := getRemotes(c.Ctx, w, ref, requested(compression.EStargz), true)
		require.NoError(t, err)
		assert.Len(t, remotes, 1)
	})
	t.Run("a ref without descriptors is one empty remote", func(t *testing.T) {
		remotes, err := getRemotes(c.Ctx, w, emptyRef{}, requested(compression.Gzip), true)
		require.NoError(t, err)
		require.Len(t, remotes, 1)
		assert.Empty(t, remotes[0].Descriptors)
	})
	t.Run("a ref without blobs is upstream's error", func(t *testing.T) {
		active, err := c.Manager.New(c.Ctx, ref, nil)
		require.NoError(t, err)
		committed, err := active.Commit(c.Ctx)
		require.NoError(t, err)
		defer func() { require.NoError(t, committed.Release(c.Ctx)) }()
		_, err = getRemotes(c.Ctx, w, committed, requested(compression.Gzip), true)
		assert.ErrorContains(t, err, "no blob")
	})
	t.Run("concurrent calls agree", func(t *testing.T) {
		want, err := getRemotes(c.Ctx, w, ref, requested(compression.Zstd), true)
		require.NoError(t, err)
		var (
			eg errgroup.Group
			mu sync.Mutex
		)
		for range 8 {
			eg.Go(func() error {
				got, err := getRemotes(c.Ctx, w, ref, requested(compression.Zstd), true)
				mu.Lock()
				defer mu.Unlock()
				assert.Equal(t, chainSet(want), chainSet(got))
				return err
			})
		}
		require.NoError(t, eg.Wait())
	})
}

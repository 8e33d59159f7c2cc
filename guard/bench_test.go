package guard

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	"github.com/moby/buildkit/worker"
	digest "github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/cachetest"
	"github.com/bkguard/bkguard/internal/choice"
	"github.com/bkguard/bkguard/internal/variants"
)

// upstreamAtMost bounds what upstream is asked for in a benchmark: beyond, it
// takes all memory of the machine.
const upstreamAtMost = 1 << 18

// BenchmarkGetRemotes asks for all remotes of one ref: upstream, the guard with
// its default limits, and the main remote alone, which all of them need first.
func BenchmarkGetRemotes(b *testing.B) {
	for _, layers := range []int{1, 4, 8, 12, 16, 18} {
		for compressions := 1; compressions <= 3; compressions++ {
			c := newTestCache(b)
			ref := c.Chain(b, layers, cachetest.AllCompressions[1:compressions]...)
			name := fmt.Sprintf("layers=%d/compressions=%d", layers, compressions)
			if NewEstimate(repeat(compressions, layers)).Remotes <= upstreamAtMost {
				b.Run(name+"/upstream", func(b *testing.B) { benchmarkGetRemotes(b, c, c.worker(), ref, true) })
			}
			benchmarkGuarded(b, c, name, ref)
		}
	}
}

// BenchmarkGetRemotesBeyondUpstream goes where upstream cannot.
func BenchmarkGetRemotesBeyondUpstream(b *testing.B) {
	for _, layers := range []int{30, 61, 127} {
		for compressions := 2; compressions <= 4; compressions++ {
			c := newTestCache(b)
			ref := c.Chain(b, layers, cachetest.AllCompressions[1:compressions]...)
			benchmarkGuarded(b, c, fmt.Sprintf("layers=%d/compressions=%d", layers, compressions), ref)
		}
	}
}

func benchmarkGuarded(b *testing.B, c *testCache, name string, ref cache.ImmutableRef) {
	guarded := newTestGuard(b, config.Config{}).Worker(c.worker())
	b.Run(name+"/guarded", func(b *testing.B) { benchmarkGetRemotes(b, c, guarded, ref, true) })
	b.Run(name+"/main", func(b *testing.B) { benchmarkGetRemotes(b, c, c.worker(), ref, false) })
}

func benchmarkGetRemotes(b *testing.B, c *testCache, w worker.Worker, ref cache.ImmutableRef, all bool) {
	b.ReportAllocs()
	var remotes []*solver.Remote
	for b.Loop() {
		var err error
		remotes, err = getRemotes(c.Ctx, w, ref, requested(compression.Gzip), all)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(len(remotes)), "remotes")
}

// BenchmarkWalk compares the walk over a chain with its floor, which is to ask
// the content store once for each blob.
func BenchmarkWalk(b *testing.B) {
	const layers = 127
	for compressions := 1; compressions <= 4; compressions++ {
		c := newTestCache(b)
		ref := c.Chain(b, layers, cachetest.AllCompressions[1:compressions]...)
		remotes, err := getRemotes(c.Ctx, c.worker(), ref, requested(compression.Gzip), false)
		require.NoError(b, err)
		chain := remotes[0].Descriptors
		blobs, err := variants.Find(c.Ctx, c.Store, chain)
		require.NoError(b, err)
		if blobs == nil {
			blobs = variants.Table{chain}
		}
		name := fmt.Sprintf("layers=%d/compressions=%d", layers, compressions)
		b.Run(name+"/floor", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, desc := range slices.Concat(blobs...) {
					_, err := c.Store.Info(c.Ctx, desc.Digest)
					require.NoError(b, err)
				}
			}
		})
		b.Run(name+"/walk", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := variants.Find(c.Ctx, c.Store, chain)
				require.NoError(b, err)
			}
		})
	}
}

// BenchmarkUpstreamLiveBytes measures what upstream keeps alive for each remote
// of a product, the figure behind Estimate.UpstreamBytes.
func BenchmarkUpstreamLiveBytes(b *testing.B) {
	for _, layers := range []int{12, 16, 18} {
		// What the cache logs must not stand in the line of the result.
		c := newTestCache(b)
		ref := c.Chain(b, layers, compression.Zstd)
		b.Run(fmt.Sprintf("layers=%d", layers), func(b *testing.B) {
			for b.Loop() {
				before := liveBytes()
				remotes, err := getRemotes(c.Ctx, c.worker(), ref, requested(compression.Gzip), true)
				require.NoError(b, err)
				b.ReportMetric(float64(liveBytes()-before)/float64(len(remotes)), "live-B/remote")
				runtime.KeepAlive(remotes)
			}
		})
	}
}

// BenchmarkExportLiveBytes measures what an export keeps alive until it is finalized:
// records of several stages upon one base, each layer in 4 compressions. Upstream would
// have to keep 4^126 remotes for each of 127 layers; its main remotes alone are measured
// beside.
func BenchmarkExportLiveBytes(b *testing.B) {
	logrus.SetOutput(io.Discard)
	const steps = 25
	for _, size := range []struct{ records, layers int }{{500, 127}, {250, 127}, {500, 64}} {
		c := newTestCache(b)
		refs := c.stages(b, size.records/steps, steps, size.layers, cachetest.AllCompressions[1:]...)
		name := fmt.Sprintf("/records=%d/layers=%d", size.records, size.layers)
		g := newTestGuard(b, config.Config{})
		worker := g.Worker(c.worker())
		b.Run("guarded"+name, func(b *testing.B) {
			resolve := g.CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{
				"registry": contentExporter(contentutil.NewBuffer(), compression.New(compression.Zstd)),
			})["registry"]
			for b.Loop() {
				before := liveBytes()
				e, err := resolve(c.Ctx, nil, nil)
				require.NoError(b, err)
				refCfg := requested(e.Config().Compression.Type)
				for n, ref := range refs {
					remotes, err := getRemotes(c.Ctx, worker, ref, refCfg, true)
					require.NoError(b, err)
					require.Len(b, remotes, 1)
					_, _, err = e.Add(digest.FromString(fmt.Sprint(n)), nil, []solver.CacheExportResult{{CreatedAt: time.Unix(int64(n), 0), Result: remotes[0]}})
					require.NoError(b, err)
				}
				b.ReportMetric(float64(liveBytes()-before), "live-B")
				_, err = e.Finalize(c.Ctx)
				require.NoError(b, err)
			}
		})
		b.Run("main"+name, func(b *testing.B) {
			for b.Loop() {
				before := liveBytes()
				var all []*solver.Remote
				for _, ref := range refs {
					remotes, err := getRemotes(c.Ctx, c.worker(), ref, requested(compression.Zstd), false)
					require.NoError(b, err)
					all = append(all, remotes...)
				}
				b.ReportMetric(float64(liveBytes()-before), "live-B")
				runtime.KeepAlive(all)
			}
		})
	}
}

// BenchmarkExportRecords measures the guard's own part of an export of more and more records,
// of stages of 40 steps upon 57 layers: upstream's answers are made before, and its exporter
// keeps nothing. The answers share what they have in common: the memory of all of them would be
// the garbage collector's work, not the guard's. Each round exports the same number of records in
// all, so that garbage is collected as often for each.
func BenchmarkExportRecords(b *testing.B) {
	logrus.SetOutput(io.Discard)
	const most, steps, layers = 4000, 40, 57
	for compressions := 1; compressions <= 2; compressions++ {
		c := newTestCache(b)
		refs := c.stages(b, most/steps, steps, layers+steps, cachetest.AllCompressions[1:compressions]...)
		var chains choice.Chains
		for i, ref := range refs {
			remotes, err := getRemotes(c.Ctx, c.worker(), ref, requested(compression.Gzip), false)
			require.NoError(b, err)
			remotes[0].Descriptors = chains.Keep(remotes[0].Descriptors)
			refs[i] = &answeringRef{ImmutableRef: ref, remotes: remotes}
		}
		g := newTestGuard(b, config.Config{})
		worker := g.Worker(c.worker())
		resolve := g.CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{
			"registry": func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) {
				return forgetful{}, nil
			},
		})["registry"]
		for records := most / 8; records <= most; records *= 2 {
			b.Run(fmt.Sprintf("compressions=%d/records=%d", compressions, records), func(b *testing.B) {
				for b.Loop() {
					for range most / records {
						e, err := resolve(c.Ctx, nil, nil)
						require.NoError(b, err)
						refCfg := requested(e.Config().Compression.Type)
						for n, ref := range refs[:records] {
							remotes, err := getRemotes(c.Ctx, worker, ref, refCfg, true)
							require.NoError(b, err)
							_, _, err = e.Add(digest.FromString(fmt.Sprint(n)), nil, []solver.CacheExportResult{{CreatedAt: time.Unix(int64(n), 0), Result: remotes[0]}})
							require.NoError(b, err)
						}
						_, err = e.Finalize(c.Ctx)
						require.NoError(b, err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*most/records), "ns/export")
			})
		}
	}
}

// answeringRef has an answer already.
type answeringRef struct {
	cache.ImmutableRef
	remotes []*solver.Remote
}

func (r *answeringRef) GetRemotes(context.Context, bool, cacheconfig.RefConfig, bool, session.Group) ([]*solver.Remote, error) {
	return r.remotes, nil
}

// forgetful is an exporter that keeps nothing.
type forgetful struct{ remotecache.Exporter }

func (forgetful) Config() remotecache.Config {
	return remotecache.Config{Compression: compression.New(compression.Default)}
}

func (forgetful) Add(digest.Digest, [][]solver.CacheLink, []solver.CacheExportResult) (solver.CacheExporterRecord, bool, error) {
	return nil, true, nil
}

func (forgetful) Finalize(context.Context) (map[string]string, error) { return nil, nil }

// liveBytes is the size of the heap that is in use.
func liveBytes() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

package guard

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	v1 "github.com/moby/buildkit/cache/remotecache/v1"
	cacheimporttypes "github.com/moby/buildkit/cache/remotecache/v1/types"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	"github.com/moby/buildkit/worker"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/cachetest"
	"github.com/bkguard/bkguard/internal/choice"
	"github.com/bkguard/bkguard/internal/variants"
)

// contentExporter makes upstream's exporter that writes blobs, cache config and
// manifest, as the registry and local exporters use it.
func contentExporter(target content.Ingester, comp compression.Config) remotecache.ResolveCacheExporterFunc {
	return func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) {
		return remotecache.NewExporter(target, "", true, true, comp), nil
	}
}

// decorated resolves a decorated exporter.
func decorated(t *testing.T, g *Guard, exporterType string, f remotecache.ResolveCacheExporterFunc, attrs map[string]string) remotecache.Exporter {
	t.Helper()
	e, err := g.CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{exporterType: f})[exporterType](t.Context(), nil, attrs)
	require.NoError(t, err)
	return e
}

// askFor are attributes of an export that ask for a compression, and more.
func askFor(comp compression.Type, more ...map[string]string) map[string]string {
	attrs := map[string]string{"compression": comp.String()}
	for _, m := range more {
		maps.Copy(attrs, m)
	}
	return attrs
}

// addRecords adds a record for each ref, every one on top of the one before, in
// the way of upstream's solver/exporter.go. An exporter with a compression of
// its own asks for that, an inline one for that of its image.
func addRecords(t *testing.T, c *testCache, w worker.Worker, e remotecache.Exporter, comp compression.Config, refs ...cache.ImmutableRef) {
	t.Helper()
	var links [][]solver.CacheLink
	for _, ref := range refs {
		remotes, err := getRemotes(c.Ctx, w, ref, cacheconfig.RefConfig{Compression: comp}, true)
		require.NoError(t, err)
		var results []solver.CacheExportResult
		for _, r := range append(remotes[1:], remotes[0]) {
			results = append(results, solver.CacheExportResult{CreatedAt: time.Unix(1, 0), Result: r})
		}
		record, ok, err := e.Add(digest.FromString(ref.ID()), links, results)
		require.NoError(t, err)
		require.True(t, ok)
		links = [][]solver.CacheLink{{{Src: record}}}
	}
}

// exported is what an export has written.
type exported struct {
	manifest digest.Digest
	layers   []ocispecs.Descriptor
	config   cacheimporttypes.CacheConfig
}

func (x exported) mediaTypes() map[string]int {
	types := make(map[string]int)
	for _, l := range x.layers {
		types[l.MediaType]++
	}
	return types
}

// blobs are the distinct blobs. Upstream lists one twice if it is on top of two
// chains.
func (x exported) blobs() []digest.Digest {
	all := digests(x.layers)
	slices.Sort(all)
	return slices.Compact(all)
}

func (x exported) bytes() int64 {
	var n int64
	for _, l := range x.layers {
		n += l.Size
	}
	return n
}

// finalize ends an export and reads what it has written.
func finalize(t *testing.T, ctx context.Context, e remotecache.Exporter, target content.Provider) exported {
	t.Helper()
	response, err := e.Finalize(ctx)
	require.NoError(t, err)
	var desc ocispecs.Descriptor
	require.NoError(t, json.Unmarshal([]byte(response[remotecache.ExporterResponseManifestDesc]), &desc))
	data, err := content.ReadBlob(ctx, target, desc)
	require.NoError(t, err)
	var manifest ocispecs.Manifest
	require.NoError(t, json.Unmarshal(data, &manifest))
	x := exported{manifest: desc.Digest, layers: manifest.Layers}
	data, err = content.ReadBlob(ctx, target, manifest.Config)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &x.config))
	return x
}

// results counts the records with a result.
func (x exported) results() int {
	n := 0
	for _, r := range x.config.Records {
		n += len(r.Results)
	}
	return n
}

// buildRefs are the refs of a build: a base of so many layers in gzip, zstd and
// estargz, and two layers above it that exist in gzip only.
func buildRefs(t *testing.T, c *testCache, base int) []cache.ImmutableRef {
	t.Helper()
	bottom := c.Chain(t, base, compression.Zstd, compression.EStargz)
	middle := c.Add(t, bottom, 100, compression.Gzip)
	return []cache.ImmutableRef{bottom, middle, c.Add(t, middle, 101, compression.Gzip)}
}

func TestExportHasTheRequestedCompressionThroughout(t *testing.T) {
	c := newTestCache(t)
	refs := buildRefs(t, c, 12)
	g := newTestGuard(t, config.Config{})
	for comp, want := range map[compression.Type]map[string]int{
		compression.Gzip:         {ocispecs.MediaTypeImageLayerGzip: 14},
		compression.Zstd:         {ocispecs.MediaTypeImageLayerZstd: 12, ocispecs.MediaTypeImageLayerGzip: 2},
		compression.EStargz:      {ocispecs.MediaTypeImageLayerGzip: 14},
		compression.Uncompressed: {ocispecs.MediaTypeImageLayerGzip: 14},
	} {
		t.Run(comp.String(), func(t *testing.T) {
			var manifests []digest.Digest
			for range 3 {
				target := contentutil.NewBuffer()
				e := decorated(t, g, "registry", contentExporter(target, compression.New(comp)), askFor(comp))
				addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, refs...)
				x := finalize(t, c.Ctx, e, target)
				assert.Equal(t, want, x.mediaTypes())
				assert.Equal(t, 3, x.results())
				manifests = append(manifests, x.manifest)
				if comp == compression.EStargz {
					n := 0
					for _, l := range x.layers {
						if l.Annotations["containerd.io/snapshot/stargz/toc.digest"] != "" {
							n++
						}
					}
					assert.Equal(t, 12, n)
					uncompressed := uncompressedDigests(t, c, refs[0])
					for _, l := range x.layers {
						if want, ok := uncompressed[l.Digest]; ok {
							assert.Equal(t, want, l.Annotations[labels.LabelUncompressed])
						}
					}
				}
			}
			assert.Len(t, slices.Compact(manifests), 1, "the same build is the same export")
		})
	}
}

// uncompressedDigests reads the estargz blobs of a chain and says what each has
// inside. That differs from the layer's other blobs: it has a table of contents.
func uncompressedDigests(t *testing.T, c *testCache, ref cache.ImmutableRef) map[digest.Digest]string {
	t.Helper()
	remotes, err := ref.GetRemotes(c.Ctx, true, cacheconfig.RefConfig{Compression: compression.New(compression.EStargz).SetForce(true)}, false, nil)
	require.NoError(t, err)
	all := make(map[digest.Digest]string)
	for _, desc := range remotes[0].Descriptors {
		data, err := content.ReadBlob(c.Ctx, c.Store, desc)
		require.NoError(t, err)
		r, err := gzip.NewReader(bytes.NewReader(data))
		require.NoError(t, err)
		dgst, err := digest.FromReader(r)
		require.NoError(t, err)
		all[desc.Digest] = dgst.String()
	}
	return all
}

// TestPreferences shows what each preference gives, in blobs and bytes.
func TestPreferences(t *testing.T) {
	c := newTestCache(t)
	refs := buildRefs(t, c, 5)
	g := newTestGuard(t, config.Config{Exporters: map[string]config.Exporter{"local": {Prefer: config.PreferSmallest}}})
	size := map[string]int64{}
	for name, test := range map[string]struct {
		exporterType string
		attrs        map[string]string
		want         map[string]int
	}{
		"requested":            {"registry", nil, map[string]int{ocispecs.MediaTypeImageLayerZstd: 5, ocispecs.MediaTypeImageLayerGzip: 2}},
		"smallest":             {"registry", map[string]string{PreferAttribute: "smallest"}, nil},
		"main":                 {"registry", map[string]string{PreferAttribute: "main"}, map[string]int{ocispecs.MediaTypeImageLayerGzip: 7}},
		"configured":           {"local", nil, nil},
		"attribute over table": {"local", map[string]string{PreferAttribute: "requested"}, map[string]int{ocispecs.MediaTypeImageLayerZstd: 5, ocispecs.MediaTypeImageLayerGzip: 2}},
	} {
		target := contentutil.NewBuffer()
		e := decorated(t, g, test.exporterType, contentExporter(target, compression.New(compression.Zstd)), askFor(compression.Zstd, test.attrs))
		addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, refs...)
		x := finalize(t, c.Ctx, e, target)
		assert.Len(t, x.layers, 7, name)
		assert.Equal(t, 3, x.results(), name)
		if test.want != nil {
			assert.Equal(t, test.want, x.mediaTypes(), name)
		}
		size[name] = x.bytes()
		t.Logf("%s: %v, %d bytes", name, x.mediaTypes(), x.bytes())
	}
	assert.Less(t, size["smallest"], size["main"])
	assert.LessOrEqual(t, size["smallest"], size["requested"])
	assert.Equal(t, size["smallest"], size["configured"])
}

func TestUnknownPreferenceIsRefused(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	funcs := g.CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{"inline": inline.ResolveCacheExporterFunc()})
	_, err := funcs["inline"](t.Context(), nil, map[string]string{PreferAttribute: "smalest"})
	assert.EqualError(t, err, `unknown guard-prefer "smalest", did you mean "smallest"? (allowed: requested, smallest, main)`)
}

// TestUnknownCompressionIsRefused has an exporter that does not look at the attributes, as that
// for gha: the guard does.
func TestUnknownCompressionIsRefused(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	funcs := g.CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{"gha": contentExporter(nil, compression.New(compression.Gzip))})
	for key, value := range map[string]string{"compression": "lzma", "compression-level": "high", "force-compression": "perhaps"} {
		attrs := map[string]string{"compression": "zstd"}
		attrs[key] = value
		_, err := funcs["gha"](t.Context(), nil, attrs)
		assert.ErrorContains(t, err, value, key)
	}
}

// TestOneChoiceForALayerOfSeveralRecords has two refs with the same layer, one
// of which owns it in gzip and one in zstd. Upstream uploads it twice.
func TestOneChoiceForALayerOfSeveralRecords(t *testing.T) {
	c := newTestCache(t)
	a := c.Add(t, nil, 1, compression.Gzip)
	b := c.Add(t, c.Add(t, nil, 2, compression.Gzip), 1, compression.Zstd)
	g := newTestGuard(t, config.Config{})
	for prefer, blobs := range map[string]int{"requested": 2, "smallest": 2, "main": 3} {
		comp := compression.Zstd
		var manifests []digest.Digest
		for _, refs := range [][]cache.ImmutableRef{{a, b}, {b, a}} {
			target := contentutil.NewBuffer()
			e := decorated(t, g, "registry", contentExporter(target, compression.New(comp)), askFor(comp, map[string]string{PreferAttribute: prefer}))
			for _, ref := range refs {
				addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, ref)
			}
			x := finalize(t, c.Ctx, e, target)
			assert.Len(t, x.blobs(), blobs, prefer)
			assert.Equal(t, 2, x.results(), prefer)
			manifests = append(manifests, x.manifest)
		}
		assert.Equal(t, manifests[0], manifests[1], "the order of the records does not show")
	}
}

// TestBlobsPrunedBeforeTheHandOver deletes all variants when the records are
// added already.
func TestBlobsPrunedBeforeTheHandOver(t *testing.T) {
	c := newTestCache(t)
	refs := buildRefs(t, c, 4)
	g := newTestGuard(t, config.Config{})
	target := contentutil.NewBuffer()
	e := decorated(t, g, "registry", contentExporter(target, compression.New(compression.Zstd)), askFor(compression.Zstd))
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, refs...)
	require.NoError(t, c.Store.Walk(c.Ctx, func(info content.Info) error {
		if strings.HasSuffix(info.Labels[variants.MediaTypeLabel], "zstd") {
			return c.Blobs.Delete(c.Ctx, info.Digest)
		}
		return nil
	}))
	x := finalize(t, c.Ctx, e, target)
	assert.Equal(t, map[string]int{ocispecs.MediaTypeImageLayerGzip: 6}, x.mediaTypes())
	assert.Equal(t, 3, x.results())
}

// TestExportAsksOnceForEachBlob counts what the guard asks the content store in
// an export of 30 records on shared layers, one of which owns the layers in
// another compression than the others. Any of the four compressions will do for
// a request: gzip and estargz can only be told apart by asking.
func TestExportAsksOnceForEachBlob(t *testing.T) {
	const layers, records = 10, 30
	c := newTestCache(t)
	base := c.Chain(t, layers, cachetest.AllCompressions[1:]...)
	zstd, err := base.GetRemotes(c.Ctx, true, cacheconfig.RefConfig{Compression: compression.New(compression.Zstd).SetForce(true)}, false, nil)
	require.NoError(t, err)
	refs := []cache.ImmutableRef{base, c.OnBlobs(t, zstd[0].Descriptors)}
	for n := len(refs); n < records; n++ {
		refs = append(refs, c.Add(t, base, 100+n, compression.Gzip))
	}
	for _, comp := range cachetest.AllCompressions {
		t.Run(comp.String(), func(t *testing.T) {
			w, store := c.countedWorker()
			g := newTestGuard(t, config.Config{})
			target := contentutil.NewBuffer()
			e := decorated(t, g, "registry", contentExporter(target, compression.New(comp)), askFor(comp))
			addRecords(t, c, g.Worker(w), e, e.Config().Compression, refs...)
			assert.Len(t, store.asked, layers*4+records-2)
			for dgst, n := range store.asked {
				assert.Equal(t, 1, n, dgst)
			}
			clear(store.asked)
			x := finalize(t, c.Ctx, e, target)
			assert.Len(t, x.blobs(), layers+records-2)
			assert.LessOrEqual(t, len(store.asked), len(x.blobs()))
			for dgst, n := range store.asked {
				assert.Equal(t, 1, n, dgst)
				assert.Contains(t, x.blobs(), dgst, "only what is handed over is looked at again")
			}
		})
	}
}

// TestUndecoratedWorker has the exporter alone: its choice is among the remotes
// that upstream builds.
func TestUndecoratedWorker(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 3, compression.Zstd)
	target := contentutil.NewBuffer()
	e := decorated(t, newTestGuard(t, config.Config{}), "registry", contentExporter(target, compression.New(compression.Zstd)), askFor(compression.Zstd))
	addRecords(t, c, c.worker(), e, e.Config().Compression, ref)
	assert.Equal(t, map[string]int{ocispecs.MediaTypeImageLayerZstd: 3}, finalize(t, c.Ctx, e, target).mediaTypes())
}

// imported is a remote as an importer has it, of a chain whose blobs are in its
// registry alone (cache/remotecache/import.go).
func imported(chain []ocispecs.Descriptor) *solver.Remote {
	source := contentutil.NewMultiProvider(nil)
	remote := &solver.Remote{Provider: source}
	for _, desc := range chain {
		desc.Annotations = maps.Clone(desc.Annotations)
		desc.Annotations["containerd.io/distribution.source.ref"] = "registry.example.com/cache"
		source.Add(desc.Digest, v1.DescriptorProviderPair{Descriptor: desc, Provider: contentutil.NewBuffer()})
		remote.Descriptors = append(remote.Descriptors, desc)
	}
	return remote
}

// TestImportedRecordsAreExportedAsTheWorkerHasThem has two records that were
// imported: the upper one comes with the importer's remote behind those of the
// worker, the lower one with the importer's alone, as in mode=min. What was
// imported from cannot be read any more.
func TestImportedRecordsAreExportedAsTheWorkerHasThem(t *testing.T) {
	c := newTestCache(t)
	lower := c.Chain(t, 4)
	upper := c.Add(t, lower, 100, compression.Gzip)
	c.Convert(t, upper, compression.Zstd)
	g := newTestGuard(t, config.Config{})
	for _, comp := range []compression.Type{compression.Gzip, compression.Zstd} {
		var manifests []digest.Digest
		for _, upperFirst := range []bool{false, true} {
			target := contentutil.NewBuffer()
			e := decorated(t, g, "registry", contentExporter(target, compression.New(comp)), askFor(comp))
			remotes, err := getRemotes(c.Ctx, g.Worker(c.worker()), upper, cacheconfig.RefConfig{Compression: e.Config().Compression}, true)
			require.NoError(t, err)
			chain := remotes[0].Descriptors
			records := [][]*solver.Remote{{imported(chain[:4])}, append(remotes, imported(chain))}
			if upperFirst {
				slices.Reverse(records)
			}
			for _, remotes := range records {
				var results []solver.CacheExportResult
				for _, r := range remotes {
					results = append(results, solver.CacheExportResult{CreatedAt: time.Unix(1, 0), Result: r})
				}
				_, ok, err := e.Add(digest.FromString(fmt.Sprint(len(remotes))), nil, results)
				require.NoError(t, err)
				require.True(t, ok)
			}
			x := finalize(t, c.Ctx, e, target)
			assert.Equal(t, 2, x.results())
			assert.Equal(t, map[string]int{comp.MediaType(): 5}, x.mediaTypes())
			for _, l := range x.layers {
				assert.NotContains(t, l.Annotations, "containerd.io/distribution.source.ref")
			}
			manifests = append(manifests, x.manifest)
		}
		assert.Equal(t, manifests[0], manifests[1], "the order of the records does not show")
	}
}

// takenDown is an exporter of an embedder that reads at the end what it was given.
type takenDown struct {
	remotecache.Exporter // nil
	results              []solver.CacheExportResult
	chains               [][]ocispecs.Descriptor
}

func (*takenDown) Config() remotecache.Config {
	return remotecache.Config{Compression: compression.New(compression.Zstd)}
}

func (e *takenDown) Add(_ digest.Digest, _ [][]solver.CacheLink, results []solver.CacheExportResult) (solver.CacheExporterRecord, bool, error) {
	for _, r := range results {
		e.results = append(e.results, r)
		e.chains = append(e.chains, r.Result.Descriptors)
	}
	return nil, true, nil
}

func (e *takenDown) Finalize(ctx context.Context) (map[string]string, error) {
	for i, r := range e.results {
		for _, desc := range append(e.chains[i], r.Result.Descriptors...) {
			if r.Result.Provider == nil {
				continue
			}
			if _, err := content.ReadBlob(ctx, r.Result.Provider, desc); err != nil {
				return nil, err
			}
		}
	}
	_, err := e.results[0].Result.Provider.Info(ctx, digest.FromString("of no record"))
	return nil, err
}

// TestWhatWasGivenCanBeRead holds that the chain an exporter was given can be
// read as well as the one that is chosen, and that a remote without a provider,
// which upstream allows, stays one.
func TestWhatWasGivenCanBeRead(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 3, compression.Zstd)
	g := newTestGuard(t, config.Config{})
	inner := &takenDown{}
	e := decorated(t, g, "mine", func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) {
		return inner, nil
	}, askFor(compression.Zstd))
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, ref)
	desc, _ := cachetest.Layer(t, 200, compression.Gzip)
	bare := &solver.Remote{Descriptors: []ocispecs.Descriptor{desc}}
	_, _, err := e.Add("sha256:x", nil, []solver.CacheExportResult{{Result: bare}})
	require.NoError(t, err)
	_, err = e.Finalize(c.Ctx)
	require.ErrorIs(t, err, cerrdefs.ErrNotFound, "an error, no panic")
	require.ErrorContains(t, err, digest.FromString("of no record").String())
	assert.Same(t, bare, inner.results[1].Result)
	assert.Equal(t, ocispecs.MediaTypeImageLayerGzip, inner.chains[0][0].MediaType)
	assert.Equal(t, ocispecs.MediaTypeImageLayerZstd, inner.results[0].Result.Descriptors[0].MediaType)
}

// TestMissingCompressionIsGzip has an exporter that asks for none.
func TestMissingCompressionIsGzip(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 3, compression.Zstd)
	g := newTestGuard(t, config.Config{})
	target := contentutil.NewBuffer()
	e := decorated(t, g, "registry", contentExporter(target, compression.Config{}), nil)
	assert.Equal(t, "gzip", e.Config().Compression.Type.String())
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, ref)
	assert.Equal(t, map[string]int{ocispecs.MediaTypeImageLayerGzip: 3}, finalize(t, c.Ctx, e, target).mediaTypes())
}

// TestForcedCompression leaves the conversion to upstream.
func TestForcedCompression(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 3)
	g := newTestGuard(t, config.Config{})
	target := contentutil.NewBuffer()
	e := decorated(t, g, "registry", contentExporter(target, compression.New(compression.Zstd).SetForce(true)), nil)
	refCfg := cacheconfig.RefConfig{Compression: e.Config().Compression}
	remotes, err := (&worker.WorkerRef{ImmutableRef: ref, Worker: g.Worker(c.worker())}).GetRemotes(c.Ctx, true, refCfg, false, nil)
	require.NoError(t, err)
	require.Len(t, remotes, 1)
	assert.Equal(t, ocispecs.MediaTypeImageLayerZstd, remotes[0].Descriptors[0].MediaType)
}

// inlineLayers are the blobs of an image in a compression.
func inlineLayers(t *testing.T, c *testCache, ref cache.ImmutableRef, comp compression.Type) []digest.Digest {
	t.Helper()
	remotes, err := ref.GetRemotes(c.Ctx, true, cacheconfig.RefConfig{Compression: compression.New(comp).SetForce(true)}, false, nil)
	require.NoError(t, err)
	return digests(remotes[0].Descriptors)
}

// TestInlineCacheHasTheBlobsOfTheImage asks for the inline cache of one build in
// several images, as a build for several platforms does.
func TestInlineCacheHasTheBlobsOfTheImage(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 12, compression.Zstd, compression.EStargz)
	middle := c.Add(t, ref, 100, compression.Gzip)
	refs := []cache.ImmutableRef{ref, middle, c.Add(t, middle, 101, compression.Gzip)}
	ctx, hook := logged(c.Ctx)
	g := newTestGuard(t, config.Config{})
	e := decorated(t, g, "inline", inline.ResolveCacheExporterFunc(), nil)
	for _, comp := range []compression.Type{compression.Gzip, compression.Zstd, compression.EStargz} {
		image := inlineLayers(t, c, refs[2], comp)
		addRecords(t, c, g.Worker(c.worker()), e, compression.New(comp), refs...)
		data, err := e.(inlineCache).ExportForLayers(ctx, image)
		require.NoError(t, err)
		var records []cacheimporttypes.CacheRecord
		require.NoError(t, json.Unmarshal(data, &records))
		n := 0
		for _, r := range records {
			n += len(r.Results)
		}
		assert.Equal(t, 3, n, comp)
	}
	lines := 0
	for _, entry := range hook.AllEntries() {
		if entry.Level == logrus.InfoLevel {
			lines++
		}
	}
	assert.Equal(t, 1, lines, "one export is one line")
	_, err := e.Finalize(c.Ctx)
	require.NoError(t, err)
}

// TestInlineCacheOfAnotherImage has records that no image fits first: upstream
// keeps them for the next one.
func TestInlineCacheOfAnotherImage(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 6, compression.Zstd)
	g := newTestGuard(t, config.Config{})
	e := decorated(t, g, "inline", inline.ResolveCacheExporterFunc(), nil)
	addRecords(t, c, g.Worker(c.worker()), e, compression.New(compression.Gzip), ref)
	data, err := e.(inlineCache).ExportForLayers(c.Ctx, []digest.Digest{digest.FromString("another image")})
	require.NoError(t, err)
	assert.Nil(t, data)
	data, err = e.(inlineCache).ExportForLayers(c.Ctx, inlineLayers(t, c, ref, compression.Zstd))
	require.NoError(t, err)
	assert.NotNil(t, data)
	assert.Empty(t, e.(*inlineExporter).records, "and forgets them when it has returned data")
}

// TestInlineRecordsAreCountedOnce has an image of a build that no record fits,
// in the modes that count.
func TestInlineRecordsAreCountedOnce(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 12, compression.Zstd)
	for mode, outcome := range map[config.Mode]Outcome{config.ModeEnforce: OutcomeSpared, config.ModeObserve: OutcomeObserved} {
		g := newTestGuard(t, config.Config{Mode: mode})
		e := decorated(t, g, "inline", inline.ResolveCacheExporterFunc(), nil)
		addRecords(t, c, g.Worker(c.worker()), e, compression.New(compression.Zstd), ref)
		for range 2 {
			_, err := e.(inlineCache).ExportForLayers(c.Ctx, []digest.Digest{digest.FromString("another image")})
			require.NoError(t, err)
		}
		decisions := g.Status().Decisions
		require.Len(t, decisions, 2)
		assert.Equal(t, outcome, decisions[1].Outcome)
		assert.Equal(t, 1, decisions[1].Records, mode)
		assert.Zero(t, decisions[0].Records, mode)
	}
}

// TestLazyBaseImage exports a base image that was never pulled: the record has
// its result, and nothing is read but what is written.
func TestLazyBaseImage(t *testing.T) {
	c := newTestCache(t)
	base, pulled := c.Lazy(t, 3)
	g := newTestGuard(t, config.Config{})
	e := decorated(t, g, "inline", inline.ResolveCacheExporterFunc(), nil)
	remotes, err := base.GetRemotes(c.Ctx, false, requested(compression.Gzip), false, nil)
	require.NoError(t, err)
	addRecords(t, c, g.Worker(c.worker()), e, compression.New(compression.Gzip), base)
	data, err := e.(inlineCache).ExportForLayers(c.Ctx, digests(remotes[0].Descriptors))
	require.NoError(t, err)
	assert.Contains(t, string(data), `"layers":`)
	assert.Zero(t, pulled.Reads.Load())

	target := contentutil.NewBuffer()
	e = decorated(t, g, "registry", contentExporter(target, compression.New(compression.Gzip)), nil)
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, base)
	assert.Zero(t, pulled.Reads.Load())
	assert.Equal(t, 1, finalize(t, c.Ctx, e, target).results())
}

// TestOnlyInlineExportersAreInline holds the method that upstream tells inline
// exporters by.
func TestOnlyInlineExportersAreInline(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	_, ok := decorated(t, g, "inline", inline.ResolveCacheExporterFunc(), nil).(inlineCache)
	assert.True(t, ok)
	e := decorated(t, g, "registry", contentExporter(contentutil.NewBuffer(), compression.New(compression.Gzip)), nil)
	_, ok = e.(inlineCache)
	assert.False(t, ok)
	assert.Equal(t, "exporting content cache", e.Name())
}

func TestNoExporterAndItsErrorPass(t *testing.T) {
	broken := errors.New("no such bucket")
	funcs := newTestGuard(t, config.Config{}).CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{
		"gha": func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) { return nil, nil },
		"s3": func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) {
			return nil, broken
		},
	})
	e, err := funcs["gha"](t.Context(), nil, nil)
	require.NoError(t, err)
	assert.Nil(t, e, "upstream skips the export only if this is nil")
	_, err = funcs["s3"](t.Context(), nil, nil)
	assert.ErrorIs(t, err, broken)
}

// fullDisk is an ingester that takes nothing.
type fullDisk struct{ contentutil.Buffer }

var errFull = errors.New("no space left on device")

func (fullDisk) Writer(context.Context, ...content.WriterOpt) (content.Writer, error) {
	return nil, errFull
}

func TestNothingIsKeptOfAFailedExport(t *testing.T) {
	c := newTestCache(t)
	refs := buildRefs(t, c, 4)
	g := newTestGuard(t, config.Config{})
	e := decorated(t, g, "registry", contentExporter(fullDisk{}, compression.New(compression.Zstd)), nil).(*cacheExporter)
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, refs...)
	assert.Len(t, e.records, 3)
	_, err := e.Finalize(c.Ctx)
	require.ErrorIs(t, err, errFull)
	assert.Empty(t, e.records)
	assert.Equal(t, &choice.Pool{}, e.pool)
	assert.Empty(t, e.export.answers)
	assert.Empty(t, e.export.stores)
}

func TestModesOfAnExporter(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 6, compression.Zstd)
	for mode, kept := range map[config.Mode]int{config.ModeOff: 0, config.ModeObserve: 0, config.ModeEnforce: 1, config.ModeSingle: 1} {
		g := newTestGuard(t, config.Config{Exporters: map[string]config.Exporter{"registry": {Mode: mode}}})
		target := contentutil.NewBuffer()
		e := decorated(t, g, "registry", contentExporter(target, compression.New(compression.Zstd)), askFor(compression.Zstd)).(*cacheExporter)
		addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, ref)
		assert.Len(t, e.records, kept, mode)
		assert.Equal(t, 1, finalize(t, c.Ctx, e, target).results(), mode)
	}
}

// clientLines runs f and returns the lines of the guard that the client sees.
func clientLines(ctx context.Context, f func(context.Context)) (lines []string) {
	for _, p := range clientProgress(ctx, f) {
		if strings.HasPrefix(p.ID, "cache guard") && !slices.Contains(lines, p.ID) {
			lines = append(lines, p.ID)
		}
	}
	return lines
}

func TestOneLineForEachExportWithCombinations(t *testing.T) {
	c := newTestCache(t)
	plain := c.Chain(t, 5)
	deep := newTestCache(t)
	refs := buildRefs(t, deep, 20)
	deep.Convert(t, refs[2], compression.Zstd)
	for name, test := range map[string]struct {
		cache  *testCache
		mode   config.Mode
		refs   []cache.ImmutableRef
		client []string
		level  []logrus.Level
	}{
		"one compression":   {c, config.ModeEnforce, []cache.ImmutableRef{plain}, nil, nil},
		"many combinations": {deep, config.ModeEnforce, refs, []string{"cache guard: 22 layers in 3 compressions, 2^32.7 combinations avoided, exporting zstd"}, []logrus.Level{logrus.InfoLevel}},
		"mode single":       {deep, config.ModeSingle, refs, []string{"cache guard: 22 layers in 3 compressions, 2^32.7 combinations avoided, exporting zstd"}, []logrus.Level{logrus.InfoLevel}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, hook := logged(test.cache.Ctx)
			g := newTestGuard(t, config.Config{Mode: test.mode})
			target := contentutil.NewBuffer()
			e := decorated(t, g, "registry", contentExporter(target, compression.New(compression.Zstd)), askFor(compression.Zstd))
			addRecords(t, test.cache, g.Worker(test.cache.worker()), e, e.Config().Compression, test.refs...)
			lines := clientLines(ctx, func(ctx context.Context) { finalize(t, ctx, e, target) })
			assert.Equal(t, test.client, lines)
			var levels []logrus.Level
			for _, entry := range hook.AllEntries() {
				if entry.Message == "combinations spared" {
					levels = append(levels, entry.Level)
					assert.Equal(t, "registry", entry.Data["exporter"])
					assert.Equal(t, 22, entry.Data["layers"])
					assert.Equal(t, "2^32.7", entry.Data["remotes"])
					assert.Equal(t, 3, entry.Data["records"])
					assert.Equal(t, "zstd", entry.Data["compression"])
					assert.Greater(t, entry.Data["avoided"], uint64(1)<<32)
				}
			}
			assert.Equal(t, test.level, levels)
		})
	}
}

package guard

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/progress"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/steps"
)

// innerExporter is an exporter of an embedder that answers as a test wants it to. It keeps
// what it is given.
type innerExporter struct {
	remotecache.Exporter // nil
	refused              bool
	err                  error
	results              []solver.CacheExportResult
	// finalizing is called by Finalize, if it is not nil.
	finalizing func(ctx context.Context)
	// exporting is called by ExportForLayers, if it is not nil.
	exporting func()
}

func (*innerExporter) Config() remotecache.Config {
	return remotecache.Config{Compression: compression.New(compression.Gzip)}
}

func (e *innerExporter) Add(_ digest.Digest, _ [][]solver.CacheLink, results []solver.CacheExportResult) (solver.CacheExporterRecord, bool, error) {
	e.results = append(e.results, results...)
	return &solver.CacheExporterRecordBase{}, !e.refused, e.err
}

func (e *innerExporter) Finalize(ctx context.Context) (map[string]string, error) {
	if e.finalizing != nil {
		e.finalizing(ctx)
	}
	return nil, e.err
}

// inlineInner is one that is inline; it has data even if it fails.
type inlineInner struct{ *innerExporter }

func (e inlineInner) ExportForLayers(context.Context, []digest.Digest) ([]byte, error) {
	if e.exporting != nil {
		e.exporting()
	}
	return []byte("data"), e.err
}

// resolving resolves to an exporter.
func resolving(inner remotecache.Exporter) remotecache.ResolveCacheExporterFunc {
	return func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) {
		return inner, nil
	}
}

func TestErrorBesideAnExporterPasses(t *testing.T) {
	resolve := newTestGuard(t, config.Config{}).CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{
		"s3": func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) {
			return &innerExporter{}, errFull
		},
	})["s3"]
	_, err := resolve(t.Context(), nil, nil)
	assert.ErrorIs(t, err, errFull)
}

// TestCompressionOfTheAttributesIsAskedFor has an exporter that does not look at them, as those
// for gha and azblob do not.
func TestCompressionOfTheAttributesIsAskedFor(t *testing.T) {
	for mode, want := range map[config.Mode]compression.Type{
		config.ModeEnforce: compression.Zstd, config.ModeSingle: compression.Zstd, config.ModeOff: compression.Gzip, config.ModeObserve: compression.Gzip,
	} {
		e := decorated(t, newTestGuard(t, config.Config{Mode: mode}), "gha", resolving(&innerExporter{}), askFor(compression.Zstd))
		got, export := requestedFor(e.Config().Compression.Type)
		assert.Equal(t, want, got, mode)
		assert.NotNil(t, export)
	}
}

// TestOnlyRecordsThatWereAddedCount has an inner exporter that takes none.
func TestOnlyRecordsThatWereAddedCount(t *testing.T) {
	for name, inner := range map[string]*innerExporter{"refused": {refused: true}, "failed": {err: errFull}, "added": {}} {
		e := decorated(t, newTestGuard(t, config.Config{}), "registry", resolving(inner), nil).(*cacheExporter)
		_, ok, err := e.Add("sha256:x", nil, nil)
		assert.Equal(t, inner.err, err, name)
		assert.Equal(t, !inner.refused, ok, name)
		assert.Equal(t, name == "added", len(e.size.numbers) == 1, name)
	}
}

// TestOneResultForEachOrigin has results that differ in one part of their origin each, and such
// without a remote.
func TestOneResultForEachOrigin(t *testing.T) {
	inner := &innerExporter{}
	e := decorated(t, newTestGuard(t, config.Config{}), "registry", resolving(inner), nil)
	at := time.Unix(1, 0)
	results := []solver.CacheExportResult{
		{CreatedAt: at, EdgeVertex: "a"}, {CreatedAt: at.UTC(), EdgeVertex: "a"},
		{CreatedAt: at.Add(1), EdgeVertex: "a"},
		{CreatedAt: at.Add(1), EdgeVertex: "b"},
		{CreatedAt: at.Add(1), EdgeVertex: "b", EdgeIndex: 1}, {CreatedAt: at.Add(1), EdgeVertex: "b", EdgeIndex: 1},
	}
	_, _, err := e.Add("sha256:x", nil, results)
	require.NoError(t, err)
	assert.Equal(t, []solver.CacheExportResult{results[0], results[2], results[3], results[4]}, inner.results)
}

// TestVariantsAmongTheResults has results of a worker that is not decorated, of which only some
// are other chains of the same layers.
func TestVariantsAmongTheResults(t *testing.T) {
	store := sizedStore{}
	remote := func(names ...string) solver.CacheExportResult {
		r := &solver.Remote{Provider: store}
		for _, name := range names {
			r.Descriptors = append(r.Descriptors, own(name))
		}
		return solver.CacheExportResult{Result: r}
	}
	without := remote("w", "w")
	without.Result.Provider = nil
	main := remote("a", "b")
	inner := &innerExporter{}
	e := decorated(t, newTestGuard(t, config.Config{}), "registry", resolving(inner), nil).(*cacheExporter)
	_, _, err := e.Add("sha256:x", nil, []solver.CacheExportResult{
		remote("a2", "b2"), {}, without, remote("short"), remote("a2", "b"), remote("longer", "longer", "longer"), remote("a", "b3"), main,
	})
	require.NoError(t, err)
	layers := e.records[main.Result].layers
	require.Len(t, layers, 2)
	for i, want := range [][]string{{"a2"}, {"b2", "b3"}} {
		var got []digest.Digest
		for _, v := range layers[i].Variants {
			got = append(got, v.Digest)
		}
		var digests []digest.Digest
		for _, name := range want {
			digests = append(digests, own(name).Digest)
		}
		assert.ElementsMatch(t, digests, got)
	}
}

// TestLazyLayersAreNotLocal has two lazy layers, and one that is here.
func TestLazyLayersAreNotLocal(t *testing.T) {
	c := newTestCache(t)
	e := decorated(t, newTestGuard(t, config.Config{}), "registry", resolving(&innerExporter{}), nil).(*cacheExporter)
	refs := c.onLazy(t, 0)
	addRecords(t, c, e.guard.Worker(c.worker()), e, e.Config().Compression, refs[2])
	require.Len(t, e.records, 1)
	for _, r := range e.records {
		for i, layer := range r.layers {
			assert.Equal(t, i == 2, layer.Own.Local)
		}
	}
}

// TestSourcesAreDroppedBeforeTheConfig has layers that could be mounted from elsewhere until
// all of them are sent.
func TestSourcesAreDroppedBeforeTheConfig(t *testing.T) {
	inner := &innerExporter{}
	e := decorated(t, newTestGuard(t, config.Config{}), "registry", resolving(inner), nil)
	desc := own("a")
	desc.Annotations = map[string]string{sourcePrefix + "registry": "repository", "other": "stays"}
	_, _, err := e.Add("sha256:x", nil, []solver.CacheExportResult{{Result: &solver.Remote{Descriptors: []ocispecs.Descriptor{desc}, Provider: sizedStore{}}}})
	require.NoError(t, err)
	annotations := func() map[string]string { return inner.results[0].Result.Descriptors[0].Annotations }
	inner.finalizing = func(ctx context.Context) {
		require.NoError(t, progress.OneOff(ctx, "preparing build cache for export")(nil))
		require.NoError(t, progress.OneOff(ctx, steps.WritingLayer+desc.Digest.String())(nil))
		assert.Len(t, annotations(), 2)
		done := progress.OneOff(ctx, steps.WritingConfig+"sha256:x")
		assert.Equal(t, map[string]string{"other": "stays"}, annotations())
		require.NoError(t, done(nil))
	}
	_, err = e.Finalize(t.Context())
	require.NoError(t, err)
}

// TestDecisionsSayWhatWasDone has an export with a client, a place and a trace, and one with
// nothing in it.
func TestDecisionsSayWhatWasDone(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 12, compression.Zstd)
	g := newTestGuard(t, config.Config{})
	resolve := g.CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{"registry": resolving(&innerExporter{})})["registry"]
	e, err := resolve(t.Context(), session.NewGroup("client"), askFor(compression.Zstd, map[string]string{"ref": "registry/cache"}))
	require.NoError(t, err)
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, ref)
	trace := oteltrace.TraceID{1}
	ctx := oteltrace.ContextWithSpanContext(c.Ctx, oteltrace.NewSpanContext(oteltrace.SpanContextConfig{TraceID: trace, SpanID: oteltrace.SpanID{2}}))
	inner := e.(*cacheExporter)
	assert.WithinDuration(t, time.Now(), inner.started, time.Minute)
	inner.started = time.Now().Add(-time.Hour)
	_, err = e.Finalize(ctx)
	require.NoError(t, err)
	_, err = e.Finalize(c.Ctx)
	require.NoError(t, err)

	status := g.Status()
	require.Len(t, status.Decisions, 2)
	d := status.Decisions[1]
	assert.Equal(t, []string{"client", "registry/cache", trace.String()}, []string{d.Session, d.Cache, d.Trace})
	assert.InDelta(t, time.Hour.Seconds(), d.Seconds, 60)
	var bytes int64
	remotes, err := ref.GetRemotes(c.Ctx, false, requested(compression.Zstd), true, nil)
	require.NoError(t, err)
	zstd := map[digest.Digest]bool{}
	for _, r := range remotes {
		for _, desc := range r.Descriptors {
			if desc.MediaType == ocispecs.MediaTypeImageLayerZstd && !zstd[desc.Digest] {
				zstd[desc.Digest] = true
				bytes += desc.Size
			}
		}
	}
	assert.Equal(t, []any{12, bytes, int64(12)}, []any{d.Blobs, d.Bytes, d.Replaced})
	assert.EqualValues(t, 12, status.Replaced["requested"])
	assert.Zero(t, status.Lost)
	assert.Zero(t, status.WalkErrors)

	d = status.Decisions[0]
	assert.Empty(t, d.Trace)
	assert.Less(t, d.Seconds, 60.0)
	assert.Zero(t, d.Blobs)
}

// TestLostLayersAreCounted exports a layer of which no blob is there any more.
func TestLostLayersAreCounted(t *testing.T) {
	c := newTestCache(t)
	g := newTestGuard(t, config.Config{})
	e := decorated(t, g, "registry", resolving(&innerExporter{}), nil)
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, c.Chain(t, 2))
	for _, r := range e.(*cacheExporter).records {
		require.NoError(t, c.Blobs.Delete(c.Ctx, r.main.Descriptors[0].Digest))
	}
	_, err := e.Finalize(c.Ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 1, g.Status().Lost)
}

// TestNothingIsKeptBetweenExports uses an exporter twice, as nothing forbids.
func TestNothingIsKeptBetweenExports(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 12, compression.Zstd)
	g := newTestGuard(t, config.Config{})
	inner := &innerExporter{}
	e := decorated(t, g, "registry", resolving(inner), askFor(compression.Zstd)).(*cacheExporter)
	for range 2 {
		addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, ref)
		inner.finalizing = func(context.Context) {
			assert.Equal(t, 12*layerSize, e.layersSize)
			assert.Len(t, e.size.numbers, 1)
		}
		lines := clientLines(c.Ctx, func(ctx context.Context) {
			_, err := e.Finalize(ctx)
			require.NoError(t, err)
		})
		assert.Len(t, lines, 1, "each export has its line")
		assert.Zero(t, e.started)
		assert.Zero(t, e.tally)
		assert.Zero(t, e.size)
	}
}

// TestRecordsAndLayersTogetherAreTooLarge has a config that is too large because of its layers.
func TestRecordsAndLayersTogetherAreTooLarge(t *testing.T) {
	c := newTestCache(t)
	g := newTestGuard(t, config.Config{})
	inner := &innerExporter{}
	e := decorated(t, g, "registry", resolving(inner), nil).(*cacheExporter)
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, c.Chain(t, 3))
	for bytes, want := range map[int]int{importLimit - 3*layerSize: 0, importLimit - 3*layerSize + 1: 1} {
		addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, c.Chain(t, 3))
		e.size.bytes = bytes
		ctx, hook := logged(c.Ctx)
		_, err := e.Finalize(ctx)
		require.NoError(t, err)
		warnings := 0
		for _, line := range messages(hook) {
			if strings.Contains(line, "too large") {
				warnings++
			}
		}
		assert.Equal(t, want, warnings)
	}
}

// TestFailedInlineExportKeepsItsRecords has an inner exporter that fails for the first image.
func TestFailedInlineExportKeepsItsRecords(t *testing.T) {
	c := newTestCache(t)
	g := newTestGuard(t, config.Config{})
	inner := &innerExporter{}
	e := decorated(t, g, "inline", resolving(inlineInner{inner}), nil).(*inlineExporter)
	addRecords(t, c, g.Worker(c.worker()), e, e.Config().Compression, c.Chain(t, 3))
	inner.err = errFull
	_, err := e.ExportForLayers(c.Ctx, nil)
	require.ErrorIs(t, err, errFull)
	require.Len(t, e.records, 1)
	for _, r := range e.records {
		assert.IsType(t, &written{}, r.remote.Provider)
		require.NoError(t, c.Blobs.Delete(c.Ctx, r.main.Descriptors[0].Digest))
	}
	inner.err = nil
	inner.exporting = func() {
		for _, r := range e.records {
			assert.Equal(t, r.main.Descriptors, r.remote.Descriptors)
			assert.Same(t, r.main.Provider, r.remote.Provider, "a layer is gone by now")
		}
	}
	data, err := e.ExportForLayers(c.Ctx, nil)
	require.NoError(t, err)
	assert.Equal(t, "data", string(data))
	assert.Empty(t, e.records)
}

// TestBlockedInlineExportIsToldOnce is asked for the cache of two images.
func TestBlockedInlineExportIsToldOnce(t *testing.T) {
	g := newTestGuard(t, config.Config{Mode: config.ModeBlock})
	e := decorated(t, g, "inline", resolving(inlineInner{&innerExporter{}}), nil).(inlineCache)
	ctx, hook := logged(t.Context())
	for range 2 {
		data, err := e.ExportForLayers(ctx, nil)
		require.NoError(t, err)
		assert.Nil(t, data)
	}
	assert.Equal(t, []string{"warning: cache export blocked"}, messages(hook))
}

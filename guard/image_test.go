package guard

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/exporter/containerimage"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/worker"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/solver"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/memory"
)

// exportingWorker is a worker with upstream's exporter of images.
type exportingWorker struct {
	storeWorker
	cache *testCache
}

func (w *exportingWorker) Exporter(string, *session.Manager) (exporter.Exporter, error) {
	writer, err := containerimage.NewImageWriter(containerimage.WriterOpt{ContentStore: w.cache.Store})
	if err != nil {
		return nil, err
	}
	return containerimage.New(containerimage.Opt{ImageWriter: writer, LeaseManager: w.cache.Leases})
}

// imageInstance makes the exporter of one image build.
func imageInstance(tb testing.TB, w worker.Worker, attrs map[string]string) exporter.ExporterInstance {
	tb.Helper()
	e, err := w.Exporter(client.ExporterImage, nil)
	require.NoError(tb, err)
	instance, err := e.Resolve(tb.Context(), 0, attrs)
	require.NoError(tb, err)
	return instance
}

// sourceOf is what a build of one ref has made, noBuild the build.
func sourceOf(ref cache.ImmutableRef) *exporter.Source { return &exporter.Source{Ref: ref} }

var noBuild exporter.ExportBuildInfo

// exportImage exports an image of a ref and returns its layers.
func (c *testCache) exportImage(instance exporter.ExporterInstance, ref cache.ImmutableRef) ([]digest.Digest, error) {
	_, _, desc, err := instance.Export(c.Ctx, sourceOf(ref), noBuild)
	if err != nil {
		return nil, err
	}
	manifest, err := images.Manifest(c.Ctx, c.Store, desc.Descriptor(), nil)
	return digests(manifest.Layers), errors.Join(err, desc.Release())
}

// exportInBackground exports an image of a ref. The function it returns waits for the
// layers.
func (c *testCache) exportInBackground(tb testing.TB, instance exporter.ExporterInstance, ref cache.ImmutableRef) (wait func() []digest.Digest) {
	tb.Helper()
	var (
		layers []digest.Digest
		err    error
		done   = make(chan struct{})
	)
	go func() {
		defer close(done)
		layers, err = c.exportImage(instance, ref)
	}()
	return func() []digest.Digest {
		<-done
		require.NoError(tb, err)
		return layers
	}
}

// forcedZstd are the attributes of an image whose layers are all converted.
var forcedZstd = map[string]string{"compression": "zstd", "force-compression": "true"}

// fill takes the whole budget of a guard, so that others have to wait.
func fill(tb testing.TB, g *Guard) (free func()) {
	tb.Helper()
	hold, err := g.limits.gate.Line(nil).Acquire(tb.Context(), memory.Upload, g.Budget())
	require.NoError(tb, err)
	return hold.Release
}

// imageLayers is the number of layers of the images of the tests.
const imageLayers = 5

// eventuallyWaiting waits until all layers of an image wait for memory.
func eventuallyWaiting(tb testing.TB, g *Guard) {
	tb.Helper()
	require.Eventually(tb, func() bool { return g.Status().Memory.ConversionsWaiting == imageLayers }, waitFor, tick)
}

func TestImageLayersWaitForMemory(t *testing.T) {
	stock := newTestCache(t)
	want := stock.exportInBackground(t, imageInstance(t, &exportingWorker{cache: stock}, forcedZstd), stock.Chain(t, imageLayers))()

	c := newTestCache(t)
	ref := c.Chain(t, imageLayers)
	g := newTestGuard(t, config.Config{})
	instance := imageInstance(t, g.Worker(&exportingWorker{cache: c}), forcedZstd)
	free := fill(t, g)
	exported := c.exportInBackground(t, instance, ref)
	eventuallyWaiting(t, g)
	free()
	assert.Equal(t, want, exported(), "the blobs are upstream's")
	assert.Equal(t, MemoryStatus{Budget: g.Budget()}, g.Status().Memory, "all is given back")
}

func TestCacheLayersWaitForMemory(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, imageLayers)
	g := newTestGuard(t, config.Config{})
	e := decorated(t, g, "registry", contentExporter(nil, compression.New(compression.Zstd).SetForce(true)), nil)
	w := g.Worker(c.worker())
	free := fill(t, g)
	answered := make(chan error)
	go func() {
		refCfg := requested(nil)
		refCfg.Compression = e.Config().Compression
		remotes, err := getRemotes(c.Ctx, w, ref, refCfg, true)
		for _, desc := range remotes[0].Descriptors {
			assert.Equal(t, ocispecs.MediaTypeImageLayerZstd, desc.MediaType)
		}
		answered <- err
	}()
	eventuallyWaiting(t, g)
	free()
	require.NoError(t, <-answered)
	assert.Equal(t, MemoryStatus{Budget: g.Budget()}, g.Status().Memory, "all is given back")
}

// TestRewrittenLayersWaitForMemory has compressors that upstream makes by itself:
// the readers of the layers wait.
func TestRewrittenLayersWaitForMemory(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, imageLayers)
	g := newTestGuard(t, config.Config{})
	instance := imageInstance(t, g.Worker(&exportingWorker{cache: c}), map[string]string{
		string(exptypes.OptKeyRewriteTimestamp): "true",
		"source-date-epoch":                     "1",
	})
	free := fill(t, g)
	exported := c.exportInBackground(t, instance, ref)
	eventuallyWaiting(t, g)
	free()
	rewritten := exported()
	assert.Equal(t, MemoryStatus{Budget: g.Budget()}, g.Status().Memory, "all is given back")

	stock := newTestCache(t)
	assert.Equal(t, stock.exportInBackground(t, imageInstance(t, &exportingWorker{cache: stock}, map[string]string{
		string(exptypes.OptKeyRewriteTimestamp): "true",
		"source-date-epoch":                     "1",
	}), stock.Chain(t, imageLayers))(), rewritten)
}

// TestRewrittenLayersArePulled has a base image that was never pulled.
func TestRewrittenLayersArePulled(t *testing.T) {
	c := newTestCache(t)
	lazy, pulled := c.Lazy(t, imageLayers)
	g := newTestGuard(t, config.Config{})
	i := g.newImageExport(&sourceInstance{config: compression.New(compression.Gzip)}, true)
	remotes, err := i.waiting(sourceOf(lazy)).Ref.GetRemotes(c.Ctx, true, requested(compression.Gzip), false, nil)
	require.NoError(t, err)
	require.Len(t, remotes, 1)
	p := remotes[0].Provider.(*rewriteProvider)

	gone, leave := context.WithCancel(c.Ctx)
	leave()
	require.ErrorIs(t, p.Unlazy(gone), context.Canceled)
	require.NoError(t, p.Unlazy(c.Ctx))
	assert.EqualValues(t, imageLayers, pulled.Reads.Load())

	here := i.rewriting(c.Store, compression.New(compression.Gzip)).(*rewriteProvider)
	assert.NoError(t, here.Unlazy(c.Ctx), "a store has all that it can have")
}

// TestRewrittenLayersDoNotWaitForThemselves has memory for one layer only, whose blob
// upstream opens a second time while it reads it, to see whether it is estargz
// (util/compression, decompress).
func TestRewrittenLayersDoNotWaitForThemselves(t *testing.T) {
	c := newTestCache(t)
	var ref cache.ImmutableRef
	for n := range imageLayers {
		ref = c.Add(t, ref, n, compression.Zstd)
	}
	g := newTestGuard(t, config.Config{MaxMemory: config.Memory{Bytes: 1}})
	layers := c.exportInBackground(t, imageInstance(t, g.Worker(&exportingWorker{cache: c}), map[string]string{
		string(exptypes.OptKeyRewriteTimestamp): "true",
		"source-date-epoch":                     "1",
		"compression":                           "zstd",
	}), ref)()
	assert.Len(t, layers, imageLayers)
	assert.Equal(t, MemoryStatus{Budget: g.Budget()}, g.Status().Memory, "all is given back")
}

// TestSwitchLetsImageLayersThrough turns the guard off while layers wait.
func TestSwitchLetsImageLayersThrough(t *testing.T) {
	for _, mode := range []config.Mode{config.ModeOff, config.ModeObserve} {
		c := newTestCache(t)
		ref := c.Chain(t, imageLayers)
		path := filepath.Join(t.TempDir(), "mode")
		g := newTestGuard(t, config.Config{SwitchFile: path})
		instance := imageInstance(t, g.Worker(&exportingWorker{cache: c}), forcedZstd)
		free := fill(t, g)
		exported := c.exportInBackground(t, instance, ref)
		eventuallyWaiting(t, g)
		write(t, path, string(mode))
		assert.Len(t, exported(), imageLayers)
		free()
		require.NoError(t, g.Close())
	}
}

// TestImagesAreUpstreamsInOffAndObserve finds the refs of the build in the hands of
// the inner exporter.
func TestImagesAreUpstreamsInOffAndObserve(t *testing.T) {
	c := newTestCache(t)
	source := &exporter.Source{Ref: c.Chain(t, 1)}
	for mode, same := range map[config.Mode]bool{
		config.ModeOff: true, config.ModeObserve: true, config.ModeEnforce: false, config.ModeSingle: false, config.ModeBlock: false,
	} {
		inner := &sourceInstance{}
		g := newTestGuard(t, config.Config{Mode: mode})
		e := g.newImageExport(inner, false)
		_, _, _, err := e.Export(t.Context(), source, noBuild)
		require.NoError(t, err)
		assert.Equal(t, same, inner.got == source, mode)
		assert.Equal(t, source.Ref.ID(), inner.got.Ref.ID(), mode)
	}
}

// sourceInstance keeps what it is given to export. Any other method panics.
type sourceInstance struct {
	exporter.ExporterInstance // nil
	config                    compression.Config
	got                       *exporter.Source
}

func (i *sourceInstance) Config() *exporter.Config {
	return exporter.NewConfigWithCompression(i.config)
}

func (i *sourceInstance) Export(_ context.Context, source *exporter.Source, _ exporter.ExportBuildInfo) (map[string]string, exporter.FinalizeFunc, exporter.DescriptorReference, error) {
	i.got = source
	return nil, nil, nil, nil
}

// TestSourceIsLeftAsItIs has an image of two platforms, one of which is empty.
func TestSourceIsLeftAsItIs(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 1)
	source := &exporter.Source{Metadata: map[string][]byte{"k": []byte("v")}}
	source.AddRef("a", ref)
	source.AddRef("b", nil)
	source.AddAttestation("a", exporter.Attestation{Ref: ref})
	g := newTestGuard(t, config.Config{})
	inner := &sourceInstance{}
	e := g.newImageExport(inner, false)
	_, _, _, err := e.Export(t.Context(), source, noBuild)
	require.NoError(t, err)
	assert.Same(t, ref, source.Refs["a"], "refs of the build are not replaced in place")
	assert.Equal(t, ref.ID(), inner.got.Refs["a"].ID())
	assert.Nil(t, inner.got.Refs["b"])
	assert.Equal(t, source.Metadata, inner.got.Metadata)
	assert.Equal(t, source.Attestations, inner.got.Attestations)
}

func TestOnlyImagesAreDecorated(t *testing.T) {
	c := newTestCache(t)
	w := newTestGuard(t, config.Config{}).Worker(&exportingWorker{cache: c})
	for name, decorated := range map[string]bool{
		client.ExporterImage: true, client.ExporterOCI: true, client.ExporterDocker: true, client.ExporterLocal: false, client.ExporterTar: false,
	} {
		e, err := w.Exporter(name, nil)
		require.NoError(t, err)
		_, ok := e.(*imageExporter)
		assert.Equal(t, decorated, ok, name)
	}
}

// TestInlineExportsAskInTheLineOfTheirImage finds the line of an image export in
// the compression that its inline cache asks a worker with.
func TestInlineExportsAskInTheLineOfTheirImage(t *testing.T) {
	c := newTestCache(t)
	g := newTestGuard(t, config.Config{})
	instance := imageInstance(t, g.Worker(&exportingWorker{cache: c}), map[string]string{"compression": "zstd", "compression-level": "3"})
	asked := instance.Config().Compression()
	requested, export := requestedFor(asked.Type)
	assert.Equal(t, compression.Zstd, requested)
	assert.Equal(t, 3, *asked.Level)
	assert.Same(t, instance.(*imageExport).conversions.line, export.conversions.line)
	assert.Equal(t, "inline", export.typeName())
}

// TestSomeExportsAreLeftAlone has instances that the guard cannot decorate.
func TestSomeExportsAreLeftAlone(t *testing.T) {
	nydus := compression.New(namedType{compression.Gzip})
	for _, inner := range []exporter.ExporterInstance{&sourceInstance{config: nydus}, noConfig{}} {
		e := &imageExporter{Exporter: resolved{inner}, guard: newTestGuard(t, config.Config{})}
		got, err := e.Resolve(t.Context(), 0, nil)
		require.NoError(t, err)
		assert.Equal(t, inner, got)
	}
}

// namedType is a compression that only a daemon with a build tag has.
type namedType struct{ compression.Type }

func (namedType) String() string { return "nydus" }

// noConfig is an instance of an embedder without a configuration.
type noConfig struct{ exporter.ExporterInstance }

func (noConfig) Config() *exporter.Config { return nil }

// resolved is an exporter that makes one instance.
type resolved struct{ instance exporter.ExporterInstance }

func (r resolved) Resolve(context.Context, int, map[string]string) (exporter.ExporterInstance, error) {
	return r.instance, nil
}

func TestRewrittenTimestampsAreAskedFor(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "1": true, "false": false, "": false, "maybe": false} {
		assert.Equal(t, want, rewritesTimestamps(map[string]string{"rewrite-timestamp": value}), value)
	}
	assert.False(t, rewritesTimestamps(nil))
}

func TestNydusIsNamed(t *testing.T) {
	assert.False(t, isNydus(compression.Config{}))
	assert.False(t, isNydus(compression.New(compression.Gzip)))
	assert.True(t, isNydus(compression.New(namedType{})))
}

// failingRef has remotes, and an error beside them.
type failingRef struct {
	cache.ImmutableRef // nil
	err                error
}

func (r failingRef) GetRemotes(context.Context, bool, cacheconfig.RefConfig, bool, session.Group) ([]*solver.Remote, error) {
	return []*solver.Remote{{Provider: sizedStore{}}}, r.err
}

// TestOnlyRewrittenLayersAreReadByTurns holds whose providers are decorated.
func TestOnlyRewrittenLayersAreReadByTurns(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	gzip := requested(compression.Gzip)
	for name, tc := range map[string]struct {
		rewrites, create bool
		cfg              cacheconfig.RefConfig
		err              error
		want             bool
	}{
		"rewritten":           {true, true, gzip, nil, true},
		"not rewritten":       {false, true, gzip, nil, false},
		"only looked at":      {true, false, gzip, nil, false},
		"without compression": {true, true, cacheconfig.RefConfig{}, nil, false},
		"failed":              {true, true, gzip, errFull, false},
	} {
		i := g.newImageExport(&sourceInstance{config: compression.New(compression.Gzip)}, tc.rewrites)
		remotes, err := (&waitingRef{ImmutableRef: failingRef{err: tc.err}, export: i}).GetRemotes(t.Context(), tc.create, tc.cfg, false, nil)
		assert.Equal(t, tc.err, err, name)
		_, rewritten := remotes[0].Provider.(*rewriteProvider)
		assert.Equal(t, tc.want, rewritten, name)
	}
}

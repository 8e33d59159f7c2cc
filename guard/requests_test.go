package guard

import (
	"context"
	"testing"

	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
)

// request is what a worker is asked for.
type request struct {
	compression compression.Type
	create, all bool
}

// askedWorker keeps what it is asked for, and has an answer for all of it.
type askedWorker struct {
	*storeWorker
	answer []*solver.Remote
	err    error
	asked  []request
}

func (w *askedWorker) GetRemotes(_ context.Context, _ cache.ImmutableRef, createIfNeeded bool, refCfg cacheconfig.RefConfig, all bool, _ session.Group) ([]*solver.Remote, error) {
	w.asked = append(w.asked, request{refCfg.Compression.Type, createIfNeeded, all})
	return w.answer, w.err
}

func (w *askedWorker) Exporter(string, *session.Manager) (exporter.Exporter, error) {
	return &imageExporter{}, w.err
}

// twoLayers are a remote whose layers have no variants.
func twoLayers() []*solver.Remote {
	return []*solver.Remote{{Descriptors: []ocispecs.Descriptor{own("a"), own("b")}, Provider: sizedStore{}}}
}

// TestOffAndBlockAskAsUpstream ask the inner worker with upstream's own compression, once.
func TestOffAndBlockAskAsUpstream(t *testing.T) {
	c := newTestCache(t)
	for mode, want := range map[config.Mode][]request{
		config.ModeOff:   {{compression.Zstd, false, true}},
		config.ModeBlock: nil,
	} {
		g := newTestGuard(t, config.Config{Mode: mode})
		w := &askedWorker{storeWorker: c.worker().(*storeWorker), answer: twoLayers()}
		comp := exportCompression{compression.Zstd, g.newExport("s3", "", nil)}
		_, err := getRemotes(c.Ctx, g.Worker(w), nil, requested(comp), true)
		require.NoError(t, err)
		assert.Equal(t, want, w.asked, mode)
	}
	g := newTestGuard(t, config.Config{Mode: config.ModeBlock})
	remotes, err := getRemotes(c.Ctx, g.Worker(c.worker()), c.Chain(t, 2), requested(compression.Gzip), true)
	require.NoError(t, err)
	assert.Len(t, remotes, 1, "nobody knows that it is for an export")
}

// TestObserveAsksBeforeUpstreamAnswers asks for the main remote first where upstream would build
// the product, and counts what it would have.
func TestObserveAsksBeforeUpstreamAnswers(t *testing.T) {
	c := newTestCache(t)
	first := request{compression.Zstd, false, false}
	for name, tc := range map[string]struct {
		all, create, force, noStore bool
		answer                      []*solver.Remote
		err                         error
		want                        []request
		counted                     bool
	}{
		"all":                  {all: true, answer: twoLayers(), want: []request{first, {compression.Zstd, false, true}}, counted: true},
		"the main remote":      {answer: twoLayers(), want: []request{{compression.Zstd, false, false}}},
		"new blobs":            {all: true, create: true, answer: twoLayers(), want: []request{{compression.Zstd, true, true}}},
		"one compression":      {all: true, force: true, answer: twoLayers(), want: []request{{compression.Zstd, false, true}}},
		"no content store":     {all: true, noStore: true, answer: twoLayers(), want: []request{{compression.Zstd, false, true}}},
		"failed":               {all: true, answer: twoLayers(), err: errFull, want: []request{first, {compression.Zstd, false, true}}},
		"no remote":            {all: true, want: []request{first, {compression.Zstd, false, true}}},
		"a remote of no layer": {all: true, answer: []*solver.Remote{{}}, want: []request{first, {compression.Zstd, false, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTestGuard(t, config.Config{Mode: config.ModeObserve})
			w := &askedWorker{storeWorker: c.brokenWorker(), answer: tc.answer, err: tc.err}
			if tc.noStore {
				w.store = nil
			}
			cfg := requested(exportCompression{compression.Zstd, g.newExport("s3", "", nil)})
			cfg.Compression.Force = tc.force
			remotes, err := g.Worker(w).(*guardedWorker).GetRemotes(c.Ctx, nil, tc.create, cfg, tc.all, nil)
			assert.Equal(t, tc.err, err)
			assert.Equal(t, tc.answer, remotes)
			assert.Equal(t, tc.want, w.asked)
			assert.Equal(t, tc.counted, g.Status().WalkErrors == 1, "the store of this worker fails when it is asked")
		})
	}
}

// TestOneRemoteIsAllThatIsAskedFor has requests that have no use for variants, and answers that
// have none.
func TestOneRemoteIsAllThatIsAskedFor(t *testing.T) {
	c := newTestCache(t)
	export := func(g *Guard) compression.Type {
		return exportCompression{compression.Zstd, g.newExport("s3", "", nil)}
	}
	plain := func(*Guard) compression.Type { return compression.Zstd }
	for name, tc := range map[string]struct {
		compression func(*Guard) compression.Type
		all, force  bool
		answer      []*solver.Remote
		decorated   bool
	}{
		"all":                    {plain, true, false, twoLayers(), true},
		"not all":                {plain, false, false, twoLayers(), false},
		"one compression":        {plain, true, true, twoLayers(), false},
		"not all for an export":  {export, false, false, twoLayers(), true},
		"one for an export":      {export, true, true, twoLayers(), true},
		"no remote":              {export, true, false, nil, false},
		"no layers":              {export, true, false, []*solver.Remote{{Provider: sizedStore{}}}, false},
		"no layers for somebody": {plain, true, false, []*solver.Remote{{Provider: sizedStore{}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTestGuard(t, config.Config{})
			w := &askedWorker{storeWorker: c.brokenWorker(), answer: tc.answer}
			cfg := requested(tc.compression(g))
			cfg.Compression.Force = tc.force
			remotes, err := getRemotes(c.Ctx, g.Worker(w), nil, cfg, tc.all)
			require.NoError(t, err)
			assert.Equal(t, tc.decorated, g.Status().WalkErrors == 1, "the store is asked for variants, and fails")
			if !tc.decorated {
				assert.Equal(t, tc.answer, remotes)
				return
			}
			require.Len(t, remotes, 1)
			assert.IsType(t, &provider{}, remotes[0].Provider)
		})
	}
}

// TestForcedCompressionSparesNothing has a chain with many combinations: upstream builds none if
// all layers are converted.
func TestForcedCompressionSparesNothing(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 12, compression.Zstd, compression.EStargz)
	for _, force := range []bool{false, true} {
		g := newTestGuard(t, config.Config{})
		cfg := requested(exportCompression{compression.Zstd, g.newExport("s3", "", nil)})
		cfg.Compression.Force = force
		remotes, err := getRemotes(c.Ctx, g.Worker(c.worker()), ref, cfg, true)
		require.NoError(t, err)
		p := remotes[0].Provider.(*provider)
		assert.Greater(t, p.found.estimate.Remotes, uint64(256))
		assert.Equal(t, !force, p.spared)
	}
}

// TestWorkersThatDescribeLayersThemselves have no refs of layers to remember.
func TestWorkersThatDescribeLayersThemselves(t *testing.T) {
	c := newTestCache(t)
	ref := c.Chain(t, 2)
	g := newTestGuard(t, config.Config{})
	e := g.newExport("s3", "", nil)
	plain := c.worker()
	for name, tc := range map[string]struct {
		worker *guardedWorker
		export *export
		ref    cache.ImmutableRef
		layers int
	}{
		"upstream's":              {g.Worker(plain).(*guardedWorker), e, ref, 2},
		"no export":               {g.Worker(plain).(*guardedWorker), nil, ref, 0},
		"no ref":                  {g.Worker(plain).(*guardedWorker), e, nil, 0},
		"with its own remotes":    {g.Worker(otherWorker{&storeWorker{store: c.Store}}).(*guardedWorker), e, ref, 0},
		"without a content store": {g.Worker(&storeWorker{}).(*guardedWorker), e, ref, 0},
	} {
		ctx, hook := logged(c.Ctx)
		assert.Len(t, tc.worker.layerRefs(ctx, tc.export, tc.ref), tc.layers, name)
		assert.Empty(t, messages(hook))
	}
}

func TestExporterThatCannotBeMade(t *testing.T) {
	c := newTestCache(t)
	w := newTestGuard(t, config.Config{}).Worker(&askedWorker{storeWorker: c.worker().(*storeWorker), err: errFull})
	_, err := w.Exporter("image", nil)
	require.ErrorIs(t, err, errFull)
}

// TestClientThatGoesAwayIsNoFailure has a store that fails as nobody waits any more.
func TestClientThatGoesAwayIsNoFailure(t *testing.T) {
	c := newTestCache(t)
	g := newTestGuard(t, config.Config{})
	w := g.Worker(&askedWorker{storeWorker: c.brokenWorker(), answer: twoLayers()})
	ctx, cancel := context.WithCancel(c.Ctx)
	cancel()
	_, err := getRemotes(ctx, w, nil, requested(compression.Gzip), true)
	require.NoError(t, err)
	assert.Zero(t, g.Status().WalkErrors)
	_, err = getRemotes(c.Ctx, w, nil, requested(compression.Gzip), true)
	require.NoError(t, err)
	assert.EqualValues(t, 1, g.Status().WalkErrors)
}

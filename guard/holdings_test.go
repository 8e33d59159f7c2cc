package guard

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/control"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/cachetest"
)

// expire makes the guard look again.
func expire(g *Guard) {
	g.holdings.mu.Lock()
	defer g.holdings.mu.Unlock()
	g.holdings.taken.Taken = time.Time{}
}

// TestStatusTellsWhatTheWorkersHold has two workers, of which one holds more, and one that
// holds nothing.
func TestStatusTellsWhatTheWorkersHold(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	assert.Nil(t, g.Status().Variants, "there is no worker yet")
	small, large := newTestCache(t), newTestCache(t)
	for _, c := range []*testCache{small, large} {
		g.Worker(c.worker())
	}
	g.Worker(otherWorker{&storeWorker{}})
	small.Chain(t, 3, compression.Zstd)
	ref := large.Chain(t, 18)

	s := g.Status().Variants
	require.NotNil(t, s)
	assert.Empty(t, s.Error)
	assert.Equal(t, 21, s.Layers)
	assert.Equal(t, 3, s.Variants)
	assert.NotZero(t, s.Surplus)
	require.NotNil(t, s.Largest)
	assert.Equal(t, "4", s.Largest.Remotes)

	large.Convert(t, ref, compression.Zstd)
	assert.Equal(t, s, g.Status().Variants, "an answer is good for a minute")
	expire(g)
	now := g.Status().Variants
	assert.Equal(t, 21, now.Layers)
	assert.Equal(t, 21, now.Variants)
	assert.Greater(t, now.Surplus, s.Surplus)
	assert.Equal(t, &ChainStatus{Record: ref.ID(), Layers: 18, Compressions: 2, Remotes: "2^17", Log2: 17, StockBytes: 1200 << 17}, now.Largest)
}

// measured are the series of a guard.
func measured(t *testing.T, reader *sdkmetric.ManualReader) map[string]metricdata.Aggregation {
	t.Helper()
	var metrics metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &metrics))
	found := make(map[string]metricdata.Aggregation)
	for _, m := range metrics.ScopeMetrics[0].Metrics {
		found[m.Name] = m.Data
	}
	return found
}

func TestVariantsAreMeasured(t *testing.T) {
	c := newTestCache(t)
	c.Chain(t, 4, compression.Zstd)
	reader := sdkmetric.NewManualReader()
	g := newTestGuard(t, config.Config{})
	g.Control(control.Opt{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	assert.NotContains(t, measured(t, reader), "bkguard.variant.layers", "there is no worker yet")
	g.Worker(c.worker())
	found := measured(t, reader)
	for name, want := range map[string]int64{"bkguard.variant.layers": 4, "bkguard.variant": int64(g.Status().Variants.Surplus)} {
		metricdatatest.AssertAggregationsEqual(t, metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{Value: want}}},
			found[name], metricdatatest.IgnoreTimestamp())
		assert.NotZero(t, want)
	}
}

// TestOffMeasuresNoVariants leaves the store alone.
func TestOffMeasuresNoVariants(t *testing.T) {
	c := newTestCache(t)
	c.Chain(t, 2, compression.Zstd)
	store := &brokenStore{Store: c.Blobs}
	reader := sdkmetric.NewManualReader()
	g := newTestGuard(t, config.Config{Mode: config.ModeOff})
	g.Control(control.Opt{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	g.Worker(&storeWorker{store: containerdsnapshot.NewContentStore(store, cachetest.Namespace), manager: c.Manager})
	assert.NotContains(t, measured(t, reader), "bkguard.variant.layers")
	assert.Zero(t, store.walked)
}

// TestDecoratedTwiceCountsOnce has an embedder that decorates a worker for each of its uses.
func TestDecoratedTwiceCountsOnce(t *testing.T) {
	c := newTestCache(t)
	c.Chain(t, 2, compression.Zstd)
	g := newTestGuard(t, config.Config{})
	w := c.worker()
	g.Worker(w)
	g.Worker(w)
	assert.Equal(t, 2, g.Status().Variants.Layers)
}

// brokenStore is a content store that cannot be walked while it is broken.
type brokenStore struct {
	content.Store
	broken bool
	walked int
}

func (s *brokenStore) Walk(ctx context.Context, fn content.WalkFunc, filters ...string) error {
	s.walked++
	if s.broken {
		return errors.New("broken")
	}
	return s.Store.Walk(ctx, fn, filters...)
}

// TestFailedInventory keeps the last figures, says what is wrong, and is not tried again at
// once.
func TestFailedInventory(t *testing.T) {
	c := newTestCache(t)
	c.Chain(t, 2, compression.Zstd)
	store := &brokenStore{Store: c.Blobs, broken: true}
	g := newTestGuard(t, config.Config{})
	g.Worker(&storeWorker{store: containerdsnapshot.NewContentStore(store, cachetest.Namespace), manager: c.Manager})
	reader := sdkmetric.NewManualReader()
	g.Control(control.Opt{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	assert.NotContains(t, measured(t, reader), "bkguard.variant.layers", "nobody knows")
	for range 3 {
		assert.Equal(t, "read the content store: broken", g.Status().Variants.Error)
		assert.Zero(t, g.Status().Variants.Layers)
	}
	assert.Equal(t, 1, store.walked)
	store.broken = false
	expire(g)
	assert.Equal(t, 2, g.Status().Variants.Variants)
	assert.Empty(t, g.Status().Variants.Error)
	store.broken = true
	expire(g)
	assert.Equal(t, 2, g.Status().Variants.Variants)
	assert.NotEmpty(t, g.Status().Variants.Error)
}

// TestManyAskAtOnce has one inventory made for all of them.
func TestManyAskAtOnce(t *testing.T) {
	c := newTestCache(t)
	c.Chain(t, 2, compression.Zstd)
	store := &brokenStore{Store: c.Blobs}
	g := newTestGuard(t, config.Config{})
	g.Worker(&storeWorker{store: containerdsnapshot.NewContentStore(store, cachetest.Namespace), manager: c.Manager})
	var asking sync.WaitGroup
	for range 16 {
		asking.Go(func() { assert.Equal(t, 2, g.Status().Variants.Variants) })
	}
	asking.Wait()
	assert.Equal(t, 1, store.walked)
}

// TestWorkersWithoutLayersInCompressions are those of moby, and such that have no cache.
func TestWorkersWithoutLayersInCompressions(t *testing.T) {
	c := newTestCache(t)
	c.Chain(t, 2, compression.Zstd)
	for name, w := range map[string]*storeWorker{"no store": {manager: c.Manager}, "no cache": {store: c.Store}, "neither": {}} {
		g := newTestGuard(t, config.Config{})
		g.Worker(w)
		status := g.Status().Variants
		assert.Empty(t, status.Error, name)
		assert.Zero(t, status.Layers, name)
	}
}

// TestFirstOfTheLargestChainsIsNamed has two workers with the same layers.
func TestFirstOfTheLargestChainsIsNamed(t *testing.T) {
	one, other := newTestCache(t), newTestCache(t)
	ref := one.Chain(t, 4, compression.Zstd)
	other.Chain(t, 4, compression.Zstd)
	g := newTestGuard(t, config.Config{})
	g.Worker(one.worker())
	g.Worker(other.worker())
	status := g.Status().Variants
	assert.Equal(t, 8, status.Layers)
	assert.Equal(t, ref.ID(), status.Largest.Record)
}

package guard

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/session"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	"github.com/moby/buildkit/worker"
	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/cachetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// testCache is upstream's cache, and the workers of it.
type testCache struct{ *cachetest.Cache }

func newTestCache(tb testing.TB) *testCache { return &testCache{cachetest.New(tb)} }

// stages makes the refs of the steps of several stages upon one base, topmost first as
// upstream asks for them. Chains have so many layers at most, in gzip and in variants.
func (c *testCache) stages(tb testing.TB, stages, steps, layers int, variants ...compression.Type) []cache.ImmutableRef {
	base := c.Chain(tb, layers-steps)
	var refs []cache.ImmutableRef
	for stage := range stages {
		ref := base
		for step := range steps {
			ref = c.Add(tb, ref, layers+stage*steps+step, compression.Gzip)
			refs = append(refs, ref)
		}
		c.Convert(tb, ref, variants...)
	}
	slices.Reverse(refs)
	return refs
}

// onLazy makes refs with layers from number n on: two that are lazy, and one upon them that is
// not.
func (c *testCache) onLazy(tb testing.TB, n int) []cache.ImmutableRef {
	elsewhere := contentutil.NewBuffer()
	handlers := cache.DescHandlers{}
	var refs []cache.ImmutableRef
	var parent cache.ImmutableRef
	for i, store := range []content.Ingester{elsewhere, elsewhere, c.Store} {
		desc, data := cachetest.Layer(tb, n+i, compression.Gzip)
		require.NoError(tb, content.WriteBlob(c.Ctx, store, desc.Digest.String(), bytes.NewReader(data), desc))
		handlers[desc.Digest] = &cache.DescHandler{Provider: func(session.Group) content.Provider { return elsewhere }}
		ref, err := c.Manager.GetByBlob(c.Ctx, desc, parent, handlers)
		require.NoError(tb, err)
		tb.Cleanup(func() { require.NoError(tb, ref.Release(context.WithoutCancel(c.Ctx))) })
		refs, parent = append(refs, ref), ref
	}
	return refs
}

// worker is a worker of the cache. Any method but ContentStore and CacheManager panics, as
// the guard has no business calling it.
func (c *testCache) worker() worker.Worker {
	return &storeWorker{store: c.Store, manager: c.Manager}
}

// countedWorker is a worker of the cache whose content store counts what it is
// asked. Upstream's part of the cache does not go through it.
func (c *testCache) countedWorker() (worker.Worker, *countingStore) {
	counting := &countingStore{Store: c.Blobs, asked: make(map[digest.Digest]int)}
	return &storeWorker{store: containerdsnapshot.NewContentStore(counting, cachetest.Namespace)}, counting
}

// countingStore counts how often it is asked for the info of each blob.
type countingStore struct {
	content.Store

	mu    sync.Mutex
	asked map[digest.Digest]int // protected by mu
}

func (s *countingStore) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	s.mu.Lock()
	s.asked[dgst]++
	s.mu.Unlock()
	return s.Store.Info(ctx, dgst)
}

// brokenWorker is a worker of the cache whose content store cannot tell what it has.
func (c *testCache) brokenWorker() *storeWorker {
	return &storeWorker{store: containerdsnapshot.NewContentStore(silentStore{c.Blobs}, cachetest.Namespace), manager: c.Manager}
}

type storeWorker struct {
	worker.Worker // nil
	store         *containerdsnapshot.Store
	manager       cache.Manager
}

func (w *storeWorker) ContentStore() *containerdsnapshot.Store { return w.store }

func (w *storeWorker) CacheManager() cache.Manager { return w.manager }

// requested is a request for a compression.
func requested(comp compression.Type) cacheconfig.RefConfig {
	return cacheconfig.RefConfig{Compression: compression.New(comp)}
}

// newTestGuard makes a guard with a budget that does not depend on the machine.
func newTestGuard(tb testing.TB, c config.Config) *Guard {
	tb.Helper()
	if c.MaxMemory == (config.Memory{}) {
		c.MaxMemory = config.Memory{Bytes: 1 << 30}
	}
	g, err := New(c)
	require.NoError(tb, err)
	return g
}

// waitFor bounds the wait for what happens in the background, tick is the pause
// between two looks.
const (
	waitFor = 30 * time.Second
	tick    = 10 * time.Millisecond
)

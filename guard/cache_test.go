package guard

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff/apply"
	ctdmetadata "github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/snapshot"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/worker"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/bkguard/bkguard/config"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// allCompressions are those that a layer can have on a worker.
var allCompressions = []compression.Type{compression.Gzip, compression.Zstd, compression.EStargz, compression.Uncompressed}

// ns is the namespace of the tests' content.
const ns = "bkguard-test"

// testCache is upstream's cache with all its real parts on a disk.
type testCache struct {
	manager cache.Manager
	store   *containerdsnapshot.Store
	// blobs is below store, which does not allow to delete.
	blobs  content.Store
	leases *leaseutil.Manager
	// ctx has the namespace, and a lease that keeps all blobs.
	ctx context.Context
}

func newTestCache(tb testing.TB) *testCache {
	tb.Helper()
	const snapshotterName = "native"
	root := tb.TempDir()
	closeAfter := func(c interface{ Close() error }) {
		tb.Cleanup(func() { require.NoError(tb, c.Close()) })
	}

	snapshotter, err := native.NewSnapshotter(filepath.Join(root, "snapshots"))
	require.NoError(tb, err)
	blobs, err := local.NewStore(root)
	require.NoError(tb, err)
	db, err := bolt.Open(filepath.Join(root, "containerdmeta.db"), 0o600, &bolt.Options{NoSync: true})
	require.NoError(tb, err)
	closeAfter(db)
	mdb := ctdmetadata.NewDB(db, blobs, map[string]snapshots.Snapshotter{snapshotterName: snapshotter})
	require.NoError(tb, mdb.Init(context.Background()))
	store := containerdsnapshot.NewContentStore(mdb.ContentStore(), ns)
	leases := leaseutil.WithNamespace(ctdmetadata.NewLeaseManager(mdb), ns)
	md, err := metadata.NewStore(filepath.Join(root, "metadata.db"))
	require.NoError(tb, err)
	closeAfter(md)
	manager, err := cache.NewManager(cache.ManagerOpt{
		Snapshotter:    snapshot.FromContainerdSnapshotter(snapshotterName, containerdsnapshot.NSSnapshotter(ns, mdb.Snapshotter(snapshotterName)), nil),
		MetadataStore:  md,
		ContentStore:   store,
		LeaseManager:   leases,
		GarbageCollect: mdb.GarbageCollect,
		Applier:        apply.NewFileSystemApplier(store),
		Differ:         walking.NewWalkingDiff(store),
		Root:           root,
		MountPoolRoot:  filepath.Join(root, "cachemounts"),
	})
	require.NoError(tb, err)
	closeAfter(manager)

	ctx, done, err := leaseutil.WithLease(namespaces.WithNamespace(context.Background(), ns), leases, leaseutil.MakeTemporary)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, done(ctx)) })
	return &testCache{manager: manager, store: store, blobs: mdb.ContentStore(), leases: leases, ctx: ctx}
}

// worker is a worker of the cache. Any method but ContentStore panics, as the
// guard has no business calling it.
func (c *testCache) worker() worker.Worker {
	return &storeWorker{store: c.store}
}

// countedWorker is a worker of the cache whose content store counts what it is
// asked. Upstream's part of the cache does not go through it.
func (c *testCache) countedWorker() (worker.Worker, *countingStore) {
	counting := &countingStore{Store: c.blobs, asked: make(map[digest.Digest]int)}
	return &storeWorker{store: containerdsnapshot.NewContentStore(counting, ns)}, counting
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

type storeWorker struct {
	worker.Worker // nil
	store         *containerdsnapshot.Store
}

func (w *storeWorker) ContentStore() *containerdsnapshot.Store { return w.store }

// layer makes layer number n of the images of the tests, in a compression.
func layer(tb testing.TB, n int, comp compression.Type) (ocispecs.Descriptor, []byte) {
	tb.Helper()
	var blob, uncompressed bytes.Buffer
	compress, _ := comp.Compress(context.Background(), compression.New(comp))
	w, err := compress(&blob, comp.MediaType())
	require.NoError(tb, err)
	for _, dest := range []interface {
		Write([]byte) (int, error)
	}{w, &uncompressed} {
		tw := tar.NewWriter(dest)
		text := fmt.Sprintf("layer %d", n)
		require.NoError(tb, tw.WriteHeader(&tar.Header{Name: fmt.Sprintf("file-%d", n), Size: int64(len(text)), Mode: 0o644}))
		_, err = tw.Write([]byte(text))
		require.NoError(tb, err)
		require.NoError(tb, tw.Close())
	}
	require.NoError(tb, w.Close())
	return ocispecs.Descriptor{
		MediaType:   comp.MediaType(),
		Digest:      digest.FromBytes(blob.Bytes()),
		Size:        int64(blob.Len()),
		Annotations: map[string]string{labels.LabelUncompressed: digest.FromBytes(uncompressed.Bytes()).String()},
	}, blob.Bytes()
}

// chain makes a ref of so many layers with own blobs in gzip. Upstream then
// converts the whole chain to each of the compressions.
func (c *testCache) chain(tb testing.TB, layers int, variants ...compression.Type) cache.ImmutableRef {
	tb.Helper()
	var ref cache.ImmutableRef
	for n := range layers {
		ref = c.add(tb, ref, n, compression.Gzip)
	}
	c.convert(tb, ref, variants...)
	return ref
}

// add puts layer number n on a ref, which may be nil.
func (c *testCache) add(tb testing.TB, parent cache.ImmutableRef, n int, comp compression.Type) cache.ImmutableRef {
	tb.Helper()
	desc, data := layer(tb, n, comp)
	require.NoError(tb, content.WriteBlob(c.ctx, c.store, desc.Digest.String(), bytes.NewReader(data), desc))
	ref, err := c.manager.GetByBlob(c.ctx, desc, parent)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, ref.Release(context.WithoutCancel(c.ctx))) })
	return ref
}

// onBlobs makes a ref whose layers own blobs that are in the store already.
func (c *testCache) onBlobs(tb testing.TB, chain []ocispecs.Descriptor) cache.ImmutableRef {
	tb.Helper()
	var ref cache.ImmutableRef
	for _, desc := range chain {
		next, err := c.manager.GetByBlob(c.ctx, desc, ref)
		require.NoError(tb, err)
		tb.Cleanup(func() { require.NoError(tb, next.Release(context.WithoutCancel(c.ctx))) })
		ref = next
	}
	return ref
}

// lazy makes a ref of so many layers that are not on the worker. pulled counts
// the reads of their blobs.
func (c *testCache) lazy(tb testing.TB, layers int) (ref cache.ImmutableRef, pulled *countingProvider) {
	tb.Helper()
	pulled = &countingProvider{Buffer: contentutil.NewBuffer()}
	handlers := cache.DescHandlers{}
	for n := range layers {
		desc, data := layer(tb, n, compression.Gzip)
		require.NoError(tb, content.WriteBlob(c.ctx, pulled, desc.Digest.String(), bytes.NewReader(data), desc))
		handlers[desc.Digest] = &cache.DescHandler{Provider: func(session.Group) content.Provider { return pulled }}
		next, err := c.manager.GetByBlob(c.ctx, desc, ref, handlers)
		require.NoError(tb, err)
		tb.Cleanup(func() { require.NoError(tb, next.Release(context.WithoutCancel(c.ctx))) })
		ref = next
	}
	return ref, pulled
}

// convert lets upstream make variants of all layers of a ref.
func (c *testCache) convert(tb testing.TB, ref cache.ImmutableRef, variants ...compression.Type) {
	tb.Helper()
	for _, comp := range variants {
		_, err := ref.GetRemotes(c.ctx, true, cacheconfig.RefConfig{Compression: compression.New(comp).SetForce(true)}, false, nil)
		require.NoError(tb, err)
	}
}

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

// countingProvider counts the blobs that are read from it.
type countingProvider struct {
	contentutil.Buffer
	reads atomic.Int64
}

func (p *countingProvider) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	p.reads.Add(1)
	return p.Buffer.ReaderAt(ctx, desc)
}

// waitFor bounds the wait for what happens in the background, tick is the pause
// between two looks.
const (
	waitFor = 30 * time.Second
	tick    = 10 * time.Millisecond
)

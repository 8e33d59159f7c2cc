// Package cachetest sets up upstream's cache with all its real parts, for the tests of
// what is built upon it.
package cachetest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

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
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
)

// AllCompressions are those that a layer can have on a worker.
var AllCompressions = []compression.Type{compression.Gzip, compression.Zstd, compression.EStargz, compression.Uncompressed}

// Namespace is that of the tests' content.
const Namespace = "bkguard-test"

// Cache is upstream's cache with all its real parts on a disk.
type Cache struct {
	Manager cache.Manager
	Store   *containerdsnapshot.Store
	// Blobs is below Store, which does not allow to delete.
	Blobs  content.Store
	Leases *leaseutil.Manager
	// Ctx has the namespace, and a lease that keeps all blobs.
	Ctx context.Context
	// Root is the directory that all of it is in. Its databases have the names of those of
	// a worker (worker/runc/runc.go).
	Root string
}

// New makes an empty cache, which ends with the test.
func New(tb testing.TB) *Cache {
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
	store := containerdsnapshot.NewContentStore(mdb.ContentStore(), Namespace)
	leases := leaseutil.WithNamespace(ctdmetadata.NewLeaseManager(mdb), Namespace)
	md, err := metadata.NewStore(filepath.Join(root, "metadata_v2.db"))
	require.NoError(tb, err)
	closeAfter(md)
	manager, err := cache.NewManager(cache.ManagerOpt{
		Snapshotter:    snapshot.FromContainerdSnapshotter(snapshotterName, containerdsnapshot.NSSnapshotter(Namespace, mdb.Snapshotter(snapshotterName)), nil),
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

	ctx, done, err := leaseutil.WithLease(namespaces.WithNamespace(context.Background(), Namespace), leases, leaseutil.MakeTemporary)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, done(ctx)) })
	return &Cache{Manager: manager, Store: store, Blobs: mdb.ContentStore(), Leases: leases, Ctx: ctx, Root: root}
}

// Layer makes layer number n of the images of the tests, in a compression.
func Layer(tb testing.TB, n int, comp compression.Type) (ocispecs.Descriptor, []byte) {
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

// Chain makes a ref of so many layers with own blobs in gzip. Upstream then
// converts the whole chain to each of the compressions.
func (c *Cache) Chain(tb testing.TB, layers int, variants ...compression.Type) cache.ImmutableRef {
	tb.Helper()
	var ref cache.ImmutableRef
	for n := range layers {
		ref = c.Add(tb, ref, n, compression.Gzip)
	}
	c.Convert(tb, ref, variants...)
	return ref
}

// Add puts layer number n on a ref, which may be nil.
func (c *Cache) Add(tb testing.TB, parent cache.ImmutableRef, n int, comp compression.Type) cache.ImmutableRef {
	tb.Helper()
	desc, data := Layer(tb, n, comp)
	require.NoError(tb, content.WriteBlob(c.Ctx, c.Store, desc.Digest.String(), bytes.NewReader(data), desc))
	ref, err := c.Manager.GetByBlob(c.Ctx, desc, parent)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, ref.Release(context.WithoutCancel(c.Ctx))) })
	return ref
}

// OnBlobs makes a ref whose layers own blobs that are in the store already.
func (c *Cache) OnBlobs(tb testing.TB, chain []ocispecs.Descriptor) cache.ImmutableRef {
	tb.Helper()
	var ref cache.ImmutableRef
	for _, desc := range chain {
		next, err := c.Manager.GetByBlob(c.Ctx, desc, ref)
		require.NoError(tb, err)
		tb.Cleanup(func() { require.NoError(tb, next.Release(context.WithoutCancel(c.Ctx))) })
		ref = next
	}
	return ref
}

// Lazy makes a ref of so many layers that are not on the worker. pulled counts
// the reads of their blobs.
func (c *Cache) Lazy(tb testing.TB, layers int) (ref cache.ImmutableRef, pulled *CountingProvider) {
	tb.Helper()
	pulled = &CountingProvider{Buffer: contentutil.NewBuffer()}
	handlers := cache.DescHandlers{}
	for n := range layers {
		desc, data := Layer(tb, n, compression.Gzip)
		require.NoError(tb, content.WriteBlob(c.Ctx, pulled, desc.Digest.String(), bytes.NewReader(data), desc))
		handlers[desc.Digest] = &cache.DescHandler{Provider: func(session.Group) content.Provider { return pulled }}
		next, err := c.Manager.GetByBlob(c.Ctx, desc, ref, handlers)
		require.NoError(tb, err)
		tb.Cleanup(func() { require.NoError(tb, next.Release(context.WithoutCancel(c.Ctx))) })
		ref = next
	}
	return ref, pulled
}

// Convert lets upstream make variants of all layers of a ref.
func (c *Cache) Convert(tb testing.TB, ref cache.ImmutableRef, variants ...compression.Type) {
	tb.Helper()
	for _, comp := range variants {
		_, err := ref.GetRemotes(c.Ctx, true, cacheconfig.RefConfig{Compression: compression.New(comp).SetForce(true)}, false, nil)
		require.NoError(tb, err)
	}
}

// CountingProvider counts the blobs that are read from it.
type CountingProvider struct {
	contentutil.Buffer
	Reads atomic.Int64
}

// ReaderAt counts the read.
func (p *CountingProvider) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	p.Reads.Add(1)
	return p.Buffer.ReaderAt(ctx, desc)
}

package upstream

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff/apply"
	ctdmetadata "github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	"github.com/moby/buildkit/snapshot"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/worker"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"
)

const (
	namespace   = "bkguard-check"
	snapshotter = "native"
)

// smallCache is upstream's cache with its real parts. Its databases are in a
// directory, its blobs in memory.
type smallCache struct {
	manager cache.Manager
	store   *containerdsnapshot.Store
	// worker answers for the remotes of the refs, exporters make the exporters
	// of their records.
	worker    worker.Worker
	exporters map[string]remotecache.ResolveCacheExporterFunc
	// layers are the refs of the one chain that all reproductions use a part of.
	layers []cache.ImmutableRef
	// closers are in the order in which they were opened.
	closers []func() error
}

// storeWorker is a worker of the cache. It has what GetRemotes needs; any other
// method panics, as nothing here has any business calling it.
type storeWorker struct {
	worker.Worker // nil
	store         *containerdsnapshot.Store
}

func (w *storeWorker) ContentStore() *containerdsnapshot.Store { return w.store }

// openCache makes a cache in an empty directory. The context that it returns is
// the one to use the cache with: it has a lease that keeps all blobs.
func openCache(ctx context.Context, root string) (_ context.Context, _ *smallCache, err error) {
	c := &smallCache{exporters: map[string]remotecache.ResolveCacheExporterFunc{
		"inline":   inline.ResolveCacheExporterFunc(),
		"registry": resolveChainsExporter,
	}}
	defer func() {
		if err != nil {
			_ = c.close()
		}
	}()
	snapshotterDir, err := native.NewSnapshotter(filepath.Join(root, "snapshots"))
	if err != nil {
		return nil, nil, err
	}
	db, err := bolt.Open(filepath.Join(root, "containerdmeta.db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		return nil, nil, err
	}
	c.closers = append(c.closers, db.Close)
	mdb := ctdmetadata.NewDB(db, contentutil.NewBuffer(), map[string]snapshots.Snapshotter{snapshotter: snapshotterDir})
	if err := mdb.Init(ctx); err != nil {
		return nil, nil, err
	}
	c.store = containerdsnapshot.NewContentStore(mdb.ContentStore(), namespace)
	c.worker = &storeWorker{store: c.store}
	leases := leaseutil.WithNamespace(ctdmetadata.NewLeaseManager(mdb), namespace)
	md, err := metadata.NewStore(filepath.Join(root, "metadata.db"))
	if err != nil {
		return nil, nil, err
	}
	c.closers = append(c.closers, md.Close)
	c.manager, err = cache.NewManager(cache.ManagerOpt{
		Snapshotter:    snapshot.FromContainerdSnapshotter(snapshotter, containerdsnapshot.NSSnapshotter(namespace, mdb.Snapshotter(snapshotter)), nil),
		MetadataStore:  md,
		ContentStore:   c.store,
		LeaseManager:   leases,
		GarbageCollect: mdb.GarbageCollect,
		Applier:        apply.NewFileSystemApplier(c.store),
		Differ:         walking.NewWalkingDiff(c.store),
		Root:           root,
		MountPoolRoot:  filepath.Join(root, "cachemounts"),
	})
	if err != nil {
		return nil, nil, err
	}
	c.closers = append(c.closers, c.manager.Close)
	ctx, done, err := leaseutil.WithLease(namespaces.WithNamespace(ctx, namespace), leases, leaseutil.MakeTemporary)
	if err != nil {
		return nil, nil, err
	}
	c.closers = append(c.closers, func() error { return done(context.WithoutCancel(ctx)) })
	return ctx, c, nil
}

// close closes all parts, the last one first, and returns the first error.
func (c *smallCache) close() error {
	var err error
	for _, f := range slices.Backward(c.closers) {
		err = cmp.Or(err, f())
	}
	return err
}

// layer makes layer number n of all chains, in gzip.
func layer(ctx context.Context, n int) (ocispecs.Descriptor, []byte, error) {
	var blob, uncompressed bytes.Buffer
	compress, _ := compression.Gzip.Compress(ctx, compression.New(compression.Gzip))
	zw, err := compress(&blob, ocispecs.MediaTypeImageLayerGzip)
	if err != nil {
		return ocispecs.Descriptor{}, nil, err
	}
	tw := tar.NewWriter(&uncompressed)
	if err := tw.WriteHeader(&tar.Header{Name: fmt.Sprintf("layer-%d", n), Mode: 0o644}); err != nil {
		return ocispecs.Descriptor{}, nil, err
	}
	if err := tw.Close(); err != nil {
		return ocispecs.Descriptor{}, nil, err
	}
	if _, err := zw.Write(uncompressed.Bytes()); err != nil {
		return ocispecs.Descriptor{}, nil, err
	}
	if err := zw.Close(); err != nil {
		return ocispecs.Descriptor{}, nil, err
	}
	return ocispecs.Descriptor{
		MediaType:   ocispecs.MediaTypeImageLayerGzip,
		Digest:      digest.FromBytes(blob.Bytes()),
		Size:        int64(blob.Len()),
		Annotations: map[string]string{labels.LabelUncompressed: digest.FromBytes(uncompressed.Bytes()).String()},
	}, blob.Bytes(), nil
}

// chain returns the ref of so many layers with own blobs in gzip, and lets
// upstream convert them to each of the compressions. The layers are those of all
// chains of the cache.
func (c *smallCache) chain(ctx context.Context, layers int, variants ...compression.Type) (cache.ImmutableRef, error) {
	for n := len(c.layers); n < layers; n++ {
		desc, data, err := layer(ctx, n)
		if err != nil {
			return nil, err
		}
		if err := content.WriteBlob(ctx, c.store, desc.Digest.String(), bytes.NewReader(data), desc); err != nil {
			return nil, err
		}
		var parent cache.ImmutableRef
		if n > 0 {
			parent = c.layers[n-1]
		}
		ref, err := c.ref(ctx, desc, parent)
		if err != nil {
			return nil, err
		}
		c.layers = append(c.layers, ref)
	}
	ref := c.layers[layers-1]
	for _, comp := range variants {
		forced := cacheconfig.RefConfig{Compression: compression.New(comp).SetForce(true)}
		if _, err := ref.GetRemotes(ctx, true, forced, false, nil); err != nil {
			return nil, err
		}
	}
	return ref, nil
}

// ref makes the ref of a blob on a parent, which may be nil. It is released with
// the cache.
func (c *smallCache) ref(ctx context.Context, desc ocispecs.Descriptor, parent cache.ImmutableRef, opts ...cache.RefOption) (cache.ImmutableRef, error) {
	ref, err := c.manager.GetByBlob(ctx, desc, parent, opts...)
	if err != nil {
		return nil, err
	}
	c.closers = append(c.closers, func() error { return ref.Release(context.WithoutCancel(ctx)) })
	return ref, nil
}

// remotes asks for all remotes of a ref, as every cache export does.
func (c *smallCache) remotes(ctx context.Context, ref cache.ImmutableRef, comp compression.Config) ([]*solver.Remote, error) {
	r := worker.WorkerRef{ImmutableRef: ref, Worker: c.worker}
	return r.GetRemotes(ctx, false, cacheconfig.RefConfig{Compression: comp}, true, nil)
}

package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	"github.com/moby/buildkit/cache/remotecache/local"
	"github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/executor/oci"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/network/netproviders"
	"github.com/moby/buildkit/util/resolver"
	"github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	"github.com/moby/buildkit/worker/runc"

	"github.com/bkguard/bkguard/guard"
)

// newController makes the service of the daemon. The guard takes part twice:
// when the worker is added, and when the controller is made.
func newController(ctx context.Context, o options, g *guard.Guard) (*control.Controller, error) {
	if err := os.MkdirAll(o.root, 0o700); err != nil {
		return nil, err
	}
	hosts := resolver.NewRegistryConfig(nil)
	sessions, err := session.NewManager()
	if err != nil {
		return nil, err
	}

	w, err := newWorker(ctx, o, hosts)
	if err != nil {
		return nil, err
	}
	workers := &worker.Controller{}
	if err := workers.Add(g.Worker(w)); err != nil {
		return nil, err
	}

	gatewayFrontend, err := gateway.NewGatewayFrontend(workers.Infos(), nil)
	if err != nil {
		return nil, err
	}
	cacheStore, err := bboltcachestorage.NewStore(filepath.Join(o.root, "cache.db"))
	if err != nil {
		return nil, err
	}
	historyDB, err := boltutil.SafeOpen(filepath.Join(o.root, "history.db"), 0o600, nil)
	if err != nil {
		return nil, err
	}

	return control.NewController(g.Control(control.Opt{
		SessionManager:   sessions,
		WorkerController: workers,
		Frontends: map[string]frontend.Frontend{
			"dockerfile.v0": forwarder.NewGatewayForwarder(workers.Infos(), dockerfile.Build),
			"gateway.v0":    gatewayFrontend,
		},
		ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{
			"registry": registry.ResolveCacheExporterFunc(sessions, hosts),
			"local":    local.ResolveCacheExporterFunc(sessions),
			"inline":   inline.ResolveCacheExporterFunc(),
		},
		ResolveCacheImporterFuncs: map[string]remotecache.ResolveCacheImporterFunc{
			"registry": registry.ResolveCacheImporterFunc(sessions, w.ContentStore(), hosts),
			"local":    local.ResolveCacheImporterFunc(sessions),
		},
		CacheManager:   solver.NewCacheManager(ctx, "local", cacheStore, worker.NewCacheResultStorage(workers)),
		CacheStore:     cacheStore,
		HistoryDB:      historyDB,
		LeaseManager:   w.LeaseManager(),
		ContentStore:   w.ContentStore(),
		GarbageCollect: w.GarbageCollect,
		GracefulStop:   ctx.Done(),
	}))
}

// newWorker makes a worker with runc and overlayfs, which builds with the
// network of the machine.
func newWorker(ctx context.Context, o options, hosts docker.RegistryHosts) (*base.Worker, error) {
	snapshotter := runc.SnapshotterFactory{
		Name: "overlayfs",
		New:  func(root string) (snapshots.Snapshotter, error) { return overlay.NewSnapshotter(root) },
	}
	opt, err := runc.NewWorkerOpt(o.root, snapshotter, false, oci.ProcessSandbox, nil, nil,
		netproviders.Opt{Mode: "host"}, nil, "", "", false, nil, "", o.cgroupParent, nil)
	if err != nil {
		return nil, err
	}
	opt.RegistryHosts = hosts
	return base.NewWorker(ctx, opt)
}

package guard

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/bklog"
	"github.com/moby/buildkit/util/imageutil"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/internal/baseimage"
	"github.com/bkguard/bkguard/internal/variants"
)

// Frontends decorates the frontends of a daemon, so that they warn the client of
// a base image whose layers the worker holds in so many compressions that a
// cache export of it would build more than maxRemotes combinations. The store is
// that of the default worker, where a build's images are resolved: what is
// counted is what is there. The given map is left as it is, and so is a frontend
// that is decorated already. Without a store there is nothing to count, and the
// frontends are returned as they are.
//
// An image is warned of once in each run of a frontend, whatever the number of
// its stages and platforms, with the numbers of the worst. Nothing else of a
// build changes, and a failure of the guard is only logged.
//
// [Guard.Control] does this if the configuration asks for it.
func (g *Guard) Frontends(frontends map[string]frontend.Frontend, store content.InfoReaderProvider) map[string]frontend.Frontend {
	if g == nil || store == nil {
		return frontends
	}
	decorated := make(map[string]frontend.Frontend, len(frontends))
	for name, f := range frontends {
		if _, ok := f.(*guardedFrontend); !ok {
			f = &guardedFrontend{Frontend: f, guard: g, store: store}
		}
		decorated[name] = f
	}
	return decorated
}

// guardedFrontend is a frontend that warns of what it has resolved.
type guardedFrontend struct {
	frontend.Frontend
	guard *Guard
	store content.InfoReaderProvider
}

func (f *guardedFrontend) Solve(ctx context.Context, bridge frontend.FrontendLLBBridge, exec executor.Executor, opt map[string]string, inputs map[string]*pb.Definition, sid string, sm *session.Manager) (*frontend.Result, error) {
	_, gateway := opt[frontend.KeySource]
	watching := &watchedBridge{FrontendLLBBridge: bridge, gateway: gateway}
	result, err := f.Frontend.Solve(ctx, watching, exec, opt, inputs, sid, sm)
	if err == nil && baseimage.Built(opt) {
		for _, group := range watching.seen.ByDigest() {
			f.warn(ctx, bridge, group)
		}
	}
	return result, err
}

// watchedBridge is a bridge that notes the images which are resolved over it.
type watchedBridge struct {
	frontend.FrontendLLBBridge
	// gateway is set for gateway.v0, which runs the frontend in an image.
	gateway bool
	seen    baseimage.Seen
}

func (b *watchedBridge) ResolveSourceMetadata(ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	// gateway.v0 asks for that image without options, and adds some to what the
	// frontend in it asks for (frontend/gateway/gateway.go, Solve and
	// ResolveSourceMeta). No cache export contains the image.
	own := b.gateway && opt.ImageOpt == nil && opt.OCILayoutOpt == nil
	source, err := b.FrontendLLBBridge.ResolveSourceMetadata(ctx, op, opt)
	if err == nil && !own {
		b.seen.AddSource(source)
	}
	return source, err
}

// warn warns of an image, given its platforms, if one of them needs it.
func (f *guardedFrontend) warn(ctx context.Context, bridge frontend.FrontendLLBBridge, group []baseimage.Image) {
	var (
		worst baseimage.Image
		most  Estimate
	)
	for _, image := range group {
		e, err := f.estimate(ctx, image)
		if err != nil {
			bklog.G(ctx).WithError(err).WithField("image", image.Name).Debug("base image not counted")
			continue
		}
		if e.Log2 > most.Log2 {
			worst, most = image, e
		}
	}
	if most.Remotes <= f.guard.limits.maxRemotes {
		return
	}
	advice := "The guard of this daemon exports one chain of them."
	if mode, source := f.guard.Mode(""); mode == config.ModeOff || mode == config.ModeObserve {
		advice = fmt.Sprintf("The guard of this daemon leaves it at that: mode %s is set by %s.", mode, source)
	}
	worst.Warn(ctx, bridge,
		fmt.Sprintf("%s has %d layers, which this worker holds in %d compressions: %s",
			worst.Title(group), most.Layers, most.Compressions, baseimage.Unguarded(most)),
		advice)
}

// estimate counts the blobs that the worker has of an image's layers. The
// manifest is there since the image was resolved.
func (f *guardedFrontend) estimate(ctx context.Context, image baseimage.Image) (Estimate, error) {
	manifest, err := manifestOf(ctx, f.store, image)
	if err != nil {
		return Estimate{}, err
	}
	layers, err := variants.Find(ctx, f.store, manifest.Layers)
	return NewEstimate(layers.Counts()), err
}

// manifestOf reads the manifest of an image, through the index if there is one.
func manifestOf(ctx context.Context, store content.Provider, image baseimage.Image) (ocispecs.Manifest, error) {
	root := ocispecs.Descriptor{Digest: image.Digest}
	r, err := store.ReaderAt(ctx, root)
	if err != nil {
		return ocispecs.Manifest{}, err
	}
	defer r.Close()
	root.Size = r.Size()
	if root.MediaType, err = imageutil.DetectManifestMediaType(r); err != nil {
		return ocispecs.Manifest{}, err
	}
	return images.Manifest(ctx, store, root, platforms.Only(image.Platform))
}

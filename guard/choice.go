package guard

import (
	"context"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/internal/choice"
	"github.com/bkguard/bkguard/internal/uploads"
)

// record is a record of an export.
type record struct {
	// main is the worker's remote, remote the one that the inner exporter holds.
	main, remote *solver.Remote
	layers       []*choice.Layer
}

// layersOf puts the layers of a main remote and their variants into the pool.
func layersOf(pool *choice.Pool, main *solver.Remote) []*choice.Layer {
	p, worker := main.Provider.(*provider)
	layers := make([]*choice.Layer, len(main.Descriptors))
	var l choice.Layer
	for i, own := range main.Descriptors {
		l = choice.Layer{Own: choice.Blob{Descriptor: own, Provider: main.Provider, Worker: worker}, Variants: l.Variants[:0]}
		if worker {
			l.Own.Local = !p.found.isLazy(own.Digest)
			if p.found.layers != nil {
				for _, desc := range p.found.layers[i][1:] {
					l.Variants = append(l.Variants, choice.Blob{Descriptor: desc, Provider: main.Provider, Worker: true, Local: true})
				}
			}
		}
		layers[i] = pool.Add(l)
	}
	return layers
}

// layersAmong puts the layers of a main remote into the pool whose worker is not
// decorated: its other remotes have the variants.
func layersAmong(pool *choice.Pool, main *solver.Remote, results []solver.CacheExportResult) []*choice.Layer {
	layers := make([]*choice.Layer, len(main.Descriptors))
	for i, own := range main.Descriptors {
		l := choice.Layer{Own: choice.Blob{Descriptor: own, Provider: main.Provider}}
		for _, r := range results {
			other := r.Result
			if other == nil || other == main || other.Provider == nil || len(other.Descriptors) != len(main.Descriptors) {
				continue
			}
			desc := other.Descriptors[i]
			known := func(b choice.Blob) bool { return b.Digest == desc.Digest }
			if !known(l.Own) && !slices.ContainsFunc(l.Variants, known) {
				l.Variants = append(l.Variants, choice.Blob{Descriptor: desc, Provider: other.Provider})
			}
		}
		layers[i] = pool.Add(l)
	}
	return layers
}

// hasCompression tells which blobs need no conversion to a compression. Where that
// cannot be found out, the media type must do, which cannot tell estargz from gzip.
func hasCompression(ctx context.Context, comp compression.Type) func(choice.Blob) bool {
	return func(b choice.Blob) bool {
		if p, ok := b.Provider.(*provider); ok {
			if needs, err := comp.NeedsConversion(ctx, p.found.infos, b.Descriptor); err == nil {
				return !needs
			}
		}
		return compression.IsMediaType(comp, b.MediaType)
	}
}

// written is what an export writes. All its records read from it.
type written struct {
	route
	choice *choice.Choice
	// uploads opens the layers; nil means that sending them takes little memory.
	uploads *uploads.Layers
}

func newWritten(c *choice.Choice, u *uploads.Layers) *written {
	nothing := contentutil.NewMultiProvider(nil)
	return &written{choice: c, uploads: u, route: func(dgst digest.Digest) content.InfoReaderProvider {
		if p := c.Provider(dgst); p != nil {
			return p
		}
		return nothing
	}}
}

// Info answers from what was seen when the blob was chosen: upstream asks for
// every layer under every layer of every record (cache/remotecache/v1).
func (w *written) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	if info, ok := w.choice.Known(dgst); ok {
		return info, nil
	}
	return w.route.Info(ctx, dgst)
}

// sourcePrefix begins the annotations that say where else a lazy layer is: a registry can
// mount it from there instead of being sent it (cache/remote.go).
const sourcePrefix = "containerd.io/distribution.source."

// dropSources drops what was needed to send the layers. In the manifest it would tell
// whether a layer was pulled by now, so that the same cache would be other bytes; upstream
// drops it from the manifests of images (exporter/containerimage/writer.go).
func (w *written) dropSources() {
	w.choice.Layers(func(desc ocispecs.Descriptor) {
		for key := range desc.Annotations {
			if strings.HasPrefix(key, sourcePrefix) {
				delete(desc.Annotations, key)
			}
		}
	})
}

// ReaderAt opens a layer that is sent, when there is memory for that.
func (w *written) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	return w.uploads.ReaderAt(ctx, w.route, desc)
}

// writeChain gives a record's remote the chosen chain. If a layer is gone it keeps
// the main chain, which upstream then treats as it treats any lost layer.
func (w *written) writeChain(ctx context.Context, r *record) {
	chain, ok := w.choice.Chain(ctx, r.layers)
	if !ok {
		*r.remote = *r.main
		return
	}
	r.remote.Descriptors, r.remote.Provider = chain, w
}

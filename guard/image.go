package guard

import (
	"context"
	"strconv"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/result"
	"github.com/moby/buildkit/util/compression"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/internal/conversions"
	"github.com/bkguard/bkguard/internal/memory"
)

// imageExporter decorates an exporter of images, so that the layers which it
// compresses wait for memory. Upstream's image exporters ask the refs of a build
// for their remotes, never a worker (exporter/containerimage, exporter/oci).
type imageExporter struct {
	exporter.Exporter
	guard *Guard
}

// exportsImages reports whether exporters of a type ask refs for remotes. Those of
// files mount the refs instead.
func exportsImages(exporterType string) bool {
	return exporterType != client.ExporterLocal && exporterType != client.ExporterTar
}

// Resolve decorates the instance that the inner exporter makes for one build.
func (e *imageExporter) Resolve(ctx context.Context, id int, attrs map[string]string) (exporter.ExporterInstance, error) {
	inner, err := e.Exporter.Resolve(ctx, id, attrs)
	if err != nil {
		return nil, err
	}
	if c := inner.Config(); c == nil || isNydus(c.Compression()) {
		return inner, nil
	}
	return e.guard.newImageExport(inner, rewritesTimestamps(attrs)), nil
}

// isNydus reports whether images are made in nydus. Upstream casts the refs of these to
// its own type (cache/compression_nydus.go, in a daemon with that build tag).
func isNydus(c compression.Config) bool { return c.Type != nil && c.Type.String() == "nydus" }

// rewritesTimestamps reports whether attributes of an image export ask for layers
// that are written anew with other timestamps. Upstream has refused an invalid
// value before (exporter/containerimage/opts.go).
func rewritesTimestamps(attrs map[string]string) bool {
	rewrites, err := strconv.ParseBool(attrs[string(exptypes.OptKeyRewriteTimestamp)])
	return err == nil && rewrites
}

// imageExport is an image export of one build.
type imageExport struct {
	exporter.ExporterInstance
	conversions *exportConversions
	// inline is for the inline cache of the image.
	inline   *export
	rewrites bool
}

// newImageExport decorates an instance; rewrites says that it writes layers anew.
func (g *Guard) newImageExport(inner exporter.ExporterInstance, rewrites bool) *imageExport {
	i := &imageExport{ExporterInstance: inner, conversions: g.newConversions(nil), rewrites: rewrites}
	i.inline = newExport("inline", "")
	i.inline.ofImage = true
	i.inline.conversions = i.conversions
	return i
}

// Config returns the inner instance's, with a compression that lets a decorated
// worker know for whom it is: an inline cache export asks a worker with it
// (solver/llbsolver/export.go).
func (i *imageExport) Config() *exporter.Config {
	c := i.ExporterInstance.Config().Compression()
	requested, _ := requestedFor(c.Type)
	c.Type = exportCompression{Type: requested, export: i.inline}
	return exporter.NewConfigWithCompression(c)
}

// Export hands the inner instance refs whose layers wait for memory when they are
// compressed. In ModeOff and ModeObserve these are the refs of the build.
func (i *imageExport) Export(ctx context.Context, source *exporter.Source, info exporter.ExportBuildInfo) (map[string]string, exporter.FinalizeFunc, exporter.DescriptorReference, error) {
	defer i.inline.end(ctx)
	if !i.conversions.exempt() {
		source = i.waiting(source)
	}
	return i.ExporterInstance.Export(ctx, source, info)
}

// waiting returns the source with its refs decorated. Refs of attestations are
// mounted only, and stay as they are.
func (i *imageExport) waiting(source *exporter.Source) *exporter.Source {
	decorated, err := result.ConvertResult(source, func(ref cache.ImmutableRef) (cache.ImmutableRef, error) {
		return &waitingRef{ImmutableRef: ref, export: i}, nil
	})
	if err != nil {
		return source // the function above returns none
	}
	decorated.Attestations = source.Attestations
	return decorated
}

// waitingRef is a ref whose layers wait for memory when they are compressed.
type waitingRef struct {
	cache.ImmutableRef
	export *imageExport
}

// GetRemotes is the inner ref's.
func (r *waitingRef) GetRemotes(ctx context.Context, createIfNeeded bool, refCfg cacheconfig.RefConfig, all bool, s session.Group) ([]*solver.Remote, error) {
	requested := refCfg.Compression
	if requested.Type != nil {
		refCfg.Compression.Type = r.export.conversions.waiting(requested.Type)
	}
	remotes, err := r.ImmutableRef.GetRemotes(ctx, createIfNeeded, refCfg, all, s)
	if err != nil || !createIfNeeded || !r.export.rewrites || requested.Type == nil {
		return remotes, err
	}
	for i, remote := range remotes {
		remotes[i] = &solver.Remote{Descriptors: remote.Descriptors, Provider: r.export.rewriting(remote.Provider, requested)}
	}
	return remotes, nil
}

// rewriting returns a provider of layers that are written anew with other
// timestamps. Upstream makes the compressors for that with a type of its own
// (exporter/containerimage/writer.go, rewriteRemoteWithEpoch), but reads each layer
// for as long as its compressor is in use: so the reader waits in its place.
func (i *imageExport) rewriting(inner content.InfoReaderProvider, requested compression.Config) content.InfoReaderProvider {
	cost := conversions.Cost(requested.Type, requested.Level)
	return &rewriteProvider{
		InfoReaderProvider: inner,
		readers:            memory.NewReaders(i.conversions.line, memory.Conversion, cost),
	}
}

// rewriteProvider is a provider whose readers hold the memory of a compressor.
type rewriteProvider struct {
	content.InfoReaderProvider
	readers *memory.Readers
}

// ReaderAt returns the inner provider's reader when there is memory for it.
func (p *rewriteProvider) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	ra, err := p.InfoReaderProvider.ReaderAt(ctx, desc)
	if err != nil {
		return nil, err
	}
	return p.readers.Open(ctx, desc.Digest, ra)
}

// Unlazy pulls what the inner provider has not pulled yet (cache.Unlazier).
func (p *rewriteProvider) Unlazy(ctx context.Context) error {
	if u, ok := p.InfoReaderProvider.(cache.Unlazier); ok {
		return u.Unlazy(ctx)
	}
	return nil
}

package guard

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/internal/uploads"
)

// createdAtAnnotation is when a layer was made (cache/refs.go, ociDesc). A blob's
// labels do not keep it, so variants get it from the layer's own blob.
const createdAtAnnotation = "buildkit/createdat"

// blob is one blob of a layer, and where to read it.
type blob struct {
	ocispecs.Descriptor
	provider content.InfoReaderProvider
	// own tells that it is in the main chain of some record.
	own bool
}

// pool holds the blobs of each layer of an export, whichever record they came
// with, as refs with the same layer may own different blobs of it. The first
// key is the layer's, the second the blob's.
type pool map[digest.Digest]map[digest.Digest]blob

// layerKey is what all blobs of a layer have in common: the digest of the
// uncompressed layer.
func layerKey(own ocispecs.Descriptor) digest.Digest {
	if uncompressed := own.Annotations[labels.LabelUncompressed]; uncompressed != "" {
		return digest.Digest(uncompressed)
	}
	return own.Digest
}

// add puts the layers of a main remote and their variants into the pool.
func (p pool) add(main *solver.Remote) {
	var found variants
	if g, ok := main.Provider.(*provider); ok {
		found = g.layers
	}
	for i, own := range main.Descriptors {
		key := layerKey(own)
		p.put(key, blob{Descriptor: own, provider: main.Provider, own: true})
		if found == nil {
			continue
		}
		for _, desc := range found[i][1:] {
			p.put(key, blob{Descriptor: desc, provider: main.Provider})
		}
	}
}

// put adds a blob of a layer. Several records may have the same one: that of a
// worker counts, then that of a main chain, then the older one. Otherwise the
// order of the records would show in the export.
func (p pool) put(key digest.Digest, b blob) {
	if p[key] == nil {
		p[key] = make(map[digest.Digest]blob)
	}
	known, ok := p[key][b.Digest]
	order := compareOrigins(b, known)
	if !ok || order < 0 || order == 0 && older(b, known) {
		p[key][b.Digest] = b
	}
}

// older reports whether a blob is known to be of an earlier time than another.
func older(a, b blob) bool {
	created, ok := a.Annotations[createdAtAnnotation]
	than, known := b.Annotations[createdAtAnnotation]
	return ok && (!known || created < than)
}

// rank orders the blobs of a layer; the lowest is the best.
type rank func(blob) int64

// byCompression ranks blobs in a compression first.
func byCompression(ctx context.Context, comp compression.Type) rank {
	return func(b blob) int64 {
		if p, ok := b.provider.(*provider); ok {
			if needs, err := comp.NeedsConversion(ctx, p.asked, b.Descriptor); err == nil && !needs {
				return 0
			}
			return 1
		}
		if compression.IsMediaType(comp, b.MediaType) {
			return 0
		}
		return 1
	}
}

// bySize ranks small blobs first.
func bySize(b blob) int64 { return b.Size }

// byOwn ranks the blobs of main chains first.
func byOwn(b blob) int64 {
	if b.own {
		return 0
	}
	return 1
}

// byWorker ranks the blobs of a decorated worker first, before those that only
// an importer has, which are somewhere else.
func byWorker(b blob) int64 {
	if _, ok := b.provider.(*provider); ok {
		return 0
	}
	return 1
}

// compareOrigins orders blobs by where they come from: those of a worker first,
// among them and the others those of main chains.
func compareOrigins(a, b blob) int {
	return cmp.Or(cmp.Compare(byWorker(a), byWorker(b)), cmp.Compare(byOwn(a), byOwn(b)))
}

// byImage ranks the blobs of an image first, after them those whose layer the
// image has uncompressed, as upstream matches them (cache/remotecache/inline).
func byImage(image []digest.Digest) rank {
	in := make(map[digest.Digest]struct{}, len(image))
	for _, dgst := range image {
		in[dgst] = struct{}{}
	}
	return func(b blob) int64 {
		if _, ok := in[b.Digest]; ok {
			return 0
		}
		if _, ok := in[digest.Digest(b.Annotations[labels.LabelUncompressed])]; ok {
			return 1
		}
		return 2
	}
}

// choice is the one blob of each layer that an export writes. All its records
// read from it.
type choice struct {
	route
	layers map[digest.Digest]ocispecs.Descriptor
	infos  map[digest.Digest]content.Info
	// uploads opens the layers; nil means that sending them takes little memory.
	uploads *uploads.Layers
	// replaced counts the layers whose best blob was gone, lost those without
	// any blob that is there.
	replaced, lost int64
}

// choose takes the best blob of each layer that is still there. Blobs of the
// same rank go by their digests, the worker's and own blobs first, so that two
// exports of the same build write the same bytes.
func (p pool) choose(ctx context.Context, r rank) *choice {
	c := &choice{
		layers: make(map[digest.Digest]ocispecs.Descriptor, len(p)),
		infos:  make(map[digest.Digest]content.Info, len(p)),
	}
	// An exporter may have taken down the main chain when it was given it: what
	// was not chosen can be read, too.
	providers := make(map[digest.Digest]content.InfoReaderProvider, len(p))
	nothing := contentutil.NewMultiProvider(nil)
	c.route = func(dgst digest.Digest) content.InfoReaderProvider {
		if p, ok := providers[dgst]; ok {
			return p
		}
		return nothing
	}
	for key, blobs := range p {
		for dgst, b := range blobs {
			providers[dgst] = b.provider
		}
		b, info, tries := best(ctx, blobs, r)
		if tries == 0 {
			c.lost++
			continue
		}
		if tries > 1 {
			c.replaced++
		}
		if info.Digest != "" {
			c.infos[b.Digest] = info
		}
		c.layers[key] = complete(b.Descriptor, blobs)
	}
	return c
}

// best returns the best blob that is there, its info if the provider knows, and
// how many blobs were tried; none is there if that is 0.
func best(ctx context.Context, blobs map[digest.Digest]blob, r rank) (found blob, info content.Info, tries int) {
	type ranked struct {
		blob
		rank int64
	}
	order := make([]ranked, 0, len(blobs))
	for _, b := range blobs {
		c := ranked{blob: b}
		if len(blobs) > 1 {
			c.rank = r(b)
		}
		order = append(order, c)
	}
	slices.SortFunc(order, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), compareOrigins(a.blob, b.blob), cmp.Compare(a.Digest, b.Digest))
	})
	for i, c := range order {
		info, err := c.provider.Info(ctx, c.Digest)
		// Upstream takes a provider that cannot tell at its word, too.
		if err == nil || cerrdefs.IsNotImplemented(err) {
			return c.blob, info, i + 1
		}
	}
	return blob{}, content.Info{}, 0
}

// complete returns a blob's descriptor with the annotations that an export of
// its layer needs, from the own blobs of the layer.
func complete(desc ocispecs.Descriptor, blobs map[digest.Digest]blob) ocispecs.Descriptor {
	annotations := maps.Clone(desc.Annotations)
	if annotations == nil {
		annotations = make(map[string]string, 2)
	}
	delete(annotations, createdAtAnnotation)
	for _, b := range blobs {
		if !b.own {
			continue
		}
		if created, ok := b.Annotations[createdAtAnnotation]; ok {
			if known, ok := annotations[createdAtAnnotation]; !ok || created < known {
				annotations[createdAtAnnotation] = created
			}
		}
		// An estargz blob has an entry of its own, and so a digest of its own.
		if uncompressed, ok := b.Annotations[labels.LabelUncompressed]; ok && annotations[labels.LabelUncompressed] == "" {
			annotations[labels.LabelUncompressed] = uncompressed
		}
	}
	desc.Annotations = annotations
	return desc
}

// Info answers from what was seen when the blob was chosen: upstream asks for
// every layer under every layer of every record (cache/remotecache/v1).
func (c *choice) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	if info, ok := c.infos[dgst]; ok {
		return info, nil
	}
	return c.route.Info(ctx, dgst)
}

// ReaderAt opens a layer that is sent, when there is memory for that.
func (c *choice) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	return c.uploads.ReaderAt(ctx, c.route, desc)
}

// settle gives a record's remote the chosen chain. If a layer is gone it keeps
// the main chain, which upstream then treats as it treats any lost layer.
func (c *choice) settle(remote, main *solver.Remote) {
	chain := make([]ocispecs.Descriptor, len(main.Descriptors))
	for i, own := range main.Descriptors {
		desc, ok := c.layers[layerKey(own)]
		if !ok {
			*remote = *main
			return
		}
		chain[i] = desc
	}
	remote.Descriptors, remote.Provider = chain, c
}

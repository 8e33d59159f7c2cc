package guard

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	cerrdefs "github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// The labels that tie the blobs of one layer together and describe a blob, as
// upstream writes them (cache/refs.go, linkBlob and addBlobDescToInfo).
const (
	variantLabelPrefix    = "containerd.io/gc.ref.content.blob-"
	mediaTypeLabel        = "buildkit.io/blob/mediatype"
	annotationLabelPrefix = "buildkit.io/blob/annotation."
)

// variants holds the blobs of every layer of a chain, bottom layer first. A
// layer's own blob comes first, its variants follow in the order of their
// digests. It says in linear space what upstream spells out as c^n remotes.
type variants [][]ocispecs.Descriptor

// walkChain finds the blobs of each layer of a chain with walk. A layer whose
// blobs cannot be looked up keeps its own blob only; the first such error comes
// back beside the variants, which are complete and usable either way.
func walkChain(chain []ocispecs.Descriptor, walk func(own ocispecs.Descriptor) ([]ocispecs.Descriptor, error)) (variants, error) {
	var (
		layers   = make(variants, len(chain))
		firstErr error
	)
	for i, desc := range chain {
		blobs, err := walk(desc)
		if err != nil && firstErr == nil {
			firstErr = fmt.Errorf("find the variants of %s: %w", desc.Digest, err)
		}
		layers[i] = blobs
	}
	return layers, firstErr
}

// walkBlob finds every blob of the layer that own is a blob of, by breadth
// first search over the links between them. Upstream's walk of the same name
// (cache/refs.go) reports a blob once for each path to it, in random order;
// this one reports each blob once, own first, the others by digest.
//
// A link counts if its blob exists and has a media type. A blob that is not in
// the store, such as that of a lazy layer, has no variants. If the store fails,
// the result is own alone and the error.
func walkBlob(ctx context.Context, store content.InfoProvider, own ocispecs.Descriptor) ([]ocispecs.Descriptor, error) {
	var (
		seen  = map[digest.Digest]struct{}{own.Digest: {}}
		queue = []digest.Digest{own.Digest}
		blobs = []ocispecs.Descriptor{own}
	)
	for len(queue) > 0 {
		dgst := queue[0]
		queue = queue[1:]
		info, err := store.Info(ctx, dgst)
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return []ocispecs.Descriptor{own}, err
		}
		if dgst != own.Digest {
			if desc, ok := blobDescriptor(info); ok {
				blobs = append(blobs, desc)
			}
		}
		for label, value := range info.Labels {
			if !strings.HasPrefix(label, variantLabelPrefix) {
				continue
			}
			linked, err := digest.Parse(value)
			if err != nil {
				continue
			}
			if _, ok := seen[linked]; ok {
				continue
			}
			seen[linked] = struct{}{}
			queue = append(queue, linked)
		}
	}
	slices.SortFunc(blobs[1:], func(a, b ocispecs.Descriptor) int {
		return strings.Compare(string(a.Digest), string(b.Digest))
	})
	return blobs, nil
}

// blobDescriptor rebuilds a blob's descriptor from its labels; it reports false
// if they hold no media type.
func blobDescriptor(info content.Info) (ocispecs.Descriptor, bool) {
	mediaType, ok := info.Labels[mediaTypeLabel]
	if !ok {
		return ocispecs.Descriptor{}, false
	}
	desc := ocispecs.Descriptor{
		Digest:    info.Digest,
		Size:      info.Size,
		MediaType: distributable(mediaType),
	}
	for label, value := range info.Labels {
		if key, ok := strings.CutPrefix(label, annotationLabelPrefix); ok {
			if desc.Annotations == nil {
				desc.Annotations = make(map[string]string)
			}
			desc.Annotations[key] = value
		}
	}
	return desc, true
}

// distributableTypes maps each media type that forbids distribution to the one
// that allows it, as upstream does (cache/blobs.go, layerToDistributable): a
// blob without URLs can only come from here.
var distributableTypes = map[string]string{
	ocispecs.MediaTypeImageLayerNonDistributable:     ocispecs.MediaTypeImageLayer,     //nolint:staticcheck // deprecated, but images with it are around.
	ocispecs.MediaTypeImageLayerNonDistributableGzip: ocispecs.MediaTypeImageLayerGzip, //nolint:staticcheck // deprecated, but images with it are around.
	ocispecs.MediaTypeImageLayerNonDistributableZstd: ocispecs.MediaTypeImageLayerZstd, //nolint:staticcheck // deprecated, but images with it are around.
	images.MediaTypeDockerSchema2LayerForeign:        images.MediaTypeDockerSchema2Layer,
	images.MediaTypeDockerSchema2LayerForeignGzip:    images.MediaTypeDockerSchema2LayerGzip,
}

func distributable(mediaType string) string {
	if t, ok := distributableTypes[mediaType]; ok {
		return t
	}
	return mediaType
}

// varied reports whether any layer has a second blob.
func (v variants) varied() bool {
	return slices.ContainsFunc(v, func(blobs []ocispecs.Descriptor) bool { return len(blobs) > 1 })
}

// main returns the chain of the layers' own blobs.
func (v variants) main() []ocispecs.Descriptor {
	chain := make([]ocispecs.Descriptor, len(v))
	for i, blobs := range v {
		chain[i] = blobs[0]
	}
	return chain
}

// counts returns the number of blobs of each layer.
func (v variants) counts() []int {
	counts := make([]int, len(v))
	for i, blobs := range v {
		counts[i] = len(blobs)
	}
	return counts
}

package variants

import (
	"context"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/labels"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/containerd/stargz-snapshotter/estargz"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// The labels that tie the blobs of one layer together and describe a blob, as
// upstream writes them (cache/refs.go, linkBlob and addBlobDescToInfo).
const (
	LinkLabelPrefix       = "containerd.io/gc.ref.content.blob-"
	MediaTypeLabel        = "buildkit.io/blob/mediatype"
	AnnotationLabelPrefix = "buildkit.io/blob/annotation."
)

// link is a label of one blob that names another; from is empty for the blob
// that a walk begins with.
type link struct{ from, to digest.Digest }

// Walk finds every blob of the layer that own is a blob of, by breadth
// first search over the links between them. Upstream's walk of the same name
// (cache/refs.go) reports a blob once for each path to it, in random order;
// this one reports each blob once, own first, the others by digest.
//
// A link counts if its blob exists, has a media type and is not known to be of
// another layer. A blob that is not in the store, such as that of a lazy layer,
// has no variants. The result is nil if own is alone, which costs nothing but
// the question. The error is that of the store, but for a blob that is not there.
func Walk(ctx context.Context, store content.InfoProvider, own ocispecs.Descriptor) ([]ocispecs.Descriptor, error) {
	var (
		// found are the blobs of the layer, and those that are not there.
		found  = map[digest.Digest]struct{}{own.Digest: {}}
		others []ocispecs.Descriptor
		// refused may yet be reached by a link that they return.
		refused map[digest.Digest]content.Info
		queue   = []link{{to: own.Digest}}
	)
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		if _, ok := found[next.to]; ok && next.from != "" {
			continue
		}
		info, ok := refused[next.to]
		if !ok {
			var err error
			info, err = store.Info(ctx, next.to)
			if cerrdefs.IsNotFound(err) {
				found[next.to] = struct{}{}
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		if next.from != "" {
			if !sameLayer(own, info, next.from) {
				if refused == nil {
					refused = make(map[digest.Digest]content.Info)
				}
				refused[next.to] = info
				continue
			}
			found[next.to] = struct{}{}
			if desc, ok := Descriptor(info); ok {
				others = append(others, desc)
			}
		}
		for label, value := range info.Labels {
			if !strings.HasPrefix(label, LinkLabelPrefix) {
				continue
			}
			linked := digest.Digest(value)
			if _, ok := found[linked]; ok || linked.Validate() != nil {
				continue
			}
			queue = append(queue, link{from: next.to, to: linked})
		}
	}
	if len(others) == 0 {
		return nil, nil
	}
	slices.SortFunc(others, func(a, b ocispecs.Descriptor) int {
		return strings.Compare(string(a.Digest), string(b.Digest))
	})
	return append([]ocispecs.Descriptor{own}, others...), nil
}

// sameLayer reports whether a blob that another one links to can be of the same
// layer as own: labels can be damaged, and a blob of another layer in a chain
// would break every image that is made of it. Where both uncompressed digests
// are known and differ, the blob is refused. An estargz blob has an entry of its
// own in it, and so a digest of its own: it is known by its link back, which
// upstream always makes (cache/refs.go, linkBlob).
func sameLayer(own ocispecs.Descriptor, info content.Info, from digest.Digest) bool {
	layer, other := own.Annotations[labels.LabelUncompressed], uncompressedLabel(info)
	if layer == "" || other == "" || layer == other {
		return true
	}
	_, ownTOC := own.Annotations[estargz.TOCJSONDigestAnnotation]
	_, otherTOC := info.Labels[AnnotationLabelPrefix+estargz.TOCJSONDigestAnnotation]
	return (ownTOC || otherTOC) && info.Labels[LinkLabelPrefix+from.String()] == from.String()
}

// uncompressedLabel is the uncompressed digest of a blob as its labels have it,
// upstream's or containerd's; empty if neither is there.
func uncompressedLabel(info content.Info) string {
	if annotation, ok := info.Labels[AnnotationLabelPrefix+labels.LabelUncompressed]; ok {
		return annotation
	}
	return info.Labels[labels.LabelUncompressed]
}

// Descriptor rebuilds a blob's descriptor from its labels; it reports false
// if they hold no media type.
func Descriptor(info content.Info) (ocispecs.Descriptor, bool) {
	mediaType, ok := info.Labels[MediaTypeLabel]
	if !ok {
		return ocispecs.Descriptor{}, false
	}
	desc := ocispecs.Descriptor{
		Digest:    info.Digest,
		Size:      info.Size,
		MediaType: distributable(mediaType),
	}
	for label, value := range info.Labels {
		if key, ok := strings.CutPrefix(label, AnnotationLabelPrefix); ok {
			if desc.Annotations == nil {
				desc.Annotations = make(map[string]string)
			}
			desc.Annotations[key] = value
		}
	}
	return desc, true
}

// distributableTypes maps each media type that forbids distribution to the one
// that allows it, as upstream does (cache/refs.go, layerToDistributable): a
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

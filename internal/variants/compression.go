package variants

import (
	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/moby/buildkit/util/compression"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// CompressionName is the name of a blob's compression, as far as its descriptor tells: its
// media type is that of gzip for estargz, which an annotation tells from it. A media type
// that is no layer's is returned as it is.
func CompressionName(desc ocispecs.Descriptor) string {
	if _, ok := desc.Annotations[estargz.TOCJSONDigestAnnotation]; ok {
		return compression.EStargz.String()
	}
	t, err := compression.FromMediaType(desc.MediaType)
	if err != nil {
		return desc.MediaType
	}
	return t.String()
}

package test

import (
	"strconv"
	"testing"

	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

// imageLayers are the layers of an image, bottom layer first: the blob of each
// in every compression that the image was built in.
//
// They tell which blobs are of the same layer. Annotations cannot: in estargz a
// layer has other content, even uncompressed.
type imageLayers []map[compression.Type]digest.Digest

// with adds the blobs of one more compression.
func (l imageLayers) with(t *testing.T, in compression.Type, blobs []ocispecs.Descriptor) imageLayers {
	t.Helper()
	if l == nil {
		for range blobs {
			l = append(l, map[compression.Type]digest.Digest{})
		}
	}
	require.Len(t, blobs, len(l))
	for i, blob := range blobs {
		l[i][in] = blob.Digest
	}
	return l
}

// find returns the layer of a blob, -1 if the image does not have it.
func (l imageLayers) find(blob digest.Digest) int {
	for i, variants := range l {
		for _, dgst := range variants {
			if dgst == blob {
				return i
			}
		}
	}
	return -1
}

// distinct counts the layers of blobs. Those of stages that are not in the image
// were never converted: the uncompressed content tells them apart.
func (l imageLayers) distinct(blobs []ocispecs.Descriptor) int {
	found := map[string]bool{}
	for _, blob := range blobs {
		if i := l.find(blob.Digest); i >= 0 {
			found[strconv.Itoa(i)] = true
		} else {
			found[blob.Annotations[labels.LabelUncompressed]] = true
		}
	}
	return len(found)
}

// share counts the blobs whose layer exists in a compression, and those of them
// that are in it.
func (l imageLayers) share(blobs []ocispecs.Descriptor, in compression.Type) (possible, actual int) {
	for _, blob := range blobs {
		i := l.find(blob.Digest)
		if i < 0 {
			continue
		}
		want, ok := l[i][in]
		if !ok {
			continue
		}
		possible++
		if blob.Digest == want {
			actual++
		}
	}
	return possible, actual
}

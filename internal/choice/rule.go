package choice

import (
	"slices"

	"github.com/containerd/containerd/v2/pkg/labels"
	digest "github.com/opencontainers/go-digest"
)

// Rule orders the blobs that can stand for a layer: the lowest rank is the best. Among
// equals the own blob comes first, then the variants of the record. The position is
// that of the layer in its chain, from the bottom.
type Rule struct {
	rank func(b Blob, own bool, position int) int64
	// positional says that the rank depends on the position.
	positional bool
	// Reason is why a blob is written that the record does not own.
	Reason Reason
}

// Own takes the blob that the record owns.
func Own() Rule {
	return Rule{rank: func(_ Blob, own bool, _ int) int64 { return rankOf(own) }, Reason: Gone}
}

// In takes a blob that a compression needs no conversion of, and the own one if there
// is none.
func In(has func(Blob) bool) Rule {
	return Rule{rank: func(b Blob, _ bool, _ int) int64 { return rankOf(has(b)) }, Reason: Requested}
}

// Smallest takes the smallest blob.
func Smallest() Rule {
	return Rule{rank: func(b Blob, _ bool, _ int) int64 { return b.Size }, Reason: Smaller}
}

// Image takes the blobs of an image, given by the digests of its layers: the blob that
// the image has at the position of the layer, else one that it has at another, else
// one whose uncompressed layer it has. Upstream matches an inline cache with its image
// by the same three (cache/remotecache/inline).
func Image(layers []digest.Digest) Rule {
	return Rule{
		rank: func(b Blob, _ bool, position int) int64 {
			switch {
			case position < len(layers) && layers[position] == b.Digest:
				return 0
			case slices.Contains(layers, b.Digest):
				return 1
			case slices.Contains(layers, digest.Digest(b.Annotations[labels.LabelUncompressed])):
				return 2
			}
			return 3
		},
		positional: true,
		Reason:     OfImage,
	}
}

func rankOf(best bool) int64 {
	if best {
		return 0
	}
	return 1
}

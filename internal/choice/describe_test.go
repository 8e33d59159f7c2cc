package choice

import (
	"maps"
	"testing"

	"github.com/containerd/containerd/v2/pkg/labels"
	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEarliestTimeIsWritten has two records that own the same blob, in either order. Empty is
// a time that is not known.
func TestEarliestTimeIsWritten(t *testing.T) {
	s := newStore()
	layer := func(created string) Layer {
		l := Layer{Own: s.blobOf(0, 0)}
		if created != "" {
			l.Own.Annotations[CreatedAt] = created
		}
		return l
	}
	for _, tc := range []struct{ one, other, want string }{
		{"1", "2", "1"}, {"2", "1", "1"}, {"", "2", "2"}, {"2", "", "2"}, {"", "", ""},
	} {
		c, pooled := choose(t.Context(), [][]Layer{{layer(tc.one)}, {layer(tc.other)}}, Own())
		chain, _ := c.Chain(t.Context(), pooled[0])
		got, ok := chain[0].Annotations[CreatedAt]
		assert.Equal(t, tc.want, got, "%q and %q", tc.one, tc.other)
		assert.Equal(t, tc.want != "", ok)
	}
}

// TestVariantIsDescribedByTheOwnBlob writes a variant of which the worker knows something
// else, or nothing, in the place of the own blob.
func TestVariantIsDescribedByTheOwnBlob(t *testing.T) {
	const estargz = "sha256:uncompressed with its table of contents"
	for name, tc := range map[string]struct{ own, variant, want map[string]string }{
		"nothing is known of it": {
			own:  map[string]string{CreatedAt: "2", labels.LabelUncompressed: "x"},
			want: map[string]string{CreatedAt: "2", labels.LabelUncompressed: "x"},
		},
		"its time is not the layer's": {
			own:     map[string]string{CreatedAt: "2", labels.LabelUncompressed: "x"},
			variant: map[string]string{CreatedAt: "1", labels.LabelUncompressed: "x", "kept": "yes"},
			want:    map[string]string{CreatedAt: "2", labels.LabelUncompressed: "x", "kept": "yes"},
		},
		"it is another one without compression": {
			own:     map[string]string{labels.LabelUncompressed: "x"},
			variant: map[string]string{labels.LabelUncompressed: estargz},
			want:    map[string]string{labels.LabelUncompressed: estargz},
		},
		"the own one says nothing": {want: map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore()
			l := Layer{Own: s.blobOf(0, 0), Variants: []Blob{s.blobOf(0, 2)}}
			l.Own.Annotations, l.Variants[0].Annotations = maps.Clone(tc.own), maps.Clone(tc.variant)
			c, pooled := choose(t.Context(), [][]Layer{{l}}, In(isZstd))
			chain, ok := c.Chain(t.Context(), pooled[0])
			require.True(t, ok)
			require.Equal(t, l.Variants[0].Digest, chain[0].Digest)
			assert.Equal(t, tc.want, chain[0].Annotations)
			assert.Equal(t, tc.own, l.Own.Annotations, "the record's stay as they are")
			assert.Equal(t, tc.variant, l.Variants[0].Annotations)
		})
	}
}

// TestUncompressedLayerOfTheImage has an image with a layer that is not compressed, which is
// that of the variant and not that of the own blob.
func TestUncompressedLayerOfTheImage(t *testing.T) {
	s := newStore()
	l := Layer{Own: s.blobOf(0, 0), Variants: []Blob{s.blobOf(0, 2)}}
	l.Variants[0].Annotations[labels.LabelUncompressed] = diffID(7).String()
	c, pooled := choose(t.Context(), [][]Layer{{l}}, Image([]digest.Digest{diffID(7)}))
	chain, _ := c.Chain(t.Context(), pooled[0])
	assert.Equal(t, l.Variants[0].Digest, chain[0].Digest)
}

package choice

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestLaterRecordAddsWhatItKnows has two records that own the same blob of a layer. What the
// later one alone knows of that layer shows in what is written, as if it had come first.
func TestLaterRecordAddsWhatItKnows(t *testing.T) {
	earlier, later := newStore(), newStore()
	for name, tc := range map[string]struct{ before, change func(l *Layer) }{
		"own blob was pulled": {
			before: func(l *Layer) { l.Own.Local = false },
			change: func(l *Layer) { l.Own.Provider = later },
		},
		"worker has the own blob": {
			before: func(l *Layer) { l.Own.Worker = false },
			change: func(l *Layer) { l.Own.Provider = later },
		},
		"own blob was made earlier": {change: func(l *Layer) { l.Own.Annotations[CreatedAt] = "1" }},
		"variant was pulled":        {change: func(l *Layer) { l.Variants[0].Local, l.Variants[0].Provider = true, later }},
		"there is one more variant": {change: func(l *Layer) { l.Variants = append(l.Variants, later.blobOf(0, 3)) }},
		"the variant is another one": {change: func(l *Layer) {
			l.Variants[0].Descriptor, l.Variants[0].Provider = later.blobOf(0, 1).Descriptor, later
		}},
		"nothing else is known of it": {},
	} {
		t.Run(name, func(t *testing.T) {
			layer := func(change func(l *Layer)) Layer {
				l := Layer{Own: earlier.blobOf(0, 0), Variants: []Blob{earlier.blobOf(0, 2)}}
				l.Own.Annotations[CreatedAt] = "2"
				l.Variants[0].Local = false
				if change != nil {
					change(&l)
				}
				return l
			}
			one, other := layer(tc.before), layer(tc.change)
			got, pooled := choose(t.Context(), [][]Layer{{one}, {other}}, Own())
			want, _ := choose(t.Context(), [][]Layer{{other}, {one}}, Own())
			assert.Same(t, pooled[0][0], pooled[1][0], "one layer")
			chain, _ := got.Chain(t.Context(), pooled[0])
			assert.Equal(t, other.Own.Annotations[CreatedAt], chain[0].Annotations[CreatedAt])
			for _, b := range slices.Concat([]Blob{one.Own, other.Own}, one.Variants, other.Variants) {
				assert.Same(t, want.Provider(b.Digest), got.Provider(b.Digest), b.MediaType)
			}
			assert.Same(t, other.Own.Provider, got.Provider(other.Own.Digest))
		})
	}
}

// TestLeastBlobIsInThePool has a variant of which nothing is known that would put it before
// another one.
func TestLeastBlobIsInThePool(t *testing.T) {
	s := newStore()
	l := Layer{Own: s.blobOf(0, 0), Variants: []Blob{s.blobOf(0, 2)}}
	l.Variants[0].Local, l.Variants[0].Worker = false, false
	c, _ := choose(t.Context(), [][]Layer{{l}}, Own())
	assert.Same(t, s, c.Provider(l.Variants[0].Digest))
}

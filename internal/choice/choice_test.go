package choice

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	cerrdefs "github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawnBlobs is how many blobs each layer of the tests has: two in gzip, as two
// tools make them, one in zstd and one that is not compressed.
var drawnBlobs = []string{"gzip", "other gzip", "zstd", "uncompressed"}

const drawnLayers = 4

// store answers for the blobs of the tests. What is neither gone nor broken is there.
type store struct {
	content.Provider // nil
	gone             map[digest.Digest]bool
	broken           error
	asked            map[digest.Digest]int
}

func newStore() *store {
	return &store{gone: make(map[digest.Digest]bool), asked: make(map[digest.Digest]int)}
}

func (s *store) Info(_ context.Context, dgst digest.Digest) (content.Info, error) {
	s.asked[dgst]++
	switch {
	case s.broken != nil:
		return content.Info{}, s.broken
	case s.gone[dgst]:
		return content.Info{}, cerrdefs.ErrNotFound
	}
	return content.Info{Digest: dgst}, nil
}

// diffID is the digest of a layer that is not compressed.
func diffID(layer int) digest.Digest { return digest.FromString(fmt.Sprint("layer ", layer)) }

// blobOf is a blob of a layer, by its number in drawnBlobs.
func (s *store) blobOf(layer, n int) Blob {
	dgst := digest.FromString(fmt.Sprint(drawnBlobs[n], " of ", layer))
	return Blob{
		Descriptor: ocispecs.Descriptor{
			Digest:      dgst,
			Size:        int64(100 + (n*7+layer*3)%5), // some are of the same size
			MediaType:   drawnBlobs[n],
			Annotations: map[string]string{labels.LabelUncompressed: diffID(layer).String()},
		},
		Provider: s,
		Worker:   true,
		Local:    true,
	}
}

func isZstd(b Blob) bool { return b.MediaType == "zstd" }
func isGzip(b Blob) bool { return strings.HasSuffix(b.MediaType, "gzip") }

// drawRecord draws a chain of layers with own blobs and variants. Two layers of it may
// be the same, with other own blobs.
func (s *store) drawRecord(t *rapid.T) []Layer {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Layer {
		number := rapid.IntRange(0, drawnLayers-1).Draw(t, "layer")
		blobs := rapid.Permutation([]int{0, 1, 2, 3}).Draw(t, "blobs")
		l := Layer{Own: s.blobOf(number, blobs[0])}
		l.Own.Local = rapid.Bool().Draw(t, "own is local")
		l.Own.Annotations[CreatedAt] = fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "created"))
		for _, n := range blobs[1 : 1+rapid.IntRange(0, 3).Draw(t, "variants")] {
			l.Variants = append(l.Variants, s.blobOf(number, n))
		}
		return l
	}), 1, 5).Draw(t, "record")
}

// drawn is an export of some records.
type drawn struct {
	store   *store
	records [][]Layer
	// blobs are all of a layer that any record has, by its uncompressed digest.
	blobs map[string][]Blob
}

func draw(t *rapid.T) *drawn {
	d := &drawn{store: newStore(), blobs: make(map[string][]Blob)}
	for range rapid.IntRange(1, 4).Draw(t, "records") {
		record := d.store.drawRecord(t)
		d.records = append(d.records, record)
		for _, l := range record {
			layer := l.Own.Annotations[labels.LabelUncompressed]
			d.blobs[layer] = append(d.blobs[layer], append([]Blob{l.Own}, l.Variants...)...)
		}
	}
	for layer := range drawnLayers {
		for n := range drawnBlobs {
			d.store.gone[d.store.blobOf(layer, n).Digest] = rapid.IntRange(0, 3).Draw(t, "is gone") == 0
		}
	}
	return d
}

// variantsOf are the variants of a layer: records that own the same blob have them in common.
func (d *drawn) variantsOf(l Layer) []Blob {
	var variants []Blob
	for _, other := range slices.Concat(d.records...) {
		if other.Own.Digest == l.Own.Digest {
			variants = append(variants, other.Variants...)
		}
	}
	return variants
}

// here are those of some blobs that are not gone.
func (d *drawn) here(blobs []Blob) []Blob {
	return slices.DeleteFunc(slices.Clone(blobs), func(b Blob) bool { return d.store.gone[b.Digest] })
}

// choose returns what a rule makes of the records, in an order.
func choose(ctx context.Context, records [][]Layer, rule Rule) (*Choice, [][]*Layer) {
	p := &Pool{}
	pooled := make([][]*Layer, len(records))
	for n, record := range records {
		for _, l := range record {
			pooled[n] = append(pooled[n], p.Add(l))
		}
	}
	c := p.Choose(rule)
	for _, layers := range pooled {
		c.Chain(ctx, layers)
	}
	return c, pooled
}

// check holds what is written for every layer of every record against a model, which
// is given the own blob if that is there, the variants of the record that are, and all
// blobs of the layer in the export that are. It is not asked about lost layers.
func check(t *testing.T, rule func(t *rapid.T, d *drawn) Rule, model func(t *rapid.T, position int, own *Blob, variants, all []Blob, got digest.Digest)) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		c, pooled := choose(t.Context(), d.records, rule(t, d))
		for n, record := range d.records {
			chain, whole := c.Chain(t.Context(), pooled[n])
			lost := false
			for i, l := range record {
				variants := d.variantsOf(l)
				all := d.here(d.blobs[l.Own.Annotations[labels.LabelUncompressed]])
				if len(all) == 0 {
					lost = true
					continue
				}
				var own *Blob
				if !d.store.gone[l.Own.Digest] {
					own = &l.Own
				}
				require.True(t, contains(all, chain[i].Digest), "it is there, and of the same layer")
				model(t, i, own, d.here(variants), all, chain[i].Digest)
			}
			require.Equal(t, lost, !whole)
		}
	})
}

func contains(blobs []Blob, dgst digest.Digest) bool {
	return slices.ContainsFunc(blobs, func(b Blob) bool { return b.Digest == dgst })
}

func digestsOf(blobs []Blob, is func(Blob) bool) []digest.Digest {
	var all []digest.Digest
	for _, b := range blobs {
		if is(b) {
			all = append(all, b.Digest)
		}
	}
	return all
}

func TestOwnBlobsStay(t *testing.T) {
	check(t, func(*rapid.T, *drawn) Rule { return Own() },
		func(t *rapid.T, _ int, own *Blob, _, _ []Blob, got digest.Digest) {
			if own != nil {
				require.Equal(t, own.Digest, got)
			}
		})
}

func TestRequestedCompression(t *testing.T) {
	for name, has := range map[string]func(Blob) bool{"zstd": isZstd, "gzip": isGzip} {
		t.Run(name, func(t *testing.T) {
			check(t, func(*rapid.T, *drawn) Rule { return In(has) },
				func(t *rapid.T, _ int, own *Blob, variants, all []Blob, got digest.Digest) {
					inRecord, elsewhere := digestsOf(variants, has), digestsOf(all, has)
					local := digestsOf(all, func(b Blob) bool { return has(b) && b.Local })
					switch {
					case own != nil && has(*own):
						require.Equal(t, own.Digest, got)
					case len(inRecord) > 0:
						require.Contains(t, inRecord, got)
					case len(local) > 0:
						require.Contains(t, local, got)
					case len(elsewhere) > 0:
						require.Contains(t, elsewhere, got)
					case own != nil:
						require.Equal(t, own.Digest, got)
					}
				})
		})
	}
}

func TestSmallestBlobs(t *testing.T) {
	check(t, func(*rapid.T, *drawn) Rule { return Smallest() },
		func(t *rapid.T, _ int, own *Blob, _, all []Blob, got digest.Digest) {
			least := all[0].Size
			for _, b := range all {
				least = min(least, b.Size)
			}
			if own != nil && own.Size == least {
				require.Equal(t, own.Digest, got)
				return
			}
			require.Contains(t, digestsOf(all, func(b Blob) bool { return b.Size == least }), got)
		})
}

// TestBlobsOfTheImage has images of blobs of a record at their positions, of other
// blobs and of layers that are not compressed.
func TestBlobsOfTheImage(t *testing.T) {
	var image []digest.Digest
	check(t, func(t *rapid.T, d *drawn) Rule {
		image = nil
		for _, l := range rapid.SampledFrom(d.records).Draw(t, "of the image") {
			blobs := d.blobs[l.Own.Annotations[labels.LabelUncompressed]]
			switch rapid.IntRange(0, 5).Draw(t, "layer of the image") {
			case 0:
				image = append(image, digest.FromString("a stranger"))
			case 1:
				image = append(image, digest.Digest(l.Own.Annotations[labels.LabelUncompressed]))
			case 2:
				image = append(image, l.Own.Digest)
			default:
				image = append(image, rapid.SampledFrom(blobs).Draw(t, "blob").Digest)
			}
		}
		return Image(image)
	}, func(t *rapid.T, position int, own *Blob, _, all []Blob, got digest.Digest) {
		in := digestsOf(all, func(b Blob) bool { return slices.Contains(image, b.Digest) })
		switch {
		case position < len(image) && contains(all, image[position]):
			require.Equal(t, image[position], got, "the blob at this position")
		case own != nil && slices.Contains(in, own.Digest):
			require.Equal(t, own.Digest, got)
		case len(in) > 0:
			require.Contains(t, in, got)
		case own != nil:
			require.Equal(t, own.Digest, got)
		}
	})
}

// TestOrderOfRecordsDoesNotShow holds that two exports of a build are the same.
func TestOrderOfRecordsDoesNotShow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		rule := rapid.SampledFrom([]Rule{Own(), In(isZstd), Smallest()}).Draw(t, "rule")
		order := rapid.Permutation([]int{0, 1, 2, 3}[:len(d.records)]).Draw(t, "order")
		shuffled := make([][]Layer, len(order))
		for i, n := range order {
			shuffled[i] = d.records[n]
		}
		one, first := choose(t.Context(), d.records, rule)
		other, second := choose(t.Context(), shuffled, rule)
		for i, n := range order {
			want, _ := one.Chain(t.Context(), first[n])
			got, _ := other.Chain(t.Context(), second[i])
			require.Equal(t, want, got, "digests and annotations")
		}
	})
}

// TestSameBlobHasOneDescriptor holds what upstream counts on: it keeps one descriptor
// for each blob (cache/remotecache/v1/utils.go).
func TestSameBlobHasOneDescriptor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		c, pooled := choose(t.Context(), d.records, In(isZstd))
		descs := make(map[digest.Digest]ocispecs.Descriptor)
		for _, layers := range pooled {
			chain, _ := c.Chain(t.Context(), layers)
			for _, desc := range chain {
				if known, ok := descs[desc.Digest]; ok {
					require.Equal(t, known, desc)
				}
				descs[desc.Digest] = desc
			}
		}
	})
}

// TestReasons counts each layer once, however many records have it.
func TestReasons(t *testing.T) {
	s := newStore()
	layer := func(n int) Layer {
		return Layer{Own: s.blobOf(n, 0), Variants: []Blob{s.blobOf(n, 2), s.blobOf(n, 3)}}
	}
	records := [][]Layer{{layer(0), layer(1)}, {layer(0), layer(1), layer(2)}}
	for name, tc := range map[string]struct {
		rule     Rule
		gone     []digest.Digest
		replaced map[Reason]int64
		lost     int64
	}{
		"own":               {rule: Own(), replaced: map[Reason]int64{}},
		"requested":         {rule: In(isZstd), replaced: map[Reason]int64{Requested: 3}},
		"image":             {rule: Image([]digest.Digest{s.blobOf(0, 2).Digest}), replaced: map[Reason]int64{OfImage: 1}},
		"own is gone":       {rule: Own(), gone: []digest.Digest{s.blobOf(1, 0).Digest}, replaced: map[Reason]int64{Gone: 1}},
		"requested is gone": {rule: In(isZstd), gone: []digest.Digest{s.blobOf(1, 2).Digest}, replaced: map[Reason]int64{Requested: 2}},
		"all are gone": {
			rule: Own(), gone: []digest.Digest{s.blobOf(2, 0).Digest, s.blobOf(2, 2).Digest, s.blobOf(2, 3).Digest},
			replaced: map[Reason]int64{}, lost: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			clear(s.gone)
			for _, dgst := range tc.gone {
				s.gone[dgst] = true
			}
			clear(s.asked)
			c, _ := choose(t.Context(), records, tc.rule)
			assert.Equal(t, tc.replaced, c.Replaced)
			assert.Equal(t, tc.lost, c.Lost)
			for dgst, n := range s.asked {
				assert.Equal(t, 1, n, dgst)
			}
		})
	}
}

// TestBlobIsAskedForOnce has the same layers at two positions of an inline cache.
func TestBlobIsAskedForOnce(t *testing.T) {
	s := newStore()
	there, gone := Layer{Own: s.blobOf(0, 0)}, Layer{Own: s.blobOf(1, 0)}
	s.gone[gone.Own.Digest] = true
	c, _ := choose(t.Context(), [][]Layer{{there, gone}, {gone, there}}, Image(nil))
	assert.Equal(t, map[digest.Digest]int{there.Own.Digest: 1, gone.Own.Digest: 1}, s.asked)
	info, ok := c.Known(there.Own.Digest)
	assert.True(t, ok)
	assert.Equal(t, content.Info{Digest: there.Own.Digest}, info)
	_, ok = c.Known(gone.Own.Digest)
	assert.False(t, ok)
}

// TestFirstErrorIsKept has two stores that cannot say what they have.
func TestFirstErrorIsKept(t *testing.T) {
	first, second := newStore(), newStore()
	first.broken, second.broken = errors.New("first"), errors.New("second")
	c, _ := choose(t.Context(), [][]Layer{{{Own: first.blobOf(0, 0)}, {Own: second.blobOf(1, 0)}}}, Own())
	assert.Equal(t, first.broken, c.Err)
}

// TestStoreThatIsAwayLosesNothing has a store that cannot say what it has.
func TestStoreThatIsAwayLosesNothing(t *testing.T) {
	s := newStore()
	l := Layer{Own: s.blobOf(0, 0), Variants: []Blob{s.blobOf(0, 2)}}
	for _, broken := range []error{context.Canceled, errors.New("connection refused")} {
		s.broken = broken
		c, pooled := choose(t.Context(), [][]Layer{{l}}, Own())
		chain, ok := c.Chain(t.Context(), pooled[0])
		assert.True(t, ok)
		assert.Equal(t, l.Own.Digest, chain[0].Digest)
		assert.Zero(t, c.Lost)
		require.ErrorIs(t, c.Err, broken)
	}
	s.broken = cerrdefs.ErrNotImplemented
	c, _ := choose(t.Context(), [][]Layer{{l}}, Own())
	require.NoError(t, c.Err, "upstream takes such a provider at its word, too")
}

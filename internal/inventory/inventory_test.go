package inventory

import (
	"context"
	"fmt"
	"maps"
	"math"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/cachetest"
	"github.com/bkguard/bkguard/internal/variants"
)

// take makes the inventory of a cache.
func take(t *testing.T, c *cachetest.Cache) *Inventory {
	t.Helper()
	records, err := ReadRecords(c.Ctx, c.Manager)
	require.NoError(t, err)
	stored, err := ReadContent(c.Ctx, c.Store)
	require.NoError(t, err)
	i, err := New(c.Ctx, records, stored)
	require.NoError(t, err)
	return i
}

// product is how many combinations upstream makes of a ref: it returns the main remote and
// all of these.
func product(t *testing.T, c *cachetest.Cache, ref cache.ImmutableRef) uint64 {
	t.Helper()
	remotes, err := ref.GetRemotes(c.Ctx, false, cacheconfig.RefConfig{Compression: compression.New(compression.Gzip)}, true, nil)
	require.NoError(t, err)
	return uint64(len(remotes) - 1)
}

// chain is the chain of a record.
func chain(t *testing.T, i *Inventory, ref cache.ImmutableRef) Chain {
	t.Helper()
	for _, c := range i.Chains {
		if c.Record == ref.ID() {
			return c
		}
	}
	require.Fail(t, "no chain", "record %s is not among %v", ref.ID(), i.Chains)
	return Chain{}
}

func TestOneCompression(t *testing.T) {
	c := cachetest.New(t)
	c.Chain(t, 5)
	i := take(t, c)
	assert.Equal(t, &Inventory{Blobs: 5, Records: 5, Layers: 5, Variants: []Layer{}, Chains: []Chain{}}, i)
}

func TestEmpty(t *testing.T) {
	i := take(t, cachetest.New(t))
	assert.Equal(t, &Inventory{Variants: []Layer{}, Chains: []Chain{}}, i)
}

// TestSeveralCompressions has as many combinations as upstream makes.
func TestSeveralCompressions(t *testing.T) {
	for compressions := 2; compressions <= len(cachetest.AllCompressions); compressions++ {
		for layers := 2; layers <= 5; layers++ {
			t.Run(fmt.Sprintf("%d layers in %d", layers, compressions), func(t *testing.T) {
				c := cachetest.New(t)
				ref := c.Chain(t, layers, cachetest.AllCompressions[1:compressions]...)
				i := take(t, c)
				assert.Equal(t, layers, i.Layers)
				assert.Equal(t, layers*compressions, i.Blobs)
				require.Len(t, i.Variants, layers)
				require.Len(t, i.Chains, 1)
				found := chain(t, i, ref)
				assert.Equal(t, layers, found.Variants)
				assert.Equal(t, product(t, c, ref), found.Estimate.Remotes)
				var surplus uint64
				for _, layer := range i.Variants {
					var names []string
					for n, b := range layer.Blobs {
						names = append(names, b.Compression)
						assert.Equal(t, n == 0, b.Owned, "the first is the record's own")
						info, err := c.Store.Info(c.Ctx, b.Digest)
						require.NoError(t, err)
						assert.Equal(t, info.Size, b.Size)
						if n > 0 {
							surplus += uint64(info.Size)
						}
					}
					var want []string
					for _, comp := range cachetest.AllCompressions[:compressions] {
						want = append(want, comp.String())
					}
					assert.ElementsMatch(t, want, names)
				}
				assert.Equal(t, surplus, i.Surplus)
			})
		}
	}
}

// TestMergesAndDiffs has as many combinations as upstream makes of records whose layers come
// from several others.
func TestMergesAndDiffs(t *testing.T) {
	c := cachetest.New(t)
	a := c.Chain(t, 3, compression.Zstd)
	var b cache.ImmutableRef
	for n := range 2 {
		b = c.Add(t, b, 10+n, compression.Gzip)
	}
	c.Convert(t, b, compression.Zstd)
	merged, err := c.Manager.Merge(c.Ctx, []cache.ImmutableRef{a, b}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, merged.Release(context.WithoutCancel(c.Ctx))) }()
	c.Convert(t, merged, compression.Zstd) // only now upstream knows what layers it has
	upon := c.Add(t, merged, 20, compression.Gzip)
	c.Convert(t, upon, compression.Zstd)

	i := take(t, c)
	assert.Equal(t, 6, i.Layers)
	require.Len(t, i.Chains, 1, "the others are parts of it")
	found := chain(t, i, upon)
	assert.Equal(t, 6, found.Estimate.Layers)
	assert.Equal(t, product(t, c, upon), found.Estimate.Remotes)
	assert.EqualValues(t, 32, found.Estimate.Remotes)

	// A diff of one layer is that layer of the upper record.
	lower, top := c.Chain(t, 2), c.Chain(t, 3)
	diff, err := c.Manager.Diff(c.Ctx, lower, top, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, diff.Release(context.WithoutCancel(c.Ctx))) }()
	twice, err := c.Manager.Merge(c.Ctx, []cache.ImmutableRef{b, diff}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, twice.Release(context.WithoutCancel(c.Ctx))) }()
	c.Convert(t, twice, compression.Zstd)
	found = chain(t, take(t, c), twice)
	assert.Equal(t, 3, found.Estimate.Layers)
	assert.Equal(t, product(t, c, twice), found.Estimate.Remotes)
}

// TestLazyLayers are in no compression, as they are not there.
func TestLazyLayers(t *testing.T) {
	c := cachetest.New(t)
	c.Lazy(t, 3)
	i := take(t, c)
	assert.Equal(t, &Inventory{Records: 3, Layers: 3, Variants: []Layer{}, Chains: []Chain{}}, i)
}

// TestTwoOwnBlobsOfALayer has a record with a layer in gzip, and one with the same layer in
// zstd: neither blob is surplus.
func TestTwoOwnBlobsOfALayer(t *testing.T) {
	c := cachetest.New(t)
	ref := c.Chain(t, 2, compression.Zstd)
	zstd, err := ref.GetRemotes(c.Ctx, false, cacheconfig.RefConfig{Compression: compression.New(compression.Zstd).SetForce(true)}, false, nil)
	require.NoError(t, err)
	before := take(t, c)
	assert.NotZero(t, before.Surplus)
	c.OnBlobs(t, zstd[0].Descriptors)
	i := take(t, c)
	assert.Equal(t, before.Layers, i.Layers)
	require.Len(t, i.Variants, 2)
	assert.Zero(t, i.Surplus)
	for _, layer := range i.Variants {
		for _, b := range layer.Blobs {
			assert.True(t, b.Owned)
		}
	}
}

// TestBlobsThatAreLinkedFromOneSide has two records with own blobs of one layer, each of which is
// linked with a third one and does not know of the other.
func TestBlobsThatAreLinkedFromOneSide(t *testing.T) {
	stored := linked("a", "b")
	shared, a, b := digest.FromString("a-zstd"), digest.FromString("a"), digest.FromString("b")
	delete(stored[shared].Labels, variants.LinkLabelPrefix+a.String())
	delete(stored, digest.FromString("b-zstd"))
	stored[b].Labels[variants.LinkLabelPrefix+shared.String()] = shared.String()
	i, err := New(t.Context(), []Record{{ID: "one", blob: a}, {ID: "other", blob: b}}, stored)
	require.NoError(t, err)
	assert.Equal(t, 1, i.Layers)
	require.Len(t, i.Variants, 1)
	assert.Len(t, i.Variants[0].Blobs, 3)
}

// TestLayersWithoutARecord has blobs that are linked, of which a record was pruned.
func TestLayersWithoutARecord(t *testing.T) {
	c := cachetest.New(t)
	c.Chain(t, 2, compression.Zstd, compression.EStargz)
	stored, err := ReadContent(c.Ctx, c.Store)
	require.NoError(t, err)
	i, err := New(c.Ctx, nil, stored)
	require.NoError(t, err)
	assert.Equal(t, 2, i.Layers)
	require.Len(t, i.Variants, 2)
	for _, layer := range i.Variants {
		var sum, largest uint64
		for _, b := range layer.Blobs {
			sum += uint64(b.Size)
			largest = max(largest, uint64(b.Size))
		}
		assert.Equal(t, sum-largest, layer.Surplus, "one of them is needed")
	}
	assert.Empty(t, i.Chains)
}

// values are those of a record, by their keys.
type values map[string]any

func (v values) record(t *testing.T, id string) Record {
	t.Helper()
	v[keyBlobChainID] = digest.FromString(id)
	r, ok := NewRecord(id, func(key string) *metadata.Value {
		value, err := metadata.NewValue(v[key])
		require.NoError(t, err)
		return value
	})
	require.True(t, ok)
	return r
}

// linked is a store of two blobs for each name, whose links go in circles.
func linked(names ...string) Content {
	stored := make(Content)
	for _, name := range names {
		for _, pair := range [][2]string{{name, name + "-zstd"}, {name + "-zstd", name}} {
			own, other := digest.FromString(pair[0]), digest.FromString(pair[1])
			info := stored[own]
			info.Digest, info.Size = own, 10
			info.Labels = map[string]string{
				variants.MediaTypeLabel:                        compression.Zstd.MediaType(),
				variants.LinkLabelPrefix + own.String():        own.String(),
				variants.LinkLabelPrefix + other.String():      other.String(),
				variants.LinkLabelPrefix + "sha256:not-there":  digest.FromString("nowhere").String(),
				variants.LinkLabelPrefix + "sha256:no-digest":  "garbage",
				variants.AnnotationLabelPrefix + "some.custom": "text",
			}
			stored[own] = info
		}
	}
	return stored
}

// TestDamagedRecords has records that are their own parents, and such that are built upon
// nothing.
func TestDamagedRecords(t *testing.T) {
	blob := func(name string) values {
		return values{keyBlob: digest.FromString(name), keyMediaType: compression.Gzip.MediaType()}
	}
	with := func(v values, key string, value any) values { v[key] = value; return v }
	records := []Record{
		with(blob("a"), keyParent, "a").record(t, "a"),
		with(blob("b"), keyParent, "c").record(t, "b"),
		with(blob("c"), keyParent, "b").record(t, "c"),
		with(blob("d"), keyParent, "gone").record(t, "d"),
		values{keyMergeParents: []string{"e", "e"}}.record(t, "e"),
		values{keyMergeParents: "garbage", keyUpperParent: 7}.record(t, "f"),
		with(blob("a"), keyUpperParent, "a").record(t, "g"),
		blob("a").record(t, "h"),
		with(blob("b"), keyParent, "h").record(t, "i"),
	}
	i, err := New(t.Context(), records, linked("a", "b", "c"))
	require.NoError(t, err)
	assert.Equal(t, 4, i.Layers)
	assert.Len(t, i.Variants, 3)
	require.Len(t, i.Chains, 1)
	assert.Equal(t, "i", i.Chains[0].Record)
	assert.EqualValues(t, 2, i.Chains[0].Estimate.Remotes)
}

// TestMergesOfMerges would have 2^64 layers.
func TestMergesOfMerges(t *testing.T) {
	records := []Record{values{keyBlob: digest.FromString("a")}.record(t, "0")}
	for n := range 64 {
		parent := fmt.Sprint(n)
		records = append(records, values{keyMergeParents: []string{parent, parent}}.record(t, fmt.Sprint(n+1)))
	}
	i, err := New(t.Context(), records, linked("a"))
	require.NoError(t, err)
	assert.Empty(t, i.Chains)
	assert.Len(t, i.Variants, 1)
}

func TestHugeSizesAreHeld(t *testing.T) {
	stored := linked("a", "b")
	for dgst, info := range stored {
		info.Size = math.MaxInt64
		stored[dgst] = info
	}
	records := []Record{values{keyBlob: digest.FromString("a")}.record(t, "a"), values{keyBlob: digest.FromString("b")}.record(t, "b")}
	i, err := New(t.Context(), records, stored)
	require.NoError(t, err)
	assert.Equal(t, uint64(math.MaxInt64)*2, i.Surplus)
}

// TestVariantsWithTheMostSurplusComeFirst has pairs of layers with the same surplus.
func TestVariantsWithTheMostSurplusComeFirst(t *testing.T) {
	stored := make(Content)
	var records []Record
	for n := range 40 {
		name := fmt.Sprint(n)
		maps.Copy(stored, linked(name))
		info := stored[digest.FromString(name+"-zstd")]
		info.Size = int64(n / 2)
		stored[info.Digest] = info
		records = append(records, Record{ID: name, blob: digest.FromString(name)})
	}
	i, err := New(t.Context(), records, stored)
	require.NoError(t, err)
	require.Len(t, i.Variants, 40)
	for n, layer := range i.Variants {
		assert.EqualValues(t, (39-n)/2, layer.Surplus)
		if n%2 == 1 {
			assert.Less(t, i.Variants[n-1].Blobs[0].Digest, layer.Blobs[0].Digest)
		}
	}
}

func TestContentThatIsNotThere(t *testing.T) {
	_, err := Content{}.Info(t.Context(), digest.FromString("a"))
	assert.ErrorIs(t, err, cerrdefs.ErrNotFound)
}

func TestEndedContext(t *testing.T) {
	c := cachetest.New(t)
	c.Chain(t, 1)
	ctx, cancel := context.WithCancelCause(c.Ctx)
	cancel(assert.AnError)
	_, err := ReadContent(ctx, c.Store)
	require.ErrorIs(t, err, assert.AnError)
	_, err = New(ctx, nil, linked("a"))
	require.ErrorIs(t, err, assert.AnError)
	_, err = New(ctx, []Record{{ID: "without a blob"}}, nil)
	require.ErrorIs(t, err, assert.AnError)
}

// BenchmarkNew has 10,000 blobs: 5,000 layers of 50 images, each in two compressions.
func BenchmarkNew(b *testing.B) {
	const images, layers = 50, 100
	var names []string
	var records []Record
	for image := range images {
		parent := ""
		for layer := range layers {
			id := fmt.Sprintf("%d-%d", image, layer)
			names = append(names, id)
			records = append(records, Record{ID: id, blob: digest.FromString(id), parent: parent})
			parent = id
		}
	}
	stored := linked(names...)
	for b.Loop() {
		i, err := New(b.Context(), records, stored)
		require.NoError(b, err)
		require.Len(b, i.Variants, images*layers)
	}
}

package variants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/containerd/stargz-snapshotter/estargz"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/internal/cachetest"
)

// infos is a content store of nothing but labels, for shapes that a real one
// takes too long to hold or refuses. It counts the questions.
type infos struct {
	blobs map[digest.Digest]content.Info
	asked int
}

func (i *infos) Info(_ context.Context, dgst digest.Digest) (content.Info, error) {
	i.asked++
	info, ok := i.blobs[dgst]
	if !ok {
		return content.Info{}, cerrdefs.ErrNotFound
	}
	return info, nil
}

// add adds blob name with a media type and links; see link.
func (i *infos) add(name string, links ...string) {
	labels := map[string]string{MediaTypeLabel: ocispecs.MediaTypeImageLayerGzip}
	for _, l := range links {
		labels[LinkLabelPrefix+l] = blobDigest(l).String()
	}
	if i.blobs == nil {
		i.blobs = make(map[digest.Digest]content.Info)
	}
	i.blobs[blobDigest(name)] = content.Info{Digest: blobDigest(name), Size: 1, Labels: labels}
}

func blobDigest(name string) digest.Digest { return digest.FromString(name) }

func own(name string) ocispecs.Descriptor {
	return ocispecs.Descriptor{Digest: blobDigest(name), Size: 1, MediaType: ocispecs.MediaTypeImageLayerGzip}
}

func digests(blobs []ocispecs.Descriptor) []digest.Digest {
	all := make([]digest.Digest, len(blobs))
	for i, b := range blobs {
		all[i] = b.Digest
	}
	return all
}

func TestWalkFindsEachBlobOnce(t *testing.T) {
	for name, test := range map[string]struct {
		links map[string][]string
		want  []string
	}{
		"a blob alone":                      {map[string][]string{"own": nil}, nil},
		"a blob that is not in the store":   {map[string][]string{}, nil},
		"a link to itself":                  {map[string][]string{"own": {"own"}}, nil},
		"a loop":                            {map[string][]string{"own": {"a"}, "a": {"b"}, "b": {"own"}}, []string{"a", "b"}},
		"links in both directions":          {map[string][]string{"own": {"a", "b"}, "a": {"own", "b"}, "b": {"own", "a"}}, []string{"a", "b"}},
		"a diamond":                         {map[string][]string{"own": {"a", "b"}, "a": {"c"}, "b": {"c"}, "c": nil}, []string{"a", "b", "c"}},
		"a link to a blob that is gone":     {map[string][]string{"own": {"a", "gone"}, "a": nil}, []string{"a"}},
		"a blob that nothing links to":      {map[string][]string{"own": {"a"}, "a": nil, "stray": {"own"}}, []string{"a"}},
		"a variant of a variant's variants": {map[string][]string{"own": {"a"}, "a": {"b"}, "b": {"c"}, "c": nil}, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			store := &infos{}
			for blob, links := range test.links {
				store.add(blob, links...)
			}
			for range 5 {
				blobs, err := Walk(t.Context(), store, own("own"))
				require.NoError(t, err)
				if test.want == nil {
					assert.Nil(t, blobs)
					continue
				}
				assert.Equal(t, own("own"), blobs[0], "the own blob comes first, as it was given")
				assert.IsIncreasing(t, append([]digest.Digest{""}, digests(blobs[1:])...))
				var want []digest.Digest
				for _, w := range test.want {
					want = append(want, blobDigest(w))
				}
				assert.ElementsMatch(t, want, digests(blobs[1:]))
			}
		})
	}
}

func TestWalkSkipsBadLabels(t *testing.T) {
	store := &infos{}
	store.add("own", "untyped", "good")
	store.add("good")
	store.add("untyped", "behind")
	store.add("behind")
	delete(store.blobs[blobDigest("untyped")].Labels, MediaTypeLabel)
	labels := store.blobs[blobDigest("own")].Labels
	for n, bad := range []string{"", "sha256:", "sha256:short", "../../etc/passwd", "md5:d41d8cd98f00b204e9800998ecf8427e", "\x00"} {
		labels[fmt.Sprint(LinkLabelPrefix, n)] = bad
	}
	labels["containerd.io/gc.ref.content.other"] = blobDigest("behind").String()
	blobs, err := Walk(t.Context(), store, own("own"))
	require.NoError(t, err)
	assert.ElementsMatch(t, []digest.Digest{own("own").Digest, blobDigest("good"), blobDigest("behind")}, digests(blobs),
		"a blob without a media type is no variant, but its links count, as upstream has it")
}

func TestWalkAsksOnceForEachBlob(t *testing.T) {
	const blobs = 10_000
	for name, link := range map[string]func(n int) []string{
		"in a row":                func(n int) []string { return []string{fmt.Sprint((n + 1) % blobs)} },
		"beside one that is gone": func(n int) []string { return []string{"gone", fmt.Sprint((n + 1) % blobs)} },
		"in a star": func(n int) []string {
			if n > 0 {
				return []string{"0"}
			}
			var all []string
			for i := range blobs {
				all = append(all, fmt.Sprint(i))
			}
			return all
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := &infos{}
			for n := range blobs {
				store.add(fmt.Sprint(n), link(n)...)
			}
			found, err := Walk(t.Context(), store, own("0"))
			require.NoError(t, err)
			assert.Len(t, found, blobs)
			asked := blobs
			if strings.HasSuffix(name, "gone") {
				asked++
			}
			assert.Equal(t, asked, store.asked)
		})
	}
}

// FuzzWalk walks any graph of 16 blobs. Each two bytes are one fact: the
// first has a blob in each half, a link from one to the other; the second says
// what is the matter with the blob that is linked: it is gone, untyped, of a
// stranger's layer or estargz, or the link is broken.
func FuzzWalk(f *testing.F) {
	f.Add([]byte{0x00, 0})
	f.Add([]byte{0x01, 0, 0x12, 0, 0x20, 0})
	f.Add([]byte{0x01, 0, 0x02, 0, 0x13, 0, 0x23, 0})
	f.Add([]byte{0x0f, 'g', 0x01, 0, 0x12, 'u', 0x23, 0})
	f.Add([]byte{0x01, 'b', 0x02, 0, 0x24, 0})
	f.Add([]byte{0x01, 0, 0x10, 'g'})
	f.Add([]byte{0x01, 0, 0x10, 'u'})
	f.Add([]byte{0x01, 's', 0x12, 0, 0x23, 0, 0x03, 0})
	f.Add([]byte{0x01, 0, 0x10, 0, 0x02, 0, 0x20, 0, 0x13, 'e', 0x31, 0, 0x23, 0, 0x34, 0})
	f.Fuzz(func(t *testing.T, facts []byte) {
		const blobs = 16
		var (
			store  = &infos{}
			linked [blobs][blobs]bool
			is     = map[byte]*[blobs]bool{'g': {}, 'u': {}, 's': {}, 'e': {}}
		)
		name := func(n int) digest.Digest { return blobDigest(fmt.Sprint("blob ", n)) }
		for n := range blobs {
			store.add(fmt.Sprint("blob ", n))
		}
		for ; len(facts) > 1; facts = facts[2:] {
			from, to := int(facts[0]>>4), int(facts[0]&0xf)
			value := name(to).String()
			if blobs, ok := is[facts[1]]; ok {
				blobs[to] = true
			}
			if linked[from][to] = facts[1] != 'b'; !linked[from][to] {
				value = value[:len(value)-1] // no digest
			}
			store.blobs[name(from)].Labels[LinkLabelPrefix+name(to).String()] = value
		}
		gone, untyped, stranger, stargz := is['g'], is['u'], is['s'], is['e']
		stranger[0], stargz[0] = false, false
		follows := linked // the links that lead to blobs of the layer
		for n := range blobs {
			l := store.blobs[name(n)].Labels
			if untyped[n] {
				delete(l, MediaTypeLabel)
			}
			if stranger[n] || stargz[n] {
				l[AnnotationLabelPrefix+labels.LabelUncompressed] = blobDigest("another layer").String()
			}
			if stargz[n] && !stranger[n] {
				l[AnnotationLabelPrefix+estargz.TOCJSONDigestAnnotation] = "its table of contents"
			}
			for from := range blobs {
				follows[from][n] = linked[from][n] && !gone[from] && !gone[n] && !stranger[n] && (!stargz[n] || linked[n][from])
			}
			if gone[n] {
				delete(store.blobs, name(n))
			}
		}

		// The transitive closure, by Warshall.
		reaches := follows
		for via := range blobs {
			for from := range blobs {
				for to := range blobs {
					reaches[from][to] = reaches[from][to] || reaches[from][via] && reaches[via][to]
				}
			}
		}
		reaches[0][0] = true
		want, asked := []digest.Digest{}, 1
		for n := 1; n < blobs; n++ {
			for from := range blobs {
				if reaches[0][from] && !gone[from] && linked[from][n] {
					asked++
					break
				}
			}
			if reaches[0][n] && !untyped[n] {
				want = append(want, name(n))
			}
		}
		slices.Sort(want)

		first := own("blob 0")
		first.Annotations = map[string]string{labels.LabelUncompressed: blobDigest("the layer").String()}
		found, err := Walk(t.Context(), store, first)
		require.NoError(t, err)
		require.Equal(t, asked, store.asked, "one question for each blob")
		if len(want) == 0 {
			require.Nil(t, found)
			return
		}
		require.Equal(t, first, found[0])
		require.Equal(t, want, digests(found[1:]))
	})
}

// failingStore is a store that breaks down at one blob.
type failingStore struct {
	content.InfoProvider
	at  digest.Digest
	err error
}

func (s failingStore) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	if dgst == s.at {
		return content.Info{}, s.err
	}
	return s.InfoProvider.Info(ctx, dgst)
}

func TestStoreErrorFallsBackToTheOwnBlob(t *testing.T) {
	store := &infos{}
	store.add("first", "first zstd")
	store.add("first zstd")
	store.add("second", "second zstd")
	store.add("second zstd")
	broken := errors.New("input/output error")
	layers, err := Find(t.Context(), failingStore{store, blobDigest("first zstd"), broken}, []ocispecs.Descriptor{own("first"), own("second")})
	require.ErrorIs(t, err, broken)
	assert.ErrorContains(t, err, blobDigest("first").String())
	assert.Equal(t, []int{1, 2}, layers.Counts())
	assert.Equal(t, own("first"), layers[0][0])

	_, err = Find(t.Context(), failingStore{failingStore{store, blobDigest("first zstd"), broken}, blobDigest("second zstd"), io.EOF}, []ocispecs.Descriptor{own("first"), own("second")})
	require.ErrorIs(t, err, broken, "the first one")
}

// TestWalkRefusesBlobsOfOtherLayers has labels that upstream would not write.
func TestWalkRefusesBlobsOfOtherLayers(t *testing.T) {
	const annotation = AnnotationLabelPrefix + "containerd.io/uncompressed"
	toc := AnnotationLabelPrefix + estargz.TOCJSONDigestAnnotation
	back := LinkLabelPrefix + blobDigest("own").String()
	for name, test := range map[string]struct {
		labels map[string]string
		found  bool
	}{
		"the same content":                     {map[string]string{annotation: "sha256:own"}, true},
		"unknown content":                      {nil, true},
		"other content":                        {map[string]string{annotation: "sha256:other"}, false},
		"other content, says containerd":       {map[string]string{"containerd.io/uncompressed": "sha256:other"}, false},
		"upstream's label wins":                {map[string]string{"containerd.io/uncompressed": "sha256:other", annotation: "sha256:own"}, true},
		"other content that links back":        {map[string]string{annotation: "sha256:other", back: blobDigest("own").String()}, false},
		"estargz that links back":              {map[string]string{annotation: "sha256:other", toc: "sha256:toc", back: blobDigest("own").String()}, true},
		"estargz that links to something else": {map[string]string{annotation: "sha256:other", toc: "sha256:toc", back: blobDigest("behind").String()}, false},
		"estargz that does not link back":      {map[string]string{annotation: "sha256:other", toc: "sha256:toc"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			store := &infos{}
			store.add("own", "linked")
			store.add("linked", "behind")
			store.add("behind")
			maps.Copy(store.blobs[blobDigest("linked")].Labels, test.labels)
			layer := own("own")
			layer.Annotations = map[string]string{labels.LabelUncompressed: "sha256:own"}
			blobs, err := Walk(t.Context(), store, layer)
			require.NoError(t, err)
			if !test.found {
				assert.Nil(t, blobs, "neither the blob nor what it links to")
				return
			}
			assert.ElementsMatch(t, []digest.Digest{layer.Digest, blobDigest("linked"), blobDigest("behind")}, digests(blobs))

			layer.Annotations = nil
			blobs, err = Walk(t.Context(), store, layer)
			require.NoError(t, err)
			assert.Len(t, blobs, 3, "nothing can be told from a layer of which nothing is known")
		})
	}
}

// TestRefusedBlobIsReachedByAnotherLink has an estargz blob with two links to
// it, one of which it returns: whichever is walked first, it is found, and
// nobody is asked twice.
func TestRefusedBlobIsReachedByAnotherLink(t *testing.T) {
	for range 50 {
		store := &infos{}
		store.add("own", "a", "b")
		store.add("a", "estargz")
		store.add("b", "estargz")
		store.add("estargz")
		maps.Copy(store.blobs[blobDigest("estargz")].Labels, map[string]string{
			AnnotationLabelPrefix + labels.LabelUncompressed:        "sha256:other",
			AnnotationLabelPrefix + estargz.TOCJSONDigestAnnotation: "sha256:toc",
			LinkLabelPrefix + blobDigest("a").String():              blobDigest("a").String(),
		})
		layer := own("own")
		layer.Annotations = map[string]string{labels.LabelUncompressed: "sha256:own"}
		blobs, err := Walk(t.Context(), store, layer)
		require.NoError(t, err)
		require.Len(t, blobs, 4)
		require.Equal(t, 4, store.asked)
	}
}

// TestOwnEstargzFindsItsLayer has the roles the other way round: the layer's own
// blob is the one with content of its own.
func TestOwnEstargzFindsItsLayer(t *testing.T) {
	c := cachetest.New(t)
	ref := c.Chain(t, 2, compression.Zstd, compression.EStargz)
	estargz, err := ref.GetRemotes(c.Ctx, true, cacheconfig.RefConfig{Compression: compression.New(compression.EStargz).SetForce(true)}, false, nil)
	require.NoError(t, err)
	for _, own := range estargz[0].Descriptors {
		blobs, err := Walk(c.Ctx, c.Store, own)
		require.NoError(t, err)
		require.Len(t, blobs, 2, "upstream has not typed the gzip blob, which the ref was made of")
		assert.Equal(t, ocispecs.MediaTypeImageLayerZstd, blobs[1].MediaType)
		assert.NotEqual(t, own.Annotations[labels.LabelUncompressed], blobs[1].Annotations[labels.LabelUncompressed])
	}
}

// TestChainWithoutVariantsCostsNothing counts allocations with a store that
// makes none.
func TestChainWithoutVariantsCostsNothing(t *testing.T) {
	store := &infos{}
	var chain []ocispecs.Descriptor
	for n := range 127 {
		name := fmt.Sprint(n)
		store.add(name, name) // upstream links a blob to itself, too
		chain = append(chain, own(name))
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		layers, err := Find(context.Background(), store, chain)
		if err != nil || layers != nil {
			t.Fail()
		}
	}))
}

// TestWalkReadsUpstreamsLabels is on a real content store.
func TestWalkReadsUpstreamsLabels(t *testing.T) {
	c := cachetest.New(t)
	ref := c.Chain(t, 1, compression.EStargz)
	remotes, err := ref.GetRemotes(c.Ctx, false, cacheconfig.RefConfig{Compression: compression.New(compression.Gzip)}, false, nil)
	require.NoError(t, err)
	gzip := remotes[0].Descriptors[0]
	blobs, err := Walk(c.Ctx, c.Store, gzip)
	require.NoError(t, err)
	require.Len(t, blobs, 2)
	assert.NotEmpty(t, blobs[1].Annotations["containerd.io/snapshot/stargz/toc.digest"])

	foreign, data := cachetest.Layer(t, 1, compression.Zstd)
	require.NoError(t, content.WriteBlob(c.Ctx, c.Store, "foreign", bytes.NewReader(data), foreign, content.WithLabels(map[string]string{
		MediaTypeLabel: "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
	})))
	_, err = c.Store.Update(c.Ctx, content.Info{Digest: gzip.Digest, Labels: map[string]string{
		LinkLabelPrefix + "foreign": foreign.Digest.String(),
	}}, "labels."+LinkLabelPrefix+"foreign")
	require.NoError(t, err)
	blobs, err = Walk(c.Ctx, c.Store, gzip)
	require.NoError(t, err)
	assert.Contains(t, blobs, ocispecs.Descriptor{Digest: foreign.Digest, Size: foreign.Size, MediaType: ocispecs.MediaTypeImageLayerZstd},
		"without URLs a layer must be distributable")
}

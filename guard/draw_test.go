package guard

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bkguard/bkguard/internal/cachetest"
	"github.com/bkguard/bkguard/internal/choice"
	"github.com/bkguard/bkguard/internal/variants"
)

// drawnLayers is how many layers there are to make chains of.
const drawnLayers = 6

// drawnStore is a real content store with a blob of every layer in every
// compression. Labels are not those of the store but drawn.
type drawnStore struct {
	content.Store
	// blobs has the descriptor of each layer in each compression.
	blobs  [drawnLayers]map[compression.Type]ocispecs.Descriptor
	labels map[digest.Digest]map[string]string
}

func newDrawnStore(tb testing.TB) (*drawnStore, context.Context) {
	tb.Helper()
	c := newTestCache(tb)
	s := &drawnStore{Store: c.Store}
	for n := range s.blobs {
		s.blobs[n] = make(map[compression.Type]ocispecs.Descriptor)
		for _, comp := range cachetest.AllCompressions {
			desc, data := cachetest.Layer(tb, n, comp)
			require.NoError(tb, content.WriteBlob(c.Ctx, s, desc.Digest.String(), bytes.NewReader(data), desc))
			if comp == compression.EStargz {
				// What is inside has a table of contents.
				r, err := gzip.NewReader(bytes.NewReader(data))
				require.NoError(tb, err)
				inside, err := digest.FromReader(r)
				require.NoError(tb, err)
				require.NotEqual(tb, desc.Annotations[labels.LabelUncompressed], inside.String())
				desc.Annotations[labels.LabelUncompressed] = inside.String()
				desc.Annotations[estargz.TOCJSONDigestAnnotation] = digest.FromString("its table of contents").String()
			}
			s.blobs[n][comp] = desc
		}
	}
	return s, c.Ctx
}

func (s *drawnStore) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	info, err := s.Store.Info(ctx, dgst)
	info.Labels = maps.Clone(s.labels[dgst])
	return info, err
}

// drawnLayer is one layer of a chain.
type drawnLayer struct {
	number int
	// have are the compressions that it exists in, its own first.
	have []compression.Type
}

// drawnChain is a chain of layers, bottom layer first. A layer may be there
// twice, with other blobs.
type drawnChain []drawnLayer

func drawChain(t *rapid.T) drawnChain {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) drawnLayer {
		have := rapid.Permutation(cachetest.AllCompressions).Draw(t, "compressions")
		return drawnLayer{
			number: rapid.IntRange(0, drawnLayers-1).Draw(t, "number"),
			have:   have[:rapid.IntRange(1, len(have)).Draw(t, "exists in")],
		}
	}), 1, 5).Draw(t, "chain")
}

// own are the descriptors of the layers' own blobs. When a layer was made
// differs from ref to ref.
func (s *drawnStore) own(t *rapid.T, chain drawnChain) []ocispecs.Descriptor {
	descs := make([]ocispecs.Descriptor, len(chain))
	for i, l := range chain {
		descs[i] = s.blobs[l.number][l.have[0]]
		descs[i].Annotations = maps.Clone(descs[i].Annotations)
		descs[i].Annotations[choice.CreatedAt] = fmt.Sprintf("2026-01-02T03:04:%02dZ", rapid.IntRange(0, 59).Draw(t, "created"))
	}
	return descs
}

// link draws the labels that tie the blobs of each layer of the chains together,
// in both directions as upstream does (cache/refs.go, linkBlob). Blobs of
// a layer that is in the chains twice are tied together by either.
func (s *drawnStore) link(t *rapid.T, chains ...drawnChain) {
	s.labels = make(map[digest.Digest]map[string]string)
	for _, l := range slices.Concat(chains...) {
		for i, comp := range l.have {
			desc := s.blobs[l.number][comp]
			s.describe(desc)
			if i == 0 {
				continue
			}
			from := s.blobs[l.number][l.have[rapid.IntRange(0, i-1).Draw(t, "linked from")]]
			s.labels[from.Digest][variants.LinkLabelPrefix+desc.Digest.String()] = desc.Digest.String()
			s.labels[desc.Digest][variants.LinkLabelPrefix+from.Digest.String()] = from.Digest.String()
		}
	}
}

// describe labels a blob with its descriptor.
func (s *drawnStore) describe(desc ocispecs.Descriptor) {
	if s.labels[desc.Digest] != nil {
		return
	}
	s.labels[desc.Digest] = map[string]string{variants.MediaTypeLabel: desc.MediaType}
	for key, value := range desc.Annotations {
		s.labels[desc.Digest][variants.AnnotationLabelPrefix+key] = value
	}
}

// damage draws links from any blob to any of another layer, which nobody has
// linked back.
func (s *drawnStore) damage(t *rapid.T) {
	for range rapid.IntRange(1, 10).Draw(t, "damaged links") {
		numbers := rapid.Permutation([]int{0, 1, 2, 3, 4, 5}).Draw(t, "layers")
		from := s.blobs[numbers[0]][rapid.SampledFrom(cachetest.AllCompressions).Draw(t, "from")]
		to := s.blobs[numbers[1]][rapid.SampledFrom(cachetest.AllCompressions).Draw(t, "to")]
		s.describe(from)
		s.describe(to)
		if s.labels[to.Digest][variants.LinkLabelPrefix+from.Digest.String()] == "" {
			s.labels[from.Digest][variants.LinkLabelPrefix+to.Digest.String()] = to.Digest.String()
		}
	}
}

// reached are the blobs of a layer that can be found from its own one, which
// comes first, the others by digest: what two layers of the chains have linked
// is found by both.
func (s *drawnStore) reached(l drawnLayer) []ocispecs.Descriptor {
	own := s.blobs[l.number][l.have[0]]
	in := map[digest.Digest]bool{own.Digest: true}
	for range cachetest.AllCompressions { // no path is longer
		for dgst := range maps.Clone(in) {
			for label, value := range s.labels[dgst] {
				if strings.HasPrefix(label, variants.LinkLabelPrefix) {
					in[digest.Digest(value)] = true
				}
			}
		}
	}
	var others []ocispecs.Descriptor
	for _, desc := range s.blobs[l.number] {
		if in[desc.Digest] && desc.Digest != own.Digest {
			others = append(others, desc)
		}
	}
	slices.SortFunc(others, func(a, b ocispecs.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	return append([]ocispecs.Descriptor{own}, others...)
}

// record is the main remote of a record on a chain with its variants, and these: own
// blobs only where there are no others.
func (s *drawnStore) record(ctx context.Context, t *rapid.T, chain drawnChain) (*solver.Remote, variants.Table) {
	main := &solver.Remote{Descriptors: s.own(t, chain), Provider: s}
	found := find(ctx, s, main.Descriptors, compression.Gzip)
	require.NoError(t, found.err)
	p, v := newProvider(main, s, found, false), found.layers
	if v == nil {
		for _, own := range main.Descriptors {
			v = append(v, []ocispecs.Descriptor{own})
		}
	}
	return &solver.Remote{Descriptors: main.Descriptors, Provider: p}, v
}

// drawRecords draws chains that share layers, and a record on each.
func (s *drawnStore) drawRecords(ctx context.Context, t *rapid.T) ([]*solver.Remote, []variants.Table) {
	chains := rapid.SliceOfN(rapid.Custom(drawChain), 1, 4).Draw(t, "chains")
	s.link(t, chains...)
	var (
		records []*solver.Remote
		found   []variants.Table
	)
	for _, chain := range chains {
		main, v := s.record(ctx, t, chain)
		records, found = append(records, main), append(found, v)
	}
	return records, found
}

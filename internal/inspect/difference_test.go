package inspect

import (
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/pkg/labels"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func compare(t *testing.T, a, b *layout) Difference {
	t.Helper()
	d, err := Compare([]*Cache{a.read(t)}, []*Cache{b.read(t)})
	require.NoError(t, err)
	return d
}

func TestCompare(t *testing.T) {
	base := step{name: "base", layers: []string{"1", "2"}}
	run := step{name: "run", inputs: []string{"base"}, layers: []string{"1", "2", "3"}}
	whole := export(t, []step{base, run})
	assert.True(t, compare(t, whole, export(t, []step{base, run})).Same())

	d := compare(t, whole, export(t, []step{base, {"run", []string{"base"}, []string{"1", "2", "4"}, "", 0}}))
	assert.Equal(t, [6]int{0, 0, 1, 1, 1, 0}, sizes(d), "another result")
	assert.Equal(t, []digest.Digest{digest.FromString("3")}, d.LayersOnlyInA)
	assert.Equal(t, []digest.Digest{digest.FromString("4")}, d.LayersOnlyInB)

	d = compare(t, whole, export(t, []step{base, {"run", []string{"base"}, nil, "", 0}}))
	assert.Equal(t, [6]int{0, 0, 1, 1, 0, 0}, sizes(d), "no result")

	d = compare(t, whole, export(t, []step{base, {"other", []string{"base"}, []string{"1", "2", "3"}, "", 0}}))
	assert.Equal(t, [6]int{1, 1, 0, 0, 0, 0}, sizes(d), "another record")

	d = compare(t, whole, export(t, []step{{"other", nil, []string{"1", "2"}, "", 0}, {"run", []string{"other"}, []string{"1", "2", "3"}, "", 0}}))
	assert.Equal(t, [6]int{2, 2, 0, 0, 0, 0}, sizes(d), "the same key upon another record")
}

// TestCompareCompressions has the same layers in other compressions.
func TestCompareCompressions(t *testing.T) {
	var caches []*layout
	for _, mediaType := range []string{gzip, zstd} {
		l := newLayout(t)
		layers := []ocispecs.Descriptor{l.layer(t, "a", gzip), l.layer(t, "b", mediaType)}
		config := chainOf(layers...)
		for i := range config.Records {
			config.Records[i].Digest = digest.FromString(layers[i].Annotations[labels.LabelUncompressed])
		}
		l.cache(t, marshal(t, config), layers...)
		caches = append(caches, l)
	}
	d := compare(t, caches[0], caches[1])
	assert.Equal(t, [6]int{0, 0, 0, 0, 0, 1}, sizes(d))
	assert.Equal(t, []digest.Digest{digest.FromString("b")}, d.Blobs)
}

func TestCompareRefuses(t *testing.T) {
	l := newLayout(t)
	l.cache(t, []byte("{"))
	broken := l.read(t)
	_, err := Compare([]*Cache{broken}, []*Cache{broken})
	require.ErrorContains(t, err, "cannot be compared: broken: the config cannot be read")
}

// TestSame has what differs in two ways, as what is missing on one side is there on the other.
func TestSame(t *testing.T) {
	assert.True(t, Difference{}.Same())
	lists := func(d *Difference) []*[]digest.Digest {
		return []*[]digest.Digest{&d.RecordsOnlyInA, &d.RecordsOnlyInB, &d.Results, &d.LayersOnlyInA, &d.LayersOnlyInB, &d.Blobs}
	}
	for i := range 6 {
		for j := range i + 1 {
			var d Difference
			*lists(&d)[i] = []digest.Digest{"one"}
			*lists(&d)[j] = []digest.Digest{"one"}
			assert.False(t, d.Same(), "%d and %d", i, j)
		}
	}
}

// TestCompareConfigs compares what no writer of upstream's need have written. There are
// layers a, b and c; %a, %b and %c stand for their digests.
func TestCompareConfigs(t *testing.T) {
	const layers = `{"layers":[{"blob":"%a","parent":-1},{"blob":"%b"},{"blob":"%c"}],"records":`
	for name, c := range map[string]struct {
		a, b  string
		sizes [6]int
	}{
		"links in another order": {
			layers + `[{"digest":"sha256:1","layers":[{}]},{"digest":"sha256:2"},{"inputs":[[{"link":0},{"link":1}]]}]}`,
			layers + `[{"digest":"sha256:1","layers":[{}]},{"digest":"sha256:2"},{"inputs":[[{"link":1},{"link":0}]]}]}`, [6]int{},
		},
		"another bottom": {
			`{"layers":[{"blob":"%a","parent":-1},{"blob":"%b"}],"records":[{"digest":"sha256:1","layers":[{}]},{"digest":"sha256:2","layers":[{"layer":1}]}]}`,
			`{"layers":[{"blob":"%c","parent":-1},{"blob":"%b"}],"records":[{"digest":"sha256:1","layers":[{}]},{"digest":"sha256:2","layers":[{"layer":1}]}]}`, [6]int{0, 0, 2, 0, 0, 0},
		},
		"layers that nothing uses": {
			layers + `[{"layers":[{}]}]}`,
			`{"layers":[{"blob":"%a","parent":-1},{"blob":"%b","parent":3},{"blob":"%c","parent":2}],"records":[{"layers":[{}]}]}`, [6]int{},
		},
		"another one of several results": {
			layers + `[{"layers":[{}],"chains":[{"layers":[0,1]},{"layers":[0,2]}]}]}`,
			layers + `[{"layers":[{}],"chains":[{"layers":[0,1]},{"layers":[2,0]}]}]}`, [6]int{0, 0, 1, 0, 0, 0},
		},
		"the same result in another form": {
			layers + `[{"layers":[{"layer":1}]}]}`,
			layers + `[{"chains":[{"layers":[0,1]}]}]}`, [6]int{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache := func(config string) *layout {
				l := newLayout(t)
				a, b, c := l.layer(t, "a", gzip), l.layer(t, "b", gzip), l.layer(t, "c", gzip)
				l.cache(t, []byte(strings.NewReplacer("%a", a.Digest.String(), "%b", b.Digest.String(), "%c", c.Digest.String()).Replace(config)), a, b, c)
				return l
			}
			assert.Equal(t, c.sizes, sizes(compare(t, cache(c.a), cache(c.b))))
		})
	}
}

func TestDifferencesAreSorted(t *testing.T) {
	one, other := map[digest.Digest]set{}, map[digest.Digest]set{}
	for i := range 20 {
		key := digest.FromString(strconv.Itoa(i))
		put(one, key, "one")
		put(other, key, "other")
	}
	assert.Len(t, onlyIn(one, nil), 20)
	assert.IsIncreasing(t, onlyIn(one, nil))
	assert.Len(t, unequal(one, other), 20)
	assert.IsIncreasing(t, unequal(one, other))
}

func sizes(d Difference) [6]int {
	return [6]int{len(d.RecordsOnlyInA), len(d.RecordsOnlyInB), len(d.Results), len(d.LayersOnlyInA), len(d.LayersOnlyInB), len(d.Blobs)}
}

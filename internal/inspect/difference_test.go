package inspect

import (
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

func sizes(d Difference) [6]int {
	return [6]int{len(d.RecordsOnlyInA), len(d.RecordsOnlyInB), len(d.Results), len(d.LayersOnlyInA), len(d.LayersOnlyInB), len(d.Blobs)}
}

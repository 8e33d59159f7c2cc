package inspect

import (
	"strings"
	"testing"

	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// imageConfig is the config of an image with inline cache.
type imageConfig struct {
	ocispecs.Image
	Cache []byte `json:"moby.buildkit.cache.v0,omitempty"`
}

// image writes the manifest of an image with layers a and b, and changes its config first.
func (l *layout) image(t *testing.T, records string, change func(*imageConfig)) ocispecs.Descriptor {
	t.Helper()
	layers := []ocispecs.Descriptor{l.layer(t, "a", gzip), l.layer(t, "b", gzip)}
	config := imageConfig{Cache: []byte(records)}
	config.OS, config.Architecture = "linux", "arm64"
	for i := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.Digest(layers[i].Annotations["containerd.io/uncompressed"]))
		config.History = append(config.History, ocispecs.History{}, ocispecs.History{EmptyLayer: true})
		layers[i].Annotations = nil
	}
	if change != nil {
		change(&config)
	}
	desc := l.json(t, config)
	l.configSize = desc.Size
	top := l.json(t, ocispecs.Manifest{MediaType: ocispecs.MediaTypeImageManifest, Config: desc, Layers: layers})
	top.MediaType = ocispecs.MediaTypeImageManifest
	return top
}

func TestInline(t *testing.T) {
	const whole = `[{"digest":"sha256:1","layers":[{"layer":1}]}]`
	for name, c := range map[string]struct {
		records string
		change  func(*imageConfig)
		verdict string
	}{
		"whole":            {whole, nil, "fine: 1 of 1 records have a result"},
		"in chains":        {`[{"chains":[{"layers":[1]}]},{"chains":[{"layers":[0,1]}]}]`, nil, "fine: 2 of 2 records have a result"},
		"no cache":         {"", nil, "broken: the image has no inline cache"},
		"no records":       {"[]", nil, "broken: none of 0 records has a result: nothing can be loaded from it"},
		"no results":       {`[{"digest":"sha256:1"},{"digest":"sha256:2"}]`, nil, "broken: none of 2 records has a result: nothing can be loaded from it"},
		"not to the top":   {`[{"layers":[{"layer":0}]}]`, nil, "broken: the results reach layer 1 of the 2 of the image: the steps above it are lost"},
		"without a bottom": {`[{"chains":[{"layers":[1]}]}]`, nil, "broken: the results reach layer 0 of the 2 of the image: the steps above it are lost"},
		"beyond the top":   {`[{"layers":[{"layer":2}]}]`, nil, "broken: no daemon imports it: record 0: a result names layer 2, and there are 2"},
		"not JSON":         {`[`, nil, "broken: the inline cache cannot be read: unexpected end of JSON input"},
		"other layers": {whole, func(c *imageConfig) { c.RootFS.DiffIDs = c.RootFS.DiffIDs[:1] },
			"broken: the image has 2 layers in its manifest and 1 in its config"},
		"the same layer twice": {`[{"layers":[{"layer":0}]}]`, func(c *imageConfig) { c.RootFS.DiffIDs[1] = c.RootFS.DiffIDs[0] },
			"broken: the results reach layer 1 of the 2 of the image: the steps above it are lost"},
		"short history": {whole, func(c *imageConfig) { c.History = c.History[1:] },
			"broken: the history of the image names 1 of its 2 layers, and an import of its cache panics"},
		"no history": {whole, func(c *imageConfig) { c.History = nil },
			"broken: the history of the image names 0 of its 2 layers, and an import of its cache panics"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLayout(t)
			l.tag(t, l.image(t, c.records, c.change))
			found := l.read(t)
			assert.Equal(t, c.verdict, found.Verdict())
			assert.Equal(t, Inline, found.Form)
			assert.LessOrEqual(t, len(found.Findings), 1)
			assert.Equal(t, "linux/arm64", found.Platform)
			assert.Equal(t, l.configSize, found.ConfigSize)
			if !strings.HasSuffix(name, " history") { // upstream panics in a goroutine of its own
				refused := l.imported(t)
				assert.Equal(t, name == "beyond the top" || name == "not JSON", refused != nil, "%v", refused)
			}
		})
	}
}

// TestImageWithoutCache has images whose config or layers leave nothing to import.
func TestImageWithoutCache(t *testing.T) {
	l := newLayout(t)
	gone := ocispecs.Descriptor{Digest: digest.FromString("gone")}
	for verdict, config := range map[string]ocispecs.Descriptor{
		"broken: the config " + gone.Digest.String() + " is missing":                   gone,
		"broken: the config of the image cannot be read: unexpected end of JSON input": l.write(t, []byte("[")),
		"broken: the image has no layers, and so no cache":                             l.json(t, imageConfig{Cache: []byte("[]")}),
	} {
		l.tag(t, l.json(t, ocispecs.Manifest{MediaType: ocispecs.MediaTypeImageManifest, Config: config, Layers: []ocispecs.Descriptor{}}))
		assert.Equal(t, verdict, l.read(t).Verdict())
	}
}

// TestLayersOfAnImage has a layer in two blobs, of which the manifest describes one as estargz.
func TestLayersOfAnImage(t *testing.T) {
	l := newLayout(t)
	a := digest.FromString("a")
	one, other := l.layer(t, "a", gzip), l.layer(t, "a", zstd)
	one.Annotations, other.Annotations = map[string]string{tocAnnotation: "sha256:table"}, nil
	config := imageConfig{Cache: []byte(`[{"layers":[{"layer":1}]}]`)}
	config.RootFS.DiffIDs, config.History = []digest.Digest{a, a}, make([]ocispecs.History, 2)
	l.tag(t, l.json(t, ocispecs.Manifest{MediaType: ocispecs.MediaTypeImageManifest, Config: l.json(t, config), Layers: []ocispecs.Descriptor{one, other}}))
	found := l.read(t)
	assert.Empty(t, found.Findings)
	assert.Equal(t, map[string]int{"estargz": 1, "zstd": 1}, found.Compressions)
	assert.Equal(t, [2]int{2, 1}, [2]int{found.Blobs, found.Layers})
	assert.Empty(t, found.Platform, "the config names none")
}

// TestPlatforms has an index of two images with inline cache, of two that cannot be read, and
// of an attestation.
func TestPlatforms(t *testing.T) {
	l := newLayout(t)
	var images []ocispecs.Descriptor
	for _, arch := range []string{"amd64", "arm64"} {
		records := `[{"layers":[{"layer":1}]}]`
		image := l.image(t, records, func(c *imageConfig) { c.Author = arch })
		image.Platform = &ocispecs.Platform{OS: "linux", Architecture: arch}
		images = append(images, image)
	}
	attestation := l.json(t, ocispecs.Manifest{Config: l.json(t, "attestation")})
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	gone := ocispecs.Descriptor{Digest: digest.FromString("gone"), Platform: &ocispecs.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}}
	damaged := l.write(t, []byte(`{"layers":[],"config":{"size":"large"}}`))
	damaged.Platform = &ocispecs.Platform{OS: "linux", Architecture: "s390x"}
	l.tag(t, l.json(t, ocispecs.Index{MediaType: ocispecs.MediaTypeImageIndex, Manifests: append(images, images[0], attestation, gone, damaged)}))
	found, err := Read(t.Context(), Directory(l.dir))
	require.NoError(t, err)
	require.Len(t, found, 4)
	for i, want := range []string{"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"} {
		assert.Equal(t, l.dir+":latest for "+want, found[i].Title())
	}
	assert.Equal(t, "fine: 1 of 1 records have a result", found[0].Verdict())
	assert.Equal(t, "fine: 1 of 1 records have a result", found[1].Verdict())
	assert.Equal(t, "broken: the manifest of the image is missing", found[2].Verdict())
	assert.Contains(t, found[3].Verdict(), "broken: the manifest cannot be imported: json: cannot unmarshal string")
}

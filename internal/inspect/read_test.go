package inspect

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	cacheconfig "github.com/moby/buildkit/cache/remotecache/v1/types"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	gzip = ocispecs.MediaTypeImageLayerGzip
	zstd = ocispecs.MediaTypeImageLayerZstd
)

// TestConfigs compares what is said of a config with what upstream's importer makes of it.
// There are layers a and b; %a and %b stand for their digests.
func TestConfigs(t *testing.T) {
	for name, c := range map[string]struct{ config, finding string }{
		"whole": {`{"layers":[{"blob":"%a","parent":-1},{"blob":"%b"}],
			"records":[{"digest":"sha256:1"},{"digest":"sha256:2","layers":[{"layer":1}],"inputs":[[{"link":0}]]}]}`, ""},
		"chains":                        {`{"layers":[{"blob":"%a","parent":-1},{"blob":"%b","parent":-1}],"records":[{"chains":[{"layers":[1,0]}]}]}`, ""},
		"random and alone":              {`{"layers":[{"blob":"%a","parent":-1}],"records":[{"digest":"random:1"},{"layers":[{"layer":0}]}]}`, ""},
		"unused layer":                  {`{"layers":[{"blob":"%a","parent":-1},{"blob":"%b","parent":7}],"records":[{"layers":[{"layer":0}]}]}`, ""},
		"truncated":                     {`{"layers":[{"blob":"%a"`, "the config cannot be read: unexpected end of JSON input"},
		"not JSON":                      {"\x00\x01", "the config cannot be read: invalid character"},
		"another type":                  {`{"records":[{"layers":"0"}]}`, "the config cannot be read: json: cannot unmarshal"},
		"number beyond int":             {`{"records":[{"layers":[{"layer":99999999999999999999}]}]}`, "the config cannot be read: json: cannot unmarshal"},
		"input without a link":          {`{"records":[{"inputs":[[]]}]}`, "record 0 has an input without any link"},
		"link beyond the records":       {`{"records":[{"inputs":[[{"link":1}]]}]}`, "record 0 has a link to record 1, and there are 1"},
		"negative link":                 {`{"records":[{"inputs":[[{"link":-1}]]}]}`, "record 0 has a link to record -1, and there are 1"},
		"its own input":                 {`{"records":[{"inputs":[[{"link":0}]]}]}`, "some records are among their own inputs"},
		"a loop of two":                 {`{"records":[{},{"inputs":[[{"link":2}]]},{"inputs":[[{"link":0},{"link":1}]]}]}`, "some records are among their own inputs"},
		"link to a random record":       {`{"records":[{"digest":"random:1"},{"inputs":[[{"link":0}]]}]}`, "record 1 has a link to record 0, whose key is random"},
		"result beyond the layers":      {`{"records":[{"layers":[{"layer":0}]}]}`, "record 0: a result names layer 0, and there are 0"},
		"negative result":               {`{"layers":[{"blob":"%a","parent":-1}],"records":[{"layers":[{"layer":-1}]}]}`, "record 0: a result names layer -1, and there are 1"},
		"parent beyond the layers":      {`{"layers":[{"blob":"%a","parent":1}],"records":[{"layers":[{"layer":0}]}]}`, "record 0: a result names layer 1, and there are 1"},
		"negative parent":               {`{"layers":[{"blob":"%a","parent":-2}],"records":[{"layers":[{"layer":0}]}]}`, "record 0: a result names layer -2, and there are 1"},
		"a layer below itself":          {`{"layers":[{"blob":"%a"}],"records":[{"layers":[{"layer":0}]}]}`, "record 0: layer 0 is below itself"},
		"chain beyond the layers":       {`{"layers":[{"blob":"%a","parent":-1}],"records":[{"chains":[{"layers":[0,1]}]}]}`, "record 0: a result names layer 1, and there are 1"},
		"negative chain":                {`{"layers":[{"blob":"%a","parent":-1}],"records":[{"chains":[{"layers":[-1]}]}]}`, "record 0: a result names layer -1, and there are 1"},
		"too large":                     {`{"layers":[{"blob":"%a","parent":-1}],"records":[{"layers":[{"layer":0}]}]}` + strings.Repeat(" ", ImportLimit), "the config has 1048720 bytes, and no daemon imports more than 1048576"},
		"many records, and larger":      {`{"layers":[{"blob":"%a","parent":-1}],"records":[{"layers":[{"layer":0}]}` + strings.Repeat(`,{"digest":"`+string(digest.FromString(""))+`"}`, 14000) + `]}`, "the config has 1190144 bytes, and no daemon imports more than 1048576"},
		"so large that it is not read":  {strings.Repeat(" ", readLimit+1), "the config has 8388609 bytes"},
		"a layer that is not named":     {`{"layers":[{"blob":"sha256:c","parent":5}],"records":[{"layers":[{"layer":0}]}]}`, "1 record is lost: the manifest does not name all layers of their results"},
		"a parent that is not named":    {`{"layers":[{"blob":"sha256:c","parent":-1},{"blob":"%a"}],"records":[{"layers":[{"layer":1}]},{"layers":[{"layer":1}]}]}`, "2 records are lost: the manifest does not name all layers of their results"},
		"a chain that is not named":     {`{"layers":[{"blob":"sha256:c","parent":-1}],"records":[{"chains":[{"layers":[0,9]}]}]}`, "1 record is lost: the manifest does not name all layers of their results"},
		"no records":                    {`{}`, "none of 0 records has a result: nothing can be loaded from it"},
		"records without any result":    {`{"records":[{"digest":"sha256:1"},{"digest":"sha256:2"}]}`, "none of 2 records has a result: nothing can be loaded from it"},
		"null for everything":           {`{"layers":null,"records":[{"layers":null,"chains":null,"inputs":null}]}`, "none of 1 record has a result: nothing can be loaded from it"},
		"nothing but null":              {`null`, "none of 0 records has a result: nothing can be loaded from it"},
		"an empty chain upon a record":  {`{"layers":[{"blob":"%a","parent":-1}],"records":[{"layers":[{"layer":0}]},{"chains":[{"layers":[]}],"inputs":[[{"link":0}]]}]}`, ""},
		"a record with all and nothing": {`{"layers":[{"blob":"%a","parent":-1}],"records":[{"chains":[{"layers":[]}]},{"layers":[{"layer":0}]}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLayout(t)
			a, b := l.layer(t, "a", gzip), l.layer(t, "b", gzip)
			text := strings.NewReplacer("%a", a.Digest.String(), "%b", b.Digest.String()).Replace(c.config)
			l.cache(t, []byte(text), a, b)
			found := l.read(t)
			refused := l.imported(t)
			if c.finding == "" {
				assert.Empty(t, found.Findings)
				assert.Equal(t, Fine, found.Worst())
				assert.NoError(t, refused)
				return
			}
			assert.Equal(t, Broken, found.Worst())
			assert.Contains(t, found.Findings[0].Text, c.finding)
			if strings.Contains(c.finding, "lost") || strings.Contains(c.finding, "none of") {
				assert.NoError(t, refused)
				assert.Zero(t, found.Results)
			} else {
				assert.Error(t, refused)
			}
		})
	}
}

// TestImportLimit has the limit from upstream: a config or a manifest of that size is
// imported, and one of a byte more is not.
func TestImportLimit(t *testing.T) {
	for _, part := range []string{"config", "manifest"} {
		for size, want := range map[int]Severity{ImportLimit: Fine, ImportLimit + 1: Broken} {
			l := newLayout(t)
			layer := l.layer(t, "a", gzip)
			config := marshal(t, chainOf(layer))
			if part == "config" {
				config = append(config, bytes.Repeat([]byte(" "), size-len(config))...)
			}
			l.cache(t, config, layer)
			if part == "manifest" {
				data, err := os.ReadFile(l.path(l.top.Digest))
				require.NoError(t, err)
				l.tag(t, l.write(t, append(data, bytes.Repeat([]byte(" "), size-len(data))...)))
			}
			found := l.read(t)
			assert.Equal(t, want, found.Worst(), "%s of %d bytes: %v", part, size, found.Findings)
			assert.Equal(t, 1, found.Results)
			assert.Equal(t, want == Broken, l.imported(t) != nil, "%s of %d bytes", part, size)
		}
	}
}

// TestForms reads the same cache as index and as manifest, from a directory and from a
// registry.
func TestForms(t *testing.T) {
	for _, form := range []string{Index, Manifest} {
		t.Run(form, func(t *testing.T) {
			l := newLayout(t)
			layers := []ocispecs.Descriptor{l.layer(t, "a", gzip), l.layer(t, "b", zstd)}
			config := marshal(t, chainOf(layers...))
			l.cache(t, config, layers...)
			if form == Manifest {
				desc := l.write(t, config)
				desc.MediaType = cacheconfig.CacheConfigMediaTypeV0
				top := l.json(t, ocispecs.Manifest{MediaType: ocispecs.MediaTypeImageManifest, Config: desc, Layers: layers})
				top.MediaType = ocispecs.MediaTypeImageManifest
				l.tag(t, top)
			}
			found := l.read(t)
			assert.Empty(t, found.Findings)
			assert.Equal(t, "fine: 2 of 2 records have a result", found.Verdict())
			assert.Equal(t, l.dir+":latest", found.Name)
			assert.Equal(t, form, found.Form)
			assert.Equal(t, l.top.Digest, found.Digest)
			assert.Equal(t, l.top.Size, found.ManifestSize)
			assert.Equal(t, int64(len(config)), found.ConfigSize)
			assert.Equal(t, [5]int{2, 2, 2, 2, int(layers[0].Size + layers[1].Size)}, [5]int{found.Records, found.Results, found.Layers, found.Blobs, int(found.Bytes)})
			assert.Equal(t, map[string]int{"gzip": 1, "zstd": 1}, found.Compressions)

			ref := l.push(t)
			there := readRegistry(t, ref)
			assert.Equal(t, ref.String(), there.Name)
			there.Name = found.Name
			assert.Equal(t, found, there)
		})
	}
}

func TestReadRefuses(t *testing.T) {
	_, err := Read(t.Context(), Directory(t.TempDir()))
	require.ErrorIs(t, err, os.ErrNotExist)

	largest := t.TempDir()
	require.NoError(t, os.WriteFile(largest+"/index.json", []byte("{}"+strings.Repeat(" ", readLimit-2)), 0o644))
	found, err := Read(t.Context(), Directory(largest))
	require.NoError(t, err)
	require.Empty(t, found)
	for text, want := range map[string]string{"{": "unexpected end", strings.Repeat(" ", readLimit+1): "is not read"} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(dir+"/index.json", []byte(text), 0o644))
		_, err = Read(t.Context(), Directory(dir))
		require.ErrorContains(t, err, want)
	}

	l := newLayout(t)
	layer := l.layer(t, "a", gzip)
	l.cache(t, marshal(t, chainOf(layer)), layer)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Read(ctx, Directory(l.dir))
	require.ErrorIs(t, err, context.Canceled)
}

// TestDamaged takes something from a layout that is whole.
func TestDamaged(t *testing.T) {
	for name, c := range map[string]struct {
		damage  func(t *testing.T, l *layout, layer, config digest.Digest)
		finding string
	}{
		"manifest missing": {func(t *testing.T, l *layout, _, _ digest.Digest) {
			t.Helper()
			require.NoError(t, os.Remove(l.path(l.top.Digest)))
		}, "the manifest is missing"},
		"manifest changed": {func(t *testing.T, l *layout, _, _ digest.Digest) {
			t.Helper()
			require.NoError(t, os.WriteFile(l.path(l.top.Digest), []byte("{}"), 0o644))
		}, "the manifest is not what its digest says"},
		"config missing": {func(t *testing.T, l *layout, _, config digest.Digest) {
			t.Helper()
			require.NoError(t, os.Remove(l.path(config)))
		}, "is missing"},
		"config changed": {func(t *testing.T, l *layout, _, config digest.Digest) {
			t.Helper()
			require.NoError(t, os.WriteFile(l.path(config), []byte("{}"), 0o644))
		}, "is not what its digest says"},
		"blob missing": {func(t *testing.T, l *layout, layer, _ digest.Digest) {
			t.Helper()
			require.NoError(t, os.Remove(l.path(layer)))
		}, "1 blob is missing, such as sha256:"},
		"directory instead of a blob": {func(t *testing.T, l *layout, layer, _ digest.Digest) {
			t.Helper()
			require.NoError(t, os.Remove(l.path(layer)))
			require.NoError(t, os.Mkdir(l.path(layer), 0o755))
		}, "1 blob is missing, such as sha256:"},
		"blob cut short": {func(t *testing.T, l *layout, layer, _ digest.Digest) {
			t.Helper()
			require.NoError(t, os.Truncate(l.path(layer), 1))
		}, "1 blob is of another size than the manifest says, such as sha256:"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLayout(t)
			layer := l.layer(t, "a", gzip)
			config := marshal(t, chainOf(layer))
			l.cache(t, config, layer)
			require.Empty(t, l.read(t).Findings)
			c.damage(t, l, layer.Digest, digest.FromBytes(config))
			found := l.read(t)
			require.Len(t, found.Findings, 1)
			assert.Equal(t, Broken, found.Worst())
			assert.Contains(t, found.Findings[0].Text, c.finding)
		})
	}
}

// TestBadDescriptors has descriptors in a manifest that no exporter writes.
func TestBadDescriptors(t *testing.T) {
	l := newLayout(t)
	layer := l.layer(t, "a", gzip)
	for name, change := range map[string]func(*ocispecs.Descriptor){
		"no uncompressed digest": func(d *ocispecs.Descriptor) { d.Annotations = nil },
		"a path as digest":       func(d *ocispecs.Descriptor) { d.Digest = "../../etc/passwd" },
		"no digest":              func(d *ocispecs.Descriptor) { d.Digest = "" },
		"a negative size":        func(d *ocispecs.Descriptor) { d.Size = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			changed := layer
			change(&changed)
			l.cache(t, marshal(t, chainOf(changed)), changed)
			assert.Equal(t, Broken, l.read(t).Worst())
		})
	}
	l.tag(t, ocispecs.Descriptor{Digest: "no digest"})
	assert.Equal(t, "broken: the manifest is missing", l.read(t).Verdict())
	l.tag(t, l.write(t, []byte(`{"config":{},"manifests":[]}`)))
	assert.Contains(t, l.read(t).Verdict(), "broken: the manifest cannot be imported: invalid ambiguous manifest")
	l.tag(t, l.write(t, []byte(`{"manifests":[]}`)))
	assert.Equal(t, "broken: the index has no image, and no cache", l.read(t).Verdict())
	l.tag(t, l.write(t, []byte(`{"layers":[],"config":{"size":"large"}}`)))
	assert.Contains(t, l.read(t).Verdict(), "broken: the manifest cannot be imported: json: cannot unmarshal string")
	config := l.json(t, chainOf(layer))
	config.MediaType, config.Size = cacheconfig.CacheConfigMediaTypeV0, config.Size+1
	l.tag(t, l.json(t, ocispecs.Index{MediaType: ocispecs.MediaTypeImageIndex, Manifests: []ocispecs.Descriptor{config}}))
	assert.Equal(t, fmt.Sprintf("broken: the config has %d bytes, and the manifest says %d (and 2 more)", config.Size-1, config.Size), l.read(t).Verdict())
	l.cache(t, marshal(t, chainOf(layer)), layer)
	size := l.top.Size
	l.top.Size = 1
	l.tag(t, l.top)
	assert.Equal(t, size, l.read(t).ManifestSize, "what there is counts, not what the index says")
}

// ending is a context that has ended when it was asked a number of times. It says so only once,
// as no context does, so that nobody but who has asked then can return the error.
type ending struct {
	context.Context
	left int
}

func (e *ending) Err() error {
	e.left--
	if e.left == -1 {
		return context.Canceled
	}
	return nil
}

// TestReadEndsWithItsContext ends the context wherever a cache is checked.
func TestReadEndsWithItsContext(t *testing.T) {
	l := newLayout(t)
	layers := []ocispecs.Descriptor{l.layer(t, "a", gzip), l.layer(t, "b", gzip), l.layer(t, "b", zstd)}
	l.cache(t, marshal(t, chainOf(layers[:2]...)), layers...)
	asked := 0
	for ; ; asked++ {
		found, err := Read(&ending{t.Context(), asked}, Directory(l.dir))
		if err == nil {
			break
		}
		require.ErrorIs(t, err, context.Canceled)
		require.Nil(t, found)
	}
	assert.Equal(t, 6, asked, "each of two records is checked for its results, its blobs and its input")
}

// TestSameLayerTwiceInOneChain has a layer in two blobs that an image has, both of them.
func TestSameLayerTwiceInOneChain(t *testing.T) {
	l := newLayout(t)
	layers := []ocispecs.Descriptor{l.layer(t, "a", gzip), l.layer(t, "empty", gzip), l.layer(t, "empty", zstd)}
	l.cache(t, marshal(t, chainOf(layers...)), layers...)
	found := l.read(t)
	assert.Equal(t, [2]int{3, 2}, [2]int{found.Blobs, found.Layers})
	assert.Empty(t, found.Findings)

	layers = append(layers, l.layer(t, "empty", ocispecs.MediaTypeImageLayer))
	l.cache(t, marshal(t, chainOf(layers[:3]...)), layers...)
	assert.Contains(t, l.read(t).Verdict(), "wasteful: 1 layer is in more than one blob")

	l.cache(t, marshal(t, chainOf(layers[0], layers[1], layers[1])), layers[:3]...)
	assert.Contains(t, l.read(t).Verdict(), "wasteful: 1 layer is in more than one blob", "a blob is needed once, however often it is in a chain")
}

// TestSameLayerTwice has a layer in two compressions.
func TestSameLayerTwice(t *testing.T) {
	l := newLayout(t)
	layers := []ocispecs.Descriptor{l.layer(t, "a", gzip), l.layer(t, "b", ocispecs.MediaTypeImageLayer), l.layer(t, "b", zstd)}
	l.cache(t, marshal(t, chainOf(layers[:2]...)), layers...)
	found := l.read(t)
	assert.Equal(t, [2]int{3, 2}, [2]int{found.Blobs, found.Layers})
	require.NotEqual(t, layers[1].Size, layers[2].Size)
	smaller := min(layers[1].Size, layers[2].Size)
	assert.Equal(t, Wasteful, found.Worst())
	assert.Contains(t, found.Verdict(), "wasteful: 1 layer is in more than one blob")
	assert.Contains(t, found.Verdict(), fmt.Sprintf("which takes %dB too much: 3 blobs for 2 layers", smaller))
}

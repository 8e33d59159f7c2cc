package inspect

import (
	"context"
	"encoding/json"
	"testing"

	cacheimport "github.com/moby/buildkit/cache/remotecache/v1"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everything is a place that has every blob.
type everything struct{ Place }

func (everything) size(context.Context, digest.Digest) (int64, error) { return 0, nil }

// FuzzConfig holds that a config is refused exactly if upstream refuses it. The manifest
// names layers "a", "b" and "c".
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		`{"layers":[{"blob":"a","parent":-1},{"blob":"b"}],"records":[{},{"layers":[{"layer":1}],"inputs":[[{"link":0,"selector":"/"}]]}]}`,
		`{"layers":[{"blob":"a","parent":-1},{"blob":"a","parent":2},{"blob":"d","parent":9}],"records":[{"layers":[{"layer":1}]}]}`,
		`{"layers":[{"blob":"a","parent":1},{"blob":"b"}],"records":[{"layers":[{"layer":1}]}]}`,
		`{"layers":[{"blob":"a"},{"blob":"b"}],"records":[{"chains":[{"layers":[1,0,-1]}]}]}`,
		`{"records":[{"digest":"random:x"},{"inputs":[[{"link":0}],[]]}]}`,
		`{"records":[{"inputs":[[{"link":1}]]},{"inputs":[[{"link":0}]]}]}`,
		`{"records":[{"inputs":[[{"link":-1}]]}]}`,
		`{"records":[`,
		`null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &Cache{Form: Manifest, Compressions: map[string]int{}, byDigest: map[digest.Digest]ocispecs.Descriptor{}}
		provider := cacheimport.DescriptorProvider{}
		for _, name := range []digest.Digest{"a", "b", "c"} {
			desc := ocispecs.Descriptor{Digest: name}
			c.add(desc)
			provider[name] = cacheimport.DescriptorProviderPair{Descriptor: desc}
		}
		if json.Unmarshal(data, &c.config) != nil {
			t.Skip("not a config")
		}
		c.parsed = true
		require.NoError(t, c.check(t.Context(), everything{}))
		refused := cacheimport.Parse(data, provider, cacheimport.NewCacheChains())
		assert.Equal(t, refused != nil, c.loadable == nil, "%v", refused)
		if refused == nil {
			d, err := Compare([]*Cache{c}, []*Cache{c})
			require.NoError(t, err)
			assert.True(t, d.Same())
		}
	})
}

// FuzzManifest reads any manifest, whose blobs are all missing.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		`{"config":{"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":"sha256:1"},"layers":[{"digest":"sha256:2"}]}`,
		`{"manifests":[{"digest":"sha256:1","annotations":{"vnd.docker.reference.type":""}},{"digest":"../1"}]}`,
		`{"mediaType":"application/vnd.oci.image.index.v1+json","layers":[]}`,
		`[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &layout{dir: t.TempDir()}
		l.tag(t, l.write(t, data))
		found, err := Read(t.Context(), Directory(l.dir))
		require.NoError(t, err)
		require.NotEmpty(t, found)
	})
}

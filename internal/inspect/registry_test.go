package inspect

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// push copies the layout to a registry that ends with the test. What is named by the
// manifest but not in the layout is missing there, too.
func (l *layout) push(t *testing.T) name.Reference {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/cache:latest")
	require.NoError(t, err)
	files, err := os.ReadDir(l.dir + "/blobs/sha256")
	require.NoError(t, err)
	for _, f := range files {
		data, err := os.ReadFile(l.dir + "/blobs/sha256/" + f.Name())
		require.NoError(t, err)
		require.NoError(t, remote.WriteLayer(ref.Context(), static.NewLayer(data, types.OCILayer)))
	}
	data, err := os.ReadFile(l.path(l.top.Digest))
	require.NoError(t, err)
	var manifest struct {
		MediaType types.MediaType `json:"mediaType"`
		Manifests []ocispecs.Descriptor
	}
	require.NoError(t, json.Unmarshal(data, &manifest))
	// This registry holds nothing to be an index whose manifests it has not.
	require.NoError(t, remote.Put(ref, pushed{manifest.MediaType, data}))
	return ref
}

// pushed is a manifest as it is sent to a registry.
type pushed struct {
	mediaType types.MediaType
	data      []byte
}

func (p pushed) RawManifest() ([]byte, error)        { return p.data, nil }
func (p pushed) MediaType() (types.MediaType, error) { return p.mediaType, nil }

// readRegistry returns the only cache under a reference.
func readRegistry(t *testing.T, ref name.Reference) *Cache {
	t.Helper()
	place, err := NewRegistry(ref)
	require.NoError(t, err)
	found, err := Read(t.Context(), place)
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

func TestRegistryWithoutABlob(t *testing.T) {
	l := newLayout(t)
	layers := []ocispecs.Descriptor{l.layer(t, "a", gzip), l.layer(t, "b", gzip)}
	config := marshal(t, chainOf(layers...))
	l.cache(t, config, layers...)
	require.NoError(t, os.Remove(l.path(layers[1].Digest)))
	assert.Equal(t, "broken: 1 blob is missing, such as "+layers[1].Digest.String(), readRegistry(t, l.push(t)).Verdict())
	l.layer(t, "b", gzip) // there again
	gone := digest.FromBytes(config)
	require.NoError(t, os.Remove(l.path(gone)))
	assert.Equal(t, "broken: the config "+gone.String()+" is missing", readRegistry(t, l.push(t)).Verdict())
}

func TestRegistryWithoutAnImage(t *testing.T) {
	l := newLayout(t)
	gone := ocispecs.Descriptor{Digest: digest.FromString("gone")}
	l.tag(t, l.json(t, ocispecs.Index{MediaType: ocispecs.MediaTypeImageIndex, Manifests: []ocispecs.Descriptor{gone}}))
	assert.Equal(t, "broken: the manifest of the image is missing", readRegistry(t, l.push(t)).Verdict())
}

// TestRegistryThatIsAway holds that an error of the way to a cache is no verdict on it.
func TestRegistryThatIsAway(t *testing.T) {
	l := newLayout(t)
	layer := l.layer(t, "a", gzip)
	l.cache(t, marshal(t, chainOf(layer)), layer)
	ref := l.push(t)
	nothing, err := NewRegistry(ref.Context().Tag("nothing"))
	require.NoError(t, err)
	_, err = Read(t.Context(), nothing)
	require.ErrorContains(t, err, "MANIFEST_UNKNOWN")
}

// TestRegistryThatRefusesBlobs has manifests for anybody. That a blob cannot be looked at, or
// a config read, says nothing of the cache.
func TestRegistryThatRefusesBlobs(t *testing.T) {
	withConfig, inline := newLayout(t), newLayout(t)
	layer := withConfig.layer(t, "a", gzip)
	withConfig.cache(t, marshal(t, chainOf(layer)), layer)
	inline.tag(t, inline.image(t, `[{"layers":[{"layer":1}]}]`, nil))
	for form, l := range map[string]*layout{"config": withConfig, "image": inline} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			t.Run(form+" "+method, func(t *testing.T) {
				ref := l.push(t)
				behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: ref.Context().RegistryStr()})
				front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.Contains(r.URL.Path, "/blobs/") && r.Method == method {
						http.Error(w, "no", http.StatusForbidden)
						return
					}
					behind.ServeHTTP(w, r)
				}))
				t.Cleanup(front.Close)
				refused, err := name.ParseReference(strings.TrimPrefix(front.URL, "http://") + "/cache:latest")
				require.NoError(t, err)
				place, err := NewRegistry(refused)
				require.NoError(t, err)
				_, err = Read(t.Context(), place)
				require.ErrorContains(t, err, "403")
			})
		}
	}
}

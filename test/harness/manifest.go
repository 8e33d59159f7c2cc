package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	cacheconfig "github.com/moby/buildkit/cache/remotecache/v1/types"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// CacheManifest is what a cache export of type registry or local has written.
type CacheManifest struct {
	// Digest is that of the manifest itself.
	Digest digest.Digest
	// Blobs are the compressed layers, each once, in the manifest's order.
	Blobs []ocispecs.Descriptor
	// Config ties the layers to the steps of a build.
	Config cacheconfig.CacheConfig
}

// Layers counts the distinct layers by their uncompressed content. An export
// that writes no layer twice has as many blobs.
func (m CacheManifest) Layers() int {
	distinct := map[string]bool{}
	for _, blob := range m.Blobs {
		distinct[blob.Annotations[labels.LabelUncompressed]] = true
	}
	return len(distinct)
}

// Digests are those of the blobs, in their order.
func (m CacheManifest) Digests() []digest.Digest {
	digests := make([]digest.Digest, len(m.Blobs))
	for i, blob := range m.Blobs {
		digests[i] = blob.Digest
	}
	return digests
}

// Count returns how many of the blobs are in a compression.
func (m CacheManifest) Count(t compression.Type) int {
	count := 0
	for _, blob := range m.Blobs {
		if found, err := compression.FromMediaType(blob.MediaType); err == nil && found == t {
			count++
		}
	}
	return count
}

// Cache fetches what a cache export of type registry has written under a name,
// such as "127.0.0.1:5000/cache:latest".
func (r *Registry) Cache(ctx context.Context, image string) (CacheManifest, error) {
	m, err := fetchCache(ctx, image)
	if err != nil {
		return CacheManifest{}, fmt.Errorf("read the cache %s: %w", image, err)
	}
	return m, nil
}

func fetchCache(ctx context.Context, image string) (CacheManifest, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return CacheManifest{}, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(transport)}
	top, err := remote.Get(ref, options...)
	if err != nil {
		return CacheManifest{}, err
	}
	return parseCache(top.Manifest, func(dgst digest.Digest) ([]byte, error) {
		blob, err := remote.Layer(ref.Context().Digest(dgst.String()), options...)
		if err != nil {
			return nil, err
		}
		content, err := blob.Compressed()
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(content)
		return text, errors.Join(err, content.Close())
	})
}

// LocalCache reads what a cache export of type local has written: an OCI layout
// with one manifest in its index.
func LocalCache(dir string) (CacheManifest, error) {
	m, err := readCache(dir)
	if err != nil {
		return CacheManifest{}, fmt.Errorf("read the cache in %s: %w", dir, err)
	}
	return m, nil
}

func readCache(dir string) (CacheManifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, ocispecs.ImageIndexFile))
	if err != nil {
		return CacheManifest{}, err
	}
	var index ocispecs.Index
	if err := json.Unmarshal(text, &index); err != nil {
		return CacheManifest{}, err
	}
	if len(index.Manifests) != 1 {
		return CacheManifest{}, fmt.Errorf("the index has %d manifests instead of one", len(index.Manifests))
	}
	read := func(dgst digest.Digest) ([]byte, error) {
		if err := dgst.Validate(); err != nil {
			return nil, err
		}
		return os.ReadFile(filepath.Join(dir, ocispecs.ImageBlobsDir, dgst.Algorithm().String(), dgst.Encoded()))
	}
	manifest, err := read(index.Manifests[0].Digest)
	if err != nil {
		return CacheManifest{}, err
	}
	return parseCache(manifest, read)
}

// parseCache reads a manifest in either of the two forms that exporters write:
// an image manifest with the cache config as its config, or an index in which
// the cache config stands among the layers.
func parseCache(manifest []byte, read func(digest.Digest) ([]byte, error)) (CacheManifest, error) {
	var either struct {
		Config    ocispecs.Descriptor   `json:"config"`
		Layers    []ocispecs.Descriptor `json:"layers"`
		Manifests []ocispecs.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(manifest, &either); err != nil {
		return CacheManifest{}, err
	}
	m := CacheManifest{Digest: digest.FromBytes(manifest)}
	var config digest.Digest
	seen := map[digest.Digest]bool{}
	for _, desc := range slices.Concat(either.Layers, either.Manifests, []ocispecs.Descriptor{either.Config}) {
		switch {
		case desc.MediaType == cacheconfig.CacheConfigMediaTypeV0:
			config = desc.Digest
		case desc.Digest != "" && !seen[desc.Digest]:
			seen[desc.Digest] = true
			m.Blobs = append(m.Blobs, desc)
		}
	}
	if config == "" {
		return CacheManifest{}, errors.New("the manifest has no cache config")
	}
	text, err := read(config)
	if err != nil {
		return CacheManifest{}, err
	}
	if err := json.Unmarshal(text, &m.Config); err != nil {
		return CacheManifest{}, err
	}
	return m, nil
}

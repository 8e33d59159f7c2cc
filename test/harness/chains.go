package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	remotetransport "github.com/google/go-containerregistry/pkg/v1/remote/transport"
	digest "github.com/opencontainers/go-digest"
)

// Chains returns the blobs of every result in the cache, bottom layer first.
func (m CacheManifest) Chains() ([][]digest.Digest, error) {
	layers := m.Config.Layers
	var chains [][]digest.Digest
	for _, record := range m.Config.Records {
		for _, result := range record.Results {
			var chain []digest.Digest
			for i := result.LayerIndex; i != -1; i = layers[i].ParentIndex {
				if i < 0 || i >= len(layers) || len(chain) == len(layers) {
					return nil, fmt.Errorf("the cache config has a chain that does not end: %v", chain)
				}
				chain = append(chain, layers[i].Blob)
			}
			slices.Reverse(chain)
			chains = append(chains, chain)
		}
	}
	return chains, nil
}

// Uncompressed downloads blobs of a repository, such as
// "127.0.0.1:5000/cache", and returns the digest of what is in each. A blob that
// is not what its digest says is an error.
func (r *Registry) Uncompressed(ctx context.Context, repository string, blobs []digest.Digest) (map[digest.Digest]digest.Digest, error) {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return nil, fmt.Errorf("read the blobs of %s: %w", repository, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	found := map[digest.Digest]digest.Digest{}
	for _, blob := range blobs {
		layer, err := remote.Layer(repo.Digest(blob.String()), remote.WithContext(ctx), remote.WithTransport(transport))
		if err != nil {
			return nil, fmt.Errorf("read blob %s of %s: %w", blob, repository, err)
		}
		diffID, err := layer.DiffID()
		if err != nil {
			return nil, fmt.Errorf("read blob %s of %s: %w", blob, repository, err)
		}
		found[blob] = digest.Digest(diffID.String())
	}
	return found, nil
}

// Has tells whether there is something under a name, such as
// "127.0.0.1:5000/cache".
func (r *Registry) Has(ctx context.Context, image string) (bool, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", image, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	_, err = remote.Head(ref, remote.WithContext(ctx), remote.WithTransport(transport))
	var answer *remotetransport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", image, err)
	}
	return true, nil
}

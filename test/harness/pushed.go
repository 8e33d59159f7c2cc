package harness

import (
	"context"
	"fmt"
	"net/http"

	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocilayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image fetches the manifest of an image for one platform. The layers of an
// image with inline cache are the blobs of that cache.
func (r *Registry) Image(ctx context.Context, image string) (CacheManifest, error) {
	m, err := fetchImage(ctx, image)
	if err != nil {
		return CacheManifest{}, fmt.Errorf("read the image %s: %w", image, err)
	}
	return m, nil
}

func fetchImage(ctx context.Context, image string) (CacheManifest, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return CacheManifest{}, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithTransport(transport))
	if err != nil {
		return CacheManifest{}, err
	}
	return readImage(img)
}

// Layers fetches the digests of the layers of an image, for each of its platforms. An
// image without an index has one, which is empty.
func (r *Registry) Layers(ctx context.Context, image string) (map[string][]digest.Digest, error) {
	layers, err := fetchLayers(ctx, image)
	if err != nil {
		return nil, fmt.Errorf("read the layers of %s: %w", image, err)
	}
	return layers, nil
}

func fetchLayers(ctx context.Context, image string) (map[string][]digest.Digest, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	top, err := remote.Get(ref, remote.WithContext(ctx), remote.WithTransport(transport))
	if err != nil {
		return nil, err
	}
	images := map[string]v1.Image{}
	if top.MediaType.IsIndex() {
		index, err := top.ImageIndex()
		if err != nil {
			return nil, err
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			return nil, err
		}
		for _, desc := range manifest.Manifests {
			if images[desc.Platform.String()], err = index.Image(desc.Digest); err != nil {
				return nil, err
			}
		}
	} else if images[""], err = top.Image(); err != nil {
		return nil, err
	}
	layers := map[string][]digest.Digest{}
	for platform, image := range images {
		m, err := readImage(image)
		if err != nil {
			return nil, err
		}
		layers[platform] = m.Digests()
	}
	return layers, nil
}

// LayoutImage reads the manifest of the only image in a directory, which an image
// export of type oci or docker has written with tar=false.
func LayoutImage(dir string) (CacheManifest, error) {
	m, err := readLayout(dir)
	if err != nil {
		return CacheManifest{}, fmt.Errorf("read the image in %s: %w", dir, err)
	}
	return m, nil
}

func readLayout(dir string) (CacheManifest, error) {
	index, err := ocilayout.ImageIndexFromPath(dir)
	if err != nil {
		return CacheManifest{}, err
	}
	all, err := index.IndexManifest()
	if err != nil {
		return CacheManifest{}, err
	}
	if len(all.Manifests) != 1 {
		return CacheManifest{}, fmt.Errorf("the index has %d manifests instead of one", len(all.Manifests))
	}
	img, err := index.Image(all.Manifests[0].Digest)
	if err != nil {
		return CacheManifest{}, err
	}
	return readImage(img)
}

// readImage reads the manifest of an image; the digest of each layer's content is that
// of the image's config.
func readImage(img v1.Image) (CacheManifest, error) {
	hash, err := img.Digest()
	if err != nil {
		return CacheManifest{}, err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return CacheManifest{}, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return CacheManifest{}, err
	}
	if len(manifest.Layers) != len(config.RootFS.DiffIDs) {
		return CacheManifest{}, fmt.Errorf("%d layers in the manifest, %d in the config", len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	m := CacheManifest{Digest: digest.Digest(hash.String())}
	for i, layer := range manifest.Layers {
		m.Blobs = append(m.Blobs, ocispecs.Descriptor{
			MediaType:   string(layer.MediaType),
			Digest:      digest.Digest(layer.Digest.String()),
			Size:        layer.Size,
			Annotations: map[string]string{labels.LabelUncompressed: config.RootFS.DiffIDs[i].String()},
		})
	}
	return m, nil
}

package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/labels"
	cacheconfig "github.com/moby/buildkit/cache/remotecache/v1/types"
	"github.com/moby/buildkit/util/attestation"
	"github.com/moby/buildkit/util/imageutil"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Read reads all caches of a place and checks them. What is wrong with a cache is among
// its findings; the error is that of the place, or of the context.
func Read(ctx context.Context, place Place) ([]*Cache, error) {
	r := reader{place: place, seen: make(map[digest.Digest]bool)}
	roots, err := place.roots(ctx)
	if err != nil {
		return nil, err
	}
	for _, top := range roots {
		if err := r.root(ctx, top); err != nil {
			return nil, fmt.Errorf("%s: %w", top.Digest, err)
		}
	}
	for _, c := range r.caches {
		if err := c.check(ctx, place); err != nil {
			return nil, err
		}
	}
	return r.caches, nil
}

// reader collects the caches of a place.
type reader struct {
	place  Place
	seen   map[digest.Digest]bool
	caches []*Cache
}

// start adds a cache to those that are found.
func (r *reader) start(form string, top root) *Cache {
	c := &Cache{
		Name:         top.name,
		Form:         form,
		Digest:       top.Digest,
		ManifestSize: top.Size,
		Compressions: make(map[string]int),
		Findings:     []Finding{},
		byDigest:     make(map[digest.Digest]ocispecs.Descriptor),
	}
	if p := top.Platform; p != nil {
		c.Platform = p.OS + "/" + p.Architecture
		if p.Variant != "" {
			c.Platform += "/" + p.Variant
		}
	}
	r.caches = append(r.caches, c)
	return c
}

// eitherManifest has what the forms of a manifest have between them.
type eitherManifest struct {
	Config    ocispecs.Descriptor   `json:"config"`
	Layers    []ocispecs.Descriptor `json:"layers"`
	Manifests []ocispecs.Descriptor `json:"manifests"`
}

// root reads a manifest as an importer does that begins with it: if it names a cache
// config, it is a cache, else its images may have theirs inline.
func (r *reader) root(ctx context.Context, top root) error {
	data, err := r.place.manifest(ctx, top.Digest)
	if aboutContent(err) {
		r.start(Manifest, top).find(Broken, "the manifest %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	manifest, form, err := parseManifest(data)
	if err != nil {
		r.start(Manifest, top).find(Broken, "the manifest cannot be imported: %v", err)
		return nil
	}
	top.Size = int64(len(data))
	var config ocispecs.Descriptor
	layers := manifest.Layers
	if form == Manifest && manifest.Config.MediaType == cacheconfig.CacheConfigMediaTypeV0 {
		config = manifest.Config
	}
	if form == Index {
		for _, desc := range manifest.Manifests {
			if desc.MediaType == cacheconfig.CacheConfigMediaTypeV0 {
				config = desc
			} else {
				layers = append(layers, desc)
			}
		}
	}
	first := len(r.caches)
	if config.Digest == "" {
		if err := r.images(ctx, top, manifest, form); err != nil {
			return err
		}
	} else if err := r.cache(ctx, form, top, layers, config); err != nil {
		return err
	}
	if len(r.caches) == first {
		r.start(Inline, top).find(Broken, "the index has no image, and no cache")
	}
	if top.Size > ImportLimit {
		for _, c := range r.caches[first:] {
			c.find(Broken, "the manifest has %d bytes, and no daemon imports more than %d", top.Size, ImportLimit)
		}
	}
	return nil
}

// parseManifest tells the forms apart as upstream does, whatever the media type of the
// descriptor is.
func parseManifest(data []byte) (manifest eitherManifest, form string, err error) {
	mediaType, err := imageutil.DetectManifestBlobMediaType(data)
	if err != nil {
		return manifest, "", err
	}
	form = Manifest
	if mediaType == ocispecs.MediaTypeImageIndex || mediaType == images.MediaTypeDockerSchema2ManifestList {
		form = Index
	}
	return manifest, form, json.Unmarshal(data, &manifest)
}

// cache reads a cache with a config of its own.
func (r *reader) cache(ctx context.Context, form string, top root, layers []ocispecs.Descriptor, config ocispecs.Descriptor) error {
	c := r.start(form, top)
	c.ConfigSize = config.Size
	for _, desc := range layers {
		c.add(desc)
	}
	if config.Size > ImportLimit {
		c.find(Broken, "the config has %d bytes, and no daemon imports more than %d: export with mode=min, or build fewer steps into one cache", config.Size, ImportLimit)
	}
	data, err := r.place.blob(ctx, config.Digest)
	if aboutContent(err) {
		c.find(Broken, "the config %s %v", config.Digest, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("config %s: %w", config.Digest, err)
	}
	if int64(len(data)) != config.Size {
		c.find(Broken, "the config has %d bytes, and the manifest says %d", len(data), config.Size)
	}
	if err := json.Unmarshal(data, &c.config); err != nil {
		c.find(Broken, "the config cannot be read: %v", err)
		return nil
	}
	c.parsed = true
	return nil
}

// add adds a blob that the manifest names.
func (c *Cache) add(desc ocispecs.Descriptor) {
	if _, ok := c.byDigest[desc.Digest]; !ok {
		c.blobs = append(c.blobs, desc)
	}
	c.byDigest[desc.Digest] = desc
}

// images reads the images of a manifest or index with the caches in their configs.
func (r *reader) images(ctx context.Context, top root, manifest eitherManifest, form string) error {
	if form == Manifest {
		return r.image(ctx, top, manifest)
	}
	for _, desc := range manifest.Manifests {
		if _, describes := desc.Annotations[attestation.DockerAnnotationReferenceType]; describes || r.seen[desc.Digest] {
			continue
		}
		r.seen[desc.Digest] = true
		child := root{top.name, desc}
		data, err := r.place.manifest(ctx, desc.Digest)
		if aboutContent(err) {
			r.start(Inline, child).find(Broken, "the manifest of the image %v", err)
			continue
		}
		if err != nil {
			return err
		}
		manifest, form, err := parseManifest(data)
		if err != nil {
			r.start(Inline, child).find(Broken, "the manifest cannot be imported: %v", err)
			continue
		}
		if err := r.images(ctx, child, manifest, form); err != nil {
			return err
		}
	}
	return nil
}

// inlineImage is what upstream reads of the config of an image.
type inlineImage struct {
	ocispecs.Platform
	RootFS struct {
		DiffIDs []digest.Digest `json:"diff_ids"`
	} `json:"rootfs"`
	Cache   []byte `json:"moby.buildkit.cache.v0"`
	History []struct {
		EmptyLayer bool `json:"empty_layer"`
	} `json:"history"`
}

// image reads an image with inline cache: all its layers are on each other, and the
// records are in its config.
func (r *reader) image(ctx context.Context, top root, manifest eitherManifest) error {
	c := r.start(Inline, top)
	c.ConfigSize = manifest.Config.Size
	data, err := r.place.blob(ctx, manifest.Config.Digest)
	if aboutContent(err) {
		c.find(Broken, "the config %s %v", manifest.Config.Digest, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("config %s: %w", manifest.Config.Digest, err)
	}
	var image inlineImage
	if err := json.Unmarshal(data, &image); err != nil {
		c.find(Broken, "the config of the image cannot be read: %v", err)
		return nil
	}
	if c.Platform == "" && image.OS != "" {
		c.Platform = image.OS + "/" + image.Architecture
	}
	if err := c.readImage(image, manifest.Layers); err != nil {
		c.find(Broken, "%v", err)
	}
	return nil
}

// readImage takes the layers and the records of an image. The error says why an import
// takes nothing of it.
func (c *Cache) readImage(image inlineImage, layers []ocispecs.Descriptor) error {
	for i, desc := range layers {
		annotations := make(map[string]string, len(desc.Annotations)+1)
		maps.Copy(annotations, desc.Annotations)
		if i < len(image.RootFS.DiffIDs) {
			annotations[labels.LabelUncompressed] = image.RootFS.DiffIDs[i].String()
		}
		desc.Annotations = annotations
		c.add(desc)
	}
	named := 0
	for _, h := range image.History {
		if !h.EmptyLayer {
			named++
		}
	}
	switch {
	case len(layers) == 0:
		return errors.New("the image has no layers, and so no cache")
	case len(image.RootFS.DiffIDs) != len(layers):
		return fmt.Errorf("the image has %d layers in its manifest and %d in its config", len(layers), len(image.RootFS.DiffIDs))
	case image.Cache == nil:
		return errors.New("the image has no inline cache")
	case named < len(layers):
		return fmt.Errorf("the history of the image names %d of its %d layers, and an import of its cache panics", named, len(layers))
	}
	if err := json.Unmarshal(image.Cache, &c.config.Records); err != nil {
		return fmt.Errorf("the inline cache cannot be read: %w", err)
	}
	for i, desc := range layers {
		c.config.Layers = append(c.config.Layers, cacheconfig.CacheLayer{Blob: desc.Digest, ParentIndex: i - 1})
	}
	c.parsed = true
	return nil
}

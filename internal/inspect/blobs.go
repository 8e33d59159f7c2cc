package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/pkg/labels"
	units "github.com/docker/go-units"
	"github.com/moby/buildkit/util/compression"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// tocAnnotation is on blobs in estargz, which have the media type of gzip.
const tocAnnotation = "containerd.io/snapshot/stargz/toc.digest"

// lookups is how many blobs are looked up at the same time.
const lookups = 8

// layerOf is the digest of what is in a blob, or an error if its descriptor has none, as
// upstream requires it (cache/manager.go, diffIDFromDescriptor).
func layerOf(desc ocispecs.Descriptor) (digest.Digest, error) {
	return digest.Parse(desc.Annotations[labels.LabelUncompressed])
}

// compressionOf is the word for the compression of a blob.
func compressionOf(desc ocispecs.Descriptor) string {
	if desc.Annotations[tocAnnotation] != "" {
		return compression.EStargz.String()
	}
	t, err := compression.FromMediaType(desc.MediaType)
	if err != nil {
		return "unknown"
	}
	return t.String()
}

// countBlobs counts blobs and layers.
func (c *Cache) countBlobs() {
	unnamed := 0
	layers := make(map[digest.Digest][]ocispecs.Descriptor)
	for _, desc := range c.blobs {
		c.Bytes += desc.Size
		c.Compressions[compressionOf(desc)]++
		layer, err := layerOf(desc)
		if err != nil {
			unnamed++
			layer = desc.Digest
		}
		layers[layer] = append(layers[layer], desc)
	}
	c.Blobs, c.Layers = len(c.blobs), len(layers)
	if c.Form == Inline {
		return // the blobs of an image are what they are, and its config has the layers
	}
	if unnamed > 0 {
		c.find(Broken, "%s no digest of the uncompressed layer, and cannot be loaded", count(unnamed, "blob has", "blobs have"))
	}
	twice, surplus := 0, int64(0)
	for _, same := range layers {
		if len(same) == 1 {
			continue
		}
		twice++
		sum, largest := int64(0), int64(0)
		for _, desc := range same {
			sum, largest = sum+desc.Size, max(largest, desc.Size)
		}
		surplus += sum - largest
	}
	if twice > 0 {
		c.find(Wasteful, "%s in more than one blob, which takes %s too much: %d blobs for %d layers",
			count(twice, "layer is", "layers are"), units.BytesSize(float64(surplus)), c.Blobs, c.Layers)
	}
}

// checkStored looks up every blob that the manifest names.
func (c *Cache) checkStored(ctx context.Context, place Place) error {
	var mu sync.Mutex
	var absent, wrong []digest.Digest
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookups)
	for _, desc := range c.blobs {
		if foreign(desc) {
			continue
		}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			size, err := place.size(ctx, desc.Digest)
			if err != nil && !errors.Is(err, errMissing) {
				return fmt.Errorf("blob %s: %w", desc.Digest, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				absent = append(absent, desc.Digest)
			} else if size != desc.Size {
				wrong = append(wrong, desc.Digest)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(absent) > 0 {
		c.find(Broken, "%s missing, such as %s", count(len(absent), "blob is", "blobs are"), slices.Min(absent))
	}
	if len(wrong) > 0 {
		c.find(Broken, "%s of another size than the manifest says, such as %s", count(len(wrong), "blob is", "blobs are"), slices.Min(wrong))
	}
	return nil
}

// foreign blobs are not stored with the others, but come from an address of their own.
func foreign(desc ocispecs.Descriptor) bool {
	return len(desc.URLs) > 0 && (strings.Contains(desc.MediaType, "foreign") || strings.Contains(desc.MediaType, "nondistributable"))
}

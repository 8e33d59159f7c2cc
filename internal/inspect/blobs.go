package inspect

import (
	"cmp"
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
	layers := make(map[digest.Digest]bool)
	for _, desc := range c.blobs {
		c.Bytes += desc.Size
		c.Compressions[compressionOf(desc)]++
		if _, err := layerOf(desc); err != nil {
			unnamed++
		}
		layers[c.layer(desc.Digest)] = true
	}
	c.Blobs, c.Layers = len(c.blobs), len(layers)
	if unnamed > 0 && c.Form != Inline { // the config of an image has them
		c.find(Broken, "%s no digest of the uncompressed layer, and cannot be loaded", count(unnamed, "blob has", "blobs have"))
	}
}

// checkTwice looks for layers that are in more blobs than one chain needs. An image can
// have the same layer twice in blobs of its own, such as one without files.
func (c *Cache) checkTwice(ctx context.Context) error {
	if c.Form == Inline || c.Blobs == c.Layers {
		return nil
	}
	blobs := make(map[digest.Digest][]ocispecs.Descriptor)
	for _, desc := range c.blobs {
		layer := c.layer(desc.Digest)
		blobs[layer] = append(blobs[layer], desc)
	}
	needed, err := c.blobsInOneChain(ctx)
	if err != nil {
		return err
	}
	twice, surplus := 0, int64(0)
	for layer, same := range blobs {
		slices.SortFunc(same, func(a, b ocispecs.Descriptor) int { return cmp.Compare(b.Size, a.Size) })
		if enough := max(1, needed[layer]); len(same) > enough {
			twice++
			for _, desc := range same[enough:] {
				surplus += desc.Size
			}
		}
	}
	if twice > 0 {
		c.find(Wasteful, "%s in more than one blob, which takes %s too much: %d blobs for %d layers",
			count(twice, "layer is", "layers are"), units.BytesSize(float64(surplus)), c.Blobs, c.Layers)
	}
	return nil
}

// blobsInOneChain counts, for each layer, the blobs of it that stand in the same chain.
func (c *Cache) blobsInOneChain(ctx context.Context) (map[digest.Digest]int, error) {
	most := make(map[digest.Digest]int)
	for record, results := range c.loadable {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, result := range results {
			seen := make(map[digest.Digest]bool)
			counts := make(map[digest.Digest]int)
			for _, blob := range c.chain(record, result) {
				if !seen[blob] {
					seen[blob] = true
					counts[c.layer(blob)]++
				}
			}
			for layer, n := range counts {
				most[layer] = max(most[layer], n)
			}
		}
	}
	return most, nil
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
			} else if size != unknownSize && size != desc.Size {
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

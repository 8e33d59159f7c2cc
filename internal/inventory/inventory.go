// Package inventory says what layers a worker holds: which of them in more than one
// compression, and what an export of its cache makes of these. It reads what others have
// found, and knows no daemon and no file.
package inventory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	cerrdefs "github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/internal/variants"
)

// Inventory is what a worker holds.
type Inventory struct {
	// Blobs counts all content of the worker, manifests too; Records the records of its
	// cache that have blobs; Layers the layers of these, each once in however many
	// compressions.
	Blobs   int `json:"blobs"`
	Records int `json:"records"`
	Layers  int `json:"layers"`
	// Variants are the layers in more than one compression, those with the most surplus
	// first.
	Variants []Layer `json:"variants"`
	// Surplus is the sum of theirs, in bytes.
	Surplus uint64 `json:"surplus"`
	// Chains are the chains of layers with more than one combination, those with the most
	// first. A chain that is the lower part of another one is left out.
	Chains []Chain `json:"chains"`
}

// Layer is a layer in more than one compression.
type Layer struct {
	Blobs []Blob `json:"blobs"`
	// Surplus is what the blobs take that no record owns, in bytes. If none is owned, the
	// largest is taken for the one that is needed.
	Surplus uint64 `json:"surplus"`
}

// Blob is a layer in one compression.
type Blob struct {
	Digest digest.Digest `json:"digest"`
	// Compression is upstream's name of it, or the media type if it has none.
	Compression string `json:"compression"`
	Size        int64  `json:"size"`
	// Owned tells that a record has this blob of its own, and not only as a variant.
	Owned bool `json:"owned"`
}

// Chain is what a record is exported with.
type Chain struct {
	// Record is its ID, Description what upstream says of it.
	Record      string `json:"record"`
	Description string `json:"description"`
	// Image is a name of the image that the chain is built upon, if one is known.
	Image string `json:"image,omitempty"`
	// Variants counts the layers in more than one compression.
	Variants int `json:"variants"`
	// Estimate is the size of the product of the chain.
	Estimate cost.Estimate `json:"-"`
}

// Content is what a worker's content store says of its blobs.
type Content map[digest.Digest]content.Info

// Info is that of a content store.
func (c Content) Info(_ context.Context, dgst digest.Digest) (content.Info, error) {
	info, ok := c[dgst]
	if !ok {
		return content.Info{}, fmt.Errorf("content %s: %w", dgst, cerrdefs.ErrNotFound)
	}
	return info, nil
}

// ReadContent reads all infos of a store in one walk.
func ReadContent(ctx context.Context, store content.Manager) (Content, error) {
	c := make(Content)
	err := store.Walk(ctx, func(info content.Info) error {
		c[info.Digest] = info
		return context.Cause(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("read the content store: %w", err)
	}
	return c, nil
}

// New makes the inventory of the records and the content of a worker. The cost is linear
// in the blobs and in the layers of all chains. The error is the cause of a context that
// has ended.
func New(ctx context.Context, records []Record, stored Content) (*Inventory, error) {
	byID := make(map[string]*Record, len(records))
	for i := range records {
		byID[records[i].ID] = &records[i]
	}
	l, err := findLayers(ctx, byID, stored)
	if err != nil {
		return nil, err
	}
	v := &Inventory{Blobs: len(stored), Records: len(byID), Layers: l.count(), Variants: l.variants()}
	for _, layer := range v.Variants {
		v.Surplus = cost.AddSaturating(v.Surplus, layer.Surplus)
	}
	v.Chains, err = l.chains(ctx, byID)
	return v, err
}

// chains are those with more than one combination, the most first. Two records with the
// same layers make one chain.
func (l *layers) chains(ctx context.Context, records map[string]*Record) ([]Chain, error) {
	walk := chains{records: records, open: make(map[string]bool)}
	seen := make(map[string]bool)
	found := []Chain{}
	for _, id := range walk.leaves() {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		chain, ok := walk.of(id)
		if !ok {
			continue
		}
		var key strings.Builder
		counts := make([]int, len(chain))
		variants := 0
		for i, r := range chain {
			counts[i] = l.blobs(r)
			if counts[i] > 1 {
				variants++
			}
			key.WriteString(r.blob.String())
		}
		e := cost.NewEstimate(counts)
		if e.Remotes < 2 || seen[key.String()] {
			continue
		}
		seen[key.String()] = true
		found = append(found, Chain{Record: id, Description: records[id].Description, Image: imageOf(chain), Variants: variants, Estimate: e})
	}
	slices.SortFunc(found, func(a, b Chain) int {
		return cmp.Or(cmp.Compare(b.Estimate.Log2, a.Estimate.Log2), cmp.Compare(b.Estimate.Layers, a.Estimate.Layers), strings.Compare(a.Record, b.Record))
	})
	return found, nil
}

// imageOf is the name of the image that the topmost layer is of which is one of an image.
func imageOf(chain []*Record) string {
	for _, r := range slices.Backward(chain) {
		if n := len(r.images); n > 0 {
			return r.images[n-1]
		}
	}
	return ""
}

// describe is a blob, from its descriptor.
func describe(desc ocispecs.Descriptor, owned bool) Blob {
	return Blob{Digest: desc.Digest, Compression: variants.CompressionName(desc), Size: desc.Size, Owned: owned}
}

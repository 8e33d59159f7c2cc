package inventory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/internal/variants"
)

// layers are the layers of a worker, each with its blobs.
type layers struct {
	// counts has the number of blobs of a layer, by the blob that a record owns of it.
	counts map[digest.Digest]int
	// owned are the blobs that records own.
	owned map[digest.Digest]bool
	// byBlob has the layer of each blob that is one of several of its layer.
	byBlob map[digest.Digest]*group
}

// group is a layer with several blobs.
type group struct {
	blobs map[digest.Digest]ocispecs.Descriptor
}

// findLayers finds the layers of the records and, beside these, the blobs in the store that
// are linked with one another.
func findLayers(ctx context.Context, records map[string]*Record, stored Content) (*layers, error) {
	l := &layers{counts: make(map[digest.Digest]int), owned: make(map[digest.Digest]bool), byBlob: make(map[digest.Digest]*group)}
	for _, id := range slices.Sorted(maps.Keys(records)) {
		r := records[id]
		if r.blob == "" || l.owned[r.blob] {
			continue
		}
		l.owned[r.blob] = true
		if err := l.add(ctx, stored, r.own(stored[r.blob])); err != nil {
			return nil, err
		}
	}
	for _, dgst := range slices.Sorted(maps.Keys(stored)) {
		if l.owned[dgst] || l.byBlob[dgst] != nil {
			continue
		}
		if desc, ok := variants.Descriptor(stored[dgst]); ok {
			if err := l.add(ctx, stored, desc); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// add adds the layer that a blob is of.
func (l *layers) add(ctx context.Context, stored Content, own ocispecs.Descriptor) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	blobs, err := variants.Walk(ctx, stored, own)
	if err != nil {
		return fmt.Errorf("find the variants of %s: %w", own.Digest, err)
	}
	if blobs == nil {
		return nil
	}
	l.counts[own.Digest] = len(blobs)
	// Two records may own two blobs of one layer.
	layer := &group{blobs: make(map[digest.Digest]ocispecs.Descriptor)}
	for _, desc := range blobs {
		if known := l.byBlob[desc.Digest]; known != nil {
			maps.Copy(layer.blobs, known.blobs)
		}
		layer.blobs[desc.Digest] = desc
	}
	for dgst := range layer.blobs {
		l.byBlob[dgst] = layer
	}
	return nil
}

// blobs is the number of blobs of a record's own layer.
func (l *layers) blobs(r *Record) int { return max(l.counts[r.blob], 1) }

// count is the number of layers.
func (l *layers) count() int {
	n := len(l.groups())
	for dgst := range l.owned {
		if l.byBlob[dgst] == nil {
			n++
		}
	}
	return n
}

func (l *layers) groups() map[*group]bool {
	groups := make(map[*group]bool)
	for _, g := range l.byBlob {
		groups[g] = true
	}
	return groups
}

// variants are the layers in more than one compression, those with the most surplus first.
func (l *layers) variants() []Layer {
	found := []Layer{}
	for g := range l.groups() {
		found = append(found, l.layer(g))
	}
	slices.SortFunc(found, func(a, b Layer) int {
		return cmp.Or(cmp.Compare(b.Surplus, a.Surplus), strings.Compare(a.Blobs[0].Digest.String(), b.Blobs[0].Digest.String()))
	})
	return found
}

// layer is a layer with several blobs, those that records own first.
func (l *layers) layer(g *group) Layer {
	var (
		layer   Layer
		others  []Blob
		largest uint64
	)
	for _, dgst := range slices.Sorted(maps.Keys(g.blobs)) {
		b := describe(g.blobs[dgst], l.owned[dgst])
		if b.Owned {
			layer.Blobs = append(layer.Blobs, b)
			continue
		}
		others = append(others, b)
		size := uint64(max(b.Size, 0))
		layer.Surplus = cost.AddSaturating(layer.Surplus, size)
		largest = max(largest, size)
	}
	if len(layer.Blobs) == 0 {
		layer.Surplus -= largest
	}
	layer.Blobs = append(layer.Blobs, others...)
	return layer
}
